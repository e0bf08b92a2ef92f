//! A segment's copy in a file of its own: what its header says, and how it is read again, into memory, since a mapping of a file on a disk that
//! fails faults. The file's length is that of the records; of the header, what changes has a checksum of its own, and is not believed where that
//! does not fit: the records speak for themselves.

use memmap2::{MmapMut, MmapRaw};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::atomic::Ordering;
use super::{HEADER, Link, MAGIC, NotASegment, Segment, header_of};
use crate::{DropReason, WriterKey};

/// Where the checksum of all bytes before it lies.
const CHECKSUM: usize = HEADER - 8;
/// As much as is read into memory: more than any segment has.
pub(crate) const LONGEST: u64 = 1 << 30;

/// How much of a segment its copy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What there was at some moment.
    Part,
    /// Everything: the writer had gone on to the next.
    Whole,
    /// Everything, and the writer had ended: there is no next.
    Last,
}

impl Extent {
    fn as_u32(self) -> u32 {
        match self {
            Self::Part => 0,
            Self::Whole => 1,
            Self::Last => 2,
        }
    }
}

/// What the header of a copy says.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) key: WriterKey,
    pub(crate) number: u32,
    pub(crate) first_seq: u64,
    pub(crate) dropped_before: u64,
    /// How many of the scans of these numbers are neither a drop of the writer's nor known to be lost.
    pub(crate) scans: u64,
    pub(crate) extent: Extent,
    /// Of the file.
    pub(crate) bytes: u64,
    /// Whether its checksum fits: otherwise what changes is not known, and nothing is to be concluded from it.
    pub(crate) believed: bool,
}

impl Head {
    /// Of a segment that is full, and has this successor.
    pub(crate) fn of(segment: &Segment, next: &Link) -> Self {
        let (dropped_before, dropped) = segment.dropped_by_writer();
        let (end, dropped) = match next.number == segment.number() + 1 {
            true => (next.first_seq, next.dropped_before),
            false => (segment.next_seq(), dropped),
        };
        let first_seq = segment.first_seq();
        Self {
            key: segment.key().clone(),
            number: segment.number(),
            first_seq,
            dropped_before,
            scans: left_of(
                end,
                first_seq,
                dropped.saturating_sub(dropped_before),
                segment,
            ),
            extent: Extent::Whole,
            bytes: (HEADER + segment.records().len()) as u64,
            believed: true,
        }
    }
}

fn left_of(end: u64, first_seq: u64, dropped: u64, segment: &Segment) -> u64 {
    let numbers = end.saturating_sub(first_seq);
    numbers
        .saturating_sub(dropped)
        .saturating_sub(segment.lost())
}

impl Segment {
    /// The header of a copy that holds the records up to `end`, which are those of all numbers below `next_seq`.
    pub(crate) fn copy_header(
        &self,
        end: usize,
        next_seq: u64,
        extent: Extent,
    ) -> io::Result<Vec<u8>> {
        let mut page = MmapMut::map_anon(HEADER)?;
        let own = self.header();
        let copied = MmapRaw::from(MmapMut::map_anon(HEADER)?);
        let copy = header_of(&copied);
        let relaxed = Ordering::Relaxed;
        copy.marks().copy(own.marks(), MAGIC, end as u64, next_seq);
        copy.format.store(own.format.load(relaxed), relaxed);
        copy.identity_checksum
            .store(own.identity_checksum.load(relaxed), relaxed);
        copy.boot.store(own.boot.load(relaxed), relaxed);
        copy.writer.store(own.writer.load(relaxed), relaxed);
        copy.number.store(own.number.load(relaxed), relaxed);
        copy.first_seq.store(own.first_seq.load(relaxed), relaxed);
        copy.dropped_before
            .store(own.dropped_before.load(relaxed), relaxed);
        copy.edge_len.store(own.edge_len.load(relaxed), relaxed);
        for (to, from) in copy.edge.iter().zip(&own.edge) {
            to.store(from.load(relaxed), relaxed);
        }
        for (to, from) in copy.dropped.iter().zip(&own.dropped) {
            to.store(from.load(relaxed), relaxed);
        }
        copy.extent.store(extent.as_u32(), relaxed);
        // SAFETY: the mapping has this length (rule 1), and nobody else knows it, so that nothing writes there any more.
        let bytes = unsafe { std::slice::from_raw_parts(copied.as_ptr(), CHECKSUM) };
        page[..CHECKSUM].copy_from_slice(bytes);
        let checksum = crc32c::crc32c(bytes);
        page[CHECKSUM..CHECKSUM + 4].copy_from_slice(&checksum.to_le_bytes());
        Ok(page.to_vec())
    }

