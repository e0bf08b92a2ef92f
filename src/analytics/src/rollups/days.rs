//! Days in UTC, by their numbers since 1970, and their hours.

use std::cmp::Reverse;
use std::ops::Range;

use super::without;

/// How many hours a day has in UTC.
pub(crate) const HOURS_OF_DAY: i64 = 24;

/// The most runs of days that one statement asks for. Beyond that, days between them are asked for by their hours.
const MOST_RUNS: usize = 32;

/// The numbers of a day's hours.
pub(crate) fn hours_of_day(day: i64) -> Range<i64> {
    day * HOURS_OF_DAY..(day + 1) * HOURS_OF_DAY
}

/// The days that lie wholly in a run of hours.
pub(crate) fn whole_days(run: &Range<i64>) -> Range<i64> {
    let first =
        run.start.div_euclid(HOURS_OF_DAY) + i64::from(run.start.rem_euclid(HOURS_OF_DAY) > 0);
    first..run.end.div_euclid(HOURS_OF_DAY).max(first)
}

/// Hours whose rollups hold, told by days as far as theirs hold too; all in runs, ascending.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ByDay {
    pub(crate) days: Vec<Range<i64>>,
    /// Beside those days.
    pub(crate) hours: Vec<Range<i64>>,
}

impl ByDay {
    /// Of runs of hours that do not touch, by the days whose rollups do not hold. Both ascending.
    pub(crate) fn of(runs: &[Range<i64>], missing: &[i64]) -> Self {
        let mut days: Vec<Range<i64>> = Vec::new();
        for run in runs {
            let whole = whole_days(run);
            let some = missing.partition_point(|day| *day < whole.start)
                ..missing.partition_point(|day| *day < whole.end);
            days.extend(without(whole, missing[some].iter().copied()));
        }
        if days.len() > MOST_RUNS {
            days.sort_by_key(|run| Reverse(run.end - run.start));
            days.truncate(MOST_RUNS);
            days.sort_by_key(|run| run.start);
        }
        let mut hours = Vec::new();
        for run in runs {
            let mut from = run.start;
            for days in &days {
                let of_days = days.start * HOURS_OF_DAY..days.end * HOURS_OF_DAY;
                if run.contains(&of_days.start) {
                    hours.push(from..of_days.start);
                    from = of_days.end;
                }
            }
            hours.push(from..run.end);
        }
        hours.retain(|run| run.start < run.end);
        Self { days, hours }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_whole_where_all_of_its_hours_are() {
        assert_eq!(hours_of_day(2), 48..72);
        assert_eq!(whole_days(&(0..24)), 0..1);
        assert_eq!(whole_days(&(1..72)), 1..3);
        assert_eq!(whole_days(&(0..71)), 0..2);
        assert!(whole_days(&(30..40)).is_empty());
        assert!(whole_days(&(25..47)).is_empty());
    }

    #[test]
    fn hours_are_told_by_their_days_where_those_hold_and_none_twice() {
        let told = |runs: &[(i64, i64)], missing: &[i64]| {
            let runs: Vec<Range<i64>> = runs.iter().map(|(from, to)| *from..*to).collect();
            let ByDay { days, hours } = ByDay::of(&runs, missing);
            let ends = |runs: Vec<Range<i64>>| {
                let ends = runs.into_iter().map(|run| (run.start, run.end));
                ends.collect::<Vec<_>>()
            };
            (ends(days), ends(hours))
        };
        assert_eq!(told(&[(0, 24)], &[]), (vec![(0, 1)], vec![]));
        assert_eq!(told(&[(0, 24)], &[0]), (vec![], vec![(0, 24)]));
        let days = vec![(1, 2), (3, 4), (5, 6), (7, 8)];
        let hours = vec![(5, 24), (48, 72), (96, 100), (144, 168), (192, 200)];
        assert_eq!(told(&[(5, 100), (120, 200)], &[2, 6, 9]), (days, hours));
        let runs = [(30, 40), (50, 60)];
        assert_eq!(told(&runs, &[]), (vec![], runs.to_vec()));
    }

    #[test]
    fn where_it_would_be_too_many_runs_the_shortest_are_told_by_hours() {
        // Every other day holds, and twenty at the end.
        let missing: Vec<i64> = (0..100).map(|n| 2 * n).collect();
        let all = 0..220 * 24;
        let ByDay { days, hours } = ByDay::of(std::slice::from_ref(&all), &missing);
        assert_eq!(days.len(), MOST_RUNS);
        assert!(days.contains(&(199..220)), "{days:?}");
        let of_days: i64 = days.iter().map(|run| 24 * (run.end - run.start)).sum();
        let of_hours: i64 = hours.iter().map(|run| run.end - run.start).sum();
        assert_eq!(
            of_days + of_hours,
            220 * 24,
            "nothing twice, all of it once"
        );
    }
}
