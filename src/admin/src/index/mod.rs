//! The admin's view of the journal in SQLite: what searches, lists and checks read. It is derived, and made anew at every start; the
//! journal is the truth.

mod accounts;
mod audit;
mod idempotency;
mod people;
mod schedules;
mod tags;
mod tenant;
mod walk;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ::tags::{
    ApiKey, AuditEntry, Change, DomainClaim, DomainSettings, Tag, Topic, WireError, Workspace,
};
use rusqlite::{Connection, Transaction, params};
use rusqlite_migration::{M, Migrations};

pub use self::audit::{AuditCursor, AuditFilter, AuditPage};
pub use self::tags::{Cursor, TagFilter, TagPage};
pub use self::tenant::{Installation, Tenant};

/// Look-ups of different requests do not wait for one another, up to this many.
const LOOK_UPS: usize = 4;
/// Lists are long reads. They have connections of their own, so that a look-up, which the server's threads wait for, never waits behind them.
const LISTS: usize = 2;

const SCHEMA: &str = "
CREATE TABLE tags (
    domain TEXT NOT NULL, code TEXT NOT NULL, workspace TEXT NOT NULL, version INTEGER NOT NULL, status TEXT NOT NULL,
    campaign TEXT NOT NULL, name TEXT NOT NULL, destination TEXT NOT NULL, created_at INTEGER NOT NULL, record BLOB NOT NULL,
    PRIMARY KEY (domain, code)
) WITHOUT ROWID;
CREATE INDEX tags_newest ON tags (workspace, created_at, domain, code);
CREATE INDEX tags_campaign ON tags (workspace, campaign, created_at, domain, code);
CREATE TABLE tag_counts (workspace TEXT PRIMARY KEY, live INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER tag_made AFTER INSERT ON tags WHEN NEW.status <> 'revoked' BEGIN
    INSERT INTO tag_counts VALUES (NEW.workspace, 1) ON CONFLICT DO UPDATE SET live = live + 1;
END;
CREATE TRIGGER tag_revoked AFTER UPDATE OF status ON tags WHEN OLD.status <> 'revoked' AND NEW.status = 'revoked' BEGIN
    UPDATE tag_counts SET live = live - 1 WHERE workspace = OLD.workspace;
END;
CREATE TABLE labels (
    domain TEXT NOT NULL, code TEXT NOT NULL, label TEXT NOT NULL, PRIMARY KEY (label, domain, code)
) WITHOUT ROWID;
CREATE INDEX labels_of_tag ON labels (domain, code);
CREATE TABLE versions (
    domain TEXT NOT NULL, code TEXT NOT NULL, version INTEGER NOT NULL, record BLOB NOT NULL, PRIMARY KEY (domain, code, version)
) WITHOUT ROWID;
CREATE TABLE schedules (domain TEXT NOT NULL, code TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (domain, code)) WITHOUT ROWID;
CREATE INDEX schedules_due ON schedules (at);
CREATE TABLE idempotency (
    workspace TEXT NOT NULL, slot INTEGER NOT NULL, key_hash BLOB NOT NULL, at INTEGER NOT NULL, record BLOB NOT NULL,
    PRIMARY KEY (workspace, slot)
) WITHOUT ROWID;
CREATE INDEX idempotency_keys ON idempotency (workspace, key_hash, at);
CREATE TABLE audit (
    workspace TEXT NOT NULL, at INTEGER NOT NULL, subject TEXT NOT NULL, action TEXT NOT NULL, actor TEXT NOT NULL, remote TEXT NOT NULL,
    before INTEGER, after INTEGER, fields_before TEXT, fields_after TEXT, UNIQUE (workspace, at, subject, action)
);
CREATE INDEX audit_of_subject ON audit (workspace, subject, at);
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
CREATE TABLE users (id TEXT PRIMARY KEY, workspace TEXT NOT NULL, email TEXT NOT NULL, record BLOB NOT NULL, UNIQUE (workspace, email))
    WITHOUT ROWID;
CREATE TABLE invitations (id TEXT PRIMARY KEY, workspace TEXT NOT NULL, token_hash BLOB NOT NULL UNIQUE, record BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX invitations_of_workspace ON invitations (workspace);
CREATE INDEX keys_of_workspace ON keys (workspace, created_at, id);
";

/// Why the index could not be made, written or read.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The file of an earlier run could not be taken away.
    #[error("cannot remove the old index {path}: {source}")]
    Remove {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// SQLite refused.
    #[error(
        "the admin's index in SQLite: {0}; see to room and rights in the data directory, and restart to rebuild it"
    )]
    Sqlite(#[from] rusqlite::Error),
    /// The schema could not be laid out.
    #[error(
        "laying out the admin's index in SQLite: {0}; see to room and rights in the data directory, and restart"
    )]
    Schema(#[from] rusqlite_migration::Error),
    /// A record in it is not what was put in.
    #[error("the admin's index holds a damaged record: {0}; restart to rebuild it")]
    Record(#[from] WireError),
}

/// The index. Reads may come from many threads; [`Index::apply`] is for the one that follows the journal.
pub struct Index {
    writer: Mutex<Connection>,
    look_ups: Readers,
    lists: Readers,
}

impl Index {
    /// An empty index at `path`; what lies there of an earlier run is removed.
    pub fn create(path: &Path) -> Result<Self, IndexError> {
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
        Migrations::new(vec![M::up(SCHEMA)]).to_latest(&mut writer)?;
        Ok(Self {
            writer: Mutex::new(writer),
            look_ups: Readers::open(path, LOOK_UPS)?,
            lists: Readers::open(path, LISTS)?,
        })
    }

    /// Takes changes in, in the journal's order, all or nothing. What is already there may come again.
    pub fn apply(&self, changes: &[Change]) -> Result<(), IndexError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = writer.transaction()?;
        for change in changes {
            match change {
                Change::Tag(tag) => put_tag(&transaction, tag, change)?,
                Change::Audit(entry) => {
                    put_versions(&transaction, entry)?;
                    audit::put_entry(&transaction, entry)?;
                }
                Change::Workspace(workspace) => {
                    transaction
                        .prepare_cached("INSERT OR REPLACE INTO workspaces VALUES (?1, ?2)")?
                        .execute(params![workspace.id.as_str(), change.encode()])?;
                }
                Change::Domain(domain) => {
                    transaction
                        .prepare_cached(
                            "INSERT OR REPLACE INTO domains VALUES (?1, ?2, ?3, ?4, ?5)",
                        )?
                        .execute(params![
                            domain.name.as_str(),
                            domain.workspace.as_ref().map(::tags::WorkspaceId::as_str),
                            domain.is_default,
                            domain.created_at.as_microsecond(),
                            change.encode()
                        ])?;
                }
                Change::Key(key) => put_key(&transaction, key, change)?,
                Change::Claim(claim) => put_claim(&transaction, claim, change)?,
                Change::User(user) => people::put_user(&transaction, user, change)?,
                Change::Invitation(invitation) => {
                    people::put_invitation(&transaction, invitation, change)?;
                }
                Change::Idempotency(entry) => idempotency::put(&transaction, entry, change)?,
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// A connection for a read by key.
    fn look_up(&self) -> MutexGuard<'_, Connection> {
        self.look_ups.take()
    }

    /// A connection for a read that may take long, which belongs on a thread that may wait.
    fn list(&self) -> MutexGuard<'_, Connection> {
        self.lists.take()
    }
}

/// Connections that only read.
struct Readers {
    connections: Vec<Mutex<Connection>>,
    next: AtomicUsize,
}

impl Readers {
    fn open(path: &Path, count: usize) -> Result<Self, rusqlite::Error> {
        let open = |_| -> Result<_, rusqlite::Error> {
            let connection = Connection::open(path)?;
            connection.pragma_update(None, "query_only", true)?;
            Ok(Mutex::new(connection))
        };
        Ok(Self {
            connections: (0..count).map(open).collect::<Result<_, _>>()?,
            next: AtomicUsize::new(0),
        })
    }

    fn take(&self) -> MutexGuard<'_, Connection> {
        let mut connections = self.connections.iter();
        if let Some(free) = connections.find_map(|connection| connection.try_lock().ok()) {
            return free;
        }
        // Relaxed: which one it is does not matter, only that they take turns.
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        self.connections[turn]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn put_tag(transaction: &Transaction<'_>, tag: &Tag, change: &Change) -> Result<(), IndexError> {
    let (domain, code) = (tag.domain.as_str(), tag.code.as_str());
    let written = transaction
        .prepare_cached(
            "INSERT INTO tags VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT DO UPDATE SET workspace = ?3, version = ?4, status = ?5, campaign = ?6, name = ?7, destination = ?8,
                created_at = ?9, record = ?10 WHERE excluded.version > tags.version",
        )?
        .execute(params![
            domain,
            code,
            tag.workspace.as_str(),
            tag.version.get().cast_signed(),
            tag.status.as_str(),
            tag.campaign,
            tag.name,
            tag.destination.as_str(),
            tag.created_at.as_microsecond(),
            change.encode()
        ])?;
    if written == 0 {
        return Ok(());
    }
    schedules::put(transaction, tag)?;
    transaction
        .prepare_cached("DELETE FROM labels WHERE domain = ?1 AND code = ?2")?
        .execute([domain, code])?;
    for label in &tag.labels {
        transaction
            .prepare_cached("INSERT OR IGNORE INTO labels VALUES (?1, ?2, ?3)")?
            .execute([domain, code, label])?;
    }
    Ok(())
}

/// A key that was revoked stays so whatever comes behind: records of one key are in order only while their topic has one partition.
fn put_key(transaction: &Transaction<'_>, key: &ApiKey, change: &Change) -> Result<(), IndexError> {
    let written = transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO keys SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
             WHERE ?6 OR NOT EXISTS (SELECT 1 FROM keys WHERE (id = ?1 OR secret_hash = ?3) AND revoked)",
        )?
        .execute(params![
            key.id.as_str(),
            key.workspace.as_str(),
            key.secret_hash.0,
            key.previous.as_ref().map(|previous| previous.hash.0),
            key.created_at.as_microsecond(),
            key.revoked_at.is_some(),
            change.encode()
        ])?;
    if written == 0 {
        tracing::error!(
            key = key.id.as_str(),
            "the journal says of a revoked key that it is not: it stays revoked"
        );
    }
    Ok(())
}

/// A claim that is over is of no more use to anyone.
fn put_claim(
    transaction: &Transaction<'_>,
    claim: &DomainClaim,
    change: &Change,
) -> Result<(), IndexError> {
    let key = [claim.workspace.as_str(), claim.domain.name.as_str()];
    if claim.ended_at.is_some() {
        transaction
            .prepare_cached("DELETE FROM claims WHERE workspace = ?1 AND name = ?2")?
            .execute(key)?;
    } else {
        transaction
            .prepare_cached("INSERT OR REPLACE INTO claims VALUES (?1, ?2, ?3)")?
            .execute(params![key[0], key[1], change.encode()])?;
    }
    Ok(())
}

/// The history is read from the audit topic, because the topic of tags forgets what was replaced. What it says of a version first, stays.
fn put_versions(transaction: &Transaction<'_>, entry: &AuditEntry) -> Result<(), IndexError> {
    for tag in entry.before.iter().chain(&entry.after) {
        transaction
            .prepare_cached("INSERT OR IGNORE INTO versions VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![
                tag.domain.as_str(),
                tag.code.as_str(),
                tag.version.get().cast_signed(),
                Change::Tag(tag.clone()).encode()
            ])?;
    }
    Ok(())
}

fn decode_tag(key: &str, record: &[u8]) -> Result<Tag, IndexError> {
    match Change::decode(Topic::Tags, key, record)? {
        Change::Tag(tag) => Ok(tag),
        other => unreachable!("a record of topic tags is a tag, not {other:?}"),
    }
}

fn decode_workspace(id: &str, record: &[u8]) -> Result<Workspace, IndexError> {
    match Change::decode(Topic::Settings, &format!("workspace/{id}"), record)? {
        Change::Workspace(workspace) => Ok(workspace),
        other => unreachable!("a record under workspace/ is a workspace, not {other:?}"),
    }
}

fn decode_domain(name: &str, record: &[u8]) -> Result<DomainSettings, IndexError> {
    match Change::decode(Topic::Settings, &format!("domain/{name}"), record)? {
        Change::Domain(domain) => Ok(domain),
        other => unreachable!("a record under domain/ is a domain, not {other:?}"),
    }
}
