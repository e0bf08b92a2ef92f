//! How a visitor is erased in SQLite: some rows in a transaction, after which what was there is overwritten in the file; then the write-ahead
//! log is cut off, which has it too.

use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior, params};

use super::rollups;
use crate::{Erasure, Hour};

/// How many at a time, so that a block waits no longer for them than for another block.
pub(super) const AT_ONCE: usize = 2_000;

/// How long cutting off the log waits for who is reading, while blocks wait for it.
const READERS: Duration = Duration::from_millis(50);
/// As long as everything else waits.
const BUSY: Duration = Duration::from_secs(10);

/// The rows that are the visitor's.
pub(super) fn rows(connection: &Connection, erasure: &Erasure) -> rusqlite::Result<Vec<i64>> {
    let (from, to) = erasure.micros();
    let visitor = erasure.visitor.as_u64().cast_signed();
    connection
        .prepare_cached(
            "SELECT rowid FROM scans WHERE workspace = ?1 AND time >= ?2 AND time < ?3 AND visitor = ?4",
        )?
        .query_map(
            params![erasure.workspace.as_str(), from, to, visitor],
            |line| line.get(0),
        )?
        .collect()
}

/// Erases some of them. Says how many were still there.
pub(super) fn some(
    connection: &mut Connection,
    erasure: &Erasure,
    rows: &[i64],
) -> rusqlite::Result<u64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut hours = Vec::new();
    let mut update = transaction.prepare_cached(&format!(
        "UPDATE scans SET {} WHERE rowid = ?1 AND workspace = ?2 AND visitor = ?3 RETURNING time",
        Erasure::assignments()
    ))?;
    let visitor = erasure.visitor.as_u64().cast_signed();
    for row in rows {
        let found = update
            .query_map(params![row, erasure.workspace.as_str(), visitor], |line| {
                line.get(0).map(Hour::of_micros)
            })?;
        for hour in found {
            hours.push(hour?);
        }
    }
    drop(update);
    rollups::hold_no_more(&transaction, &hours.iter().copied().collect())?;
    transaction.commit()?;
    Ok(hours.len() as u64)
}

/// Cuts off the write-ahead log. False: somebody is reading from it.
pub(super) fn forget(connection: &Connection) -> rusqlite::Result<bool> {
    connection.busy_timeout(READERS)?;
    let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        row.get::<_, i64>(0)
    });
    connection.busy_timeout(BUSY)?;
    Ok(busy? == 0)
}
