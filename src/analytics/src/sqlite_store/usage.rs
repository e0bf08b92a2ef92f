//! What workspaces' scans take in SQLite: rows by day, and the file's average row.

use std::ops::RangeInclusive;

use jiff::civil::Date;
use rusqlite::{Connection, TransactionBehavior, params};
use tags::WorkspaceId;

use super::unreadable;
use crate::usage::{bytes, micros};
use crate::{Day, Usage};

pub(super) fn of_days(
    connection: &mut Connection,
    days: &RangeInclusive<Date>,
    workspace: Option<&WorkspaceId>,
) -> rusqlite::Result<Vec<Usage>> {
    let moment = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
    let (from, to) = micros(days);
    // One workspace's are found by its index.
    let of_workspace = workspace.map_or("?3 IS NULL", |_| "workspace = ?3");
    let mut counts = moment.prepare_cached(&format!(
        "SELECT workspace, time / 86400000000 AS day, count(*) FROM scans
         WHERE {of_workspace} AND time >= ?1 AND time < ?2 GROUP BY workspace, day ORDER BY workspace, day"
    ))?;
    let row_bytes = row_bytes(&moment)?;
    let mut lines = counts.query(params![from, to, workspace.map(WorkspaceId::as_str)])?;
    let mut usage = Vec::new();
    while let Some(line) = lines.next()? {
        let (workspace, scans): (String, i64) = (line.get(0)?, line.get(2)?);
        let number = line.get(1)?;
        let day = Day::from_number(number).date();
        let scans = scans.cast_unsigned();
        usage.push(Usage {
            workspace: WorkspaceId::parse(&workspace).map_err(|error| unreadable(0, error))?,
            day: day.ok_or(rusqlite::Error::IntegralValueOutOfRange(1, number))?,
            scans,
            stored_bytes: bytes(scans, row_bytes),
        });
    }
    Ok(usage)
}

/// What the file has in use, headers and rollups too, by the scans that are in it.
fn row_bytes(connection: &Connection) -> rusqlite::Result<f64> {
    connection.query_row(
        "SELECT (page_count - freelist_count) * page_size * 1.0 / max(1, (SELECT count(*) FROM scans))
         FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
        [],
        |line| line.get(0),
    )
}
