//! Rollups: counts by the hour, derived from the scans and replaced whole, never added to. What they are, when they hold and which of a
//! question's hours they answer; how a store computes and reads them is in the stores.
//!
//! A period is an hour. While scans may still come for it in the usual way it is *open*; scans that come later make it *dirty*. Open and
//! dirty hours are answered from the scans themselves, so that neither a late block nor a repair is missed or counted twice.
//!
//! Days (UTC) are derived from the rollups of their hours, for breakdowns of weeks and months: they hold while each of the hours has the
//! rollup that they were derived from.

mod days;
mod division;
mod rebuild;
mod source;

use std::ops::Range;
use std::time::Duration;

use jiff::Timestamp;

use crate::Hour;

pub(crate) use days::{ByDay, HOURS_OF_DAY, hours_of_day, whole_days};
pub(crate) use division::{Division, runs, whole_hours, without};
pub use rebuild::{Rebuilt, rebuild};
pub(crate) use source::{Key, Rolled, Table};

/// How long after its end, and after scans came late, an hour's rollup is computed: ten times as long as an insert may take.
pub const SETTLED_AFTER: Duration = Duration::from_secs(600);

/// The most hours that are computed at once.
const MOST_HOURS_AT_ONCE: usize = 24;

/// How many hours are computed at once: at most, and at first, a day. As many hours as that of a store with very many scans may take longer
/// than there is time for; whoever has failed tries fewer of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece(usize);

impl Default for Piece {
    fn default() -> Self {
        Self(MOST_HOURS_AT_ONCE)
    }
}

impl Piece {
    /// By itself, so that what is wrong with one hour is not wrong with others.
    pub const ONE_HOUR: Self = Self(1);

    /// Half of the hours of a run that failed; none where it was one.
    #[must_use]
    pub fn half_of(failed: &HourRange) -> Option<Self> {
        let half = usize::try_from(failed.count() / 2).ok();
        half.filter(|half| *half > 0).map(Self)
    }

    /// After a run that did not fail.
    #[must_use]
    pub fn doubled(self) -> Self {
        Self((self.0 * 2).min(MOST_HOURS_AT_ONCE))
    }
}

/// Which hours' rollups are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those that do not hold, wherever there are scans.
    Missing,
    /// All from the first to the second, which is outside.
    Within(Hour, Hour),
}

/// Which hours' rollups can be computed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HoursToRollUp {
    /// The newest first.
    pub ready: Vec<Hour>,
    /// So many more have ended and are not ready: scans have come for them too lately, or another process is at them.
    pub later: u64,
}

impl HoursToRollUp {
    /// The newest hours that follow one upon another, at most a piece; none: there is nothing to do.
    pub fn newest_run(&self, Piece(most): Piece) -> Option<HourRange> {
        let last = *self.ready.first()?;
        let follows = |(ago, hour): &(i64, &Hour)| **hour == last.before(*ago);
        let run = (0..).zip(&self.ready).take_while(follows);
        let length = run.take(most).count() as i64;
        Some(HourRange {
            first: last.before(length - 1),
            last,
        })
    }
}

/// Hours that follow one upon another; both are inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HourRange {
    /// The first.
    pub first: Hour,
    /// The last.
    pub last: Hour,
}

impl HourRange {
    /// How many they are.
    pub fn count(&self) -> u64 {
        u64::try_from(self.last.number() - self.first.number() + 1).unwrap_or(0)
    }

    /// When the first begins.
    pub fn start(&self) -> Timestamp {
        self.first.start()
    }

    /// When the last ends.
    pub fn end(&self) -> Timestamp {
        self.last.before(-1).start()
    }

    pub(crate) fn numbers(&self) -> Range<i64> {
        self.first.number()..self.last.number() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest_run(numbers: &[i64], piece: Piece) -> Option<(i64, i64)> {
        let ready = numbers.iter().copied().map(Hour::from_number).collect();
        let run = HoursToRollUp { ready, later: 0 }.newest_run(piece)?;
        Some((run.first.number(), run.last.number()))
    }

    #[test]
    fn hours_are_taken_newest_first_as_far_as_they_follow_one_upon_another() {
        let newest_run = |numbers: &[i64]| newest_run(numbers, Piece::default());
        assert_eq!(newest_run(&[]), None);
        assert_eq!(newest_run(&[9]), Some((9, 9)));
        assert_eq!(newest_run(&[9, 8, 7, 5, 4]), Some((7, 9)));
        let many: Vec<i64> = (0..100).rev().collect();
        assert_eq!(newest_run(&many), Some((76, 99)));
    }

    #[test]
    fn whoever_has_failed_tries_half_as_many_hours_down_to_one() {
        let many: Vec<i64> = (0..100).rev().collect();
        let mut piece = Piece::default();
        for (first, next) in [(76, 12), (88, 6), (94, 3), (97, 1)] {
            let (run, last) = newest_run(&many, piece).unwrap();
            assert_eq!((run, last), (first, 99));
            let failed = HourRange {
                first: Hour::from_number(run),
                last: Hour::from_number(last),
            };
            piece = Piece::half_of(&failed).unwrap();
            assert_eq!(piece, Piece(next));
        }
        let one = HourRange {
            first: Hour::from_number(99),
            last: Hour::from_number(99),
        };
        assert_eq!(newest_run(&many, piece), Some((99, 99)));
        assert_eq!(Piece::half_of(&one), None);
        let mut grown = vec![Piece::ONE_HOUR];
        grown.extend((0..6).map(|_| {
            piece = piece.doubled();
            piece
        }));
        assert_eq!(grown, [1, 2, 4, 8, 16, 24, 24].map(Piece));
    }
}
