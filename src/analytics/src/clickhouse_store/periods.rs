//! What has happened to each hour's rollup, in ClickHouse: table `rollup_periods`. A computation has a generation, which its rows carry;
//! rows count once a line says that their generation holds, and no longer when scans have come late since, or were deleted.
//!
//! Generations are Snowflake IDs of the server's: unique, and in the order of its clock. All times are of that clock.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use clickhouse::Client;
use serde::Deserialize;

use super::clock::{Clock, server_time};
use super::{retention, within};
use crate::rollups::{HourRange, HoursToRollUp, Which};
use crate::{Block, Hour, StoreError};

/// An hour in seconds.
pub(super) const HOUR: i64 = 3_600;

/// A generation that is older than this when all its rows are in does not hold any more: its rows may have been removed. No step of a
/// computation may take as long, and rows stay twice as long.
pub(super) const HOLDS_WITHIN: Duration = Duration::from_secs(1_800);

/// The most hours that are marked at once: the server takes 128 KiB of a parameter.
const MARKS: usize = 5_000;

/// What is known of an hour's rollup.
#[derive(clickhouse::Row, Deserialize)]
struct Line {
    number: i64,
    /// The latest generation that holds; 0: none.
    held: u64,
    held_ms: i64,
    /// When the latest computation began; 0: none.
    begun_ms: i64,
    /// When its scans last changed after it was over; 0: never.
    changed_ms: i64,
}

impl Line {
    /// Whether its rows are of all scans: the hour was over, its scans have not changed since, and had settled when they were counted.
    fn holds(&self, settled: Duration) -> bool {
        let over_ms = (self.number + 1) * HOUR * 1_000;
        self.held > 0 && self.held_ms > self.changed_ms.max(over_ms) + millis(settled)
    }
}

/// Whether scans that come now for this hour come late. Half of the time until the hour's rollup is computed is for those that do not.
pub(super) fn is_late(hour: i64, now_ms: i64, settled: Duration) -> bool {
    (hour + 1) * HOUR * 1_000 + millis(settled) / 2 <= now_ms
}

/// The numbers of the hours in which a block has scans.
pub(super) fn hours_of(block: &Block) -> BTreeSet<i64> {
    let hours = block
        .rows
        .iter()
        .map(|row| Hour::of(row.scan.time).number());
    hours.filter(|hour| second(*hour).is_some()).collect()
}

/// Says of those hours that are over that scans come late; nothing where there are none, which is the usual case.
pub(super) async fn mark_late(
    client: &Client,
    clock: &Clock,
    settled: Duration,
    hours: &BTreeSet<i64>,
) -> Result<(), StoreError> {
    if hours.is_empty() {
        return Ok(());
    }
    let now = clock.now(client).await?;
    let late = hours.iter().filter(|hour| is_late(**hour, now, settled));
    let late: Vec<u32> = late.filter_map(|hour| second(*hour)).collect();
    match late.is_empty() {
        true => Ok(()),
        false => mark_changed(client, &late).await,
    }
}

/// Says of hours, by the second in which they begin, that their scans are about to change, or have.
pub(super) async fn mark_changed(client: &Client, hours: &[u32]) -> Result<(), StoreError> {
    mark_changing(client, hours, Duration::ZERO).await
}

/// Says of hours that their scans change until then: nothing that is counted before holds.
pub(super) async fn mark_changing(
    client: &Client,
    hours: &[u32],
    until: Duration,
) -> Result<(), StoreError> {
    for some in hours.chunks(MARKS) {
        let mark = client
            .query_raw(
                "INSERT INTO rollup_periods (hour, event, at) SELECT toDateTime(arrayJoin({hours:Array(UInt32)}), 'UTC'), 'changed',
                 now64(6) + INTERVAL {until:UInt64} SECOND",
            )
            .param("hours", some)
            .param("until", until.as_secs());
        within("say which hours' scans change", mark.execute()).await?;
    }
    Ok(())
}

