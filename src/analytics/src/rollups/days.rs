//! Days in UTC, by their numbers since 1970, and their hours.

use std::ops::Range;

/// How many hours a day has in UTC.
pub(crate) const HOURS_OF_DAY: i64 = 24;

/// The numbers of a day's hours.
pub(crate) fn hours_of_day(day: i64) -> Range<i64> {
    day * HOURS_OF_DAY..(day + 1) * HOURS_OF_DAY
}

/// The days that lie wholly in runs of hours, which are ascending and do not touch.
pub(crate) fn whole_days(runs: &[Range<i64>]) -> impl Iterator<Item = i64> {
    runs.iter().flat_map(|run| {
        let first =
            run.start.div_euclid(HOURS_OF_DAY) + i64::from(run.start.rem_euclid(HOURS_OF_DAY) > 0);
        first..run.end.div_euclid(HOURS_OF_DAY)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_whole_where_all_of_its_hours_are() {
        let days = |runs: &[Range<i64>]| whole_days(runs).collect::<Vec<_>>();
        assert_eq!(hours_of_day(2), 48..72);
        assert_eq!(days(&[0..24]), [0]);
        assert_eq!(days(&[1..24, 25..72]), [2]);
        assert_eq!(days(&[0..71, 72..96]), [0, 1, 3]);
        assert!(days(&[30..40, 47..48]).is_empty());
    }
}
