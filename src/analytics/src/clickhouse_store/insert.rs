//! How a block enters ClickHouse: its rows month by month, so that each insert makes one part and is there as a whole or not at all.

use std::collections::BTreeMap;

use clickhouse::{Client, RowOwned, RowWrite};
use serde::Serialize;

use super::within;
use crate::{Block, Row, Source, StoreError, month_token};

/// A line of table `scans`, columns by name.
#[derive(clickhouse::Row, Serialize)]
struct ScanLine<'a> {
    time: i64,
    workspace: &'a str,
    domain: &'a str,
    code: &'a str,
    campaign: &'a str,
    tag_version: u64,
    outcome: &'a str,
    rule: &'a str,
    destination_index: u32,
    method: &'a str,
    purpose: &'a str,
    automated: bool,
    ip_prefix: String,
    visitor: u64,
    user_agent: &'a str,
    accept_language: &'a str,
    language: &'a str,
    referrer: &'a str,
    http_version: &'a str,
    device: &'a str,
    os: &'a str,
    browser: &'a str,
    bot: bool,
    bot_reason: &'a str,
    country: &'a str,
    region: &'a str,
    city: &'a str,
    time_replaced: bool,
    edge: &'a str,
    boot: u64,
    writer: u32,
    seq: u64,
}

impl<'a> ScanLine<'a> {
    fn of(row: &'a Row) -> Self {
        let scan = &row.scan;
        Self {
            time: scan.time.as_microsecond(),
            workspace: &scan.workspace,
            domain: &scan.domain,
            code: &scan.code,
            campaign: &scan.campaign,
            tag_version: scan.tag_version,
            outcome: scan.outcome.as_str(),
            rule: &scan.rule,
            destination_index: scan.destination_index,
            method: scan.method.as_str(),
            purpose: scan.purpose.as_str(),
            automated: row.is_automated(),
            ip_prefix: scan.ip_prefix.to_string(),
            visitor: scan.visitor.as_u64(),
            user_agent: &scan.user_agent,
            accept_language: &scan.language,
            language: &row.language,
            referrer: &scan.referrer_host,
            http_version: scan.http_version.as_str(),
            device: row.device,
            os: row.os,
            browser: row.browser,
            bot: row.bot,
            bot_reason: &row.bot_reason,
            country: &row.country,
            region: &row.region,
            city: &row.city,
            time_replaced: row.time_replaced,
            edge: &row.id.edge,
            boot: row.id.boot,
            writer: row.id.writer,
            seq: row.id.seq,
        }
    }
}

#[derive(clickhouse::Row, Serialize)]
struct LedgerLine {
    edge: String,
    boot: u64,
    writer: u32,
    first_seq: u64,
    count: u32,
    dropped: Vec<(String, u64)>,
    cluster: String,
    topic: String,
    partition: i32,
    offset: i64,
    appended_at: i64,
}

#[derive(clickhouse::Row, Serialize)]
struct DeadLine {
    cluster: String,
    topic: String,
    partition: i32,
    offset: i64,
    edge: String,
    boot: u64,
    writer: u32,
    seq: u64,
    appended_at: i64,
    reason: String,
    #[serde(with = "bytes")]
    bytes: Vec<u8>,
}

/// A ClickHouse String holds any bytes.
mod bytes {
    pub(super) fn serialize<S: serde::Serializer>(
        bytes: &[u8],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }
}

/// What the ids of all of a partition's inserts begin with, so that a later sink can end them.
pub(super) fn query_id_prefix(client: &Client, source: &Source) -> String {
    format!(
        "tagwire:{}:{source}:",
        client.database().unwrap_or_default()
    )
}

pub(super) async fn rows(client: &Client, block: &Block) -> Result<(), StoreError> {
    const DOING: &str = "insert a block of scans";
    let mut months: BTreeMap<(i16, i8), Vec<&Row>> = BTreeMap::new();
    for row in &block.rows {
        months.entry(row.month()).or_default().push(row);
    }
    for ((year, month), rows) in months {
        let month = format!("{year}-{month:02}");
        let token = month_token(&block.token, &month, rows.iter().map(|row| &row.id));
        let range = format!("{}-{}", block.range.first, block.range.last);
        // A query id must be new while an older query of that id runs; the time makes it so.
        let query_id = format!(
            "{}{range}:{month}:{}",
            query_id_prefix(client, &block.range.source),
            jiff::Timestamp::now().as_nanosecond()
        );
        within(DOING, async {
            let mut insert = client
                .insert::<ScanLine<'_>>("scans")
                .await?
                .with_setting("insert_deduplication_token", token)
                .with_setting("insert_deduplicate", "1")
                .with_setting("query_id", query_id)
                // One block in the server's sense, whatever its defaults: one part.
                .with_setting("max_insert_block_size", (rows.len() + 1).to_string())
                .with_setting("async_insert", "0");
            for row in rows {
                insert.write(&ScanLine::of(row)).await?;
            }
            insert.end().await
        })
        .await?;
    }
    Ok(())
}

pub(super) async fn headers(client: &Client, block: &Block) -> Result<(), StoreError> {
    let source = &block.range.source;
    let lines = block.headers.iter().map(|header| LedgerLine {
        edge: header.writer.edge.to_string(),
        boot: header.writer.boot,
        writer: header.writer.writer,
        first_seq: header.first_seq,
        count: header.count,
        dropped: header
            .dropped
            .iter()
            .map(|(reason, count)| (reason.clone(), *count))
            .collect(),
        cluster: source.cluster.clone(),
        topic: source.topic.clone(),
        partition: source.partition,
        offset: header.offset,
        appended_at: header.appended_at.as_millisecond(),
    });
    lines_into(client, "ledger", "write the ledger", lines).await
}

pub(super) async fn dead(client: &Client, block: &Block) -> Result<(), StoreError> {
    let source = &block.range.source;
    let lines = block.dead.iter().map(|dead| DeadLine {
        cluster: source.cluster.clone(),
        topic: source.topic.clone(),
        partition: source.partition,
        offset: dead.offset,
        edge: dead
            .scan
            .as_ref()
            .map(|id| id.edge.to_string())
            .unwrap_or_default(),
        boot: dead.scan.as_ref().map_or(0, |id| id.boot),
        writer: dead.scan.as_ref().map_or(0, |id| id.writer),
        seq: dead.scan.as_ref().map_or(0, |id| id.seq),
        appended_at: dead.appended_at.as_millisecond(),
        reason: dead.reason.clone(),
        bytes: dead.bytes.clone(),
    });
    lines_into(client, "scans_dead", "set unreadable records aside", lines).await
}

/// Inserts lines of a small table; nothing when there are none.
pub(super) async fn lines_into<T>(
    client: &Client,
    table: &str,
    doing: &'static str,
    lines: impl ExactSizeIterator<Item = T>,
) -> Result<(), StoreError>
where
    T: RowOwned + RowWrite,
{
    if lines.len() == 0 {
        return Ok(());
    }
    let lines: Vec<T> = lines.collect();
    within(doing, async {
        let mut insert = client
            .insert::<T>(table)
            .await?
            .with_setting("async_insert", "0");
        for line in &lines {
            insert.write(line).await?;
        }
        insert.end().await
    })
    .await
}
