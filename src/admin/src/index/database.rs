//! The files: their tables, the connection that writes, and those that read.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use super::{IndexError, texts};

/// Memory for pages that are being written, in KiB.
const WRITER_CACHE_KIB: i64 = 128 * 1024;
/// How many pages of 4 KiB the write-ahead log has before it is brought into the file, a page once however many chunks have changed it: 256 MiB.
const CHECKPOINT_PAGES: i64 = 64 * 1024;

pub(super) const SCHEMA: &str = "
CREATE TABLE tags (
    id INTEGER PRIMARY KEY, domain TEXT NOT NULL, code TEXT NOT NULL, workspace TEXT NOT NULL, version INTEGER NOT NULL,
    status TEXT NOT NULL, campaign TEXT NOT NULL, name TEXT NOT NULL, destination TEXT NOT NULL, record BLOB NOT NULL,
    UNIQUE (domain, code)
);
-- Each ends with the id, in whose order lists are. Most tags are active: those are found by their workspace alone.
CREATE INDEX tags_of_workspace ON tags (workspace);
CREATE INDEX tags_of_campaign ON tags (workspace, campaign) WHERE campaign <> '';
CREATE INDEX tags_not_active ON tags (workspace, status) WHERE status <> 'active';
CREATE TABLE tag_counts (workspace TEXT PRIMARY KEY, live INTEGER NOT NULL) WITHOUT ROWID;
-- By the number of the day since 1970.
CREATE TABLE tags_made (workspace TEXT NOT NULL, day INTEGER NOT NULL, made INTEGER NOT NULL, PRIMARY KEY (workspace, day)) WITHOUT ROWID;
CREATE TABLE labels (workspace TEXT NOT NULL, label TEXT NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (workspace, label, id)) WITHOUT ROWID;
-- Not by its key, so that only the key's small entries, and no records, go to random places.
CREATE TABLE versions (
    domain TEXT NOT NULL, code TEXT NOT NULL, version INTEGER NOT NULL, record BLOB NOT NULL, UNIQUE (domain, code, version)
);
CREATE TABLE schedules (domain TEXT NOT NULL, code TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (domain, code)) WITHOUT ROWID;
CREATE INDEX schedules_due ON schedules (at);
CREATE TABLE idempotency (
    workspace TEXT NOT NULL, slot INTEGER NOT NULL, key_hash BLOB NOT NULL, at INTEGER NOT NULL, record BLOB NOT NULL,
    PRIMARY KEY (workspace, slot)
) WITHOUT ROWID;
CREATE INDEX idempotency_keys ON idempotency (workspace, key_hash, at);
CREATE TABLE audit (
    workspace TEXT NOT NULL, at INTEGER NOT NULL, subject TEXT NOT NULL, action TEXT NOT NULL, actor TEXT NOT NULL, remote TEXT NOT NULL,
    before INTEGER, after INTEGER, fields_before TEXT, fields_after TEXT, made_tag INTEGER NOT NULL,
    PRIMARY KEY (workspace, at, subject, action)
) WITHOUT ROWID;
-- The making of a tag is found by its key, with the time that the tag has: of a million tags that are made, no entries go to random places.
CREATE INDEX audit_of_subject ON audit (workspace, subject, at) WHERE made_tag = 0;
CREATE INDEX audit_of_actor ON audit (workspace, actor, at);
CREATE TABLE workspaces (id TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE domains (name TEXT PRIMARY KEY, workspace TEXT, is_default INTEGER NOT NULL, created_at INTEGER NOT NULL, record BLOB NOT NULL)
    WITHOUT ROWID;
CREATE TABLE keys (
    id TEXT PRIMARY KEY, workspace TEXT NOT NULL, secret_hash BLOB NOT NULL UNIQUE, previous_hash BLOB, created_at INTEGER NOT NULL,
    revoked INTEGER NOT NULL, record BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX keys_by_previous_hash ON keys (previous_hash);
CREATE TABLE claims (workspace TEXT NOT NULL, name TEXT NOT NULL, record BLOB NOT NULL, PRIMARY KEY (workspace, name)) WITHOUT ROWID;
CREATE TABLE webhooks (workspace TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE users (id TEXT PRIMARY KEY, workspace TEXT NOT NULL, email TEXT NOT NULL, record BLOB NOT NULL, UNIQUE (workspace, email))
    WITHOUT ROWID;
CREATE TABLE invitations (id TEXT PRIMARY KEY, workspace TEXT NOT NULL, token_hash BLOB NOT NULL UNIQUE, record BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX invitations_of_workspace ON invitations (workspace);
CREATE INDEX keys_of_workspace ON keys (workspace, created_at, id);
";

/// Nothing is left half-done under these locks: a transaction that was not committed is rolled back.
pub(super) fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection to an empty database; what lies there of an earlier run is removed.
pub(super) fn open_writer(path: &Path, schema: &str) -> Result<Connection, IndexError> {
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        match std::fs::remove_file(&file) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(IndexError::Remove {
                    path: file.into(),
                    source,
                });
            }
        }
    }
    let mut writer = Connection::open(path)?;
    // Nothing here need survive a crash, so nothing is ever synced.
    writer.pragma_update(None, "journal_mode", "WAL")?;
    writer.pragma_update(None, "synchronous", "OFF")?;
    // So that pages which many tags change are not written out again and again while they are taken in.
    writer.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    writer.pragma_update(None, "cache_spill", false)?;
    writer.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    Migrations::new(vec![M::up(schema)]).to_latest(&mut writer)?;
    Ok(writer)
}

/// Connections that only read.
pub(super) struct Readers {
    connections: Vec<Mutex<Connection>>,
    next: AtomicUsize,
}

impl Readers {
    pub(super) fn open(path: &Path, count: usize) -> Result<Self, rusqlite::Error> {
        let open = |_| -> Result<_, rusqlite::Error> {
            let connection = Connection::open(path)?;
            texts::attach(&connection, path)?;
            connection.pragma_update(None, "query_only", true)?;
            Ok(Mutex::new(connection))
        };
        Ok(Self {
            connections: (0..count).map(open).collect::<Result<_, _>>()?,
            next: AtomicUsize::new(0),
        })
    }

    pub(super) fn take(&self) -> MutexGuard<'_, Connection> {
        let mut connections = self.connections.iter();
        if let Some(free) = connections.find_map(|connection| connection.try_lock().ok()) {
            return free;
        }
        // Relaxed: which one it is does not matter, only that they take turns.
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        lock(&self.connections[turn])
    }
}
