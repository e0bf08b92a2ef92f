//! What the protocol is told, and what it answers.

use std::collections::HashSet;

use analytics::{Counted, Positions, Run};
use scans::ScanId;

use crate::batches::Record;

/// What happened.
#[derive(Debug)]
pub enum Event<C> {
    /// The group's committed offset and its metadata (none: never committed), and the offset behind the last record.
    Assigned {
        /// Where the group stands.
        committed: Option<i64>,
        /// What was committed with it.
        metadata: String,
        /// The partition's end.
        end: i64,
    },
    /// A record was read.
    Read(Record<C>),
    /// What was collected has waited long enough.
    Flush,
    /// The answer to [`Command::Load`].
    Loaded(Option<Positions>),
    /// The answer to [`Command::EndInserts`].
    InsertsEnded,
    /// The answer to [`Command::Count`].
    Counted(Counted),
    /// The answer to [`Command::Find`].
    Found(HashSet<ScanId>),
    /// The answer to [`Command::Insert`].
    Inserted,
    /// The answer to [`Command::Commit`].
    Committed,
    /// What was asked for last was not done, or nobody knows.
    Failed,
}

/// What to do. At most one is open at a time; the next event but `Read` and `Flush` is its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Load the writers' positions as of this offset.
    Load {
        /// The committed offset.
        up_to: i64,
    },
    /// Read on from here (none: from the beginning). Has no answer but records.
    Seek(Option<i64>),
    /// End what an earlier sink, or a failed try, may still be inserting from this partition.
    EndInserts,
    /// Count what is stored of these.
    Count(Vec<Run>),
    /// Look which of these are stored.
    Find(Vec<Run>),
    /// Insert the block in flight: see [`Protocol::in_flight`](super::Protocol::in_flight).
    Insert {
        /// What the insert's tokens begin with: see [`analytics::month_token`].
        token: String,
        /// The scans to insert: all that are new in the block, those found missing, or none, of a block whose scans are there.
        only: Vec<Run>,
    },
    /// Commit the offset with its metadata.
    Commit {
        /// The next batch to store.
        offset: i64,
        /// The intent, or nothing.
        metadata: String,
    },
}

/// What became of a block that is settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Scans stored.
    pub scans: u64,
    /// Scans that an earlier batch had.
    pub replayed: u64,
    /// Records and scans set aside.
    pub unreadable: u64,
}
