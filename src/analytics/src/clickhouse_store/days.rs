//! Rollups of days in ClickHouse, each derived from those of its hours: table `rollup_days` says from which. So a day's holds exactly as long
//! as the rollups of its hours hold and are the same; nobody has to say when it does no more.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use clickhouse::Client;
use serde::Deserialize;

use super::clock::server_time;
use super::periods::{self, HOLDS_WITHIN};
use super::rollups::in_the_background;
use super::within;
use crate::StoreError;
use crate::rollups::{Table, hours_of_day, runs, whole_days};

/// How long a computation that has begun is waited for before another begins.
const UNDER_WAY_MS: i64 = 600_000;

/// What is known of a day's rollup.
#[derive(clickhouse::Row, Deserialize)]
struct Line {
    day: i64,
    /// The latest generation that holds; 0: none.
    held: u64,
    /// The generations of the hours that it is derived from.
    hours: Vec<u64>,
    held_ms: i64,
    /// When the latest computation began.
    begun_ms: i64,
}

/// The generations of those days, of these runs of hours, whose rollups are derived from what holds for their hours.
pub(super) async fn holding(
    client: &Client,
    runs: &[Range<i64>],
    hours: &BTreeMap<i64, u64>,
) -> Result<BTreeMap<i64, u64>, StoreError> {
    let days: BTreeSet<i64> = runs.iter().flat_map(whole_days).collect();
    let (Some(first), Some(last)) = (days.first(), days.last()) else {
        return Ok(BTreeMap::new());
    };
    let lines = lines(client, *first..*last + 1).await?.into_iter();
    let holds = lines.filter(|line| days.contains(&line.day) && line.is_of(hours));
    Ok(holds.map(|line| (line.day, line.held)).collect())
}

/// Computes the newest of the days whose hours all hold, and whose rollup is not derived from these. How many: one, or none is missing.
pub(super) async fn compute_newest(client: &Client, settled: Duration) -> Result<u64, StoreError> {
    let now = server_time(client).await?;
    let held = periods::holding(client, settled, 0..i64::MAX).await?;
    let runs = runs(held.iter().map(|(hour, _)| *hour));
    let hours: BTreeMap<i64, u64> = held.into_iter().collect();
    let lines = lines(client, 0..i64::MAX).await?.into_iter();
    let lines: BTreeMap<i64, Line> = lines.map(|line| (line.day, line)).collect();
    let is_missing = |day: &i64| {
        lines.get(day).is_none_or(|line| {
            let under_way = line.begun_ms > line.held_ms && line.begun_ms + UNDER_WAY_MS > now;
            !line.is_of(&hours) && !under_way
        })
    };
    let mut newest = runs.iter().rev().flat_map(|run| whole_days(run).rev());
    let Some(day) = newest.find(is_missing) else {
        sweep(client).await?;
        return Ok(0);
    };
    compute(client, day, &hours).await?;
    Ok(1)
}

impl Line {
    fn is_of(&self, hours: &BTreeMap<i64, u64>) -> bool {
        self.held > 0 && generations(self.day, hours).eq(self.hours.iter().map(Some))
    }
}

fn generations(day: i64, hours: &BTreeMap<i64, u64>) -> impl Iterator<Item = Option<&u64>> {
    hours_of_day(day).map(|hour| hours.get(&hour))
}

