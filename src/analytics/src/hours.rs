//! How often tags were scanned by people, hour by hour: for who looks for what is unusual, across all workspaces. Never an answer to a
//! tenant's request.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tags::{Code, Domain, WorkspaceId};

/// An hour in UTC, by its number since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(i64);

impl Hour {
    /// The one that a moment is in.
    pub fn of(moment: Timestamp) -> Self {
        Self::of_micros(moment.as_microsecond())
    }

    /// The one that a moment is in, given in microseconds since 1970.
    pub(crate) fn of_micros(micros: i64) -> Self {
        Self(micros.div_euclid(3_600_000_000))
    }

    /// By its number since 1970.
    pub fn from_number(number: i64) -> Self {
        Self(number)
    }

    /// Its number since 1970.
    pub fn number(self) -> i64 {
        self.0
    }

    /// So many hours before it.
    #[must_use]
    pub fn before(self, hours: i64) -> Self {
        Self(self.0.saturating_sub(hours))
    }

    /// When it begins; beyond the calendar's ends, the nearest moment that there is.
    pub fn start(self) -> Timestamp {
        let second = self.0.saturating_mul(3_600);
        let nearest = if second < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        };
        Timestamp::from_second(second).unwrap_or(nearest)
    }

    /// Its first microsecond, and the first behind it.
    pub(crate) fn micros(self) -> (i64, i64) {
        const LENGTH: i64 = 3_600_000_000;
        let from = self.0.saturating_mul(LENGTH);
        (from, from.saturating_add(LENGTH))
    }
}

/// A tag, as scans name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScannedTag {
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// Its host name.
    pub domain: Domain,
    /// Its code.
    pub code: Code,
}

/// How often a tag was scanned by people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagHours {
    /// Which tag.
    pub tag: ScannedTag,
    /// The hour of the first of its scans that was looked at; hours before it say nothing.
    pub first: Hour,
    /// By hour and country (ISO 3166-1 alpha-2; empty: not known), of the hours that were asked for; what is not there is none.
    pub scans: BTreeMap<Hour, BTreeMap<String, u64>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_begins_on_the_hour_also_before_1970() {
        for (moment, start) in [
            ("2026-11-25T10:59:59.999Z", "2026-11-25T10:00:00Z"),
            ("2026-11-25T11:00:00Z", "2026-11-25T11:00:00Z"),
            ("1969-12-31T23:59:59Z", "1969-12-31T23:00:00Z"),
            ("1969-12-31T23:59:59.5Z", "1969-12-31T23:00:00Z"),
            ("1969-12-31T22:59:59.999999Z", "1969-12-31T22:00:00Z"),
        ] {
            let hour = Hour::of(moment.parse().expect("a time"));
            assert_eq!(hour.start().to_string(), start);
            assert_eq!(hour.before(1).number(), hour.number() - 1);
            assert_eq!(hour.micros().0, hour.start().as_microsecond());
        }
    }
}
