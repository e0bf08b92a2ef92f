//! What the batches' headers in SQLite say, and what there is of some scans by identity: the two sides that the ledger compares.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use scans::WriterKey;
use tags::WorkspaceId;

use crate::{Headers, Kept, Period, Run, Standing, UnderWay, WriterHeaders};

/// All batches of the writers that had one in the period (?1 to ?2), each with whether it is settled: positions are saved with the block
/// that they are of.
const BATCHES: &str = r#"WITH
    ends AS (SELECT cluster, topic, "partition", max("offset") AS upto FROM positions GROUP BY cluster, topic, "partition"),
    batches AS (
        SELECT writer_id, first_seq, first_seq + count AS next, count, dropped, "offset", appended_at,
            coalesce("offset" < upto, FALSE) AS settled, appended_at >= ?1 AND appended_at < ?2 AS inside
        FROM ledger LEFT JOIN ends USING (cluster, topic, "partition")
        WHERE writer_id IN (SELECT writer_id FROM ledger WHERE appended_at >= ?1 AND appended_at < ?2)
    )"#;

pub(super) fn headers(connection: &mut Connection, period: &Period) -> rusqlite::Result<Headers> {
    // One transaction: all parts of the answer are of the same moment.
    let moment = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
    let (from, to) = period.millis();
    let mut found: BTreeMap<i64, (WriterKey, WriterHeaders)> = BTreeMap::new();

    let moments = at_three_moments("next");
    let mut standings = moment.prepare(&format!(
        r#"{BATCHES} SELECT writer_id, edge, boot, writer, {moments}, max(appended_at),
            (SELECT count FROM batches AS newest WHERE newest.writer_id = batches.writer_id ORDER BY appended_at DESC, "offset" DESC LIMIT 1)
         FROM batches JOIN writers ON writers.id = writer_id
         GROUP BY writer_id HAVING count(*) FILTER (WHERE settled AND inside) > 0"#
    ))?;
    let mut lines = standings.query(params![from, to])?;
    while let Some(line) = lines.next()? {
        let key = WriterKey {
            edge: line.get::<_, String>(1)?.into(),
            boot: number(line, 2)?,
            writer: line.get(3)?,
        };
        let standing = |column| -> rusqlite::Result<Standing> {
            Ok(Standing {
                next: number(line, column)?,
                dropped: BTreeMap::new(),
            })
        };
        let said = WriterHeaders {
            before: standing(4)?,
            at_end: standing(5)?,
            latest: standing(6)?,
            deduplicated: 0,
            heard_ms: line.get(7)?,
            last_count: line.get(8)?,
        };
        found.insert(line.get(0)?, (key, said));
    }

    let moments = at_three_moments("json_each.value");
    let mut dropped = moment.prepare(&format!(
        "{BATCHES} SELECT writer_id, json_each.key, {moments} FROM batches, json_each(batches.dropped) GROUP BY writer_id, json_each.key"
    ))?;
    let mut lines = dropped.query(params![from, to])?;
    while let Some(line) = lines.next()? {
        if let Some((_, said)) = found.get_mut(&line.get::<_, i64>(0)?) {
            let reason: String = line.get(1)?;
            said.before.dropped.insert(reason.clone(), number(line, 2)?);
            said.at_end.dropped.insert(reason.clone(), number(line, 3)?);
            said.latest.dropped.insert(reason, number(line, 4)?);
        }
    }

    // By the batches' first numbers, a batch brings anew what lies behind the highest end of those before it.
    let mut replayed = moment.prepare(&format!(
        "{BATCHES}, in_order AS (
            SELECT writer_id, count, next, max(first_seq, coalesce(max(next) OVER (PARTITION BY writer_id ORDER BY first_seq, next
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)) AS covered
            FROM batches WHERE settled AND inside AND count > 0
         )
         SELECT writer_id, sum(count) - sum(max(0, next - covered)) FROM in_order GROUP BY writer_id"
    ))?;
    let mut lines = replayed.query(params![from, to])?;
    while let Some(line) = lines.next()? {
        if let Some((_, said)) = found.get_mut(&line.get::<_, i64>(0)?) {
            said.deduplicated = number(line, 1)?;
        }
    }

    let under_way = moment.query_row(
        &format!(
            "{BATCHES} SELECT count(*), coalesce(sum(count), 0) FROM batches WHERE inside AND NOT settled"
        ),
        params![from, to],
        |line| {
            Ok(UnderWay {
                batches: number(line, 0)?,
                scans: number(line, 1)?,
            })
        },
    )?;
    let unreadable = moment.query_row(
        r#"SELECT count(DISTINCT format('%s:%s:%d:%d', cluster, topic, "partition", "offset")) FROM scans_dead
           WHERE edge = '' AND appended_at >= ?1 AND appended_at < ?2"#,
        params![from, to],
        |line| number(line, 0),
    )?;
    let mut writers: Vec<_> = found.into_values().collect();
    writers.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(Headers {
        writers,
        under_way,
        unreadable,
    })
}

