//! The fold over a partition's batches: which scans are new, which were there before, and which are missing. Pure.

use std::collections::BTreeMap;

use analytics::{Run, WriterPosition};
use scans::{ScanBatch, WriterKey};

/// How many missing intervals are kept of a writer. A batch comes late by seconds, so the oldest of thousands are drops by then;
/// they stay in the number that is missing, but are no longer waited for.
const MOST_INTERVALS: usize = 4_096;

/// What the fold needs of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Who wrote it.
    pub writer: WriterKey,
    /// The first scan's number; of an empty batch, the next that will be given.
    pub first_seq: u64,
    /// How many scans it has.
    pub count: u32,
    /// Those of them that could not be read, ascending.
    pub refused: Vec<u64>,
    /// How many numbers the writer has given to scans that it then dropped, since its boot.
    pub dropped: u64,
    /// When the broker took it; milliseconds since 1970.
    pub appended_ms: i64,
}

impl Head {
    /// Of a batch that the broker took at that time; milliseconds since 1970.
    pub fn of(batch: &ScanBatch, appended_ms: i64) -> Self {
        Self {
            writer: batch.writer.clone(),
            first_seq: batch.first_seq,
            count: batch.count,
            refused: batch.refused.iter().map(|refused| refused.seq).collect(),
            dropped: batch.dropped_numbers(),
            appended_ms,
        }
    }
}

/// What a batch brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// The scans that no earlier batch had, without those that could not be read.
    pub new: Vec<Run>,
    /// How many scans an earlier batch had already.
    pub replayed: u64,
}

/// Where the writers of one partition stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriterPositions(BTreeMap<WriterKey, WriterPosition>);

impl WriterPositions {
    /// As they were saved.
    pub fn new(saved: BTreeMap<WriterKey, WriterPosition>) -> Self {
        Self(saved)
    }

    /// One writer's.
    pub fn get(&self, writer: &WriterKey) -> Option<&WriterPosition> {
        self.0.get(writer)
    }

    /// Takes others' places where they are given.
    pub fn extend(&mut self, later: BTreeMap<WriterKey, WriterPosition>) {
        self.0.extend(later);
    }

    /// The scans that should have come and were not dropped either, of all writers.
    pub fn missing(&self) -> u64 {
        self.0
            .values()
            .map(|position| missing(position).saturating_sub(position.dropped))
            .sum()
    }

    /// Takes in a batch.
    pub fn fold(&mut self, head: &Head) -> Folded {
        let position = self.0.entry(head.writer.clone()).or_default();
        let intervals = advance(position, head.first_seq, u64::from(head.count));
        position.dropped = position.dropped.max(head.dropped);
        position.seen_ms = position.seen_ms.max(head.appended_ms);
        let new: u64 = intervals.iter().map(|(first, last)| last - first + 1).sum();
        Folded {
            new: without(&head.writer, &intervals, &head.refused),
            replayed: u64::from(head.count) - new,
        }
    }
}

fn missing(position: &WriterPosition) -> u64 {
    position.given_up
        + position
            .missing
            .iter()
            .map(|(first, last)| last - first + 1)
            .sum::<u64>()
}

/// Moves a writer's position over `[first, first + count)`; gives back what is new of it, as intervals with both ends inside.
fn advance(position: &mut WriterPosition, first: u64, count: u64) -> Vec<(u64, u64)> {
    let end = first + count;
    let mut new = Vec::new();
    // What was missing and comes now, late.
    if first < position.next && count > 0 {
        let mut still = Vec::with_capacity(position.missing.len() + 1);
        for &(from, to) in &position.missing {
            let (low, high) = (from.max(first), to.min(end - 1));
            if low > high {
                still.push((from, to));
                continue;
            }
            new.push((low, high));
            if from < low {
                still.push((from, low - 1));
            }
            if high < to {
                still.push((high + 1, to));
            }
        }
        position.missing = still;
    }
    if first > position.next {
        position.missing.push((position.next, first - 1));
        position.next = first;
    }
    if end > position.next {
        new.push((position.next, end - 1));
        position.next = end;
    }
    let surplus = position.missing.len().saturating_sub(MOST_INTERVALS);
    for (from, to) in position.missing.drain(..surplus) {
        position.given_up += to - from + 1;
    }
    new
}

