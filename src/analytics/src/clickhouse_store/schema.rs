//! ClickHouse's tables, and how they come to be. Steps are only ever added; each may run twice, and by two programs at once.

use clickhouse::Client;

use super::within;
use crate::StoreError;

/// One step a version. A step is a list of statements.
const STEPS: &[&[&str]] = &[
    &[SCANS, WRITERS, SCANS_DEAD, LEDGER],
    &[BOT_REASON],
    &[SCANS_EXPIRED],
    &[
        ROLLUP_PERIODS,
        SCANS_1M,
        SCANS_1H,
        SCANS_1H_TAGS,
        MORE_TOKENS,
    ],
    &[ROLLUP_DAYS, SCANS_1D, SCANS_1D_TAGS],
];

/// By month, so that retention drops whole partitions; ordered as questions are asked. The projection makes it cheap to count a
/// block's scans by identity, which confirms every block. The window is how many inserts back a token is remembered.
const SCANS: &str = "
CREATE TABLE IF NOT EXISTS scans (
    time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    workspace LowCardinality(String),
    domain LowCardinality(String),
    code String CODEC(ZSTD(1)),
    campaign LowCardinality(String),
    tag_version UInt64 CODEC(T64, ZSTD(1)),
    outcome LowCardinality(String),
    rule LowCardinality(String),
    destination_index UInt32 CODEC(T64, ZSTD(1)),
    method LowCardinality(String),
    purpose LowCardinality(String),
    automated Bool CODEC(ZSTD(1)),
    ip_prefix String CODEC(ZSTD(1)),
    visitor UInt64,
    user_agent LowCardinality(String) CODEC(ZSTD(1)),
    accept_language LowCardinality(String),
    language LowCardinality(String),
    referrer LowCardinality(String),
    http_version LowCardinality(String),
    device LowCardinality(String),
    os LowCardinality(String),
    browser LowCardinality(String),
    bot Bool CODEC(ZSTD(1)),
    country LowCardinality(String),
    region LowCardinality(String),
    city LowCardinality(String),
    time_replaced Bool CODEC(ZSTD(1)),
    edge LowCardinality(String),
    boot UInt64 CODEC(ZSTD(1)),
    writer UInt32 CODEC(ZSTD(1)),
    seq UInt64 CODEC(Delta, ZSTD(1)),
    PROJECTION by_identity (SELECT edge, boot, writer, seq ORDER BY edge, boot, writer, seq)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (workspace, code, time)
SETTINGS non_replicated_deduplication_window = 1000";

/// Where each writer stands, by the offset up to which its partition was folded. What nobody reads any more goes after two months.
const WRITERS: &str = "
CREATE TABLE IF NOT EXISTS writers (
    cluster LowCardinality(String),
    topic LowCardinality(String),
    partition Int32,
    edge String,
    boot UInt64,
    writer UInt32,
    offset Int64,
    next_seq UInt64,
    missing Array(Tuple(UInt64, UInt64)),
    given_up UInt64,
    dropped UInt64,
    seen DateTime64(3, 'UTC'),
    saved_at DateTime DEFAULT now()
)
ENGINE = MergeTree
ORDER BY (cluster, topic, partition, edge, boot, writer, offset)
TTL saved_at + INTERVAL 60 DAY";

/// Records that could not be read, as they lie in the log.
const SCANS_DEAD: &str = "
CREATE TABLE IF NOT EXISTS scans_dead (
    cluster LowCardinality(String),
    topic LowCardinality(String),
    partition Int32,
    offset Int64,
    edge String,
    boot UInt64,
    writer UInt32,
    seq UInt64,
    appended_at DateTime64(3, 'UTC'),
    reason String,
    bytes String
)
ENGINE = ReplacingMergeTree
ORDER BY (cluster, topic, partition, offset, edge, boot, writer, seq)";

/// What each batch says about its writer.
const LEDGER: &str = "
CREATE TABLE IF NOT EXISTS ledger (
    edge LowCardinality(String),
    boot UInt64 CODEC(ZSTD(1)),
    writer UInt32 CODEC(ZSTD(1)),
    first_seq UInt64 CODEC(Delta, ZSTD(1)),
    count UInt32 CODEC(T64, ZSTD(1)),
    dropped Map(LowCardinality(String), UInt64),
    cluster LowCardinality(String),
    topic LowCardinality(String),
    partition Int32 CODEC(ZSTD(1)),
    offset Int64 CODEC(Delta, ZSTD(1)),
    appended_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(appended_at)
ORDER BY (edge, boot, writer, first_seq, cluster, topic, partition, offset)";

/// Scans from before have none.
const BOT_REASON: &str =
    "ALTER TABLE scans ADD COLUMN IF NOT EXISTS bot_reason LowCardinality(String) AFTER bot";

/// The identities of scans that were stored and are kept no longer: some bytes a thousand scans, as long as the headers that the ledger compares.
const SCANS_EXPIRED: &str = "
CREATE TABLE IF NOT EXISTS scans_expired (
    edge LowCardinality(String),
    boot UInt64 CODEC(ZSTD(1)),
    writer UInt32 CODEC(ZSTD(1)),
    seq UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (edge, boot, writer, seq)";

/// What has happened to each hour's rollup: a computation has begun, its rows count, its scans have changed. Of the last, the
/// latest stays.
const ROLLUP_PERIODS: &str = "
CREATE TABLE IF NOT EXISTS rollup_periods (
    hour DateTime('UTC'),
    event Enum8('begun' = 1, 'holds' = 2, 'changed' = 3),
    generation UInt64,
    at DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (hour, event, generation)";

/// The scans of a workspace (its campaign is empty then) and of each of its campaigns, minute by minute.
const SCANS_1M: &str = "
CREATE TABLE IF NOT EXISTS scans_1m (
    workspace LowCardinality(String),
    per Enum8('workspace' = 1, 'campaign' = 2),
    campaign LowCardinality(String),
    hour DateTime('UTC') CODEC(Delta, ZSTD(1)),
    minute DateTime('UTC') CODEC(Delta, ZSTD(1)),
    automated Bool CODEC(ZSTD(1)),
    scans UInt64 CODEC(T64, ZSTD(1)),
    generation UInt64 CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (workspace, per, campaign, hour, minute, automated)";

/// The same hour by hour, by the values of each dimension.
const SCANS_1H: &str = "
CREATE TABLE IF NOT EXISTS scans_1h (
    workspace LowCardinality(String),
    per Enum8('workspace' = 1, 'campaign' = 2),
    dimension LowCardinality(String),
    campaign LowCardinality(String),
    hour DateTime('UTC') CODEC(Delta, ZSTD(1)),
    value LowCardinality(String),
    automated Bool CODEC(ZSTD(1)),
    scans UInt64 CODEC(T64, ZSTD(1)),
    generation UInt64 CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (workspace, per, dimension, campaign, hour, value, automated)";

/// The scans of each tag hour by hour, by the campaign that it was scanned in.
const SCANS_1H_TAGS: &str = "
CREATE TABLE IF NOT EXISTS scans_1h_tags (
    workspace LowCardinality(String),
    domain LowCardinality(String),
    code String CODEC(ZSTD(1)),
    campaign LowCardinality(String),
    hour DateTime('UTC') CODEC(Delta, ZSTD(1)),
    automated Bool CODEC(ZSTD(1)),
    scans UInt64 CODEC(T64, ZSTD(1)),
    generation UInt64 CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (workspace, domain, code, hour, campaign, automated)";

/// Which rollups of days there are: a computation has begun, its rows count. `hours` are the generations of the hours' rollups that it is
/// derived from.
const ROLLUP_DAYS: &str = "
CREATE TABLE IF NOT EXISTS rollup_days (
    day Date,
    event Enum8('begun' = 1, 'holds' = 2),
    generation UInt64,
    hours Array(UInt64)
)
ENGINE = ReplacingMergeTree
ORDER BY (day, event, generation)";

/// `scans_1h` by the day.
const SCANS_1D: &str = "
CREATE TABLE IF NOT EXISTS scans_1d (
    workspace LowCardinality(String),
    per Enum8('workspace' = 1, 'campaign' = 2),
    dimension LowCardinality(String),
    campaign LowCardinality(String),
    day Date CODEC(Delta, ZSTD(1)),
    value LowCardinality(String),
    automated Bool CODEC(ZSTD(1)),
    scans UInt64 CODEC(T64, ZSTD(1)),
    generation UInt64 CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (workspace, per, dimension, campaign, day, value, automated)";

/// `scans_1h_tags` by the day.
const SCANS_1D_TAGS: &str = "
CREATE TABLE IF NOT EXISTS scans_1d_tags (
    workspace LowCardinality(String),
    domain LowCardinality(String),
    code String CODEC(ZSTD(1)),
    campaign LowCardinality(String),
    day Date CODEC(Delta, ZSTD(1)),
    automated Bool CODEC(ZSTD(1)),
    scans UInt64 CODEC(T64, ZSTD(1)),
    generation UInt64 CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (workspace, domain, code, day, campaign, automated)";

/// How many inserts back a token is remembered: with eight partitions that are written twice a second, ten minutes.
const MORE_TOKENS: &str =
    "ALTER TABLE scans MODIFY SETTING non_replicated_deduplication_window = 10000";

const VERSIONS: &str = "
CREATE TABLE IF NOT EXISTS schema_versions (version UInt32, applied_at DateTime DEFAULT now())
ENGINE = MergeTree ORDER BY version";

/// Makes what is missing; the client given back is the database's.
pub(super) async fn prepare(client: Client, database: &str) -> Result<Client, StoreError> {
    const DOING: &str = "prepare the database";
    let create = client
        .query_raw("CREATE DATABASE IF NOT EXISTS {database:Identifier}")
        .param("database", database);
    within(DOING, create.execute()).await?;
    let client = client.with_database(database);
    within(DOING, client.query_raw(VERSIONS).execute()).await?;
    let found = version(DOING, &client).await?;
    for (number, step) in (1..).zip(STEPS).skip(found as usize) {
        for statement in *step {
            within(DOING, client.query_raw(statement).execute()).await?;
        }
        let done =
            client.query_raw("INSERT INTO schema_versions (version) VALUES ({version:UInt32})");
        within(DOING, done.param("version", number as u32).execute()).await?;
    }
    Ok(client)
}

/// Makes nothing; the client given back is the database's.
pub(super) async fn check(client: Client, database: &str) -> Result<Client, StoreError> {
    let client = client.with_database(database);
    let found = version("look at the database's schema", &client).await?;
    let known = STEPS.len() as u32;
    if found < known {
        return Err(StoreError::OlderSchema { found, known });
    }
    Ok(client)
}

async fn version(doing: &'static str, client: &Client) -> Result<u32, StoreError> {
    let version = client.query_raw("SELECT max(version) FROM schema_versions");
    let (found, known) = (
        within(doing, version.fetch_one()).await?,
        STEPS.len() as u32,
    );
    if found > known {
        return Err(StoreError::NewerSchema { found, known });
    }
    Ok(found)
}
