//! How a question's time is divided: hours that the rollups answer, and the rest, which the scans themselves answer.

use std::cmp::Reverse;
use std::ops::Range;

/// An hour in microseconds.
const HOUR: i64 = 3_600_000_000;

/// The most ranges of scans that one statement asks for. Beyond that, hours between them are asked for as well, though their rollups hold.
const MOST_RANGES: usize = 32;

/// A question's time in two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Division {
    /// Hours by their numbers, in runs, ascending.
    pub(crate) rolled: Vec<Range<i64>>,
    /// Microseconds since 1970, ascending: all that is not in those hours.
    pub(crate) raw: Vec<Range<i64>>,
}

impl Division {
    /// Of a time in microseconds, by the hours in it whose rollups hold: runs, ascending, that do not touch.
    pub(crate) fn of(time: Range<i64>, mut holding: Vec<Range<i64>>) -> Self {
        if holding.len() >= MOST_RANGES {
            holding.sort_by_key(|run| Reverse(run.end - run.start));
            holding.truncate(MOST_RANGES - 1);
            holding.sort_by_key(|run| run.start);
        }
        let mut raw = Vec::new();
        let mut from = time.start;
        for run in &holding {
            raw.push(from..run.start * HOUR);
            from = run.end * HOUR;
        }
        raw.push(from..time.end);
        raw.retain(|range| range.start < range.end);
        Self {
            rolled: holding,
            raw,
        }
    }

    /// All of it from the scans.
    pub(crate) fn raw(time: Range<i64>) -> Self {
        Self::of(time, Vec::new())
    }

    /// Whether an hour is answered by its rollup.
    pub(crate) fn rolls(&self, hour: i64) -> bool {
        let behind = self.rolled.partition_point(|run| run.end <= hour);
        self.rolled
            .get(behind)
            .is_some_and(|run| run.contains(&hour))
    }
}

/// The numbers of the hours that lie wholly in a time in microseconds.
pub(crate) fn whole_hours(time: &Range<i64>) -> Range<i64> {
    let first = time.start.div_euclid(HOUR) + i64::from(time.start.rem_euclid(HOUR) > 0);
    first..time.end.div_euclid(HOUR).max(first)
}

/// Runs of hours, of their numbers, ascending.
pub(crate) fn runs(hours: impl IntoIterator<Item = i64>) -> Vec<Range<i64>> {
    let mut runs: Vec<Range<i64>> = Vec::new();
    for hour in hours {
        match runs.last_mut() {
            Some(run) if run.end == hour => run.end += 1,
            _ => runs.push(hour..hour + 1),
        }
    }
    runs
}

/// Runs of all hours but some, which are given ascending.
pub(crate) fn without(all: Range<i64>, some: impl IntoIterator<Item = i64>) -> Vec<Range<i64>> {
    let mut runs = Vec::new();
    let mut from = all.start;
    for hour in some {
        runs.push(from..hour);
        from = hour + 1;
    }
    runs.push(from..all.end);
    runs.retain(|run| run.start < run.end);
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_hours_are_those_that_begin_and_end_inside() {
        assert_eq!(whole_hours(&(0..2 * HOUR)), 0..2);
        assert_eq!(whole_hours(&(1..2 * HOUR)), 1..2);
        assert_eq!(whole_hours(&(0..2 * HOUR - 1)), 0..1);
        assert_eq!(whole_hours(&(1..HOUR)), 1..1);
        assert_eq!(whole_hours(&(HOUR + 1..HOUR + 2)), 2..2);
    }

    #[test]
    fn what_no_rollup_answers_is_asked_of_the_scans_and_nothing_twice() {
        let division = Division::of(HOUR / 2..8 * HOUR + 1, vec![1..3, 5..8]);
        assert_eq!(
            division.raw,
            [HOUR / 2..HOUR, 3 * HOUR..5 * HOUR, 8 * HOUR..8 * HOUR + 1]
        );
        let rolled: Vec<i64> = (0..10).filter(|hour| division.rolls(*hour)).collect();
        assert_eq!(rolled, [1, 2, 5, 6, 7]);
        assert_eq!(Division::of(0..9 * HOUR, vec![0..4, 4..9]).raw, []);
        assert_eq!(Division::raw(3..9).raw.first(), Some(&(3..9)));
        assert_eq!(Division::raw(3..3).raw, []);
    }

    #[test]
    fn where_it_would_be_too_many_ranges_the_shortest_runs_are_read_from_the_scans() {
        let mut holding: Vec<_> = (0..100).map(|n| 10 * n..10 * n + 1).collect();
        holding[50] = 500..507;
        let division = Division::of(0..1_000 * HOUR, holding);
        assert_eq!(division.rolled.len(), MOST_RANGES - 1);
        assert!(division.rolled.contains(&(500..507)));
        assert!(division.rolled.is_sorted_by_key(|run| run.start));
        assert_eq!(division.raw.len(), MOST_RANGES - 1); // the first run begins with the time
        let rolled: i64 = division.rolled.iter().map(|run| run.end - run.start).sum();
        let raw: i64 = division
            .raw
            .iter()
            .map(|range| range.end - range.start)
            .sum();
        assert_eq!(
            rolled * HOUR + raw,
            1_000 * HOUR,
            "nothing twice, all of it once"
        );
    }

    #[test]
    fn runs_are_told_by_what_is_in_them_or_by_what_is_not() {
        assert_eq!(runs([1, 2, 3, 7, 9, 10]), [1..4, 7..8, 9..11]);
        assert_eq!(runs([]), []);
        assert_eq!(without(1..11, [4, 5, 6, 8]), [1..4, 7..8, 9..11]);
        assert_eq!(without(1..3, [1, 2]), []);
        assert_eq!(without(5..5, []), []);
    }
}
