//! Hours of tags in SQLite, by the indexes for questions about workspaces and tags.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use tags::{Code, Domain, WorkspaceId};

use super::unreadable;
use crate::{Hour, ScannedTag, TagHours};

pub(super) fn busiest(
    connection: &Connection,
    hour: Hour,
    least: u64,
    most: usize,
) -> rusqlite::Result<Vec<ScannedTag>> {
    let (from, to) = hour.micros();
    // From one workspace to the next in the index, and of each the hour alone.
    let mut statement = connection.prepare_cached(
        "WITH RECURSIVE workspaces (workspace) AS (
            SELECT min(workspace) FROM scans
            UNION ALL
            SELECT (SELECT min(workspace) FROM scans WHERE workspace > workspaces.workspace) FROM workspaces WHERE workspace IS NOT NULL
         )
         SELECT scans.workspace, domain, code FROM workspaces CROSS JOIN scans INDEXED BY scans_by_time ON scans.workspace = workspaces.workspace
         WHERE time >= ?1 AND time < ?2 AND tag_version > 0 AND NOT automated
         GROUP BY scans.workspace, domain, code HAVING count(*) >= ?3
         ORDER BY count(*) DESC, scans.workspace, domain, code LIMIT ?4",
    )?;
    let bound = params![from, to, least.cast_signed(), most as i64];
    statement.query_map(bound, tag)?.collect()
}

pub(super) fn of_tags(
    connection: &mut Connection,
    tags: &[ScannedTag],
    hours: &[Hour],
    since: Hour,
) -> rusqlite::Result<Vec<TagHours>> {
    let Some(last) = hours.iter().max() else {
        return Ok(Vec::new());
    };
    // One transaction: all parts of the answer are of the same moment.
    let moment = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
    let mut first = moment.prepare_cached(
        "SELECT time FROM scans INDEXED BY scans_by_code WHERE workspace = ?1 AND domain = ?2 AND code = ?3 AND time >= ?4
         AND time < ?5 AND tag_version > 0 AND NOT automated ORDER BY time LIMIT 1",
    )?;
    let mut counts = moment.prepare_cached(
        "SELECT country, count(*) FROM scans INDEXED BY scans_by_code WHERE workspace = ?1 AND domain = ?2 AND code = ?3
         AND time >= ?4 AND time < ?5 AND tag_version > 0 AND NOT automated GROUP BY country",
    )?;
    let mut found = Vec::new();
    for tag in tags {
        let (workspace, domain, code) = (
            tag.workspace.as_str(),
            tag.domain.as_str(),
            tag.code.as_str(),
        );
        let (begin, end) = (since.micros().0, last.micros().1);
        let first: Option<i64> = first
            .query_row(params![workspace, domain, code, begin, end], |row| {
                row.get(0)
            })
            .optional()?;
        let Some(first) = first else {
            continue;
        };
        let mut scans = BTreeMap::new();
        for hour in hours {
            let (from, to) = hour.micros();
            let rows = counts.query_map(params![workspace, domain, code, from, to], |row| {
                Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
            })?;
            let of_hour = rows.collect::<rusqlite::Result<BTreeMap<String, u64>>>()?;
            if !of_hour.is_empty() {
                scans.insert(*hour, of_hour);
            }
        }
        found.push(TagHours {
            tag: tag.clone(),
            first: Hour::from_number(first.div_euclid(3_600_000_000)),
            scans,
        });
    }
    Ok(found)
}

fn tag(row: &Row<'_>) -> rusqlite::Result<ScannedTag> {
    let text = |column| row.get::<_, String>(column);
    Ok(ScannedTag {
        workspace: WorkspaceId::parse(&text(0)?).map_err(|error| unreadable(0, error))?,
        domain: Domain::parse(&text(1)?).map_err(|error| unreadable(1, error))?,
        code: Code::parse(&text(2)?).map_err(|error| unreadable(2, error))?,
    })
}
