//! What a workspace's scans take, day by day, so that costs can be told apart.

use std::ops::RangeInclusive;

use jiff::Span;
use jiff::civil::{Date, date};
use tags::WorkspaceId;

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

/// Where days are counted from.
const FIRST: Date = date(1970, 1, 1);

/// A day by its number since 1970; none: the calendar ends before.
pub(crate) fn day(number: i64) -> Option<Date> {
    FIRST.checked_add(Span::new().try_days(number).ok()?).ok()
}

/// The microseconds since 1970 of these days, the first inside and the last outside, as far as a store can hold scans.
pub(crate) fn micros(days: &RangeInclusive<Date>) -> (i64, i64) {
    const LENGTH: i64 = 86_400_000_000;
    let number = |day: Date| day.duration_since(FIRST).as_secs() / 86_400;
    let first = number(*days.start()).max(0);
    let behind = number(*days.end()) + 1;
    (first * LENGTH, behind.max(0) * LENGTH)
}

/// What so many rows take.
pub(crate) fn bytes(rows: u64, of_a_row: f64) -> u64 {
    (rows as f64 * of_a_row).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_numbered_from_1970_on() {
        assert_eq!(day(0), Some(FIRST));
        assert_eq!(day(20_786), Some(date(2026, 11, 29)));
        assert_eq!(day(i64::MAX), None);
        let november = date(2026, 11, 1)..=date(2026, 11, 30);
        let (from, to) = micros(&november);
        assert_eq!(to - from, 30 * 86_400_000_000);
        assert_eq!(day(from / 86_400_000_000), Some(*november.start()));
        assert_eq!(micros(&(date(1900, 1, 1)..=date(1969, 12, 31))), (0, 0));
    }
}
