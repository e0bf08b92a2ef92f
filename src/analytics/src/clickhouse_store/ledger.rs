//! What the batches' headers in ClickHouse say, and what there is of some scans by identity: the two sides that the ledger compares.

use std::collections::BTreeMap;

use clickhouse::Client;
use clickhouse::query::Query;
use scans::WriterKey;
use serde::Deserialize;
use tags::WorkspaceId;

use super::within;
use crate::{Headers, Kept, Period, Run, Standing, StoreError, UnderWay, WriterHeaders};

/// Up to where each partition is settled, as [`Ends`] says.
const ENDS: &str = "SELECT ends.1 AS cluster, ends.2 AS topic, ends.3 AS partition, ends.4 AS upto FROM (
    SELECT arrayJoin(arrayZip({clusters:Array(String)}, {topics:Array(String)}, {partitions:Array(Int32)}, {uptos:Array(Int64)})) AS ends)";

/// Whether a batch was taken in the period.
const INSIDE: &str = "appended_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND appended_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')";

/// The most scans of which the numbers are compared in the server's memory at once: a million take it some 30 MB.
const AT_ONCE: u64 = 1 << 20;

#[derive(clickhouse::Row, Deserialize)]
struct StandingLine {
    edge: String,
    boot: u64,
    writer: u32,
    before: u64,
    at_end: u64,
    latest: u64,
    heard: i64,
    last_count: u32,
}

#[derive(clickhouse::Row, Deserialize)]
struct DroppedLine {
    edge: String,
    boot: u64,
    writer: u32,
    reason: String,
    before: u64,
    at_end: u64,
    latest: u64,
}

const DOING: &str = "read what the writers say of themselves";

/// Up to where each partition is settled: positions are saved only of blocks that are confirmed.
#[derive(Default)]
struct Ends {
    clusters: Vec<String>,
    topics: Vec<String>,
    partitions: Vec<i32>,
    uptos: Vec<i64>,
}

impl Ends {
    async fn read(client: &Client) -> Result<Self, StoreError> {
        let lines = client.query_raw(
            "SELECT cluster, topic, partition, max(offset) FROM writers GROUP BY cluster, topic, partition",
        );
        let lines = within(DOING, lines.fetch_all::<(String, String, i32, i64)>()).await?;
        let mut ends = Self::default();
        for (cluster, topic, partition, upto) in lines {
            ends.clusters.push(cluster);
            ends.topics.push(topic);
            ends.partitions.push(partition);
            ends.uptos.push(upto);
        }
        Ok(ends)
    }
}

pub(super) async fn headers(client: &Client, period: &Period) -> Result<Headers, StoreError> {
    let mut writers: BTreeMap<WriterKey, WriterHeaders> = BTreeMap::new();
    // Once: every question is about the same batches, whatever is settled meanwhile.
    let ends = &Ends::read(client).await?;
    let dropped = dropped(client, period, ends).fetch_all::<DroppedLine>();
    let dropped = within(DOING, dropped).await?;
    let lines = standings(client, period, ends).fetch_all::<StandingLine>();
    for line in within(DOING, lines).await? {
        let standing = |next| Standing {
            next,
            dropped: BTreeMap::new(),
        };
        let said = WriterHeaders {
            before: standing(line.before),
            at_end: standing(line.at_end),
            latest: standing(line.latest),
            deduplicated: 0,
            heard_ms: line.heard,
            last_count: line.last_count,
        };
        writers.insert(key(line.edge, line.boot, line.writer), said);
    }
    for line in dropped {
        if let Some(said) = writers.get_mut(&key(line.edge, line.boot, line.writer)) {
            for (standing, count) in [
                (&mut said.before, line.before),
                (&mut said.at_end, line.at_end),
                (&mut said.latest, line.latest),
            ] {
                standing.dropped.insert(line.reason.clone(), count);
            }
        }
    }
    let lines = replayed(client, period, ends).fetch_all::<(String, u64, u32, u64)>();
    for (edge, boot, writer, scans) in within(DOING, lines).await? {
        if let Some(said) = writers.get_mut(&key(edge, boot, writer)) {
            said.deduplicated = scans;
        }
    }
    let open = in_period(client, period, ends, &format!(
        "SELECT count(), sum(batch.count) FROM ledger AS batch FINAL LEFT JOIN ({ENDS}) AS ends USING (cluster, topic, partition)
         WHERE {INSIDE} AND batch.offset >= ends.upto"
    ));
    let (batches, scans) = within(DOING, open.fetch_one()).await?;
    let unreadable = in_period(
        client,
        period,
        ends,
        &format!(
            "SELECT uniqExact(cluster, topic, partition, offset) FROM scans_dead WHERE edge = '' AND {INSIDE}"
        ),
    );
    Ok(Headers {
        writers: writers.into_iter().collect(),
        under_way: UnderWay { batches, scans },
        unreadable: within(DOING, unreadable.fetch_one()).await?,
    })
}

/// All batches of the writers that had one in the period, each with whether it is settled.
fn batches() -> String {
    format!(
        "(SELECT edge, boot, writer, first_seq + count AS next, count, dropped, offset, appended_at, offset < ends.upto AS settled
          FROM ledger LEFT JOIN ({ENDS}) AS ends USING (cluster, topic, partition)
          WHERE (edge, boot, writer) IN (SELECT edge, boot, writer FROM ledger WHERE {INSIDE}))"
    )
}

