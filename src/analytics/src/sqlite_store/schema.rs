//! SQLite's tables. Steps are only ever added; `rusqlite_migration` keeps count of them in the file.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::{M, Migrations};

use super::{REPAIR, failure};
use crate::StoreError;

const STEPS: &[M<'static>] = &[
    M::up(FIRST),
    M::up(BOT_REASON),
    M::up(SCANS_EXPIRED),
    M::up(ROLLUPS),
    M::up(DAYS),
];

/// Times are microseconds since 1970 (`scans`) or milliseconds. An identity is a key here, so a scan cannot be there twice.
const FIRST: &str = r#"
CREATE TABLE writers (
    id INTEGER PRIMARY KEY,
    edge TEXT NOT NULL,
    boot INTEGER NOT NULL,
    writer INTEGER NOT NULL,
    UNIQUE (edge, boot, writer)
) STRICT;

CREATE TABLE scans (
    writer_id INTEGER NOT NULL REFERENCES writers,
    seq INTEGER NOT NULL,
    time INTEGER NOT NULL,
    workspace TEXT NOT NULL,
    domain TEXT NOT NULL,
    code TEXT NOT NULL,
    campaign TEXT NOT NULL,
    tag_version INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    rule TEXT NOT NULL,
    destination_index INTEGER NOT NULL,
    method TEXT NOT NULL,
    purpose TEXT NOT NULL,
    automated INTEGER NOT NULL,
    ip_prefix TEXT NOT NULL,
    visitor INTEGER NOT NULL,
    user_agent TEXT NOT NULL,
    accept_language TEXT NOT NULL,
    language TEXT NOT NULL,
    referrer TEXT NOT NULL,
    http_version TEXT NOT NULL,
    device TEXT NOT NULL,
    os TEXT NOT NULL,
    browser TEXT NOT NULL,
    bot INTEGER NOT NULL,
    country TEXT NOT NULL,
    region TEXT NOT NULL,
    city TEXT NOT NULL,
    time_replaced INTEGER NOT NULL,
    PRIMARY KEY (writer_id, seq)
) STRICT;
CREATE INDEX scans_by_time ON scans (workspace, time);
CREATE INDEX scans_by_code ON scans (workspace, domain, code, time);

CREATE TABLE positions (
    cluster TEXT NOT NULL,
    topic TEXT NOT NULL,
    "partition" INTEGER NOT NULL,
    writer_id INTEGER NOT NULL REFERENCES writers,
    "offset" INTEGER NOT NULL,
    next_seq INTEGER NOT NULL,
    missing TEXT NOT NULL,
    given_up INTEGER NOT NULL,
    dropped INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL,
    PRIMARY KEY (cluster, topic, "partition", writer_id, "offset")
) STRICT, WITHOUT ROWID;

CREATE TABLE scans_dead (
    cluster TEXT NOT NULL,
    topic TEXT NOT NULL,
    "partition" INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    edge TEXT NOT NULL,
    boot INTEGER NOT NULL,
    writer INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    appended_at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (cluster, topic, "partition", "offset", edge, boot, writer, seq)
) STRICT;

CREATE TABLE ledger (
    writer_id INTEGER NOT NULL REFERENCES writers,
    first_seq INTEGER NOT NULL,
    count INTEGER NOT NULL,
    dropped TEXT NOT NULL,
    cluster TEXT NOT NULL,
    topic TEXT NOT NULL,
    "partition" INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    appended_at INTEGER NOT NULL,
    PRIMARY KEY (writer_id, first_seq, cluster, topic, "partition", "offset")
) STRICT, WITHOUT ROWID;
"#;

/// Scans from before have none.
const BOT_REASON: &str = "ALTER TABLE scans ADD COLUMN bot_reason TEXT NOT NULL DEFAULT ''";

/// The identities of scans that were stored and are kept no longer.
const SCANS_EXPIRED: &str = "
CREATE TABLE scans_expired (
    writer_id INTEGER NOT NULL REFERENCES writers,
    seq INTEGER NOT NULL,
    PRIMARY KEY (writer_id, seq)
) STRICT, WITHOUT ROWID";

/// Rollups, by hours and minutes numbered since 1970. `rollup_periods` has every hour with scans: whether its rollup holds, and who computes
/// it, if somebody does. Keys begin with the hour, as it is replaced whole.
const ROLLUPS: &str = r#"
CREATE TABLE rollup_periods (
    hour INTEGER PRIMARY KEY,
    holds INTEGER NOT NULL,
    computing INTEGER
) STRICT;
CREATE INDEX rollup_periods_missing ON rollup_periods (hour) WHERE NOT holds;

