//! Which hours' rollups hold in SQLite, and how one is replaced. A block says of its hours that they hold no more, in its own transaction;
//! an hour's new rollup takes the place of the old one in one transaction, unless a block came while it was counted.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::count::Counts;
use super::days;
use crate::Hour;
use crate::rollups::{HoursToRollUp, SETTLED_AFTER, Table, Which};

/// Says of hours that got scans, or lost some, that their rollups have to be computed.
pub(super) fn hold_no_more(
    transaction: &Transaction<'_>,
    hours: &BTreeSet<Hour>,
) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO rollup_periods VALUES (?1, FALSE, NULL)
         ON CONFLICT (hour) DO UPDATE SET holds = FALSE, computing = NULL WHERE holds OR computing IS NOT NULL",
    )?;
    // Nobody can ask for what lies before 1970.
    for hour in hours.iter().filter(|hour| hour.number() >= 0) {
        statement.execute([hour.number()])?;
        days::holds_no_more(transaction, *hour)?;
    }
    Ok(())
}

/// Of the hours that have ended, those that can be computed: the others may still get scans, in the usual way.
pub(super) fn to_roll_up(
    connection: &Connection,
    which: Which,
    now: Timestamp,
) -> rusqlite::Result<HoursToRollUp> {
    let (condition, from, to) = match which {
        Which::Missing => ("AND NOT holds", Hour::from_number(0), Hour::of(now)),
        Which::Within(from, to) => ("", from, to.min(Hour::of(now))),
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT hour FROM rollup_periods WHERE hour >= ?1 AND hour < ?2 {condition} ORDER BY hour DESC"
    ))?;
    let hours = statement.query_map(params![from.number(), to.number()], |line| line.get(0))?;
    let mut found = HoursToRollUp::default();
    for hour in hours {
        let hour = Hour::from_number(hour?);
        let since = now.duration_since(hour.before(-1).start()).unsigned_abs();
        if since > SETTLED_AFTER {
            found.ready.push(hour);
        } else {
            found.later += 1;
        }
    }
    Ok(found)
}

/// Begins to compute an hour, and gives back by what it is known. None: it has no scans.
pub(super) fn begin(connection: &mut Connection, hour: Hour) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(
            "UPDATE rollup_periods SET computing = random() WHERE hour = ? RETURNING computing",
        )?
        .query_row([hour.number()], |line| line.get(0))
        .optional()
}

/// Puts the counts in the place of what was there, if nothing has come in between: no scan, nobody else who computes it.
pub(super) fn replace(
    connection: &mut Connection,
    hour: Hour,
    computing: i64,
    counts: &Counts,
) -> rusqlite::Result<bool> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let hour = hour.number();
    let ours = transaction
        .prepare_cached(
            "UPDATE rollup_periods SET holds = TRUE, computing = NULL WHERE hour = ? AND computing = ?",
        )?
        .execute([hour, computing])?;
    if ours == 0 {
        return Ok(false);
    }
    for table in [Table::Minutes, Table::Hours, Table::Tags] {
        transaction
            .prepare_cached(&format!("DELETE FROM {} WHERE hour = ?", table.name()))?
            .execute([hour])?;
    }
    counts.write(&transaction, hour)?;
    days::holds_no_more(&transaction, Hour::from_number(hour))?;
    transaction.commit()?;
    Ok(true)
}
