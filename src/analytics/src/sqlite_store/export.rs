//! How scans are read one by one from SQLite: by the indexes for questions about workspaces and tags, which have them in the order of their times.

use jiff::{SignedDuration, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};
use scans::ScanId;
use tags::WorkspaceId;

use super::filter::condition;
use super::unreadable;
use crate::{ExportedScan, ScanCursor, ScanFilter, ScanPage};

const COLUMNS: &str = "time, domain, code, tag_version, campaign, outcome, rule, destination_index, country, region, city, device, os,
    browser, language, referrer, automated, bot_reason, edge, boot, writer, seq";

pub(super) fn page(
    connection: &Connection,
    workspace: &WorkspaceId,
    filter: &ScanFilter,
    begin: Option<ScanCursor>,
    most: usize,
) -> rusqlite::Result<ScanPage> {
    let from = begin.as_ref().map_or(filter.from(), |begin| begin.time);
    let (condition, mut bound) = condition(workspace, &filter.within(from, filter.to()));
    let behind = match begin.and_then(|begin| begin.behind) {
        Some(last) => {
            let (boot, seq) = (last.boot.cast_signed(), last.seq.cast_signed());
            let last: [Value; 5] = [
                from.as_microsecond().into(),
                last.edge.to_string().into(),
                boot.into(),
                last.writer.into(),
                seq.into(),
            ];
            bound.extend(last);
            "AND (time > ? OR (edge, boot, writer, seq) > (?, ?, ?, ?))"
        }
        None => "",
    };
    // In this order of tables, so that the index's order needs no sorting but of scans at the same time.
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM scans CROSS JOIN writers ON writers.id = scans.writer_id WHERE {condition} {behind}
         ORDER BY time, edge, boot, writer, seq LIMIT {most}"
    ))?;
    let lines = statement.query_map(params_from_iter(&bound), read)?;
    let lines = lines.collect::<rusqlite::Result<Vec<_>>>()?;
    let last = lines.last().filter(|_| lines.len() == most);
    let next = last.map(|(scan, id)| ScanCursor {
        time: scan.time,
        behind: Some(id.clone()),
        window: SignedDuration::ZERO,
    });
    let scans = lines.into_iter().map(|(scan, _)| scan).collect();
    Ok(ScanPage { scans, next })
}

fn read(line: &Row<'_>) -> rusqlite::Result<(ExportedScan, ScanId)> {
    let time = Timestamp::from_microsecond(line.get(0)?);
    let outcome: String = line.get(5)?;
    let destination = (outcome == tags::Outcome::Redirected.as_str()).then(|| line.get(7));
    let scan = ExportedScan {
        time: time.map_err(|error| unreadable(0, error))?,
        domain: line.get(1)?,
        code: line.get(2)?,
        tag_version: line.get::<_, i64>(3)?.cast_unsigned(),
        campaign: line.get(4)?,
        outcome,
        rule: line.get(6)?,
        destination: destination.transpose()?,
        country: line.get(8)?,
        region: line.get(9)?,
        city: line.get(10)?,
        device: line.get(11)?,
        os: line.get(12)?,
        browser: line.get(13)?,
        language: line.get(14)?,
        referrer: line.get(15)?,
        automated: line.get(16)?,
        bot_reason: line.get(17)?,
    };
    let id = ScanId {
        edge: line.get::<_, String>(18)?.into(),
        boot: line.get::<_, i64>(19)?.cast_unsigned(),
        writer: line.get(20)?,
        seq: line.get::<_, i64>(21)?.cast_unsigned(),
    };
    Ok((scan, id))
}
