//! The files of the scan log, mapped: the one module with `unsafe`, and the rules that make it sound.
//!
//! 1. The file is at least as long as its mapping, its blocks are allocated, and nobody shortens it: the folder has mode 0700, and the
//!    segments of a run are locked by the one process that uses them. So no access to the mapping faults.
//! 2. A segment has at most one [`SegmentWriter`], made by consuming the [`Spare`]; it alone writes data, and only at or above `committed`.
//! 3. Readers look only below `committed`, whose Release store pairs with their Acquire load (`marks`); below it nothing is written again.
//! 4. All of the header is atomics, which may be shared; so is all of a file of numbers (`words`).
#![allow(unsafe_code)]

#[cfg(any(test, feature = "simulation"))]
mod anonymous;
mod copy;
mod header;
mod marks;
mod words;

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
#[cfg(not(test))]
use std::sync::atomic;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use memmap2::MmapRaw;
use rustix::fs::FallocateFlags;

use crate::frame::{self, Seed};
#[cfg(test)]
use crate::steps as atomic; // the same, telling of each store
use crate::{DropReason, NewScan, WriterKey};
use atomic::Ordering;
use header::{FORMAT, Header, MAGIC, numbered_by_writer};

#[cfg(feature = "simulation")]
pub(crate) use anonymous::Left;
pub(crate) use copy::{Extent, Head, LONGEST};
pub(crate) use header::{Beginning, MAX_EDGE};
pub(crate) use words::Words;

/// Where the records begin. A page of its own for the header.
pub(crate) const HEADER: usize = 4096;
const _: () = assert!(size_of::<Header>() <= HEADER);

/// A segment that a writer has begun.
pub(crate) struct Segment {
    map: MmapRaw,
    path: PathBuf,
    key: WriterKey,
    seed: Seed,
    /// The same writer's next segment; set when this one will not grow any more.
    next: OnceLock<Link>,
    /// Read from a copy on disk into memory of its own: there is no file to be written again.
    is_copy: bool,
}

/// How a segment's successor begins, and the successor itself, until the shipper takes it from there. So a segment that is read and stored keeps
/// no other.
pub(crate) struct Link {
    pub(crate) number: u32,
    pub(crate) first_seq: u64,
    pub(crate) dropped_before: u64,
    /// The writer makes it, and does not look at it again: only the shipper locks it.
    segment: Mutex<Option<Arc<Segment>>>,
}

impl Link {
    /// To a segment that is held elsewhere.
    pub(crate) fn to(number: u32, first_seq: u64, dropped_before: u64) -> Self {
        Self {
            number,
            first_seq,
            dropped_before,
            segment: Mutex::new(None),
        }
    }
}

/// A segment without a writer: allocated, mapped, every page touched. Its records, if it has been written before, are not looked at.
pub(crate) struct Spare {
    map: MmapRaw,
    path: PathBuf,
}

impl Spare {
    /// Makes the file. Its error is `StorageFull` when there is no room.
    pub(crate) fn create(path: PathBuf, bytes: u64) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
        #[cfg(test)]
        crate::steps::step();
        let map = rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes)
            .map_err(io::Error::from)
            .and_then(|()| MmapRaw::map_raw(&file))
            .inspect_err(|_| drop(std::fs::remove_file(&path)))?;
        for page in (0..map.len()).step_by(4096) {
            // SAFETY: inside the mapping (rule 1), which nobody else knows yet. The file is new, so it already holds this zero.
            unsafe { map.as_mut_ptr().add(page).write_volatile(0) };
        }
        Ok(Self { map, path })
    }

    /// Gives the segment to a writer. Allocates a few words, and makes no system call.
    pub(crate) fn begin(self, key: &WriterKey, beginning: &Beginning) -> SegmentWriter {
        let header = header_of(&self.map);
        header.marks().begin(MAGIC, beginning.first_seq, || {
            header.describe(key, beginning)
        });
        let seed = Seed::new(key.boot, key.writer);
        let segment = Segment {
            map: self.map,
            path: self.path,
            key: key.clone(),
            seed,
            next: OnceLock::new(),
            is_copy: false,
        };
        SegmentWriter {
            segment: Arc::new(segment),
            at: 0,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.map.len() as u64
    }
}

/// The one who appends to a segment.
pub(crate) struct SegmentWriter {
    segment: Arc<Segment>,
    at: usize,
}

