//! The files of the scan log, mapped: the one module with `unsafe`, and the rules that make it sound.
//!
//! 1. The file is at least as long as its mapping, its blocks are allocated, and nobody shortens it: the folder has mode 0700, and the
//!    segments of a run are locked by the one process that uses them. So no access to the mapping faults.
//! 2. A segment has at most one [`SegmentWriter`], made by consuming the [`Spare`]; it alone writes data, and only at or above `committed`.
//! 3. Readers look only below `committed`, whose Release store pairs with their Acquire load; below it nothing is written again.
//! 4. All of the header is atomics, which may be shared; so is all of a file of numbers (`words`).
#![allow(unsafe_code)]

mod anonymous;
mod copy;
mod words;

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use memmap2::MmapRaw;
use rustix::fs::FallocateFlags;

use crate::frame::{self, Seed};
use crate::{DropReason, NewScan, WriterKey};

pub(crate) use anonymous::Left;
pub(crate) use copy::{Extent, Head, LONGEST};
pub(crate) use words::Words;

/// Where the records begin. A page of its own for the header.
pub(crate) const HEADER: usize = 4096;
/// The longest name of an edge, in bytes.
pub(crate) const MAX_EDGE: usize = 256;
const MAGIC: u64 = u64::from_le_bytes(*b"TWSCANS\n");
const FORMAT: u32 = 1;

/// What a segment says about itself. `magic` is stored last: without it there is nothing to be adopted.
#[repr(C)]
struct Header {
    magic: AtomicU64,
    format: AtomicU32,
    identity_checksum: AtomicU32,
    boot: AtomicU64,
    writer: AtomicU32,
    number: AtomicU32,
    first_seq: AtomicU64,
    /// How many numbered scans the writer itself had dropped when it began this segment.
    dropped_before: AtomicU64,
    edge_len: AtomicU32,
    edge: [AtomicU8; MAX_EDGE],
    appended: Appended,
    shipped: Shipped,
    /// Running, by [`DropReason`]'s order. The writer stores its own reasons, the shipper its own.
    dropped: [AtomicU64; 16],
    /// In a copy alone: how much of the segment it holds, as [`Extent`] says.
    extent: AtomicU32,
}

/// The writer's line.
#[repr(C, align(64))]
struct Appended {
    committed: AtomicU64,
    next_seq: AtomicU64,
}

/// The shipper's line.
#[repr(C, align(64))]
struct Shipped {
    acknowledged: AtomicU64,
    partition: AtomicI32,
    /// 1: the last batch, which says where the writer ended, is stored.
    closed: AtomicU32,
    /// How many of this segment's scans are in the running count of corrupt ones.
    lost: AtomicU64,
}

const _: () = assert!(size_of::<Header>() <= HEADER && DropReason::COUNT <= 16);

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

/// Where a segment begins.
pub(crate) struct Beginning {
    pub(crate) number: u32,
    pub(crate) first_seq: u64,
    /// The writer's counts so far.
    pub(crate) dropped: [u64; DropReason::COUNT],
}

