//! The ledger's numbers, from the headers and the rows that the store has, against what is so.

use std::collections::BTreeMap;

use scans::{DropReason, WriterKey};

use crate::kafka::{Batch, Drops};
use crate::truth::{Checked, Fate, Writer, ensure};
use crate::world::World;

/// What a writer's headers say of it.
#[derive(Default)]
struct Said {
    next: u64,
    dropped: Drops,
}

impl World {
    /// Every batch has left its header, and they tell of each writer what is so.
    pub fn check_ledger(&self) -> Checked {
        let headers = &self.store.headers;
        let mut batches = 0;
        for (number, partition) in (0..).zip(&self.kafka.partitions) {
            for (offset, batch) in (0..).zip(&partition.log) {
                let header = headers.get(&(number, offset));
                ensure(header == batch.as_ref(), || {
                    format!(
                        "record {offset} of partition {number} is {batch:?}, and its header {header:?}"
                    )
                })?;
                batches += usize::from(batch.is_some());
            }
        }
        ensure(headers.len() == batches, || {
            format!("{} headers of {batches} batches", headers.len())
        })?;
        let mut said: BTreeMap<&WriterKey, Said> = BTreeMap::new();
        for Batch { head, dropped } in headers.values() {
            let said = said.entry(&head.writer).or_default();
            said.next = said.next.max(head.first_seq + u64::from(head.count));
            for (reason, count) in dropped {
                let running = said.dropped.entry(reason.clone()).or_default();
                *running = (*running).max(*count);
            }
        }
        for (key, writer) in &self.truth.writers {
            let said = said.get(key);
            match said {
                Some(said) if writer.lost => self.check_lost(key, said, writer)?,
                Some(said) => self.check_ended(key, said, writer)?,
                // It has never had room for anything.
                None => {
                    let unheard = |fate| matches!(fate, Fate::LogFull);
                    let all = writer.scans.iter().all(|scan| unheard(scan.fate));
                    ensure(all || writer.lost, || format!("{key} has left no header"))?;
                }
            }
        }
        Ok(())
    }

    /// Numbers of which there is neither a scan nor a dead record.
    fn missing(&self, key: &WriterKey, said: &Said) -> u64 {
        let is_there =
            |seq: u64| self.store.has(key, seq) || self.store.dead_scans.contains(&key.scan(seq));
        (0..said.next).filter(|seq| !is_there(*seq)).count() as u64
    }

    fn check_ended(&self, key: &WriterKey, said: &Said, writer: &Writer) -> Checked {
        let accepted = writer.scans.len() as u64;
        ensure(said.next == accepted, || {
            format!(
                "{key} has given {accepted} numbers, and by its headers {}",
                said.next
            )
        })?;
        let count = |fate| writer.scans.iter().filter(|scan| scan.fate == fate).count() as u64;
        let expected = [
            (DropReason::LogFull, count(Fate::LogFull)),
            (DropReason::UnknownCap, writer.unknown),
            (DropReason::Refused, count(Fate::Refused)),
            (DropReason::Corrupt, count(Fate::Damaged)),
        ];
        for (reason, expected) in expected {
            let told = said.dropped.get(reason.as_str()).copied().unwrap_or(0);
            ensure(told == expected, || {
                format!("{key} has dropped {expected} as {reason:?}, and tells of {told}")
            })?;
        }
        let numbered = expected
            .iter()
            .filter(|(reason, _)| *reason != DropReason::UnknownCap);
        let dropped: u64 = numbered.map(|(_, count)| count).sum();
        let missing = self.missing(key, said);
        ensure(missing == dropped, || {
            format!("{missing} scans of {key} are missing, and {dropped} were dropped")
        })
    }

    /// Of a writer that is gone with its machine, what it has told is so.
    fn check_lost(&self, key: &WriterKey, said: &Said, writer: &Writer) -> Checked {
        let heard = writer
            .scans
            .get(..said.next as usize)
            .ok_or_else(|| format!("{key} tells of {} numbers, and has given fewer", said.next))?;
        let gone = heard.iter().filter(|scan| !scan.in_log).count() as u64;
        let missing = self.missing(key, said);
        ensure(missing == gone, || {
            format!("{missing} scans of {key} are missing, and {gone} never came")
        })
    }
}
