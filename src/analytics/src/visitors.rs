//! Visitors, as far as they can be told apart without following people: `visitor_days`, the distinct visitors of each day, summed.
//!
//! A visitor is a hash of address and User-Agent with a salt that all edges share, that changes with the day (UTC) and is destroyed after the
//! next, so none is known again on another day, and the days are those of UTC whatever the zone.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::{Bots, Day, Interval, InvalidQuery, ScanFilter, ScanQuery, Select};

/// A question about the visitors of some scans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisitorQuery(ScanQuery);

impl VisitorQuery {
    /// A question that can be answered.
    pub fn new(
        select: Select,
        range: (Timestamp, Timestamp),
        bots: Bots,
    ) -> Result<Self, InvalidQuery> {
        ScanQuery::new(select, range, Interval::Day, &[], bots).map(Self)
    }

    /// Whose.
    pub fn filter(&self) -> &ScanFilter {
        self.0.filter()
    }

    /// The answer from what there is by the number of the day since 1970: every day, those without scans too.
    pub(crate) fn days(&self, found: &HashMap<i64, Visits>) -> Vec<VisitorDay> {
        let days = self.0.series(&HashMap::new()).into_iter();
        let day = |start: Timestamp| {
            let number = Day::of(start).number();
            let Visits { scans, visitors } = found.get(&number).copied().unwrap_or_default();
            VisitorDay {
                start,
                scans,
                // An estimate may be more than there can be.
                visitors: visitors.min(scans),
            }
        };
        days.map(|point| day(point.start)).collect()
    }
}

/// What a store finds of a day.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Visits {
    pub(crate) scans: u64,
    pub(crate) visitors: u64,
}

/// A day's visitors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VisitorDay {
    /// When it begins, in UTC.
    pub start: Timestamp,
    /// The scans in it that are also in the query's range.
    pub scans: u64,
    /// Of how many visitors those are.
    pub visitors: u64,
}
