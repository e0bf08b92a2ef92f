//! How a visitor is erased in SQLite: all in one transaction, after which what was there is overwritten in the file, and gone from the
//! write-ahead log.

use rusqlite::{Connection, TransactionBehavior, params};

use super::rollups;
use crate::{Erasure, Hour};

/// Says how many scans were the visitor's.
pub(super) fn erase(connection: &mut Connection, erasure: &Erasure) -> rusqlite::Result<u64> {
    let Some((from, to)) = erasure.micros() else {
        return Ok(0);
    };
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let hours: Vec<Hour> = transaction
        .prepare_cached(&format!(
            "UPDATE scans SET {} WHERE workspace = ?1 AND time >= ?2 AND time < ?3 AND visitor = ?4 RETURNING time",
            Erasure::assignments()
        ))?
        .query_map(
            params![
                erasure.workspace.as_str(),
                from,
                to,
                erasure.visitor.as_u64().cast_signed()
            ],
            |line| line.get(0).map(Hour::of_micros),
        )?
        .collect::<rusqlite::Result<_>>()?;
    rollups::hold_no_more(&transaction, &hours.iter().copied().collect())?;
    transaction.commit()?;
    if !hours.is_empty() {
        // Where a question is in the way, the log is written over by and by.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    }
    Ok(hours.len() as u64)
}
