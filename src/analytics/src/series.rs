//! The points of a series: when each begins on the clocks of a time zone, and how a store's counts come together in them.
//!
//! A store knows UTC alone. It counts in units of which every point holds whole ones, whatever its zone's clocks do.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::query::stored_range;
use crate::{Interval, InvalidQuery, ScanQuery};

/// One interval of the series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// When it begins. It ends where the next one begins.
    pub start: Timestamp,
    /// The scans in it that are also in the query's range.
    pub scans: u64,
}

/// When the points begin, ascending: every point that has a moment in the range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Points {
    starts: Arc<[Timestamp]>,
    unit: i64,
}

/// Seconds, of which a store counts in the most that it can. Quarter hours are for zones like Asia/Kathmandu; smaller offsets than these,
/// minutes, there were until 1979.
const UNITS: [i64; 5] = [86_400, 3_600, 900, 60, 1];

impl Points {
    /// The beginning of the year 0000, since RFC 3339 has none before it.
    pub(crate) const FIRST: Timestamp = Timestamp::constant(-62_167_219_200, 0);

    pub(crate) fn new(
        interval: Interval,
        zone: &TimeZone,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Self, InvalidQuery> {
        const MOST: usize = ScanQuery::MOST_POINTS as usize;
        let from = from.max(Self::FIRST);
        let mut starts: Vec<Timestamp> = Vec::new();
        for start in candidates(interval, zone, from) {
            let start = start.max(Self::FIRST);
            if start >= to || starts.len() > MOST {
                break;
            }
            if start <= from {
                starts.clear();
            } else if starts.last() >= Some(&start) {
                // The same midnight twice: of a day that the zone has left out, and of the next.
                continue;
            }
            starts.push(start);
        }
        if starts.len() > MOST {
            return Err(InvalidQuery::TooManyPoints {
                points: about(interval, (starts[0], to)).max(ScanQuery::MOST_POINTS + 1),
                most: ScanQuery::MOST_POINTS,
            });
        }
        let unit = unit(&starts);
        let starts = starts.into();
        Ok(Self { starts, unit })
    }

    /// In seconds: counts are by `⌊seconds since 1970 / unit⌋`.
    pub(crate) fn unit(&self) -> i64 {
        self.unit
    }

    /// All points, from counts by the number of the unit.
    pub(crate) fn fold(&self, counts: &HashMap<i64, u64>) -> Vec<Point> {
        let starts = self.starts.iter();
        let mut points: Vec<Point> = starts.map(|&start| Point { start, scans: 0 }).collect();
        for (number, scans) in counts {
            let second = number * self.unit;
            let behind = points.partition_point(|point| point.start.as_second() <= second);
            // No scan of the range lies before the first point.
            if let Some(point) = points.get_mut(behind.saturating_sub(1)) {
                point.scans += scans;
            }
        }
        points
    }
}

/// When the period begins that ends where this one does begin: as many days before where it is of whole local days, and otherwise as much
/// time. None: that would be before the year 0000.
pub(crate) fn period_before(
    zone: &TimeZone,
    (from, to): (Timestamp, Timestamp),
) -> Option<Timestamp> {
    let of_midnight = |moment: Timestamp| {
        let day = zone.to_datetime(moment).date();
        (start_of_day(zone, day) == Some(moment)).then_some(day)
    };
    let before = match (of_midnight(from), of_midnight(to)) {
        (Some(first), Some(last)) => {
            let before = first.checked_sub(last.duration_since(first)).ok()?;
            start_of_day(zone, before)?
        }
        _ => from.checked_sub(to.duration_since(from)).ok()?,
    };
    // A day that a zone has left out, on its way over the date line, has no length.
    (Points::FIRST <= before && before < from).then_some(before)
}

/// When a day begins in a zone; none: not within the calendar. A day that the zone has left out begins with the next.
fn start_of_day(zone: &TimeZone, day: Date) -> Option<Timestamp> {
    zone.to_timestamp(day.at(0, 0, 0, 0)).ok()
}

/// Beginnings of points: the first lies at or before `from`, and so may others.
fn candidates(
    interval: Interval,
    zone: &TimeZone,
    from: Timestamp,
) -> Box<dyn Iterator<Item = Timestamp>> {
    let zone = zone.clone();
    match interval {
        Interval::Second => Box::new(seconds(from, 1)),
        Interval::Minute => Box::new(seconds(from, 60)),
        Interval::Hour => Box::new(hours(zone, from)),
        Interval::Day => Box::new(days(zone, from, 1)),
        Interval::Week => Box::new(days(zone, from, 7)),
    }
}

fn seconds(from: Timestamp, length: i64) -> impl Iterator<Item = Timestamp> {
    let first = second(from).div_euclid(length) * length;
    let seconds = (first..).step_by(length as usize);
    seconds.map_while(|second| Timestamp::from_second(second).ok())
}

/// Days, or weeks of them, which begin with a Monday.
fn days(zone: TimeZone, from: Timestamp, length: i64) -> impl Iterator<Item = Timestamp> {
    let day = zone.to_datetime(from).date();
    let since_monday = i64::from(day.weekday().to_monday_zero_offset());
    let first = day.saturating_sub((since_monday % length).days());
    let days = first.series(length.days());
    days.map_while(move |day| start_of_day(&zone, day).map(of_whole_minute))
}

/// Full hours of the clock, and changes of it: so no point is of two hours, and each has 60 minutes or what a change leaves of them.
fn hours(zone: TimeZone, from: Timestamp) -> impl Iterator<Item = Timestamp> {
    let into_hour = SignedDuration::from_secs(seconds_into_hour(&zone, from));
    let first = of_whole_second(from).saturating_sub(into_hour);
    let first = first.unwrap_or(from);
    let mut change = next_change(&zone, first);
    let starts = std::iter::successors(Some(first), move |&start| {
        let left = SignedDuration::from_secs(3_600 - seconds_into_hour(&zone, start));
        let next = start.checked_add(left).ok()?;
        let Some(changed) = change.filter(|changed| *changed <= next) else {
            return Some(next);
        };
        change = next_change(&zone, changed);
        Some(changed)
    });
    starts.map(of_whole_minute)
}

fn seconds_into_hour(zone: &TimeZone, moment: Timestamp) -> i64 {
    let local = second(moment) + i64::from(zone.to_offset(moment).seconds());
    local.rem_euclid(3_600)
}

/// When a zone's clocks are next set forth or back.
fn next_change(zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let offset = zone.to_offset(after);
    let mut changes = zone.following(after);
    let change = changes.find(|change| change.offset() != offset);
    change.map(|change| change.timestamp())
}

/// The second that a moment is in, since 1970.
fn second(moment: Timestamp) -> i64 {
    moment.as_microsecond().div_euclid(1_000_000)
}

fn of_whole_second(moment: Timestamp) -> Timestamp {
    Timestamp::from_second(second(moment)).unwrap_or(moment)
}

/// The offsets of some clocks had seconds until 1972; a point then begins with the minute in which the local day or hour does.
fn of_whole_minute(start: Timestamp) -> Timestamp {
    let minute = second(start).div_euclid(60) * 60;
    Timestamp::from_second(minute).unwrap_or(start)
}

/// The longest unit with one of which every point begins that may have scans.
fn unit(starts: &[Timestamp]) -> i64 {
    let (first, last) = stored_range((Timestamp::MIN, Timestamp::MAX));
    let stored = |start: &&Timestamp| (first..last).contains(&start.as_microsecond());
    let fits = |unit: &i64| {
        let mut starts = starts.iter().filter(stored);
        starts.all(|start| start.as_second() % unit == 0)
    };
    UNITS.into_iter().find(fits).unwrap_or(1)
}

/// How many points there are from a point's start on, but for changes of clocks.
fn about(interval: Interval, (start, to): (Timestamp, Timestamp)) -> u64 {
    let length = match interval {
        Interval::Second => 1,
        Interval::Minute => 60,
        Interval::Hour => 3_600,
        Interval::Day => 86_400,
        Interval::Week => 604_800,
    };
    let whole = to.duration_since(start).as_secs().unsigned_abs();
    whole.div_ceil(length)
}

#[cfg(test)]
mod tests;
