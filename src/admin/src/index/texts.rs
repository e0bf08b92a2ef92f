//! The texts of tags, for searches: an FTS5 index in a file of its own.
//!
//! It takes about as long to write as all the rest. So only a few texts are written at once; of more, it is noted in the index that they are
//! pending, and a thread writes them when there is time. Searches look through what is pending one by one, so that they find everything.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use ::tags::{Tag, WorkspaceId};
use priority::Priority;
use rusqlite::{Connection, Transaction, params};
use siphasher::sip::SipHasher13;

use super::IndexError;
use super::database::{lock, open_writer};

const SCHEMA: &str = "
CREATE VIRTUAL TABLE texts USING fts5 (text, tokenize = 'trigram', detail = 'none', content = '', contentless_delete = 1);
";
/// Bytes of memory for pieces of texts that are not written yet.
const MEMORY: i64 = 16 * 1024 * 1024;
/// So many texts are written together with what they belong to.
const FEW: usize = 100;
/// So many of those that are pending are written in one transaction: few enough for others that write soon to have their turn.
const BATCH: i64 = 5_000;

/// Tags whose texts have changed, with their places.
#[derive(Default)]
pub(super) struct Changed<'a>(Vec<(i64, &'a Tag)>);

impl<'a> Changed<'a> {
    pub(super) fn push(&mut self, id: i64, tag: &'a Tag) {
        self.0.push((id, tag));
    }
}

/// The writing side.
pub(super) struct Texts {
    writer: Arc<Mutex<Connection>>,
    /// Wakes the thread; it ends with this.
    pending: Sender<()>,
}

impl Texts {
    /// An empty index beside that at `path`, which `index` writes; what lies there of an earlier run is removed.
    pub(super) fn create(path: &Path, index: &Arc<Mutex<Connection>>) -> Result<Self, IndexError> {
        let writer = open_writer(&beside(path), SCHEMA)?;
        // More of them are kept in memory before they are written and merged.
        writer.execute(
            "INSERT INTO texts (texts, rank) VALUES ('hashsize', ?1)",
            [MEMORY],
        )?;
        let writer = Arc::new(Mutex::new(writer));
        let (pending, woken) = mpsc::channel();
        let thread = Pending {
            texts: Arc::clone(&writer),
            reader: Connection::open(path)?,
            index: Arc::clone(index),
        };
        thread::Builder::new()
            .name("admin-texts".into())
            .spawn(move || thread.run(&woken))
            .map_err(IndexError::Thread)?;
        Ok(Self { writer, pending })
    }

    /// Writes texts, or notes in the index's transaction that they are pending.
    pub(super) fn put(
        &self,
        transaction: &Transaction<'_>,
        changed: &Changed<'_>,
    ) -> Result<(), IndexError> {
        // Who waits for an edit does not wait for the thread as well.
        let free = match changed.0.len() {
            0 => return Ok(()),
            1..=FEW => self.writer.try_lock().ok(),
            _ => None,
        };
        let Some(mut writer) = free else {
            return self.defer(transaction, changed);
        };
        let mut later = Changed::default();
        let texts = writer.transaction()?;
        for (id, tag) in &changed.0 {
            // The thread may have begun with what is pending: its text must not come behind a newer one.
            if is_pending(transaction, *id)? {
                later.push(*id, tag);
            } else {
                write(&texts, *id, &searched_text(tag))?;
            }
        }
        texts.commit()?;
        self.defer(transaction, &later)
    }

    fn defer(
        &self,
        transaction: &Transaction<'_>,
        changed: &Changed<'_>,
    ) -> Result<(), IndexError> {
        if changed.0.is_empty() {
            return Ok(());
        }
        for (id, tag) in &changed.0 {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO pending VALUES (?1, ?2)")?
                .execute(params![id, tag.version.get().cast_signed()])?;
        }
        // A thread that has ended has said why; what is pending is found all the same.
        let _ = self.pending.send(());
        Ok(())
    }
}

fn is_pending(transaction: &Transaction<'_>, id: i64) -> Result<bool, IndexError> {
    let mut statement = transaction.prepare_cached("SELECT 1 FROM pending WHERE id = ?1")?;
    Ok(statement.exists([id])?)
}

