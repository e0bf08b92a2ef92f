//! Writes a snapshot: base, then overlays, so that of a tag that is in several the newest comes last.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use prost::Message;
use rustix::fs::{Advice, fadvise};

use crate::background::Pace;
use crate::overlay::Overlay;
use crate::record::Record;
use crate::shared::State;

use super::frames::{FrameWriter, Kind};
use super::header::{Header, NamesFrame, SettingsFrame, SettingsRecord};
use super::{SnapshotError, SnapshotOrder};

/// A frame of tags is about so long.
const FRAME: usize = 256 << 10;
/// Settings and names in one frame.
const PER_FRAME: usize = 1024;
/// After so much, the disk is waited for: else the kernel would hold it all back, and then write it in one go.
const SYNC_EVERY: u64 = 16 << 20;

/// Replaces the file by a snapshot of this state. Returns the number of records of tags.
pub(super) fn to_file(
    state: &State,
    path: &Path,
    order: &SnapshotOrder,
) -> Result<u64, SnapshotError> {
    if !state.complete {
        return Err(SnapshotError::Incomplete);
    }
    let temporary = temporary(path);
    let written = write(state, &temporary, order).and_then(|written| {
        fs::rename(&temporary, path)?;
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(written)
    });
    if written.is_err() {
        // What is wrong has been said already, and the next snapshot begins this file anew.
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(SnapshotError::io("write", path))
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".partial");
    name.into()
}

fn write(state: &State, path: &Path, order: &SnapshotOrder) -> io::Result<u64> {
    let mut frames = FrameWriter::new(Output::create(path)?)?;
    let count = state.base.len() + state.live.len();
    frames.frame(
        Kind::Header,
        &Header::new(&order.info, count).encode_to_vec(),
    )?;

    let settings: Vec<SettingsRecord> = order
        .settings
        .changes()
        .map(|c| SettingsRecord::new(&c))
        .collect();
    for records in settings.chunks(PER_FRAME) {
        let records = records.to_vec();
        frames.frame(Kind::Settings, &SettingsFrame { records }.encode_to_vec())?;
    }
    let names: Vec<&str> = state.base.names().iter().collect();
    for names in names.chunks(PER_FRAME) {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        frames.frame(Kind::Names, &NamesFrame { names }.encode_to_vec())?;
    }
    let mut tags = TagFrames {
        frames,
        content: Vec::with_capacity(2 * FRAME),
        count: 0,
        pace: Pace::default(),
    };
    let (frozen, live) = (state.frozen.as_deref(), &*state.live);
    let newer_in = |overlay: &Overlay, record: &Record<'_>| {
        let key = || state.base.hasher().key(record.tag.domain, record.tag.code);
        overlay.len() > 0 && overlay.contains(&key())
    };
    for (record, bytes) in state.base.records() {
        if !newer_in(live, &record) && !frozen.is_some_and(|frozen| newer_in(frozen, &record)) {
            tags.put(bytes)?;
        }
    }
    frozen.map_or(Ok(()), |frozen| {
        frozen.try_for_each(|record, bytes| match newer_in(live, &record) {
            true => Ok(()),
            false => tags.put(bytes),
        })
    })?;
    live.try_for_each(|_, bytes| tags.put(bytes))?;
    tags.finish()
}

/// Collects records into frames.
struct TagFrames {
    frames: FrameWriter<Output>,
    content: Vec<u8>,
    count: u64,
    pace: Pace,
}

impl TagFrames {
    fn put(&mut self, record: &[u8]) -> io::Result<()> {
        self.content.extend_from_slice(record);
        self.count += 1;
        self.pace.step();
        if self.content.len() >= FRAME {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.frames.frame(Kind::Tags, &self.content)?;
        self.content.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<u64> {
        self.flush()?;
        self.frames.frame(Kind::End, &self.count.to_le_bytes())?;
        self.frames.into_inner().finish()?;
        Ok(self.count)
    }
}

/// The file, written through to the disk as it grows, and not kept in the page cache that others need.
struct Output {
    file: File,
    written: u64,
    synced: u64,
}

impl Output {
    fn create(path: &Path) -> io::Result<Self> {
        let (written, synced) = (0, 0);
        Ok(Self {
            file: File::create(path)?,
            written,
            synced,
        })
    }

    fn finish(self) -> io::Result<()> {
        self.file.sync_all()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.written += written as u64;
        if self.written - self.synced >= SYNC_EVERY {
            self.file.sync_data()?;
            // A hint that some file systems do not take.
            let _ = fadvise(&self.file, 0, None, Advice::DontNeed);
            self.synced = self.written;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