/// What a running number was before the period, at its end, and is now.
fn at_three_moments(number: &str) -> String {
    format!(
        "maxIf({number}, settled AND appended_at < fromUnixTimestamp64Milli({{from:Int64}}, 'UTC')) AS before,
         maxIf({number}, settled AND appended_at < fromUnixTimestamp64Milli({{to:Int64}}, 'UTC')) AS at_end,
         maxIf({number}, settled) AS latest"
    )
}

fn standings(client: &Client, period: &Period, ends: &Ends) -> Query {
    let (batches, moments) = (batches(), at_three_moments("next"));
    in_period(
        client,
        period,
        ends,
        &format!(
            "SELECT edge, boot, writer, {moments}, toUnixTimestamp64Milli(max(appended_at)) AS heard,
                 argMax(count, (appended_at, offset)) AS last_count
             FROM {batches} GROUP BY edge, boot, writer HAVING countIf(settled AND {INSIDE}) > 0"
        ),
    )
}

fn dropped(client: &Client, period: &Period, ends: &Ends) -> Query {
    let (batches, moments) = (batches(), at_three_moments("running"));
    in_period(
        client,
        period,
        ends,
        &format!(
            "SELECT edge, boot, writer, toString(word) AS reason, {moments} FROM {batches}
             ARRAY JOIN mapKeys(dropped) AS word, mapValues(dropped) AS running
             GROUP BY edge, boot, writer, reason"
        ),
    )
}

/// By the batches' first numbers, a batch brings anew what lies behind the highest end of those before it.
fn replayed(client: &Client, period: &Period, ends: &Ends) -> Query {
    in_period(
        client,
        period,
        ends,
        &format!(
            "SELECT edge, boot, writer, toUInt64(sum(scans) - sum(if(next > greatest(first, covered), next - greatest(first, covered), 0)))
             FROM (
                 SELECT edge, boot, writer, batch.count AS scans, batch.first_seq AS first, first + scans AS next,
                     max(next) OVER (PARTITION BY edge, boot, writer ORDER BY first, next
                                     ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS covered
                 FROM ledger AS batch FINAL LEFT JOIN ({ENDS}) AS ends USING (cluster, topic, partition)
                 WHERE {INSIDE} AND batch.offset < ends.upto AND batch.count > 0
             ) GROUP BY edge, boot, writer"
        ),
    )
}

fn in_period(client: &Client, period: &Period, ends: &Ends, query: &str) -> Query {
    let (from, to) = period.millis();
    let query = client.query_raw(query);
    query
        .param("from", from)
        .param("to", to)
        .param("clusters", &ends.clusters)
        .param("topics", &ends.topics)
        .param("partitions", &ends.partitions)
        .param("uptos", &ends.uptos)
}

fn key(edge: String, boot: u64, writer: u32) -> WriterKey {
    WriterKey {
        edge: edge.into(),
        boot,
        writer,
    }
}

/// In halves, where there are too many at once. A run may be as long as a forged header says: an empty half costs one look.
pub(super) async fn kept(
    client: &Client,
    run: &Run,
    workspace: Option<&WorkspaceId>,
) -> Result<Kept, StoreError> {
    const DOING: &str = "count a writer's scans";
    const OF_RUN: &str =
        "edge = {edge:String} AND boot = {boot:UInt64} AND writer = {writer:UInt32}
        AND seq BETWEEN {first:UInt64} AND {last:UInt64}";
    let of = |run: &Run, query: &str| {
        let query = client.query_raw(query);
        let query = query.param("edge", &*run.writer.edge);
        query
            .param("boot", run.writer.boot)
            .param("writer", run.writer.writer)
            .param("first", run.first)
            .param("last", run.last)
    };
    let counted = match workspace {
        None => format!(
            "SELECT countIf(place = 0), uniqExactIf(seq, place = 0), uniqExactIf(seq, place < 2), uniqExact(seq) FROM (
                 SELECT seq, 0 AS place FROM scans WHERE {OF_RUN}
                 UNION ALL SELECT seq, 1 AS place FROM scans_dead WHERE {OF_RUN}
                 UNION ALL SELECT seq, 2 AS place FROM scans_expired WHERE {OF_RUN})"
        ),
        Some(_) => format!(
            "SELECT count(), uniqExact(seq) AS stored, stored, stored FROM scans WHERE workspace = {{workspace:String}} AND {OF_RUN}"
        ),
    };
    let (mut kept, mut parts) = (Kept::default(), vec![run.clone()]);
    while let Some(part) = parts.pop() {
        if part.scans() > AT_ONCE {
            let rows = format!(
                "SELECT count() FROM (SELECT seq FROM scans WHERE {OF_RUN} UNION ALL SELECT seq FROM scans_expired WHERE {OF_RUN})"
            );
            let rows = of(&part, &rows);
            if within(DOING, rows.fetch_one::<u64>()).await? > AT_ONCE {
                let middle = part.first + (part.last - part.first) / 2;
                let (writer, first) = (part.writer.clone(), middle + 1);
                parts.push(Run {
                    first,
                    ..part.clone()
                });
                parts.push(Run {
                    writer,
                    first: part.first,
                    last: middle,
                });
                continue;
            }
        }
        let query = of(&part, &counted);
        let query = match workspace {
            Some(workspace) => query.param("workspace", workspace.as_str()),
            None => query,
        };
        let (rows, stored, not_expired, known): (u64, u64, u64, u64) =
            within(DOING, query.fetch_one()).await?;
        kept.rows += rows;
        kept.stored += stored;
        kept.dead += not_expired - stored;
        kept.expired += known - not_expired;
    }
    Ok(kept)
}
