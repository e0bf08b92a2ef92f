//! Rollups of days in SQLite, each derived from those of its hours. A day's holds no more when an hour's does not, in the same transaction.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::Hour;
use crate::rollups::{HOURS_OF_DAY, Table, hours_of_day};

/// How many lines are written at a time: a block waits no longer for them than for another block.
const AT_ONCE: usize = 10_000;

/// A day that is being computed: its number, and by what the computation is known.
#[derive(Clone, Copy)]
pub(super) struct Computing {
    day: i64,
    number: i64,
}

/// Lines of one of the tables, but for their day.
pub(super) struct Lines {
    table: &'static str,
    lines: Vec<Vec<Value>>,
}

/// Says of the day of an hour that its rollup has to be computed.
pub(super) fn holds_no_more(transaction: &Transaction<'_>, hour: Hour) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO rollup_days VALUES (?1, FALSE, NULL)
             ON CONFLICT (day) DO UPDATE SET holds = FALSE, computing = NULL WHERE holds OR computing IS NOT NULL",
        )?
        .execute([hour.number().div_euclid(HOURS_OF_DAY)])?;
    Ok(())
}

/// Begins to compute the newest day before today whose hours all hold and which does not itself. Removes what it has of before.
pub(super) fn begin(
    connection: &mut Connection,
    today: i64,
) -> rusqlite::Result<Option<Computing>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let begun = transaction
        .prepare_cached(
            "UPDATE rollup_days SET computing = random() WHERE day = (
                 SELECT day FROM rollup_days WHERE NOT holds AND day < ?1
                 AND NOT EXISTS (SELECT 1 FROM rollup_periods WHERE NOT holds AND hour >= day * 24 AND hour < day * 24 + 24)
                 ORDER BY day DESC LIMIT 1)
             RETURNING day, computing",
        )?
        .query_row([today], |line| {
            let (day, number) = (line.get(0)?, line.get(1)?);
            Ok(Computing { day, number })
        })
        .optional()?;
    if let Some(Computing { day, .. }) = begun {
        for table in tables() {
            transaction
                .prepare_cached(&format!("DELETE FROM {} WHERE day = ?", table.1))?
                .execute([day])?;
        }
    }
    transaction.commit()?;
    Ok(begun)
}

/// Reads what the day's lines are to be from the rollups of its hours, and gives them away, some at a time, for as long as they are taken.
pub(super) fn read(
    connection: &Connection,
    of: Computing,
    mut give: impl FnMut(Lines) -> bool,
) -> rusqlite::Result<()> {
    let hours = hours_of_day(of.day);
    for (by_hour, table, columns) in tables() {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {columns}, sum(scans) FROM {by_hour} WHERE hour >= ?1 AND hour < ?2 GROUP BY {columns} ORDER BY {columns}"
        ))?;
        let width = statement.column_count();
        let mut found = statement.query(params![hours.start, hours.end])?;
        loop {
            let mut lines = Vec::new();
            while lines.len() < AT_ONCE
                && let Some(line) = found.next()?
            {
                let values = (0..width).map(|column| line.get::<_, Value>(column));
                lines.push(values.collect::<rusqlite::Result<Vec<_>>>()?);
            }
            if lines.is_empty() {
                break;
            }
            if !give(Lines { table, lines }) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Writes some of the lines, unless an hour's rollup was replaced meanwhile, or holds no more. Whether it did.
pub(super) fn write(
    connection: &mut Connection,
    of: Computing,
    lines: &Lines,
) -> rusqlite::Result<bool> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let ours: bool = transaction
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM rollup_days WHERE day = ? AND computing = ?)",
        )?
        .query_row([of.day, of.number], |line| line.get(0))?;
    if !ours {
        return Ok(false);
    }
    if let Some(first) = lines.lines.first() {
        let places = vec!["?"; first.len() + 1].join(", ");
        let insert = format!("INSERT INTO {} VALUES ({places})", lines.table);
        let mut insert = transaction.prepare_cached(&insert)?;
        let day = Value::from(of.day);
        for line in &lines.lines {
            insert.execute(rusqlite::params_from_iter(
                std::iter::once(&day).chain(line),
            ))?;
        }
    }
    transaction.commit()?;
    Ok(true)
}

/// Says that the day's rollup holds, unless an hour's was replaced meanwhile, or holds no more. Whether it did.
pub(super) fn hold(connection: &Connection, of: Computing) -> rusqlite::Result<bool> {
    let held = connection
        .prepare_cached(
            "UPDATE rollup_days SET holds = TRUE, computing = NULL WHERE day = ? AND computing = ?",
        )?
        .execute([of.day, of.number])?;
    Ok(held > 0)
}

/// Each table by the hour that has one by the day, and the columns that both have, in the latter's order, but for the number of scans.
fn tables() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    [
        (
            Table::Hours,
            "workspace, per, dimension, campaign, value, automated",
        ),
        (Table::Tags, "workspace, domain, code, campaign, automated"),
    ]
    .into_iter()
    .filter_map(|(table, columns)| Some((table.name(), table.by_day()?, columns)))
}
