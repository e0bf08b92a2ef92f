//! The admin's view of the journal in SQLite: what searches, lists and checks read. It is derived, and made anew at every start; the
//! journal is the truth.

mod accounts;
mod audit;
mod database;
mod idempotency;
mod lead;
mod people;
mod schedules;
mod search;
mod tags;
mod tenant;
mod texts;
mod walk;
mod webhooks;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use ::tags::{
    ApiKey, AuditEntry, Change, DomainClaim, DomainSettings, Status, Tag, Topic, Version,
    WireError, Workspace, WorkspaceId,
};
use analytics::Day;
use rusqlite::{Connection, Transaction, params};
use tokio::sync::Semaphore;

pub use self::audit::{AuditCursor, AuditFilter, AuditPage};
use self::database::{Readers, lock, open_writer};
pub use self::search::{Cursor, TagFilter, TagPage};
use self::tags::Coming;
pub use self::tenant::{Installation, Named, Tenant};
use self::texts::{Changed, Texts};

/// Look-ups of different requests do not wait for one another, up to this many.
const LOOK_UPS: usize = 4;
/// Lists are long reads. They have connections of their own, so that a look-up, which the server's threads wait for, never waits behind them.
const LISTS: usize = 2;
/// Nor does a list wait behind what reads thousands of tags for a job or an export.
const BULKS: usize = 2;

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
    /// No thread.
    #[error("starting a thread that writes the admin's index: {0}")]
    Thread(std::io::Error),
    /// A record in it is not what was put in.
    #[error("the admin's index holds a damaged record: {0}; restart to rebuild it")]
    Record(#[from] WireError),
}

/// The index. Reads may come from many threads; [`Index::apply`] is for the one that follows the journal.
pub struct Index {
    writer: Mutex<Connection>,
    texts: Texts,
    look_ups: Readers,
    lists: Readers,
    bulks: Readers,
    list_turns: Arc<Semaphore>,
    export_turns: Arc<Semaphore>,
}

impl Index {
    /// An empty index at `path`; what lies there of an earlier run is removed.
    pub fn create(path: &Path) -> Result<Self, IndexError> {
        let writer = open_writer(path, database::SCHEMA)?;
        Ok(Self {
            writer: Mutex::new(writer),
            texts: Texts::create(path)?,
            look_ups: Readers::open(path, LOOK_UPS)?,
            lists: Readers::open(path, LISTS)?,
            bulks: Readers::open(path, BULKS)?,
            list_turns: Arc::new(Semaphore::new(LISTS)),
            export_turns: Arc::new(Semaphore::new(BULKS)),
        })
    }

    /// Turns at lists, as many as there are connections for them: taken first, so that what waits takes no thread.
    pub(crate) fn list_turns(&self) -> Arc<Semaphore> {
        Arc::clone(&self.list_turns)
    }

    /// The same for pages of exports.
    pub(crate) fn export_turns(&self) -> Arc<Semaphore> {
        Arc::clone(&self.export_turns)
    }

    /// Takes changes in, in the journal's order, all or nothing. What is already there may come again.
    pub fn apply(&self, changes: &[Change]) -> Result<(), IndexError> {
        let mut writer = lock(&self.writer);
        let transaction = writer.transaction()?;
        let mut taken = Taken::default();
        for tag in Coming::among(changes) {
            tags::put(&transaction, tag, &mut taken)?;
        }
        for change in changes {
            take_in(&transaction, change)?;
        }
        taken.count(&transaction)?;
        transaction.commit()?;
        drop(writer);
        self.texts.defer(&taken.texts);
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

    /// A connection for a job or an export.
    fn bulk(&self) -> MutexGuard<'_, Connection> {
        self.bulks.take()
    }
}

/// What of many changes is written once for all of them.
#[derive(Default)]
struct Taken<'a> {
    texts: Changed<'a>,
    /// By how many there are more tags that are not revoked.
    live: HashMap<&'a WorkspaceId, i64>,
    /// How many are new, by the day in which they were made.
    made: HashMap<(&'a WorkspaceId, Day), i64>,
}

impl<'a> Taken<'a> {
    /// A tag has become another; none: it is new.
    fn replaced(&mut self, before: Option<&Tag>, tag: &'a Tag) {
        let lives = |tag: &Tag| i64::from(tag.status != Status::Revoked);
        let change = lives(tag) - before.map_or(0, lives);
        if change != 0 {
            *self.live.entry(&tag.workspace).or_default() += change;
        }
        if before.is_none() {
            let day = Day::of(tag.created_at);
            *self.made.entry((&tag.workspace, day)).or_default() += 1;
        }
    }

    fn count(&self, transaction: &Transaction<'_>) -> Result<(), IndexError> {
        for (workspace, change) in &self.live {
            transaction
                .prepare_cached(
                    "INSERT INTO tag_counts VALUES (?1, ?2) ON CONFLICT DO UPDATE SET live = live + ?2",
                )?
                .execute(params![workspace.as_str(), change])?;
        }
        for ((workspace, day), count) in &self.made {
            transaction
                .prepare_cached(
                    "INSERT INTO tags_made VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET made = made + ?3",
                )?
                .execute(params![workspace.as_str(), day.number(), count])?;
        }
        Ok(())
    }
}

/// Takes a change of anything but a tag into a transaction.
fn take_in(transaction: &Transaction<'_>, change: &Change) -> Result<(), IndexError> {
    match change {
        // With all others.
        Change::Tag(_) => {}
        Change::Audit(entry) => {
            put_versions(transaction, entry)?;
            audit::put_entry(transaction, entry)?;
        }
        Change::Workspace(workspace) => {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO workspaces VALUES (?1, ?2)")?
                .execute(params![workspace.id.as_str(), change.encode()])?;
        }
        Change::Domain(domain) => {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO domains VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![
                    domain.name.as_str(),
                    domain.workspace.as_ref().map(::tags::WorkspaceId::as_str),
                    domain.is_default,
                    domain.created_at.as_microsecond(),
                    change.encode()
                ])?;
        }
        Change::Key(key) => put_key(transaction, key, change)?,
        Change::Claim(claim) => put_claim(transaction, claim, change)?,
        Change::User(user) => people::put_user(transaction, user, change)?,
        Change::Invitation(invitation) => {
            people::put_invitation(transaction, invitation, change)?;
        }
        Change::Webhook(webhook) => webhooks::put(transaction, webhook, change)?,
        Change::Idempotency(entry) => idempotency::put(transaction, entry, change)?,
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
///
/// The first version of a tag is the tag itself as long as there is no other, of which it then is the one before: a million tags that are
/// made are not kept twice.
fn put_versions(transaction: &Transaction<'_>, entry: &AuditEntry) -> Result<(), IndexError> {
    let made = entry.after.as_ref();
    let made = made.filter(|tag| tag.version > Version::FIRST || entry.before.is_some());
    for tag in entry.before.as_ref().into_iter().chain(made) {
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