/// The hours of these whose rollups hold, ascending, with their generations.
pub(super) async fn holding(
    client: &Client,
    settled: Duration,
    hours: Range<i64>,
) -> Result<Vec<(i64, u64)>, StoreError> {
    let lines = lines(client, hours).await?;
    let holding = lines.into_iter().filter(|line| line.holds(settled));
    Ok(holding.map(|line| (line.number, line.held)).collect())
}

/// Which hours can be computed. An hour is one that some part of the table of scans may have scans of: what there is none of in a
/// month's parts is found there at once.
pub(super) async fn to_roll_up(
    client: &Client,
    settled: Duration,
    which: Which,
) -> Result<HoursToRollUp, StoreError> {
    let now = server_time(client).await?;
    let wanted = match which {
        Which::Missing => 0..i64::MAX,
        Which::Within(from, to) => from.number()..to.number(),
    };
    let ended = |hour: i64| (hour + 1) * HOUR * 1_000 <= now;
    let mut hours = BTreeSet::new();
    for (first, last) in spans(client).await? {
        let span = first.max(wanted.start).max(0)..(last + 1).min(wanted.end);
        hours.extend(span.filter(|hour| ended(*hour)));
    }
    let lines = lines(client, wanted).await?.into_iter();
    let lines: BTreeMap<i64, Line> = lines.map(|line| (line.number, line)).collect();
    // Of hours that have lost all their scans there is a rollup still.
    let lost = lines
        .values()
        .filter(|line| line.held > 0 && !line.holds(settled));
    hours.extend(lost.map(|line| line.number).filter(|hour| ended(*hour)));
    let deleting = retention::under_way(client).await?.0 > 0;
    let mut found = HoursToRollUp::default();
    for hour in hours.into_iter().rev() {
        let line = lines.get(&hour);
        let holds = line.is_some_and(|line| line.holds(settled));
        if which == Which::Missing && holds {
            continue;
        }
        // Who has begun lately is at it still, or has ended in between.
        let under_way = line.filter(|line| line.begun_ms > line.held_ms);
        let touched = [
            (hour + 1) * HOUR * 1_000,
            line.map_or(0, |line| line.changed_ms),
            under_way.map_or(0, |line| line.begun_ms),
        ];
        let has_settled = |touched: &i64| touched + millis(settled) < now;
        // Scans that are being deleted are still there for a while.
        let losing = deleting && !holds && line.is_some_and(|line| line.changed_ms > 0);
        if !losing && touched.iter().all(has_settled) {
            found.ready.push(Hour::from_number(hour));
        } else {
            found.later += 1;
        }
    }
    Ok(found)
}

/// A new generation, for the rows of these hours.
pub(super) async fn begin(client: &Client, hours: &HourRange) -> Result<u64, StoreError> {
    const DOING: &str = "begin an hour's rollup";
    let generation = client.query_raw("SELECT generateSnowflakeID()");
    let generation: u64 = within(DOING, generation.fetch_one()).await?;
    let begin = client
        .query_raw(&format!(
            "INSERT INTO rollup_periods (hour, event, generation) SELECT {HOURS}, 'begun', {{generation:UInt64}}"
        ))
        .param("hours", seconds(hours))
        .param("generation", generation);
    within(DOING, begin.execute()).await?;
    Ok(generation)
}

/// Says of these hours that the rows of the generation count, which are all in. One insert of a few lines: all of it or nothing.
pub(super) async fn hold(
    client: &Client,
    hours: &HourRange,
    generation: u64,
) -> Result<(), StoreError> {
    const DOING: &str = "put an hour's rollup in place";
    let hold = client
        .query_raw(&format!(
            "INSERT INTO rollup_periods (hour, event, generation) SELECT {HOURS}, 'holds', {{generation:UInt64}}
             WHERE now64(3) < snowflakeIDToDateTime64({{generation:UInt64}}) + INTERVAL {{within:UInt64}} SECOND"
        ))
        .param("hours", seconds(hours))
        .param("generation", generation)
        .param("within", HOLDS_WITHIN.as_secs());
    within(DOING, hold.execute()).await?;
    let held = client
        .query_raw(
            "SELECT count() FROM rollup_periods WHERE event = 'holds' AND generation = {generation:UInt64}",
        )
        .param("generation", generation);
    let held: u64 = within(DOING, held.fetch_one()).await?;
    if held == 0 {
        return Err(too_long(HOLDS_WITHIN));
    }
    Ok(())
}