    /// Reads a copy, all of it.
    pub(crate) fn read_copy(path: &Path) -> Result<Self, NotASegment> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Self::read_copy_from(file, len, path)
    }

    /// Reads the header of a copy alone: a segment without records and without a name, and what it says.
    pub(crate) fn read_copy_head(path: &Path) -> Result<(Self, Head), NotASegment> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Self::read_copy_head_from(file, len, path)
    }

    /// As [`Segment::read_copy_head`], from a file of this length, or what stands for one.
    pub(crate) fn read_copy_head_from(
        file: impl Read,
        bytes: u64,
        path: &Path,
    ) -> Result<(Self, Head), NotASegment> {
        let (mut segment, believed) = Self::read_believed(file, bytes.min(HEADER as u64), path)?;
        let relaxed = Ordering::Relaxed;
        let (next_seq, first_seq) = (segment.next_seq(), segment.first_seq());
        let (dropped_before, dropped) = segment.dropped_by_writer();
        let head = Head {
            key: segment.key().clone(),
            number: segment.number(),
            first_seq,
            dropped_before,
            scans: left_of(
                next_seq,
                first_seq,
                dropped.saturating_sub(dropped_before),
                &segment,
            ),
            extent: match segment.header().extent.load(relaxed) {
                1 => Extent::Whole,
                2 => Extent::Last,
                _ => Extent::Part,
            },
            bytes,
            believed,
        };
        segment.header().appended.begin_again(first_seq);
        segment.path = PathBuf::new();
        Ok((segment, head))
    }

    /// As [`Segment::read_copy`], from a file of this length, or what stands for one.
    pub(crate) fn read_copy_from(
        file: impl Read,
        len: u64,
        path: &Path,
    ) -> Result<Self, NotASegment> {
        Self::read_believed(file, len, path).map(|(segment, _)| segment)
    }

    /// And whether what changes in its header is what was written.
    fn read_believed(
        mut file: impl Read,
        len: u64,
        path: &Path,
    ) -> Result<(Self, bool), NotASegment> {
        match len {
            0 => return Err(NotASegment::Spare),
            len if len < HEADER as u64 || len > LONGEST => return Err(NotASegment::Damaged),
            _ => {}
        }
        // A record more than there is room for, since a mapping is longer than its header.
        let mut map = MmapMut::map_anon(len as usize + 8)?;
        file.read_exact(&mut map[..len as usize])?;
        let (bytes, checksum) = (&map[..CHECKSUM], &map[CHECKSUM..CHECKSUM + 4]);
        let believed = crc32c::crc32c(bytes).to_le_bytes() == *checksum;
        let mut segment = Self::of_map(map.into(), path.to_owned())?;
        segment.is_copy = true;
        let header = segment.header();
        let records = (len - HEADER as u64) & !7;
        header.marks().read_again(records);
        if !believed {
            header.marks().forget(segment.first_seq());
            header
                .extent
                .store(Extent::Part.as_u32(), Ordering::Relaxed);
            for reason in DropReason::ALL {
                segment.set_dropped(reason, 0);
            }
            // The one reason of the writer's that takes a number.
            segment.set_dropped(DropReason::LogFull, segment.dropped_by_writer().0);
        }
        Ok((segment, believed))
    }
}
