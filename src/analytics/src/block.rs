//! A block: what one contiguous range of a partition's batches brings to the store at once.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use scans::{ScanId, WriterKey};

use crate::Row;

/// A log of batches: a Kafka partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// The Kafka cluster's id.
    pub cluster: String,
    /// The topic's full name.
    pub topic: String,
    /// The partition.
    pub partition: i32,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.cluster, self.topic, self.partition)
    }
}

/// Where a block's batches lie: both offsets are inside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlockRange {
    /// The partition.
    pub source: Source,
    /// The first batch's offset.
    pub first: i64,
    /// The last batch's offset.
    pub last: i64,
}

impl fmt::Display for BlockRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}-{}", self.source, self.first, self.last)
    }
}

/// What is inserted at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The batches it is made of.
    pub range: BlockRange,
    /// What the tokens of its inserts begin with ([`month_token`]): the store may drop a second insert of the same token, and must not rely
    /// on it.
    pub token: String,
    /// The scans that no earlier block had.
    pub rows: Vec<Row>,
    /// What each batch's header says, for the ledger.
    pub headers: Vec<BatchHeader>,
    /// Records that could not be read.
    pub dead: Vec<DeadRecord>,
    /// Where the writers that it moved stand after this block, to be saved with it; none: they are saved apart.
    pub positions: Option<Positions>,
}

impl Block {
    /// The identities of its rows.
    pub fn runs(&self) -> Vec<Run> {
        Run::of(self.rows.iter().map(|row| &row.id))
    }
}

/// The token of an insert of those of a block's scans that are of one month: the same for the same scans, whatever has become of the block's
/// other months, and another for others.
pub fn month_token<'a>(
    block: &str,
    month: &str,
    scans: impl IntoIterator<Item = &'a ScanId>,
) -> String {
    format!("{block}:{month}:{:016x}", Run::digest(&Run::of(scans)))
}

/// A batch's header: a line of table `ledger`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Its offset in the block's partition.
    pub offset: i64,
    /// Who wrote it.
    pub writer: WriterKey,
    /// The first scan's number; for an empty batch the next one's.
    pub first_seq: u64,
    /// How many scans it has.
    pub count: u32,
    /// What the writer has dropped since its boot, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// When the broker, or standalone's own store, took it.
    pub appended_at: Timestamp,
}

/// A record that could not be read: a line of table `scans_dead`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadRecord {
    /// The offset in the block's partition of the record that it is, or lies in.
    pub offset: i64,
    /// For a single scan of a batch, its identity.
    pub scan: Option<ScanId>,
    /// When the broker took it.
    pub appended_at: Timestamp,
    /// Why it could not be read.
    pub reason: String,
    /// The record as it lies in the log.
    pub bytes: Vec<u8>,
}

/// Consecutive scans of one writer: both numbers are inside.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Run {
    /// Who wrote them.
    pub writer: WriterKey,
    /// The first scan's number.
    pub first: u64,
    /// The last scan's number.
    pub last: u64,
}

impl Run {
    /// The fewest runs that hold exactly these scans.
    pub fn of<'a>(ids: impl IntoIterator<Item = &'a ScanId>) -> Vec<Self> {
        let mut ids: Vec<&ScanId> = ids.into_iter().collect();
        ids.sort_unstable();
        let mut runs: Vec<Self> = Vec::new();
        for id in ids {
            match runs.last_mut() {
                Some(run) if run.holds(id) => {}
                Some(run) if run.writer.scan(run.last + 1) == *id => run.last = id.seq,
                _ => runs.push(Self {
                    writer: writer_of(id),
                    first: id.seq,
                    last: id.seq,
                }),
            }
        }
        runs
    }

    /// The same for the same runs in any version of this program: FNV-1a over their writers and numbers.
    pub fn digest(runs: &[Self]) -> u64 {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let mut take = |bytes: &[u8]| {
            for byte in bytes {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        };
        for run in runs {
            take(run.writer.edge.as_bytes());
            // No text holds this byte, so that two names cannot run into each other.
            take(&[0xff]);
            take(&run.writer.boot.to_le_bytes());
            take(&run.writer.writer.to_le_bytes());
            take(&run.first.to_le_bytes());
            take(&run.last.to_le_bytes());
        }
        hash
    }

    /// Whether the scan is one of them.
    pub fn holds(&self, id: &ScanId) -> bool {
        (self.first..=self.last).contains(&id.seq) && self.writer.scan(id.seq) == *id
    }

    /// How many scans it holds.
    pub fn scans(&self) -> u64 {
        self.last - self.first + 1
    }
}

fn writer_of(id: &ScanId) -> WriterKey {
    WriterKey {
        edge: id.edge.clone(),
        boot: id.boot,
        writer: id.writer,
    }
}

/// Where one writer's scans stand in one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriterPosition {
    /// The number after the highest seen.
    pub next: u64,
    /// What is missing below it: first and last number, both inside, ascending.
    pub missing: Vec<(u64, u64)>,
    /// How many more are missing that are no longer waited for.
    pub given_up: u64,
    /// How many numbers the writer says it has given to scans that it then dropped.
    pub dropped: u64,
    /// When the broker took the latest batch; milliseconds since 1970.
    pub seen_ms: i64,
}

/// Writers' positions in one partition: a pure fold over its batches below `offset`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Positions {
    /// The partition.
    pub source: Source,
    /// The next batch to fold in.
    pub offset: i64,
    /// By writer.
    pub writers: BTreeMap<WriterKey, WriterPosition>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(edge: &str, seq: u64) -> ScanId {
        ScanId {
            edge: edge.into(),
            boot: 1,
            writer: 0,
            seq,
        }
    }

    #[test]
    fn runs_hold_exactly_the_scans_given_in_any_order() {
        let ids = [
            id("b", 0),
            id("a", 7),
            id("a", 5),
            id("a", 6),
            id("a", 9),
            id("a", 7),
        ];
        let runs: Vec<_> = Run::of(&ids)
            .into_iter()
            .map(|r| (r.writer.edge.to_string(), r.first, r.last, r.scans()))
            .collect();
        assert_eq!(
            runs,
            [
                ("a".to_owned(), 5, 7, 3),
                ("a".to_owned(), 9, 9, 1),
                ("b".to_owned(), 0, 0, 1)
            ]
        );
    }
}