impl Spare {
    /// Makes the file. Its error is `StorageFull` when there is no room.
    pub(crate) fn create(path: PathBuf, bytes: u64) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
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
        header.format.store(FORMAT, Ordering::Relaxed);
        header.boot.store(key.boot, Ordering::Relaxed);
        header.writer.store(key.writer, Ordering::Relaxed);
        header.number.store(beginning.number, Ordering::Relaxed);
        header
            .first_seq
            .store(beginning.first_seq, Ordering::Relaxed);
        header
            .appended
            .next_seq
            .store(beginning.first_seq, Ordering::Relaxed);
        header.shipped.partition.store(-1, Ordering::Relaxed);
        header
            .edge_len
            .store(key.edge.len() as u32, Ordering::Relaxed);
        for (to, from) in header.edge.iter().zip(key.edge.bytes()) {
            to.store(from, Ordering::Relaxed);
        }
        for (to, from) in header.dropped.iter().zip(beginning.dropped) {
            to.store(from, Ordering::Relaxed);
        }
        header
            .dropped_before
            .store(numbered_by_writer(&beginning.dropped), Ordering::Relaxed);
        header
            .identity_checksum
            .store(header.checksum(), Ordering::Relaxed);
        // Release: whoever adopts the file and sees the magic sees all of the above.
        header.magic.store(MAGIC, Ordering::Release);
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
        // Release: the record's bytes come before it (rule 3).
        appended.committed.store(self.at as u64, Ordering::Release);
        // Release: who sees that a number was given sees its record too.
        appended.next_seq.store(seq + 1, Ordering::Release);
    }

    /// Says that a scan took this number without a record, and how many it makes for that reason.
    pub(crate) fn drop_scan(&self, seq: u64, reason: DropReason, running: u64) {
        self.segment.set_dropped(reason, running);
        // Release: who sees that the number was given sees that it was counted.
        self.segment
            .header()
            .appended
            .next_seq
            .store(seq + 1, Ordering::Release);
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
        // Acquire: pairs with the Release of `begin`.
        match (
            header.magic.load(Ordering::Acquire),
            header.format.load(Ordering::Relaxed),
        ) {
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
        let header = self.header();
        header.magic.store(0, Ordering::Relaxed);
        // Who sees any of what follows sees that nobody has begun it.
        fence(Ordering::Release);
        header.appended.committed.store(0, Ordering::Relaxed);
        header.shipped.acknowledged.store(0, Ordering::Relaxed);
        header.shipped.closed.store(0, Ordering::Relaxed);
        header.shipped.lost.store(0, Ordering::Relaxed);
        let Self { map, path, .. } = self;
        Spare { map, path }
    }

    /// The records so far, from the first. Of an adopted segment with an impossible length, all of it: the checksums will tell.
    pub(crate) fn records(&self) -> &[u8] {
        // Acquire: pairs with the Release of `append` (rule 3).
        let committed = self.header().appended.committed.load(Ordering::Acquire) as usize;
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
        // Acquire: pairs with the Release of `append`.
        self.header().appended.next_seq.load(Ordering::Acquire)
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
        let position = self.header().shipped.acknowledged.load(Ordering::Relaxed) as usize;
        if position <= self.records().len() && position.is_multiple_of(8) {
            position
        } else {
            0
        }
    }

    pub(crate) fn set_acknowledged(&self, position: usize) {
        // Relaxed: only the shipper reads it, or whoever adopts the file.
        self.header()
            .shipped
            .acknowledged
            .store(position as u64, Ordering::Relaxed);
    }

    /// The partition of the writer, once chosen.
    pub(crate) fn partition(&self) -> Option<i32> {
        Some(self.header().shipped.partition.load(Ordering::Relaxed))
            .filter(|partition| *partition >= 0)
    }

    pub(crate) fn set_partition(&self, partition: i32) {
        self.header()
            .shipped
            .partition
            .store(partition, Ordering::Relaxed);
    }

    /// How many of its scans have been counted as corrupt.
    pub(crate) fn lost(&self) -> u64 {
        self.header().shipped.lost.load(Ordering::Relaxed)
    }

    pub(crate) fn set_lost(&self, scans: u64) {
        self.header().shipped.lost.store(scans, Ordering::Relaxed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.header().shipped.closed.load(Ordering::Relaxed) == 1
    }

    pub(crate) fn close(&self) {
        self.header().shipped.closed.store(1, Ordering::Relaxed);
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

fn numbered_by_writer(dropped: &[u64; DropReason::COUNT]) -> u64 {
    let counts = DropReason::ALL.into_iter().zip(dropped);
    counts
        .filter(|(reason, _)| reason.is_writers() && reason.takes_number())
        .map(|(_, count)| count)
        .sum()
}

impl Header {
    /// Over all that does not change.
    fn checksum(&self) -> u32 {
        let mut bytes = Vec::with_capacity(MAX_EDGE + 48);
        bytes.extend_from_slice(&self.format.load(Ordering::Relaxed).to_le_bytes());
        bytes.extend_from_slice(&self.boot.load(Ordering::Relaxed).to_le_bytes());
        bytes.extend_from_slice(&self.writer.load(Ordering::Relaxed).to_le_bytes());
        bytes.extend_from_slice(&self.number.load(Ordering::Relaxed).to_le_bytes());
        bytes.extend_from_slice(&self.first_seq.load(Ordering::Relaxed).to_le_bytes());
        bytes.extend_from_slice(&self.dropped_before.load(Ordering::Relaxed).to_le_bytes());
        bytes.extend_from_slice(&self.edge_len.load(Ordering::Relaxed).to_le_bytes());
        bytes.extend(self.edge.iter().map(|byte| byte.load(Ordering::Relaxed)));
        crc32c::crc32c(&bytes)
    }
}

fn header_of(map: &MmapRaw) -> &Header {
    debug_assert!(map.len() >= HEADER);
    // SAFETY: a mapping is aligned to pages and longer than the header (rule 1); any bytes are valid atomics, and are shared as such (rule 4).
    unsafe { &*map.as_ptr().cast::<Header>() }
}