/// What a running number was before the period, at its end, and is now.
fn at_three_moments(number: &str) -> String {
    format!(
        "coalesce(max({number}) FILTER (WHERE settled AND appended_at < ?1), 0),
         coalesce(max({number}) FILTER (WHERE settled AND appended_at < ?2), 0),
         coalesce(max({number}) FILTER (WHERE settled), 0)"
    )
}

pub(super) fn kept(
    connection: &mut Connection,
    run: &Run,
    workspace: Option<&WorkspaceId>,
) -> rusqlite::Result<Kept> {
    let moment = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
    let key = &run.writer;
    let writer_id: Option<i64> = moment
        .prepare_cached("SELECT id FROM writers WHERE edge = ?1 AND boot = ?2 AND writer = ?3")?
        .query_row(
            params![&*key.edge, key.boot.cast_signed(), key.writer],
            |line| line.get(0),
        )
        .optional()?;
    let numbers = (run.first.cast_signed(), run.last.cast_signed());
    let stored = moment
        .prepare_cached(
            "SELECT count(*) FROM scans WHERE writer_id = ?1 AND seq BETWEEN ?2 AND ?3 AND (?4 IS NULL OR workspace = ?4)",
        )?
        .query_row(
            params![writer_id, numbers.0, numbers.1, workspace.map(WorkspaceId::as_str)],
            |line| number(line, 0),
        )?;
    let dead = match workspace {
        Some(_) => 0,
        None => moment
            .prepare_cached(
                "SELECT count(DISTINCT seq) FROM scans_dead AS dead
                 WHERE edge = ?1 AND boot = ?2 AND writer = ?3 AND seq BETWEEN ?4 AND ?5
                 AND NOT EXISTS (SELECT 1 FROM scans WHERE scans.writer_id = ?6 AND scans.seq = dead.seq)",
            )?
            .query_row(
                params![
                    &*key.edge,
                    key.boot.cast_signed(),
                    key.writer,
                    numbers.0,
                    numbers.1,
                    writer_id
                ],
                |line| number(line, 0),
            )?,
    };
    let expired = match workspace {
        Some(_) => 0,
        None => moment
            .prepare_cached(
                "SELECT count(*) FROM scans_expired AS expired WHERE writer_id = ?1 AND seq BETWEEN ?2 AND ?3
                 AND NOT EXISTS (SELECT 1 FROM scans WHERE scans.writer_id = ?1 AND scans.seq = expired.seq)",
            )?
            .query_row(params![writer_id, numbers.0, numbers.1], |line| {
                number(line, 0)
            })?,
    };
    // The identity is the table's key: a row is a scan.
    Ok(Kept {
        rows: stored,
        stored,
        dead,
        expired,
    })
}

/// SQLite knows signed numbers alone.
fn number(line: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    line.get::<_, i64>(column).map(i64::cast_unsigned)
}
