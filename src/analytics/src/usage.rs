//! What a workspace's scans take, day by day, so that costs can be told apart.

use std::ops::RangeInclusive;

use jiff::civil::Date;
use tags::WorkspaceId;

use crate::Day;

/// A workspace's scans of a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Whose.
    pub workspace: WorkspaceId,
    /// The day (UTC) in which they were made.
    pub day: Date,
    /// All that are stored of it: those by bots and of unknown codes too.
    pub scans: u64,
    /// What they take on disk, compressed, with their indexes: as many bytes as the average row of the table does.
    pub stored_bytes: u64,
}

/// The microseconds since 1970 of these days, the first inside and the last outside, as far as a store can hold scans.
pub(crate) fn micros(days: &RangeInclusive<Date>) -> (i64, i64) {
    let (from, _) = Day::of_date(*days.start()).micros();
    let (_, to) = Day::of_date(*days.end()).micros();
    (from.max(0), to.max(0))
}

/// What so many rows take.
pub(crate) fn bytes(rows: u64, of_a_row: f64) -> u64 {
    (rows as f64 * of_a_row).round() as u64
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn days_reach_to_the_first_moment_behind_the_last_and_not_before_1970() {
        let (from, to) = micros(&(date(2026, 11, 1)..=date(2026, 11, 30)));
        assert_eq!(to - from, 30 * 86_400_000_000);
        assert_eq!(from, Day::of_date(date(2026, 11, 1)).micros().0);
        assert_eq!(micros(&(date(1900, 1, 1)..=date(1969, 12, 31))), (0, 0));
        assert_eq!(
            micros(&(date(1900, 1, 1)..=date(1970, 1, 1))),
            (0, 86_400_000_000)
        );
    }
}
