//! The snapshot file: the table of one moment, from which an edge starts while the journal cannot be reached. When to write one,
//! and whether one that was read may be used, is the caller's to judge by its [`SnapshotInfo`].

mod error;
mod frames;
mod header;
mod read;
mod write;

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::thread;

use jiff::Timestamp;
use priority::Priority;
use tags::Topic;

use crate::fold;
use crate::settings::Settings;
use crate::table::Table;

pub use error::SnapshotError;

/// What a snapshot is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// The identifier of the cluster whose journal was read.
    pub cluster: String,
    /// Where to read on, by topic and partition: the next offset. Everything before it is in the snapshot.
    pub positions: Vec<(Topic, i32, i64)>,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// The build that took it; empty where it did not say, and where the format is an older one than this build writes. Another may have refused records, or not known fields, that this one knows.
    pub build: String,
}

/// A snapshot that is to be written: what it is of, with the settings of that moment. Settings have no version, so that newer ones in the
/// file would be replaced by older ones when the journal is read on from its positions.
pub struct SnapshotOrder {
    info: SnapshotInfo,
    settings: Arc<Settings>,
}

impl Table {
    /// Notes what a snapshot of this moment has to hold. Every change before `info.positions` must have been applied, and none behind.
    pub fn order_snapshot(&self, info: SnapshotInfo) -> SnapshotOrder {
        let settings = Arc::clone(&self.load().settings);
        SnapshotOrder { info, settings }
    }

    /// As [`Table::write_ordered_snapshot`], of this moment.
    pub fn write_snapshot(&self, path: &Path, info: &SnapshotInfo) -> Result<u64, SnapshotError> {
        self.write_ordered_snapshot(path, &self.order_snapshot(info.clone()))
    }

    /// Writes what readers see now, as a whole or not at all: under a temporary name in the same folder, synced, then renamed.
    /// Blocks until it is done, which is at the pace of work that must not disturb redirects. Returns how many records were
    /// written: one for each tag, and a second one for tags that change meanwhile.
    ///
    /// Later versions of tags than those of the order's moment may be in the file, and change nothing when they are applied again.
    pub fn write_ordered_snapshot(
        &self,
        path: &Path,
        order: &SnapshotOrder,
    ) -> Result<u64, SnapshotError> {
        let shared = &self.shared;
        let work = || {
            priority::lower(Priority::Idle);
            let written = {
                let _alone = shared
                    .background
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                let state = shared.published.load_full();
                write::to_file(&state, path, order)
            };
            fold::free_retired_now(shared);
            written
        };
        // A thread of its own, since the lower priority is for good.
        thread::scope(|scope| {
            let builder = thread::Builder::new().name("table-snapshot".to_owned());
            let thread = builder.spawn_scoped(scope, work);
            let thread = thread.map_err(SnapshotError::io("start a thread for", path))?;
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Reads a snapshot into the base that is being filled, at the start or in a rebuild; [`Table::complete`] publishes it, or
    /// changes that follow are applied first. What was applied before and is newer stays.
    pub fn read_snapshot(&self, path: &Path) -> Result<SnapshotInfo, SnapshotError> {
        if !self.is_filling() {
            return Err(SnapshotError::NotFilling);
        }
        let file = File::open(path).map_err(SnapshotError::io("open", path))?;
        let bytes = file
            .metadata()
            .map_err(SnapshotError::io("examine", path))?
            .len();
        let empty = |tags| self.shared.filling(tags);
        let (info, filling) = read::whole(&file, bytes, empty).map_err(|e| e.of_file(path))?;
        self.take_over(filling)?;
        Ok(info)
    }
}

/// Reads what a snapshot is of, and nothing else.
pub fn read_snapshot_info(path: &Path) -> Result<SnapshotInfo, SnapshotError> {
    let file = File::open(path).map_err(SnapshotError::io("open", path))?;
    read::info(&file).map_err(|e| e.of_file(path))
}

/// Reads a snapshot from memory and forgets it: whether these bytes are one, and of how many tags. For fuzzing.
pub fn check_snapshot(bytes: &[u8]) -> Result<(SnapshotInfo, usize), SnapshotError> {
    let table = Table::new();
    let empty = |tags| table.shared.filling(tags);
    let (info, filling) = read::whole(bytes, bytes.len() as u64, empty)?;
    Ok((info, filling.base.len()))
}