impl SegmentWriter {
    pub(crate) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Whether a record of any size fits.
    pub(crate) fn has_room(&self) -> bool {
        self.segment.capacity() - self.at >= frame::MAX
    }

    /// Appends and publishes. There must be room.
    pub(crate) fn append(&mut self, scan: &NewScan<'_>, seq: u64) {
        let room = self.segment.capacity() - self.at;
        assert!(room >= frame::MAX, "the writer asks has_room first");
        // SAFETY: `at` and `room` lie inside the mapping (rule 1); `&mut self` of the only writer (rule 2) makes the bytes from `at` on, which
        // equals `committed`, exclusively ours, as readers stay below (rule 3).
        let room =
            unsafe { std::slice::from_raw_parts_mut(self.segment.data().add(self.at), room) };
        self.at += frame::write(room, self.segment.seed, seq, |to| scan.encode_into(seq, to));
        let appended = &self.segment.header().appended;
        appended.publish(self.at as u64, seq + 1);
    }

    /// Says that a scan took this number without a record, and how many it makes for that reason.
    pub(crate) fn drop_scan(&self, seq: u64, reason: DropReason, running: u64) {
        self.segment.set_dropped(reason, running);
        self.segment.header().appended.skip(seq + 1);
    }

    /// Goes over to another segment of the same writer.
    pub(crate) fn continue_in(&mut self, next: SegmentWriter) {
        // Only this writer sets it, once, since it leaves the segment with it.
        let _ = self.segment.next.set(Link {
            segment: Mutex::new(Some(Arc::clone(&next.segment))),
            ..next.segment.link()
        });
        *self = next;
    }
}

/// Why a file is no segment to adopt.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotASegment {
    #[error("it cannot be mapped: {0}")]
    Io(#[from] io::Error),
    #[error("no writer has begun it")]
    Spare,
    #[error("it has format {0}, this build reads {FORMAT}")]
    Format(u32),
    #[error("its header is damaged")]
    Damaged,
}

impl Segment {
    /// Opens a segment that another boot left. The caller holds that boot's lock.
    pub(crate) fn adopt(path: PathBuf) -> Result<Arc<Self>, NotASegment> {
        let file: File = OpenOptions::new().read(true).write(true).open(&path)?;
        match file.metadata()?.len() as usize {
            0 => return Err(NotASegment::Spare),
            len if len < HEADER + frame::MAX => return Err(NotASegment::Damaged),
            _ => {}
        }
        Self::of_map(MmapRaw::map_raw(&file)?, path).map(Arc::new)
    }

    /// Reads the header of a mapping that is longer than that.
    fn of_map(map: MmapRaw, path: PathBuf) -> Result<Self, NotASegment> {
        let header = header_of(&map);
        match (header.begun.magic(), header.format.load(Ordering::Relaxed)) {
            (0, _) => return Err(NotASegment::Spare),
            (MAGIC, FORMAT) => {}
            (MAGIC, other) => return Err(NotASegment::Format(other)),
            _ => return Err(NotASegment::Damaged),
        }
        let edge: Vec<u8> = header
            .edge
            .iter()
            .map(|byte| byte.load(Ordering::Relaxed))
            .collect();
        let edge = edge
            .get(..header.edge_len.load(Ordering::Relaxed) as usize)
            .ok_or(NotASegment::Damaged)?;
        if header.checksum() != header.identity_checksum.load(Ordering::Relaxed) {
            return Err(NotASegment::Damaged);
        }
        let edge = std::str::from_utf8(edge).map_err(|_| NotASegment::Damaged)?;
        let (boot, writer) = (
            header.boot.load(Ordering::Relaxed),
            header.writer.load(Ordering::Relaxed),
        );
        let key = WriterKey {
            edge: Arc::from(edge),
            boot,
            writer,
        };
        Ok(Self {
            map,
            path,
            seed: Seed::new(boot, writer),
            key,
            next: OnceLock::new(),
            is_copy: false,
        })
    }

    /// Makes a spare of a segment that nobody else holds. The bytes of its records stay: no one looks at them, and should a machine's crash
    /// have mixed them with those of the next writer, their checksum or their number tells.
    pub(crate) fn recycle(self) -> Spare {
        self.header().marks().recycle();
        let Self { map, path, .. } = self;
        Spare { map, path }
    }