/// The runs of these intervals, without single numbers (ascending).
fn without(writer: &WriterKey, intervals: &[(u64, u64)], refused: &[u64]) -> Vec<Run> {
    let mut runs = Vec::new();
    for &(first, last) in intervals {
        let mut from = first;
        for &hole in refused.iter().filter(|seq| (first..=last).contains(seq)) {
            if from < hole {
                runs.push(Run {
                    writer: writer.clone(),
                    first: from,
                    last: hole - 1,
                });
            }
            from = hole + 1;
        }
        if from <= last {
            runs.push(Run {
                writer: writer.clone(),
                first: from,
                last,
            });
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn head(first_seq: u64, count: u32) -> Head {
        let writer = WriterKey {
            edge: "e".into(),
            boot: 1,
            writer: 0,
        };
        Head {
            writer,
            first_seq,
            count,
            refused: Vec::new(),
            dropped: 0,
            appended_ms: 0,
        }
    }

    fn spans(folded: &Folded) -> Vec<(u64, u64)> {
        folded.new.iter().map(|run| (run.first, run.last)).collect()
    }

    #[test]
    fn a_replayed_batch_brings_nothing_and_is_counted() {
        let mut positions = WriterPositions::default();
        assert_eq!(spans(&positions.fold(&head(0, 10))), [(0, 9)]);
        let again = positions.fold(&head(0, 10));
        assert_eq!((again.new.len(), again.replayed), (0, 10));
        let overlapping = positions.fold(&head(5, 10));
        assert_eq!(
            (spans(&overlapping), overlapping.replayed),
            (vec![(10, 14)], 5)
        );
    }

    #[test]
    fn a_batch_that_comes_late_fills_its_gap() {
        let mut positions = WriterPositions::default();
        positions.fold(&head(0, 10));
        positions.fold(&head(20, 10));
        assert_eq!(positions.missing(), 10);
        let late = positions.fold(&head(12, 4));
        assert_eq!(
            (spans(&late), late.replayed, positions.missing()),
            (vec![(12, 15)], 0, 6)
        );
        assert_eq!(spans(&positions.fold(&head(8, 14))), [(10, 11), (16, 19)]);
        assert_eq!(positions.missing(), 0);
    }

    #[test]
    fn what_a_writer_dropped_is_a_gap_but_not_missing() {
        let mut positions = WriterPositions::default();
        positions.fold(&Head {
            dropped: 3,
            ..head(3, 1)
        });
        assert_eq!(positions.missing(), 0);
        positions.fold(&head(8, 0));
        assert_eq!(
            positions.missing(),
            4,
            "an empty batch tells that four more were written"
        );
    }

    #[test]
    fn a_scan_that_cannot_be_read_came_but_is_not_to_be_stored() {
        let mut positions = WriterPositions::default();
        let folded = positions.fold(&Head {
            refused: vec![0, 4, 9],
            ..head(0, 10)
        });
        assert_eq!((spans(&folded), folded.replayed), (vec![(1, 3), (5, 8)], 0));
        assert_eq!(positions.missing(), 0);
    }

    #[test]
    fn a_writer_of_many_gaps_takes_bounded_memory_and_its_number_stays_true() {
        let mut positions = WriterPositions::default();
        for n in 0..10_000 {
            positions.fold(&head(2 * n + 1, 1));
        }
        let position = positions.get(&head(0, 0).writer).expect("seen");
        assert_eq!(
            (position.missing.len(), positions.missing()),
            (MOST_INTERVALS, 10_000)
        );
    }

    proptest! {
        #[test]
        fn the_fold_is_a_set_of_numbers(batches in prop::collection::vec((0..60_u64, 0..12_u32), 1..40)) {
            let (mut positions, mut seen, mut highest) = (WriterPositions::default(), BTreeSet::new(), 0);
            for (first, count) in batches {
                let range = first..first + u64::from(count);
                let new: Vec<u64> = range.clone().filter(|seq| !seen.contains(seq)).collect();
                let folded = positions.fold(&head(first, count));
                let brought: Vec<u64> = folded.new.iter().flat_map(|run| run.first..=run.last).collect();
                prop_assert_eq!(folded.replayed, u64::from(count) - new.len() as u64);
                prop_assert_eq!(brought, new.clone());
                seen.extend(new);
                highest = highest.max(range.end);
                prop_assert_eq!(positions.missing(), highest - seen.len() as u64);
            }
        }
    }
}
