//! What can be asked about scans, and what is answered. A query is checked when it is made; a store only answers it.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tags::{Code, Domain, Zone};

use crate::Point;
use crate::series::{Points, period_before};

/// Why a query cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuery {
    /// `to` is not after `from`.
    #[error("'to' ({to}) must be after 'from' ({from})")]
    Range {
        /// As given.
        from: Timestamp,
        /// As given.
        to: Timestamp,
    },
    /// The series would be too long.
    #[error(
        "the series would have {points} points, at most {most} are answered: ask for a longer interval or a shorter time"
    )]
    TooManyPoints {
        /// What was asked for.
        points: u64,
        /// What is answered.
        most: u64,
    },
    /// This build's database has no such time zone.
    #[error("the time zone {0} is not in this program's database")]
    Zone(Zone),
    /// The period before would begin before the year 0000, which is where times begin (RFC 3339 §5.6).
    #[error("there is no period of this length before 'from' ({from})")]
    NothingBefore {
        /// As given.
        from: Timestamp,
    },
    /// Not one of the names.
    #[error("'{given}' is none of {allowed}")]
    Name {
        /// As given.
        given: String,
        /// What is allowed, comma-separated.
        allowed: String,
    },
}

/// Which of a workspace's scans.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Select {
    /// All of them.
    Workspace,
    /// One tag's.
    Code {
        /// Its host name.
        domain: Domain,
        /// Its code.
        code: Code,
    },
    /// A campaign's: of the tags that belonged to it when they were scanned.
    Campaign(String),
}

/// The length of a point of the series, on the clocks of a time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interval {
    /// 1 second, the same in every zone.
    Second,
    /// 60 seconds, the same in every zone.
    Minute,
    /// 60 minutes, or what a change of clocks leaves of them.
    Hour,
    /// From midnight to midnight: 24 hours, mostly 23 and 25 on days on which clocks change.
    Day,
    /// Seven days that begin with a Monday, as in ISO 8601.
    Week,
}

/// Whether scans by bots count, and with them HEAD, prefetches and previews.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Bots {
    /// People's scans alone.
    #[default]
    Exclude,
    /// All scans.
    Include,
    /// The others alone.
    Only,
}

/// A fact by which scans are broken down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// ISO 3166-1 alpha-2.
    Country,
    /// ISO 3166-2.
    Region,
    /// The city's name.
    City,
    /// mobile, tablet, desktop, tv, other.
    Device,
    /// The operating system.
    Os,
    /// The browser.
    Browser,
    /// The referring page's host.
    Referrer,
    /// The language preferred.
    Language,
    /// How the scan ended.
    Outcome,
    /// The rule that decided.
    Rule,
    /// The index of the destination among the rule's, or the tag's; `none` for scans that were not redirected.
    Destination,
    /// The campaign.
    Campaign,
    /// The code.
    Code,
    /// Why it is automated; `none` for people's.
    BotReason,
}

macro_rules! names {
    ($type:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        impl $type {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word in the API.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = InvalidQuery;
            fn from_str(text: &str) -> Result<Self, InvalidQuery> {
                Self::ALL.iter().copied().find(|known| known.as_str() == text).ok_or_else(|| InvalidQuery::Name {
                    given: text.chars().take(100).collect(),
                    allowed: [$($name),+].join(", "),
                })
            }
        }
    };
}

names!(Interval { Second = "second", Minute = "minute", Hour = "hour", Day = "day", Week = "week" });
names!(Bots { Exclude = "exclude", Include = "include", Only = "only" });
names!(Dimension {
    Country = "country",
    Region = "region",
    City = "city",
    Device = "device",
    Os = "os",
    Browser = "browser",
    Referrer = "referrer",
    Language = "language",
    Outcome = "outcome",
    Rule = "rule",
    Destination = "destination",
    Campaign = "campaign",
    Code = "code",
    BotReason = "bot_reason",
});

/// Which of a workspace's scans, in `[from, to)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanFilter {
    select: Select,
    from: Timestamp,
    to: Timestamp,
    bots: Bots,
}

impl ScanFilter {
    /// One that some scan may pass.
    pub fn new(
        select: Select,
        (from, to): (Timestamp, Timestamp),
        bots: Bots,
    ) -> Result<Self, InvalidQuery> {
        if to <= from {
            return Err(InvalidQuery::Range { from, to });
        }
        Ok(Self {
            select,
            from,
            to,
            bots,
        })
    }

    /// Which scans.
    pub fn select(&self) -> &Select {
        &self.select
    }

    /// The first moment inside.
    pub fn from(&self) -> Timestamp {
        self.from
    }

    /// The first moment after.
    pub fn to(&self) -> Timestamp {
        self.to
    }

    /// Whether bots count.
    pub fn bots(&self) -> Bots {
        self.bots
    }

    /// The same of another time.
    pub(crate) fn within(&self, from: Timestamp, to: Timestamp) -> Self {
        Self {
            from,
            to,
            ..self.clone()
        }
    }

    /// The range in microseconds since 1970 as far as a store can hold scans.
    pub(crate) fn stored_range(&self) -> (i64, i64) {
        stored_range((self.from, self.to))
    }
}

/// Microseconds since 1970 as far as a store can hold scans: from 1970, and below the year 2200.
pub(crate) fn stored_range((from, to): (Timestamp, Timestamp)) -> (i64, i64) {
    const YEAR_2200: i64 = 7_258_118_400_000_000;
    (
        from.as_microsecond().clamp(0, YEAR_2200),
        to.as_microsecond().clamp(0, YEAR_2200),
    )
}