    /// The records so far, from the first. Of an adopted segment with an impossible length, all of it: the checksums will tell.
    pub(crate) fn records(&self) -> &[u8] {
        let committed = self.header().appended.committed() as usize;
        let believable = committed <= self.capacity() && committed.is_multiple_of(8);
        let len = if believable {
            committed
        } else {
            self.capacity() & !7
        };
        // SAFETY: inside the mapping (rule 1), and below what the writer still writes (rule 3); an adopted segment has no writer.
        unsafe { std::slice::from_raw_parts(self.data(), len) }
    }

    pub(crate) fn key(&self) -> &WriterKey {
        &self.key
    }

    pub(crate) fn seed(&self) -> Seed {
        self.seed
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.map.len() as u64
    }

    pub(crate) fn number(&self) -> u32 {
        self.header().number.load(Ordering::Relaxed)
    }

    pub(crate) fn first_seq(&self) -> u64 {
        self.header().first_seq.load(Ordering::Relaxed)
    }

    /// How many numbered scans the writer itself had dropped when it began this segment, and has by now.
    pub(crate) fn dropped_by_writer(&self) -> (u64, u64) {
        (
            self.header().dropped_before.load(Ordering::Relaxed),
            numbered_by_writer(&self.dropped()),
        )
    }

    /// The number that the writer gives next. Records of all lower ones are in [`Segment::records`] when that is called after this.
    pub(crate) fn next_seq(&self) -> u64 {
        self.header().appended.next_seq()
    }

    pub(crate) fn next(&self) -> Option<&Link> {
        self.next.get()
    }

    /// The next segment, for the one who takes it first.
    pub(crate) fn take_next(&self) -> Option<Arc<Segment>> {
        let next = &self.next.get()?.segment;
        next.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Chains a segment without a writer to its successor.
    pub(crate) fn set_next(&self, next: Link) {
        let _ = self.next.set(next);
    }

    /// What leads to it, but for itself.
    pub(crate) fn link(&self) -> Link {
        Link::to(self.number(), self.first_seq(), self.dropped_by_writer().0)
    }

    /// Whether it is a copy in memory, of which nothing is left to be written again.
    pub(crate) fn is_copy(&self) -> bool {
        self.is_copy
    }

    /// Up to which byte of [`Segment::records`] all is stored.
    pub(crate) fn acknowledged(&self) -> usize {
        let position = self.header().shipped.acknowledged() as usize;
        if position <= self.records().len() && position.is_multiple_of(8) {
            position
        } else {
            0
        }
    }

    pub(crate) fn set_acknowledged(&self, position: usize) {
        self.header().shipped.acknowledge(position as u64);
    }

    /// The partition of the writer, once chosen.
    pub(crate) fn partition(&self) -> Option<i32> {
        Some(self.header().shipped.partition()).filter(|partition| *partition >= 0)
    }

    pub(crate) fn set_partition(&self, partition: i32) {
        self.header().shipped.set_partition(partition);
    }

    /// How many of its scans have been counted as corrupt.
    pub(crate) fn lost(&self) -> u64 {
        self.header().shipped.lost()
    }

    pub(crate) fn set_lost(&self, scans: u64) {
        self.header().shipped.set_lost(scans);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.header().shipped.is_closed()
    }

    pub(crate) fn close(&self) {
        self.header().shipped.close();
    }

    /// The running counts, by reason.
    pub(crate) fn dropped(&self) -> [u64; DropReason::COUNT] {
        std::array::from_fn(|reason| self.header().dropped[reason].load(Ordering::Relaxed))
    }

    pub(crate) fn set_dropped(&self, reason: DropReason, running: u64) {
        self.header().dropped[reason as usize].store(running, Ordering::Relaxed);
    }

    fn header(&self) -> &Header {
        header_of(&self.map)
    }

    fn data(&self) -> *mut u8 {
        // SAFETY: every mapping is longer than its header: `create` is given more, `adopt` checks.
        unsafe { self.map.as_mut_ptr().add(HEADER) }
    }

    fn capacity(&self) -> usize {
        self.map.len() - HEADER
    }
}

fn header_of(map: &MmapRaw) -> &Header {
    debug_assert!(map.len() >= HEADER);
    // SAFETY: a mapping is aligned to pages and longer than the header (rule 1); any bytes are valid atomics, and are shared as such (rule 4).
    unsafe { &*map.as_ptr().cast::<Header>() }
}
