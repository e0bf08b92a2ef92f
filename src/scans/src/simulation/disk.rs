//! A machine's disk with its spool, in memory: what the spool's thread does, without a thread. Whether it does it now is the simulator's to say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Edge;
use crate::WriterKey;
use crate::adoption::{Found, Known, take_copies};
use crate::boots::copy_name;
use crate::segment::{Head, NotASegment, Segment};
use crate::source::ToCopy;
use crate::survey::Survey;
use crate::unread::Spooled;

/// The files of a spool.
#[derive(Default)]
pub struct Disk(BTreeMap<PathBuf, Vec<u8>>);

impl Disk {
    /// The names of what there is.
    pub fn names(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Up to which number each writer's scans are there, if they had not been delivered before.
    pub fn ends(&self) -> Result<BTreeMap<WriterKey, u64>, String> {
        let mut ends = BTreeMap::new();
        for path in self.0.keys() {
            let segment = self.read(path).map_err(|error| error.to_string())?;
            let survey = Survey::of(&segment, segment.records().len());
            let end: &mut u64 = ends.entry(segment.key().clone()).or_default();
            *end = survey.next_seq.max(*end);
        }
        Ok(ends)
    }

    /// What there is to be taken over beside what is in memory.
    pub(super) fn take_over(
        &mut self,
        in_memory: &[Found],
        known: &mut Known,
    ) -> Result<Vec<Found>, NotASegment> {
        let copies = self.0.iter().map(|(path, bytes)| {
            let read = Segment::read_copy_head_from(&bytes[..], bytes.len() as u64, path);
            read.map(|(segment, head)| (segment, Spooled::new(head, path.clone())))
        });
        let (alone, stale) = take_copies(in_memory, copies.collect::<Result<_, _>>()?, known);
        for path in stale {
            self.0.remove(&path);
        }
        Ok(alone)
    }

    /// All of a segment is stored: its copy goes.
    pub(super) fn remove(&mut self, segment: &Segment) {
        self.0.remove(&path_of(segment));
    }

    fn read(&self, path: &Path) -> Result<Segment, NotASegment> {
        let bytes = self.0.get(path).ok_or(NotASegment::Spare)?;
        Segment::read_copy_from(&bytes[..], bytes.len() as u64, path)
    }

    fn write(&mut self, what: &ToCopy) -> Result<(), String> {
        let header = what
            .segment
            .copy_header(what.to, what.next_seq, what.extent);
        let header = header.map_err(|error| error.to_string())?;
        let file = self.0.entry(path_of(&what.segment)).or_default();
        file.resize(header.len() + what.from, 0);
        file[..header.len()].copy_from_slice(&header);
        file.extend_from_slice(&what.segment.records()[what.from..what.to]);
        Ok(())
    }
}

fn path_of(segment: &Segment) -> PathBuf {
    match segment.is_copy() {
        true => segment.path().to_owned(),
        false => {
            let key = segment.key();
            copy_name(key.boot, key.writer, segment.number()).into()
        }
    }
}

impl Edge {
    /// Memory that is short is given back, of segments that are on disk.
    pub fn give_back(&mut self) {
        let Self {
            sources,
            spares,
            disk,
            boot,
            ..
        } = self;
        let copy = |segment: &Segment| {
            let path = path_of(segment);
            let next = segment.next().filter(|_| disk.0.contains_key(&path))?;
            Some(Spooled::new(Head::of(segment, next), path))
        };
        for source in sources.each() {
            while spares.are_short() {
                let Some(segment) = source.take_copied(copy) else {
                    break;
                };
                super::retire(spares, segment, *boot);
            }
        }
    }

    /// The next segments of writers of which they are only on disk come into memory.
    pub fn load(&mut self, now: Instant) {
        for source in self.sources.each() {
            if let Some(path) = source.next_to_load(now).map(|next| next.path.clone()) {
                let given_up = source.loaded(self.disk.read(&path), now);
                debug_assert!(given_up.is_none(), "{path:?} cannot be read");
            }
        }
    }

    /// What waits for longer than that, or all there is, is written to disk: one segment of it. Whether there was one.
    pub fn spool(&mut self, after: Duration, all: bool, now: Instant) -> Result<bool, String> {
        let short = self.spares.are_short();
        for source in self.sources.each() {
            source.note_overdue(after, now);
            if let Some(what) = source.next_copy(short, all) {
                self.disk.write(&what)?;
                let number = what.segment.number();
                source.set_copied(number, what.to, what.extent);
                return Ok(true);
            }
        }
        Ok(false)
    }
}