/// Why what was computed does not count.
pub(super) fn too_long(within: Duration) -> StoreError {
    StoreError::TookTooLong {
        doing: "compute some hours' rollups",
        seconds: within.as_secs(),
    }
}

/// How many of these hours' rollups hold.
pub(super) async fn count_holding(
    client: &Client,
    settled: Duration,
    hours: &HourRange,
) -> Result<u64, StoreError> {
    Ok(holding(client, settled, hours.numbers()).await?.len() as u64)
}

/// Hours and generations of which another has taken the place, or whose computation was given up, for longer than anybody may still read
/// or write them; only some.
pub(super) async fn replaced(client: &Client) -> Result<Vec<(u32, u64)>, StoreError> {
    let query = client
        .query_raw(
            "SELECT toUnixTimestamp(hour), old FROM (
                SELECT hour, maxIf(generation, event = 'holds') AS held, arrayJoin(groupUniqArrayIf(generation, event != 'changed')) AS old
                FROM rollup_periods GROUP BY hour
             ) WHERE old != held AND snowflakeIDToDateTime64(greatest(old, held)) + INTERVAL {kept:UInt64} SECOND < now64(3)
             LIMIT 1000",
        )
        .param("kept", 2 * HOLDS_WITHIN.as_secs());
    within("look for rollups that were replaced", query.fetch_all()).await
}

/// The first and last hours with scans of each month.
async fn spans(client: &Client) -> Result<Vec<(i64, i64)>, StoreError> {
    // Answered from what the server knows of each part.
    let spans = client.query_raw(
        "SELECT intDiv(toUnixTimestamp64Micro(min(time)), 3600000000), intDiv(toUnixTimestamp64Micro(max(time)), 3600000000)
         FROM scans GROUP BY _partition_id",
    );
    within("look for hours with scans", spans.fetch_all()).await
}

async fn lines(client: &Client, hours: Range<i64>) -> Result<Vec<Line>, StoreError> {
    let bound = |hour: i64| second(hour.max(0)).unwrap_or(u32::MAX);
    let query = client
        .query_raw(
            "SELECT toInt64(intDiv(toUnixTimestamp(hour), 3600)) AS number,
                maxIf(generation, event = 'holds') AS held,
                toUnixTimestamp64Milli(snowflakeIDToDateTime64(held)) AS held_ms,
                toUnixTimestamp64Milli(snowflakeIDToDateTime64(maxIf(generation, event = 'begun'))) AS begun_ms,
                maxIf(toUnixTimestamp64Milli(at), event = 'changed') AS changed_ms
             FROM rollup_periods
             WHERE hour >= toDateTime({from:UInt32}, 'UTC') AND hour < toDateTime({to:UInt32}, 'UTC')
             GROUP BY hour ORDER BY hour",
        )
        .param("from", bound(hours.start))
        .param("to", bound(hours.end));
    within("look which rollups hold", query.fetch_all()).await
}

const HOURS: &str = "toDateTime(arrayJoin({hours:Array(UInt32)}), 'UTC')";

fn seconds(hours: &HourRange) -> Vec<u32> {
    hours.numbers().filter_map(second).collect()
}

/// When an hour begins, as far as the server's type for it goes: from 1970 to 2106.
pub(super) fn second(hour: i64) -> Option<u32> {
    u32::try_from(hour.checked_mul(HOUR)?).ok()
}

fn millis(time: Duration) -> i64 {
    time.as_millis() as i64
}
