//! What can be asked about scans, and what is answered. A query is checked when it is made; a store only answers it.

use jiff::{SignedDuration, Timestamp};
use tags::{Code, Domain};

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

/// The length of a point of the series, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interval {
    /// 1 second.
    Second,
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours.
    Day,
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

names!(Interval { Second = "second", Minute = "minute", Hour = "hour", Day = "day" });
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

impl Interval {
    /// Its length in seconds.
    pub fn seconds(self) -> i64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }
}

/// A question about one workspace's scans in `[from, to)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanQuery {
    select: Select,
    from: Timestamp,
    to: Timestamp,
    interval: Interval,
    by: Vec<Dimension>,
    bots: Bots,
}

impl ScanQuery {
    /// The longest series answered: a month of minutes and some.
    pub const MOST_POINTS: u64 = 50_000;
    /// The most values answered of a dimension, those with most scans.
    pub const MOST_VALUES: usize = 1_000;

    /// A question that can be answered; a dimension named twice is answered once.
    pub fn new(
        select: Select,
        (from, to): (Timestamp, Timestamp),
        interval: Interval,
        by: &[Dimension],
        bots: Bots,
    ) -> Result<Self, InvalidQuery> {
        if to <= from {
            return Err(InvalidQuery::Range { from, to });
        }
        let mut once: Vec<Dimension> = Vec::new();
        for dimension in by {
            if !once.contains(dimension) {
                once.push(*dimension);
            }
        }
        let query = Self {
            select,
            from,
            to,
            interval,
            by: once,
            bots,
        };
        let points = query.points();
        if points > Self::MOST_POINTS {
            return Err(InvalidQuery::TooManyPoints {
                points,
                most: Self::MOST_POINTS,
            });
        }
        Ok(query)
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

    /// The length of a point.
    pub fn interval(&self) -> Interval {
        self.interval
    }

    /// The breakdowns wanted, each once, in the order given.
    pub fn by(&self) -> &[Dimension] {
        &self.by
    }

    /// Whether bots count.
    pub fn bots(&self) -> Bots {
        self.bots
    }

    /// How many points the series has: of every interval that has a moment in `[from, to)`.
    pub fn points(&self) -> u64 {
        u64::try_from(self.index(self.last_moment()) + 1).unwrap_or(0)
    }

    /// The range in microseconds since 1970 as far as a store can hold scans: from 1970, and below the year 2200.
    pub(crate) fn stored_range(&self) -> (i64, i64) {
        const YEAR_2200: i64 = 7_258_118_400_000_000;
        (
            self.from.as_microsecond().clamp(0, YEAR_2200),
            self.to.as_microsecond().clamp(0, YEAR_2200),
        )
    }

    /// Which point a moment belongs to, counted from that of `from`.
    pub(crate) fn index(&self, moment: Timestamp) -> i64 {
        self.number(moment) - self.number(self.from)
    }

    /// The answer's series from counts by interval number since 1970: every point, those without scans too.
    pub(crate) fn series(&self, counts: &std::collections::HashMap<i64, u64>) -> Vec<Point> {
        let (first, last) = (self.number(self.from), self.number(self.last_moment()));
        (first..=last)
            .filter_map(|number| {
                // A range that begins at the calendar's first moment may have its first interval begin before it.
                let start = Timestamp::from_second(number * self.interval.seconds()).ok()?;
                Some(Point {
                    start,
                    scans: counts.get(&number).copied().unwrap_or(0),
                })
            })
            .collect()
    }

    fn number(&self, moment: Timestamp) -> i64 {
        moment
            .as_microsecond()
            .div_euclid(self.interval.seconds() * 1_000_000)
    }

    fn last_moment(&self) -> Timestamp {
        self.to
            .checked_sub(SignedDuration::from_micros(1))
            .unwrap_or(self.from)
    }
}

/// One interval of the series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// When it begins: a whole second, minute, hour or day.
    pub start: Timestamp,
    /// The scans in it that are also in the query's range.
    pub scans: u64,
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
    fn a_series_begins_with_the_interval_of_from_and_ends_before_to() {
        let query = query(
            "2026-11-25T10:59:59.5Z",
            "2026-11-25T13:00:00Z",
            Interval::Hour,
        )
        .expect("valid");
        let starts: Vec<_> = query
            .series(&Default::default())
            .iter()
            .map(|p| p.start.to_string())
            .collect();
        assert_eq!(
            starts,
            [
                "2026-11-25T10:00:00Z",
                "2026-11-25T11:00:00Z",
                "2026-11-25T12:00:00Z"
            ]
        );
        assert_eq!(query.points(), 3);
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
        let refused = "week".parse::<Interval>().expect_err("no such interval");
        assert_eq!(
            refused.to_string(),
            "'week' is none of second, minute, hour, day"
        );
    }
}
