//! Where the writers stand, in ClickHouse: each save adds a line for each writer that moved, the latest counts.

use std::collections::BTreeMap;

use clickhouse::Client;
use scans::WriterKey;
use serde::{Deserialize, Serialize};

use super::{insert, within};
use crate::{Positions, Source, StoreError, WriterPosition};

#[derive(clickhouse::Row, Serialize)]
struct SavedLine {
    cluster: String,
    topic: String,
    partition: i32,
    edge: String,
    boot: u64,
    writer: u32,
    offset: i64,
    next_seq: u64,
    missing: Vec<(u64, u64)>,
    given_up: u64,
    dropped: u64,
    seen: i64,
}

#[derive(clickhouse::Row, Deserialize)]
struct LatestLine {
    edge: String,
    boot: u64,
    writer: u32,
    folded: i64,
    next_seq: u64,
    missing: Vec<(u64, u64)>,
    given_up: u64,
    dropped: u64,
    seen: i64,
}

pub(super) async fn save(client: &Client, positions: &Positions) -> Result<(), StoreError> {
    let source = &positions.source;
    let lines = positions
        .writers
        .iter()
        .map(|(writer, position)| SavedLine {
            cluster: source.cluster.clone(),
            topic: source.topic.clone(),
            partition: source.partition,
            edge: writer.edge.to_string(),
            boot: writer.boot,
            writer: writer.writer,
            offset: positions.offset,
            next_seq: position.next,
            missing: position.missing.clone(),
            given_up: position.given_up,
            dropped: position.dropped,
            seen: position.seen_ms,
        });
    insert::lines_into(client, "writers", "save the writers' positions", lines).await
}

pub(super) async fn load(
    client: &Client,
    source: &Source,
    up_to: i64,
) -> Result<Option<Positions>, StoreError> {
    let query = client
        .query_raw(
            "SELECT edge, boot, writer, offset AS folded, next_seq, missing, given_up, dropped, seen FROM writers
             WHERE cluster = {cluster:String} AND topic = {topic:String} AND partition = {partition:Int32}
               AND offset <= {up_to:Int64}
             ORDER BY edge, boot, writer, offset DESC
             LIMIT 1 BY edge, boot, writer",
        )
        .param("cluster", &source.cluster)
        .param("topic", &source.topic)
        .param("partition", source.partition)
        .param("up_to", up_to);
    let lines: Vec<LatestLine> = within("load the writers' positions", query.fetch_all()).await?;
    let Some(offset) = lines.iter().map(|line| line.folded).max() else {
        return Ok(None);
    };
    let writers: BTreeMap<WriterKey, WriterPosition> = lines
        .into_iter()
        .map(|line| {
            let key = WriterKey {
                edge: line.edge.into(),
                boot: line.boot,
                writer: line.writer,
            };
            let position = WriterPosition {
                next: line.next_seq,
                missing: line.missing,
                given_up: line.given_up,
                dropped: line.dropped,
                seen_ms: line.seen,
            };
            (key, position)
        })
        .collect();
    Ok(Some(Positions {
        source: source.clone(),
        offset,
        writers,
    }))
}
