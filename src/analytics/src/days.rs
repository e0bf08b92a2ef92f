//! Days of UTC, of which scans are counted and tags are made.

use jiff::civil::{Date, date};
use jiff::{Span, Timestamp};

/// Where days are counted from.
const FIRST: Date = date(1970, 1, 1);

/// A day's microseconds.
const LENGTH: i64 = 86_400_000_000;

/// A day in UTC, by its number since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64);

impl Day {
    /// The one that a moment is in.
    pub fn of(moment: Timestamp) -> Self {
        Self(moment.as_microsecond().div_euclid(LENGTH))
    }

    /// The calendar's.
    pub fn of_date(date: Date) -> Self {
        // Whole days in seconds, without a remainder.
        Self(date.duration_since(FIRST).as_secs() / 86_400)
    }

    /// By its number since 1970.
    pub fn from_number(number: i64) -> Self {
        Self(number)
    }

    /// Its number since 1970.
    pub fn number(self) -> i64 {
        self.0
    }

    /// In the calendar; none: that ends before.
    pub fn date(self) -> Option<Date> {
        FIRST.checked_add(Span::new().try_days(self.0).ok()?).ok()
    }

    /// Its first microsecond since 1970, and the first behind it.
    pub(crate) fn micros(self) -> (i64, i64) {
        let from = self.0.saturating_mul(LENGTH);
        (from, from.saturating_add(LENGTH))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_numbered_from_1970_on_and_before() {
        for (number, day) in [
            (0, date(1970, 1, 1)),
            (20_786, date(2026, 11, 29)),
            (-1, date(1969, 12, 31)),
        ] {
            assert_eq!(Day::of_date(day).number(), number);
            assert_eq!(Day::from_number(number).date(), Some(day));
        }
        assert_eq!(Day::from_number(i64::MAX).date(), None);
        for (moment, day) in [
            ("2026-11-29T00:00:00Z", date(2026, 11, 29)),
            ("2026-11-29T23:59:59.999999Z", date(2026, 11, 29)),
            ("1969-12-31T23:59:59.9Z", date(1969, 12, 31)),
        ] {
            let moment: Timestamp = moment.parse().unwrap();
            let (from, to) = Day::of(moment).micros();
            assert_eq!(Day::of(moment), Day::of_date(day));
            assert!((from..to).contains(&moment.as_microsecond()));
        }
    }
}