CREATE TABLE scans_1m (
    hour INTEGER NOT NULL,
    workspace TEXT NOT NULL,
    per TEXT NOT NULL,
    campaign TEXT NOT NULL,
    minute INTEGER NOT NULL,
    automated INTEGER NOT NULL,
    scans INTEGER NOT NULL,
    PRIMARY KEY (hour, workspace, per, campaign, minute, automated)
) STRICT, WITHOUT ROWID;

CREATE TABLE scans_1h (
    hour INTEGER NOT NULL,
    workspace TEXT NOT NULL,
    per TEXT NOT NULL,
    dimension TEXT NOT NULL,
    campaign TEXT NOT NULL,
    value TEXT NOT NULL,
    automated INTEGER NOT NULL,
    scans INTEGER NOT NULL,
    PRIMARY KEY (hour, workspace, per, dimension, campaign, value, automated)
) STRICT, WITHOUT ROWID;

CREATE TABLE scans_1h_tags (
    hour INTEGER NOT NULL,
    workspace TEXT NOT NULL,
    domain TEXT NOT NULL,
    code TEXT NOT NULL,
    campaign TEXT NOT NULL,
    automated INTEGER NOT NULL,
    scans INTEGER NOT NULL,
    PRIMARY KEY (hour, workspace, domain, code, campaign, automated)
) STRICT, WITHOUT ROWID;

INSERT INTO rollup_periods SELECT DISTINCT time / 3600000000, FALSE, NULL FROM scans WHERE time >= 0;
"#;

/// The same by the day, from the rollups of its hours. `rollup_days` has every day with scans.
const DAYS: &str = r#"
CREATE TABLE rollup_days (
    day INTEGER PRIMARY KEY,
    holds INTEGER NOT NULL,
    computing INTEGER
) STRICT;
CREATE INDEX rollup_days_missing ON rollup_days (day) WHERE NOT holds;

CREATE TABLE scans_1d (
    day INTEGER NOT NULL,
    workspace TEXT NOT NULL,
    per TEXT NOT NULL,
    dimension TEXT NOT NULL,
    campaign TEXT NOT NULL,
    value TEXT NOT NULL,
    automated INTEGER NOT NULL,
    scans INTEGER NOT NULL,
    PRIMARY KEY (day, workspace, per, dimension, campaign, value, automated)
) STRICT, WITHOUT ROWID;

CREATE TABLE scans_1d_tags (
    day INTEGER NOT NULL,
    workspace TEXT NOT NULL,
    domain TEXT NOT NULL,
    code TEXT NOT NULL,
    campaign TEXT NOT NULL,
    automated INTEGER NOT NULL,
    scans INTEGER NOT NULL,
    PRIMARY KEY (day, workspace, domain, code, campaign, automated)
) STRICT, WITHOUT ROWID;

INSERT INTO rollup_days SELECT DISTINCT hour / 24, FALSE, NULL FROM rollup_periods;
"#;

/// A connection to the file, made if it is not there. FULL: what is committed survives a loss of power, not only of the process.
pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let open = || {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // What is erased is overwritten where its page is written anyway.
        connection.pragma_update(None, "secure_delete", "FAST")?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    };
    open().map_err(|error: rusqlite::Error| unopened(path, &error))
}

/// A connection that can only read.
pub(super) fn connect_to_ask(path: &Path) -> Result<Connection, StoreError> {
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        Ok(connection)
    };
    open().map_err(|error: rusqlite::Error| unopened(path, &error))
}

fn unopened(path: &Path, error: &rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    let (doing, path) = ("open the scan store's file", path.display());
    match error.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => StoreError::Refused {
            doing,
            reason: format!("{path} is damaged: {error}; {REPAIR}"),
        },
        _ => StoreError::Unavailable {
            doing,
            reason: format!("{path}: {error}"),
        },
    }
}

pub(super) fn prepare(connection: &mut Connection) -> Result<(), StoreError> {
    const DOING: &str = "prepare the scan store's tables";
    version(DOING, connection)?;
    Migrations::from_slice(STEPS)
        .to_latest(connection)
        .map_err(|error| StoreError::Refused {
            doing: DOING,
            reason: error.to_string(),
        })
}

/// Whether the tables are as this program knows them; makes nothing.
pub(super) fn check(connection: &Connection) -> Result<(), StoreError> {
    let found = version("look at the scan store's tables", connection)?;
    let known = STEPS.len() as u32;
    if found < known {
        return Err(StoreError::OlderSchema { found, known });
    }
    Ok(())
}

fn version(doing: &'static str, connection: &Connection) -> Result<u32, StoreError> {
    let version = connection.pragma_query_value(None, "user_version", |line| line.get::<_, u32>(0));
    let (found, known) = (version.map_err(|e| failure(doing, &e))?, STEPS.len() as u32);
    if found > known {
        return Err(StoreError::NewerSchema { found, known });
    }
    Ok(found)
}