fn write(texts: &Transaction<'_>, id: i64, text: &str) -> Result<(), IndexError> {
    texts
        .prepare_cached("INSERT OR REPLACE INTO texts (rowid, text) VALUES (?1, ?2)")?
        .execute(params![id, text])?;
    Ok(())
}

/// The thread that writes what is pending.
struct Pending {
    texts: Arc<Mutex<Connection>>,
    reader: Connection,
    index: Arc<Mutex<Connection>>,
}

impl Pending {
    fn run(self, woken: &Receiver<()>) {
        priority::lower(Priority::Delivery);
        while woken.recv().is_ok() {
            loop {
                // One look is enough for all that have called.
                while woken.try_recv().is_ok() {}
                match self.step() {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        tracing::error!(%error, "texts for searches are no longer written, so that searches are slow; restart the admin");
                        return;
                    }
                }
            }
        }
    }

    /// Writes some texts; false when none is pending.
    fn step(&self) -> Result<bool, IndexError> {
        let mut texts = lock(&self.texts);
        let Some(written) = self.write_some(&mut texts)? else {
            return Ok(false);
        };
        drop(texts);
        // Only now: who searches sees a text here or there.
        let mut index = lock(&self.index);
        let transaction = index.transaction()?;
        for (id, version) in written {
            transaction
                .prepare_cached("DELETE FROM pending WHERE id = ?1 AND version = ?2")?
                .execute([id, version])?;
        }
        transaction.commit()?;
        Ok(true)
    }

    fn write_some(
        &self,
        texts: &mut MutexGuard<'_, Connection>,
    ) -> Result<Option<Vec<(i64, i64)>>, IndexError> {
        let mut written = Vec::new();
        let transaction = texts.transaction()?;
        let mut statement = self.reader.prepare_cached(
            "SELECT pending.id, pending.version, tags.workspace, tags.code, tags.name, tags.destination
             FROM pending CROSS JOIN tags USING (id) ORDER BY pending.id LIMIT ?1",
        )?;
        let mut rows = statement.query([BATCH])?;
        while let Some(row) = rows.next()? {
            let id = row.get(0)?;
            let column = |number| row.get_ref(number)?.as_str().map_err(rusqlite::Error::from);
            let text = text_of(column(2)?, column(3)?, column(4)?, column(5)?);
            write(&transaction, id, &text)?;
            written.push((id, row.get(1)?));
        }
        transaction.commit()?;
        Ok((!written.is_empty()).then_some(written))
    }
}

/// Lets a connection to the index read texts too.
pub(super) fn attach(connection: &Connection, index: &Path) -> Result<(), rusqlite::Error> {
    let path = beside(index);
    let path = path
        .to_str()
        .ok_or_else(|| rusqlite::Error::InvalidPath(path.clone()))?;
    connection.execute("ATTACH DATABASE ?1 AS searches", [path])?;
    Ok(())
}

fn beside(index: &Path) -> PathBuf {
    index.with_extension("texts.sqlite")
}

/// What searches look into: one tag's texts, and a mark of whose it is.
pub(super) fn searched_text(tag: &Tag) -> String {
    text_of(
        tag.workspace.as_str(),
        tag.code.as_str(),
        &tag.name,
        tag.destination.as_str(),
    )
}

fn text_of(workspace: &str, code: &str, name: &str, destination: &str) -> String {
    format!("{}{code}\n{name}\n{destination}", mark(workspace))
}

/// Three characters that stand for a workspace in searched texts; see [`mark`].
pub(super) fn workspace_mark(workspace: &WorkspaceId) -> String {
    mark(workspace.as_str())
}

/// Three characters for private use (U+E000 to U+F8FF), so that a search goes through no other tenant's tags. Should two workspaces have the
/// same, the search is slower and no less right: whose a tag is, is checked.
fn mark(workspace: &str) -> String {
    const PRIVATE_USE: std::ops::RangeInclusive<u32> = 0xE000..=0xF8FF;
    let count = u64::from(PRIVATE_USE.end() - PRIVATE_USE.start() + 1);
    let mut hash = SipHasher13::new().hash(workspace.as_bytes());
    (0..3)
        .filter_map(|_| {
            let offset = u32::try_from(hash % count).ok()?;
            hash /= count;
            char::from_u32(PRIVATE_USE.start() + offset)
        })
        .collect()
}

#[cfg(test)]
mod tests;
