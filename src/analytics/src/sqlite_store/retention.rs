//! How scans leave SQLite: their identities stay.

use rusqlite::{Connection, TransactionBehavior, params};

use super::rollups;
use crate::{Expiry, Hour};

/// How many at a time, so that a block waits no longer for them than for another block.
const AT_ONCE: i64 = 2_000;

/// Deletes the oldest, and tells how many.
pub(super) fn some(connection: &mut Connection, expiry: &Expiry) -> rusqlite::Result<u64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let expired: Vec<(i64, i64, i64)> = transaction
        .prepare_cached(
            "DELETE FROM scans WHERE rowid IN (
                 SELECT rowid FROM scans WHERE workspace = ?1 AND time < ?2 ORDER BY time LIMIT ?3)
             RETURNING writer_id, seq, time",
        )?
        .query_map(
            params![
                expiry.workspace.as_str(),
                expiry.before.as_microsecond(),
                AT_ONCE
            ],
            |line| Ok((line.get(0)?, line.get(1)?, line.get(2)?)),
        )?
        .collect::<rusqlite::Result<_>>()?;
    let mut keep = transaction
        .prepare_cached("INSERT OR IGNORE INTO scans_expired (writer_id, seq) VALUES (?, ?)")?;
    for identity in &expired {
        keep.execute([identity.0, identity.1])?;
    }
    drop(keep);
    let hours = expired.iter().map(|(_, _, time)| Hour::of_micros(*time));
    rollups::hold_no_more(&transaction, &hours.collect())?;
    transaction.commit()?;
    Ok(expired.len() as u64)
}