/// A question about some scans: how many there are, when, and by which facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanQuery {
    filter: ScanFilter,
    interval: Interval,
    zone: TimeZone,
    points: Points,
    by: Vec<Dimension>,
}

impl ScanQuery {
    /// The longest series answered: a month of minutes and some.
    pub const MOST_POINTS: u64 = 50_000;
    /// The most values answered of a dimension, those with most scans.
    pub const MOST_VALUES: usize = 1_000;

    /// A question that can be answered, by the clock of UTC; a dimension named twice is answered once.
    pub fn new(
        select: Select,
        range: (Timestamp, Timestamp),
        interval: Interval,
        by: &[Dimension],
        bots: Bots,
    ) -> Result<Self, InvalidQuery> {
        let filter = ScanFilter::new(select, range, bots)?;
        let mut once: Vec<Dimension> = Vec::new();
        for dimension in by {
            if !once.contains(dimension) {
                once.push(*dimension);
            }
        }
        Ok(Self {
            filter,
            interval,
            points: Points::new(interval, &TimeZone::UTC, range)?,
            zone: TimeZone::UTC,
            by: once,
        })
    }

    /// The same by the clocks of a zone.
    pub fn in_zone(self, zone: &Zone) -> Result<Self, InvalidQuery> {
        let clocks = zone.clocks();
        self.by_clocks(clocks.ok_or_else(|| InvalidQuery::Zone(zone.clone()))?)
    }

    fn by_clocks(self, zone: TimeZone) -> Result<Self, InvalidQuery> {
        let range = (self.filter.from, self.filter.to);
        Ok(Self {
            points: Points::new(self.interval, &zone, range)?,
            zone,
            ..self
        })
    }

    /// The same of the period before, without breakdowns. It ends where this one begins, and has as many local days where this one is of
    /// whole ones; otherwise it is as long.
    pub fn previous(&self) -> Result<Self, InvalidQuery> {
        let ScanFilter {
            select, from, bots, ..
        } = &self.filter;
        let before = period_before(&self.zone, (*from, self.filter.to));
        let before = before.ok_or(InvalidQuery::NothingBefore { from: *from })?;
        let query = Self::new(select.clone(), (before, *from), self.interval, &[], *bots)?;
        query.by_clocks(self.zone.clone())
    }

    /// Which scans, and when.
    pub fn filter(&self) -> &ScanFilter {
        &self.filter
    }

    /// Which scans.
    pub fn select(&self) -> &Select {
        &self.filter.select
    }

    /// The first moment inside.
    pub fn from(&self) -> Timestamp {
        self.filter.from
    }

    /// The first moment after.
    pub fn to(&self) -> Timestamp {
        self.filter.to
    }

    /// Whether bots count.
    pub fn bots(&self) -> Bots {
        self.filter.bots
    }

    /// The length of a point.
    pub fn interval(&self) -> Interval {
        self.interval
    }

    /// The breakdowns wanted, each once, in the order given.
    pub fn by(&self) -> &[Dimension] {
        &self.by
    }

    /// In units of how many seconds, numbered since 1970 in UTC, a store counts scans for the series: every point begins with one.
    pub(crate) fn unit(&self) -> i64 {
        self.points.unit()
    }

    /// The answer's series from counts by the number of their [unit](Self::unit): every point, those without scans too.
    pub(crate) fn series(&self, counts: &HashMap<i64, u64>) -> Vec<Point> {
        self.points.fold(counts)
    }
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanReport {
    /// All scans.
    pub total: u64,
    /// Every interval, ascending; its scans sum up to `total`.
    pub series: Vec<Point>,
    /// For each dimension asked, in that order, its values and their scans: most scans first, then by value.
    pub breakdown: Vec<(Dimension, Vec<(String, u64)>)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a test's time")
    }

    fn query(from: &str, to: &str, interval: Interval) -> Result<ScanQuery, InvalidQuery> {
        ScanQuery::new(
            Select::Workspace,
            (at(from), at(to)),
            interval,
            &[],
            Bots::Exclude,
        )
    }

    #[test]
    fn a_range_that_is_empty_or_backwards_is_refused() {
        for to in ["2026-11-25T10:00:00Z", "2026-11-25T09:00:00Z"] {
            assert!(matches!(
                query("2026-11-25T10:00:00Z", to, Interval::Day),
                Err(InvalidQuery::Range { .. })
            ));
        }
    }

    #[test]
    fn a_series_that_nobody_can_read_is_refused() {
        let refused = query(
            "2026-01-01T00:00:00Z",
            "2027-01-01T00:00:00Z",
            Interval::Minute,
        );
        assert_eq!(
            refused,
            Err(InvalidQuery::TooManyPoints {
                points: 525_600,
                most: 50_000
            })
        );
        assert!(
            query(
                "2026-01-01T00:00:00Z",
                "2026-02-01T00:00:00Z",
                Interval::Minute
            )
            .is_ok()
        );
    }

    #[test]
    fn names_are_the_apis_and_unknown_ones_say_what_is_allowed() {
        for dimension in Dimension::ALL {
            assert_eq!(dimension.as_str().parse(), Ok(*dimension));
        }
        let refused = "month".parse::<Interval>().expect_err("no such interval");
        assert_eq!(
            refused.to_string(),
            "'month' is none of second, minute, hour, day, week"
        );
    }
}
