//! What a segment says about itself, as it lies in the first page of its file.

use super::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use super::marks::{Appended, Begun, Marks, Shipped};
use crate::{DropReason, WriterKey};

/// The longest name of an edge, in bytes.
pub(crate) const MAX_EDGE: usize = 256;
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"TWSCANS\n");
pub(super) const FORMAT: u32 = 1;

/// What a segment says about itself. What one side stores while another looks is `marks`' matter, the rest is stored while nobody else has it.
#[repr(C)]
pub(super) struct Header {
    pub(super) begun: Begun,
    pub(super) format: AtomicU32,
    pub(super) identity_checksum: AtomicU32,
    pub(super) boot: AtomicU64,
    pub(super) writer: AtomicU32,
    pub(super) number: AtomicU32,
    pub(super) first_seq: AtomicU64,
    /// How many numbered scans the writer itself had dropped when it began this segment.
    pub(super) dropped_before: AtomicU64,
    pub(super) edge_len: AtomicU32,
    pub(super) edge: [AtomicU8; MAX_EDGE],
    pub(super) appended: Appended,
    pub(super) shipped: Shipped,
    /// Running, by [`DropReason`]'s order. The writer stores its own reasons, the shipper its own.
    pub(super) dropped: [AtomicU64; 16],
    /// In a copy alone: how much of the segment it holds, as [`Extent`](super::Extent) says.
    pub(super) extent: AtomicU32,
}

const _: () = assert!(DropReason::COUNT <= 16);

/// Where a segment begins.
pub(crate) struct Beginning {
    pub(crate) number: u32,
    pub(crate) first_seq: u64,
    /// The writer's counts so far.
    pub(crate) dropped: [u64; DropReason::COUNT],
}

impl Header {
    pub(super) fn marks(&self) -> Marks<'_> {
        Marks {
            begun: &self.begun,
            appended: &self.appended,
            shipped: &self.shipped,
        }
    }

    /// Whose it is and where it begins. Relaxed: the magic comes after it.
    pub(super) fn describe(&self, key: &WriterKey, beginning: &Beginning) {
        self.format.store(FORMAT, Ordering::Relaxed);
        self.boot.store(key.boot, Ordering::Relaxed);
        self.writer.store(key.writer, Ordering::Relaxed);
        self.number.store(beginning.number, Ordering::Relaxed);
        self.first_seq.store(beginning.first_seq, Ordering::Relaxed);
        self.edge_len
            .store(key.edge.len() as u32, Ordering::Relaxed);
        for (to, from) in self.edge.iter().zip(key.edge.bytes()) {
            to.store(from, Ordering::Relaxed);
        }
        for (to, from) in self.dropped.iter().zip(beginning.dropped) {
            to.store(from, Ordering::Relaxed);
        }
        self.dropped_before
            .store(numbered_by_writer(&beginning.dropped), Ordering::Relaxed);
        self.identity_checksum
            .store(self.checksum(), Ordering::Relaxed);
    }

    /// Over all that does not change.
    pub(super) fn checksum(&self) -> u32 {
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

pub(super) fn numbered_by_writer(dropped: &[u64; DropReason::COUNT]) -> u64 {
    let counts = DropReason::ALL.into_iter().zip(dropped);
    counts
        .filter(|(reason, _)| reason.is_writers() && reason.takes_number())
        .map(|(_, count)| count)
        .sum()
}
