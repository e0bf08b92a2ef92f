//! Segments in memory that no file stands behind, for the simulator: what a kill leaves is the mapping itself, handed on.
// Our own tests have use for the first of it alone.
#![cfg_attr(not(feature = "simulation"), allow(dead_code))]

use std::io;
use std::path::PathBuf;

use memmap2::{MmapMut, MmapRaw};

use super::{NotASegment, Segment, Spare};
use crate::WriterKey;
use crate::frame::{self, Found};

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

    /// Damages the first record that is not acknowledged and is chosen, in one bit of one of its bytes; the second number says which byte.
    pub(crate) fn damage(
        self,
        mut choose: impl FnMut(&WriterKey, u64) -> Option<usize>,
    ) -> Result<Self, NotASegment> {
        let segment = self.adopt()?;
        let (bytes, mut at) = (segment.records(), segment.acknowledged());
        let mut chosen = None;
        while let Found::Record { seq, payload, end } = frame::read(bytes, at, segment.seed(), 0) {
            if let Some(byte) = choose(segment.key(), seq) {
                chosen = Some(at + byte % (frame::HEAD + payload.len()));
                break;
            }
            at = end;
        }
        if let Some(at) = chosen {
            // SAFETY: the byte lies among the records, so inside the mapping (rule 1), and nobody else has the segment.
            unsafe { *segment.data().add(at) ^= 1 };
        }
        Ok(segment.into_left())
    }
}
