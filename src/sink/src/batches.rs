//! Records of a partition, and the block that consecutive ones make. Pure.

use std::collections::BTreeMap;

use analytics::{Run, WriterPosition};
use scans::WriterKey;

use crate::intent::Intent;
use crate::positions::{Head, WriterPositions};

/// A record of the partition. The machine looks at the head alone; `content` is for whoever stores it.
#[derive(Clone, Debug)]
pub struct Record<C> {
    /// Where it lies.
    pub offset: i64,
    /// None: it could not be read.
    pub head: Option<Head>,
    /// The rest.
    pub content: C,
}

/// A block: consecutive records, and what is new in them.
#[derive(Debug)]
pub struct Batches<C> {
    /// Its records, ascending, at least one.
    pub records: Vec<Record<C>>,
    /// The scans to store.
    pub new: Vec<Run>,
    /// How many scans were dropped as replays.
    pub replayed: u64,
    /// How many records, and scans in them, could not be read.
    pub unreadable: u64,
    after: BTreeMap<WriterKey, WriterPosition>,
    scans: u64,
}

impl<C> Default for Batches<C> {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            new: Vec::new(),
            replayed: 0,
            unreadable: 0,
            after: BTreeMap::new(),
            scans: 0,
        }
    }
}

impl<C> Batches<C> {
    /// The first record's offset.
    pub fn first(&self) -> i64 {
        self.records.first().map_or(0, |record| record.offset)
    }

    /// The last record's offset.
    pub fn last(&self) -> i64 {
        self.records.last().map_or(0, |record| record.offset)
    }

    /// How many scans are to be stored.
    pub fn scans(&self) -> u64 {
        self.scans
    }

    /// Where the writers that it moves stand after it.
    pub fn after(&self) -> &BTreeMap<WriterKey, WriterPosition> {
        &self.after
    }

    /// The same, for good.
    pub(crate) fn into_after(self) -> BTreeMap<WriterKey, WriterPosition> {
        self.after
    }

    /// Adds the next record, and moves the positions over it.
    pub fn push(&mut self, record: Record<C>, positions: &mut WriterPositions) {
        if let Some(head) = &record.head {
            let folded = positions.fold(head);
            let position = positions.get(&head.writer).cloned().unwrap_or_default();
            self.after.insert(head.writer.clone(), position);
            self.scans += folded.new.iter().map(Run::scans).sum::<u64>();
            self.replayed += folded.replayed;
            extend(&mut self.new, folded.new);
            self.unreadable += head.refused.len() as u64;
        } else {
            self.unreadable += 1;
        }
        self.records.push(record);
    }

    /// What is intended of it.
    pub(crate) fn intent(&self) -> Intent {
        Intent {
            last: self.last(),
            scans: self.scans,
            digest: Run::digest(&self.new),
        }
    }
}

/// Adds runs, joining each to its writer's latest where it follows on it. Writers that share a partition take turns there, and a run for each
/// of their batches would make the questions to the store as long as the block.
fn extend(runs: &mut Vec<Run>, more: Vec<Run>) {
    for run in more {
        match runs.iter_mut().rfind(|other| other.writer == run.writer) {
            Some(latest) if latest.last + 1 == run.first => latest.last = run.last,
            _ => runs.push(run),
        }
    }
}
