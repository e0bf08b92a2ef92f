//! The texts of tags, for searches: an FTS5 index in a file of its own.
//!
//! It takes about as long to write as all the rest, and now and then much longer, when parts of it are merged. So nobody waits for it: texts are kept in
//! memory, and a thread writes them when no more than a few come. Searches look through what is pending too, so that they find everything.

mod pending;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use ::tags::{Tag, WorkspaceId};
use priority::Priority;
use rusqlite::{Connection, Transaction, params};
use siphasher::sip::SipHasher13;

use self::pending::{Block, Pending, Sought};
use super::IndexError;
use super::database::{lock, open_writer};
use super::search::Order;

const SCHEMA: &str = "
CREATE VIRTUAL TABLE texts USING fts5 (text, tokenize = 'trigram', detail = 'none', content = '', contentless_delete = 1);
";
/// Bytes of memory for pieces of texts that are not written yet.
const MEMORY: i64 = 16 * 1024 * 1024;
/// How long until texts are written again that could not be.
const RETRY: Duration = Duration::from_secs(10);
/// So many texts that come together are no reason to put writing off.
const FEW: usize = 100;

/// Tags whose texts have changed, with their places.
#[derive(Default)]
pub(super) struct Changed<'a>(Vec<(i64, &'a Tag)>);

impl<'a> Changed<'a> {
    pub(super) fn push(&mut self, id: i64, tag: &'a Tag) {
        self.0.push((id, tag));
    }
}

/// The writing side, and what is pending.
pub(super) struct Texts {
    writer: Arc<Mutex<Connection>>,
    pending: Arc<Pending>,
}

impl Texts {
    /// An empty index beside that at `path`; what lies there of an earlier run is removed.
    pub(super) fn create(path: &Path) -> Result<Self, IndexError> {
        let writer = open_writer(&beside(path), SCHEMA)?;
        // More of them are kept in memory before they are written and merged.
        writer.execute(
            "INSERT INTO texts (texts, rank) VALUES ('hashsize', ?1)",
            [MEMORY],
        )?;
        let texts = Self {
            writer: Arc::new(Mutex::new(writer)),
            pending: Arc::default(),
        };
        let (writer, pending) = (Arc::clone(&texts.writer), Arc::clone(&texts.pending));
        thread::Builder::new()
            .name("admin-texts".into())
            .spawn(move || write_pending(&writer, &pending))
            .map_err(IndexError::Thread)?;
        Ok(texts)
    }

    /// Keeps texts that are to be written, once their tags can be seen.
    pub(super) fn defer(&self, changed: &Changed<'_>) {
        if !changed.0.is_empty() {
            let texts = changed.0.iter().map(|(id, tag)| (*id, searched_text(tag)));
            self.pending.add(texts, FEW);
        }
    }

    /// Places of a workspace's tags, in order behind one, whose pending texts have this in them, or had.
    pub(super) fn find_pending(
        &self,
        workspace: &WorkspaceId,
        text: &str,
        (order, behind): (Order, i64),
        most: usize,
    ) -> Vec<i64> {
        self.pending.find(&Sought {
            text: &text.to_ascii_lowercase(),
            mark: &workspace_mark(workspace),
            order,
            behind,
            most,
        })
    }
}

impl Drop for Texts {
    fn drop(&mut self) {
        self.pending.end();
    }
}

fn write(texts: &Transaction<'_>, id: i64, text: &str) -> Result<(), IndexError> {
    texts
        .prepare_cached("INSERT OR REPLACE INTO texts (rowid, text) VALUES (?1, ?2)")?
        .execute(params![id, text])?;
    Ok(())
}

/// Writes what is pending, until nobody adds to it any more.
fn write_pending(writer: &Mutex<Connection>, pending: &Pending) {
    priority::lower(Priority::Delivery);
    // Whatever ends this thread, nobody waits for it then.
    let _end = EndsWith(pending);
    while let Some(blocks) = pending.oldest() {
        match write_blocks(writer, &blocks) {
            // Only now: who searches sees a text here or there.
            Ok(()) => pending.written(blocks.len()),
            Err(error) => {
                tracing::error!(%error, "texts for searches cannot be written, so that searches are slow, and edits wait once there are many; trying again");
                pending.rest(RETRY);
            }
        }
    }
}

struct EndsWith<'a>(&'a Pending);

impl Drop for EndsWith<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn write_blocks(writer: &Mutex<Connection>, blocks: &[Arc<Block>]) -> Result<(), IndexError> {
    let mut writer = lock(writer);
    let transaction = writer.transaction()?;
    for (id, text) in blocks.iter().flat_map(|block| block.texts()) {
        write(&transaction, id, text)?;
    }
    transaction.commit()?;
    Ok(())
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
    let mark = workspace_mark(&tag.workspace);
    format!("{mark}{}\n{}\n{}", tag.code, tag.name, tag.destination)
}

/// Three characters for private use (U+E000 to U+F8FF) that stand for a workspace in searched texts, so that a search goes through no other
/// tenant's tags. Should two workspaces have the same, the search is slower and no less right: whose a tag is, is checked.
pub(super) fn workspace_mark(workspace: &WorkspaceId) -> String {
    const PRIVATE_USE: std::ops::RangeInclusive<u32> = 0xE000..=0xF8FF;
    let count = u64::from(PRIVATE_USE.end() - PRIVATE_USE.start() + 1);
    let mut hash = SipHasher13::new().hash(workspace.as_str().as_bytes());
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
