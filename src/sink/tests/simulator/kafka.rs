//! A model of Kafka: a log for each partition, the group's committed offsets with their metadata, and its generations. The coordinator looks at
//! a commit's member and generation, not at whose partition it is, and librdkafka sends the generation that it knows when it sends: so a process
//! that has not heard of a rebalance is refused, and one that has may still commit for a partition that it gave away.

use std::collections::{BTreeMap, BTreeSet};

use scans::{EncodedBatch, ScanBatch, WriterKey};
use sink::positions::Head;

use crate::truth::{Checked, Fate, Truth, ensure};

pub struct Kafka {
    pub up: bool,
    pub partitions: Vec<Partition>,
    /// Batches of producers that are gone, which the broker may take later or never.
    pub strays: Vec<EncodedBatch>,
    /// Commits of sinks that have given the partition away meanwhile.
    pub late_commits: Vec<LateCommit>,
}

pub struct LateCommit {
    pub sink: usize,
    pub partition: usize,
    pub offset: i64,
    pub metadata: String,
}

/// How many scans a writer has dropped, by reason, as a batch says.
pub type Drops = BTreeMap<String, u64>;

/// A batch in the log: what the protocol looks at, and what else stands in its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub head: Head,
    pub dropped: Drops,
}

#[derive(Default)]
pub struct Partition {
    /// None: a record that is no batch.
    pub log: Vec<Option<Batch>>,
    pub committed: Option<(i64, String)>,
    /// The sink that has it.
    pub owner: Option<usize>,
    pub generation: u64,
    /// Its owner is not the last who committed.
    pub is_overtaken: bool,
}

impl Kafka {
    pub fn new(partitions: usize) -> Self {
        Self {
            up: true,
            partitions: (0..partitions).map(|_| Partition::default()).collect(),
            strays: Vec::new(),
            late_commits: Vec::new(),
        }
    }

    /// The broker takes a batch.
    pub fn append(&mut self, batch: &EncodedBatch, truth: &mut Truth) -> Checked {
        let number = batch.partition.ok_or("a batch without a partition")? as usize;
        let read = ScanBatch::decode(&batch.bytes).map_err(|error| error.to_string())?;
        let told = (&read.writer, read.first_seq, read.count);
        ensure(
            told == (&batch.writer, batch.first_seq, batch.count) && read.refused.is_empty(),
            || format!("a batch says of itself {told:?}, and {batch:?} was sent"),
        )?;
        let log = &mut self.partitions[number].log;
        let mut head = Head::of(&read, log.len() as i64);
        let scans = truth.batch(&read.writer, read.first_seq, read.count);
        ensure(scans.len() == read.count as usize, || {
            format!("{told:?} were sent, and not all are accepted")
        })?;
        for (seq, scan) in (read.first_seq..).zip(scans) {
            scan.in_log = true;
            match scan.fate {
                Fate::Recorded => {}
                Fate::Unreadable => head.refused.push(seq),
                fate => return Err(format!("{}-{seq} was sent and is {fate:?}", read.writer)),
            }
        }
        let dropped = read.dropped.into_iter().collect();
        log.push(Some(Batch { head, dropped }));
        Ok(())
    }

    /// The group takes an offset from a member of this generation, or refuses.
    pub fn commit(
        &mut self,
        number: usize,
        generation: Option<u64>,
        offset: i64,
        metadata: &str,
    ) -> bool {
        let partition = &mut self.partitions[number];
        let is_member = generation.is_none_or(|generation| generation == partition.generation);
        if is_member {
            partition.committed = Some((offset, metadata.to_owned()));
        }
        is_member
    }

    /// A commit comes late, of a member that has given the partition away.
    pub fn commit_late(&mut self, at: usize) {
        let commit = self.late_commits.swap_remove(at);
        let partition = &mut self.partitions[commit.partition];
        partition.committed = Some((commit.offset, commit.metadata));
        partition.is_overtaken = true;
    }

    /// Those of this sink.
    pub fn commit_own_late(&mut self, partition: usize, sink: usize) {
        let is_own = |commit: &LateCommit| (commit.partition, commit.sink) == (partition, sink);
        while let Some(at) = self.late_commits.iter().position(is_own) {
            self.commit_late(at);
        }
    }

    /// Gives a partition to a sink, or takes it from everyone.
    pub fn assign(&mut self, number: usize, owner: Option<usize>) {
        let partition = &mut self.partitions[number];
        partition.owner = owner;
        partition.generation += 1;
        partition.is_overtaken = false;
    }
}

/// What a partition's log says of a writer, as a plain set of numbers.
#[derive(Default)]
pub struct Told {
    pub seqs: BTreeSet<u64>,
    pub end: u64,
    pub dropped: u64,
}

impl Told {
    /// Numbers below the highest that no batch has brought.
    pub fn gaps(&self) -> u64 {
        self.end - self.seqs.len() as u64
    }
}

impl Partition {
    pub fn told(&self) -> BTreeMap<WriterKey, Told> {
        let mut writers: BTreeMap<WriterKey, Told> = BTreeMap::new();
        for Batch { head, .. } in self.log.iter().flatten() {
            let told = writers.entry(head.writer.clone()).or_default();
            let end = head.first_seq + u64::from(head.count);
            told.seqs.extend(head.first_seq..end);
            told.end = told.end.max(end);
            told.dropped = told.dropped.max(head.dropped);
        }
        writers
    }
}