/// The rows are of a new generation; then comes the line that makes them count.
async fn compute(client: &Client, day: i64, hours: &BTreeMap<i64, u64>) -> Result<(), StoreError> {
    const DOING: &str = "compute a day's rollup";
    let of: Vec<u64> = generations(day, hours).flatten().copied().collect();
    let generation = client.query_raw("SELECT generateSnowflakeID()");
    let generation: u64 = within(DOING, generation.fetch_one()).await?;
    let say = |event: &str, condition: &str| {
        let say = format!(
            "INSERT INTO rollup_days SELECT toDate({{day:UInt16}}), '{event}', {{generation:UInt64}}, {{of:Array(UInt64)}} {condition}"
        );
        let say = client.query_raw(&say).param("day", number(day));
        say.param("generation", generation).param("of", &of)
    };
    within(DOING, say("begun", "").execute()).await?;
    let seconds: Vec<u32> = hours_of_day(day).filter_map(periods::second).collect();
    for (table, columns) in [
        (Table::Hours, "per, dimension, campaign, value"),
        (Table::Tags, "domain, code, campaign"),
    ] {
        let Some(by_day) = table.by_day() else {
            continue;
        };
        let rows = format!(
            "INSERT INTO {by_day} (workspace, {columns}, automated, day, scans, generation)
             SELECT workspace, {columns}, automated, toDate({{day:UInt16}}), sum(scans), {{generation:UInt64}} FROM {}
             WHERE hour >= toDateTime({{first:UInt32}}, 'UTC') AND hour < toDateTime({{end:UInt32}}, 'UTC')
             AND (hour, generation) IN arrayZip({{hours:Array(UInt32)}}, {{of:Array(UInt64)}})
             GROUP BY workspace, {columns}, automated",
            table.name()
        );
        let rows = client.query_raw(&rows).param("day", number(day));
        let second = |day| u32::from(number(day)).saturating_mul(86_400);
        let rows = rows
            .param("first", second(day))
            .param("end", second(day + 1));
        let rows = rows.param("hours", &seconds).param("of", &of);
        in_the_background(rows.param("generation", generation)).await?;
    }
    let in_time = "WHERE now64(3) < snowflakeIDToDateTime64({generation:UInt64}) + INTERVAL {within:UInt64} SECOND";
    let holds = say("holds", in_time).param("within", HOLDS_WITHIN.as_secs());
    within(DOING, holds.execute()).await
}

/// Removes rows that nobody reads any more, and then what is said of them.
async fn sweep(client: &Client) -> Result<(), StoreError> {
    let replaced = client
        .query_raw(
            "SELECT toUInt16(day), old FROM (
                SELECT day, maxIf(generation, event = 'holds') AS held, arrayJoin(groupUniqArray(generation)) AS old FROM rollup_days GROUP BY day
             ) WHERE old != held AND snowflakeIDToDateTime64(greatest(old, held)) + INTERVAL {kept:UInt64} SECOND < now64(3)
             LIMIT 1000",
        )
        .param("kept", 2 * HOLDS_WITHIN.as_secs());
    let replaced = within(
        "look for days' rollups that were replaced",
        replaced.fetch_all::<(u16, u64)>(),
    );
    let (days, generations): (Vec<u16>, Vec<u64>) = replaced.await?.into_iter().unzip();
    if days.is_empty() {
        return Ok(());
    }
    let tables = [
        Table::Hours.by_day(),
        Table::Tags.by_day(),
        Some("rollup_days"),
    ];
    for table in tables.into_iter().flatten() {
        let delete = client
            .query_raw(&format!(
                "DELETE FROM {table} WHERE (toUInt16(day), generation) IN arrayZip({{days:Array(UInt16)}}, {{generations:Array(UInt64)}})"
            ))
            .param("days", &days)
            .param("generations", &generations);
        in_the_background(delete).await?;
    }
    Ok(())
}

async fn lines(client: &Client, days: Range<i64>) -> Result<Vec<Line>, StoreError> {
    let query = client
        .query_raw(
            "SELECT toInt64(toUInt16(day)) AS day,
                maxIf(generation, event = 'holds') AS held,
                argMaxIf(hours, generation, event = 'holds') AS hours,
                toUnixTimestamp64Milli(snowflakeIDToDateTime64(held)) AS held_ms,
                toUnixTimestamp64Milli(snowflakeIDToDateTime64(maxIf(generation, event = 'begun'))) AS begun_ms
             FROM rollup_days WHERE toUInt16(rollup_days.day) >= {from:UInt16} AND toUInt16(rollup_days.day) < {to:UInt16}
             GROUP BY rollup_days.day",
        )
        .param("from", number(days.start))
        .param("to", number(days.end));
    within("look which days' rollups hold", query.fetch_all()).await
}

/// A day in the server's type for it, which goes from 1970 to 2149: hours end before.
fn number(day: i64) -> u16 {
    day.clamp(0, i64::from(u16::MAX)) as u16
}
