//! Segments in memory that no file stands behind, for the simulator: what a kill leaves is the mapping itself, handed on.

use std::io;
use std::path::PathBuf;

use memmap2::{MmapMut, MmapRaw};

use super::{NotASegment, Segment, Spare};

/// What a process that was killed leaves of a segment.
pub(crate) struct Left(MmapRaw);

impl Spare {
    /// As [`Spare::create`], without the file. The name alone is kept.
    pub(crate) fn create_anonymous(path: PathBuf, bytes: u64) -> io::Result<Self> {
        let map = MmapMut::map_anon(bytes as usize)?; // rule 1: nobody else can get at it
        Ok(Self {
            map: map.into(),
            path,
        })
    }
}

impl Segment {
    /// What is left when its process is gone.
    pub(crate) fn into_left(self) -> Left {
        Left(self.map)
    }
}

impl Left {
    /// As [`Segment::adopt`].
    pub(crate) fn adopt(self) -> Result<Segment, NotASegment> {
        Segment::of_map(self.0, PathBuf::new())
    }
}
