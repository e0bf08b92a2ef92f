//! How questions are put to ClickHouse: to the rollups for the hours of which they hold, to the scans for the rest. Every value is a
//! parameter; only our own column names are pasted.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use clickhouse::Client;
use clickhouse::query::Query;
use tags::WorkspaceId;

use super::filter::{automated, bind, selected};
use super::{days, periods, within};
use crate::rollups::{Division, HOURS_OF_DAY, Key, Rolled, runs, whole_hours};
use crate::{Dimension, ScanQuery, ScanReport, StoreError};

/// The most numbers of one parameter: the server takes 128 KiB of each (`http_max_field_value_size`).
const PIECE: usize = 5_000;

pub(super) async fn answer(
    client: &Client,
    settled: Duration,
    workspace: &WorkspaceId,
    query: &ScanQuery,
) -> Result<ScanReport, StoreError> {
    const DOING: &str = "answer a question about scans";
    let question = Question::new(client, settled, workspace, query).await?;
    let unit = query.unit();
    let number = format!(
        "toInt64(intDiv(toUnixTimestamp64Micro(time), {}))",
        unit * 1_000_000
    );
    let series = question.count(Rolled::series(query.select(), unit), &number, "");
    let counts: HashMap<i64, u64> = match series {
        Some(series) => within(DOING, series.fetch_all::<(i64, u64)>()).await?,
        None => Vec::new(),
    }
    .into_iter()
    .collect();

    let mut report = ScanReport {
        total: counts.values().sum(),
        series: query.series(&counts),
        breakdown: Vec::new(),
    };
    for dimension in query.by() {
        let rolled = Rolled::breakdown(query.select(), *dimension);
        let most = ScanQuery::MOST_VALUES;
        let order = format!("ORDER BY sum(n) DESC, key LIMIT {most}");
        let values = match question.count(rolled, expression(*dimension), &order) {
            Some(values) => within(DOING, values.fetch_all::<(String, u64)>()).await?,
            None => Vec::new(),
        };
        report.breakdown.push((*dimension, values));
    }
    Ok(report)
}

/// A workspace's question, and which of its hours the rollups answer.
struct Question<'a> {
    client: &'a Client,
    workspace: &'a WorkspaceId,
    query: &'a ScanQuery,
    division: Division,
    /// The hours in `division`, in seconds since 1970.
    hours: Held<u32>,
    /// The days in it whose rollups hold, and the hours beside them.
    days: Held<u16>,
    hours_beside: Held<u32>,
}

/// Periods whose rollups hold, and the generations of the rows that count.
struct Held<T> {
    periods: Vec<T>,
    generations: Vec<u64>,
}

impl<T> FromIterator<(T, u64)> for Held<T> {
    fn from_iter<I: IntoIterator<Item = (T, u64)>>(held: I) -> Self {
        let (periods, generations) = held.into_iter().unzip();
        Self {
            periods,
            generations,
        }
    }
}

impl<'a> Question<'a> {
    async fn new(
        client: &'a Client,
        settled: Duration,
        workspace: &'a WorkspaceId,
        query: &'a ScanQuery,
    ) -> Result<Self, StoreError> {
        let (from, to) = query.filter().stored_range();
        let whole = whole_hours(&(from..to));
        let holding = match whole.is_empty() {
            true => Vec::new(),
            // Before any rows are read: what holds now is in, and stays long enough.
            false => periods::holding(client, settled, whole).await?,
        };
        let division = Division::of(from..to, runs(holding.iter().map(|(hour, _)| *hour)));
        // Series are told by the hours.
        let days = match query.by() {
            [] => BTreeMap::new(),
            _ => {
                days::holding(client, &division.rolled, &holding.iter().copied().collect()).await?
            }
        };
        let rolled = holding.iter().filter(|(hour, _)| division.rolls(*hour));
        let beside = |hour: i64| !days.contains_key(&hour.div_euclid(HOURS_OF_DAY));
        let second = |(hour, held): &(i64, u64)| Some((periods::second(*hour)?, *held));
        let hours = rolled.clone().filter_map(second).collect();
        let rest = rolled.filter(|(hour, _)| beside(*hour));
        let hours_beside = rest.filter_map(second).collect();
        let numbers = days.iter().map(|(day, held)| (*day as u16, *held));
        Ok(Self {
            client,
            workspace,
            query,
            division,
            hours,
            days: numbers.collect(),
            hours_beside,
        })
    }

    /// The statement that counts by a key, which is `rolled` in the rollups and an expression of the scans. None: there is nothing to
    /// look at.
    fn count(&self, rolled: Option<Rolled>, of_scans: &str, order: &str) -> Option<Query> {
        let (from, to) = self.query.filter().stored_range();
        let scans_alone = Division::raw(from..to);
        let division = match rolled {
            Some(_) => &self.division,
            None => &scans_alone,
        };
        let mut parts = Vec::new();
        let by_day = rolled.and_then(|rolled| rolled.by_day());
        let hours = by_day.map_or(&self.hours, |_| &self.hours_beside);
        if let Some(rolled) = rolled {
            if let Some(table) = by_day.filter(|_| !self.days.periods.is_empty()) {
                parts.push(self.of_rollups(&rolled, table, "(day, generation) IN arrayZip({days:Array(UInt16)}, {day_generations:Array(UInt64)})"));
            }
            if !hours.periods.is_empty() {
                let pieces = hours.periods.len().div_ceil(PIECE);
                let held = format!(
                    "(hour, generation) IN arrayZip({}, {})",
                    in_pieces("hours", "UInt32", pieces),
                    in_pieces("generations", "UInt64", pieces)
                );
                parts.push(self.of_rollups(&rolled, rolled.table.name(), &held));
            }
        }
        if !division.raw.is_empty() {
            parts.push(self.of_scans(of_scans, division.raw.len()));
        }
        if parts.is_empty() {
            return None;
        }
        let statement = format!(
            "SELECT key, sum(n) FROM ({}) GROUP BY key {order}",
            parts.join(" UNION ALL ")
        );
        let mut statement = self
            .client
            .query_raw(&statement)
            .param("workspace", self.workspace.as_str());
        if by_day.is_some() {
            statement = statement
                .param("days", &self.days.periods)
                .param("day_generations", &self.days.generations);
        }
        let generations = hours.generations.chunks(PIECE);
        let pieces = hours.periods.chunks(PIECE).zip(generations);
        for (n, (hours, generations)) in pieces.enumerate() {
            statement = statement
                .param(&format!("hours{n}"), hours)
                .param(&format!("generations{n}"), generations);
        }
        for (n, range) in division.raw.iter().enumerate() {
            statement = statement
                .param(&format!("from{n}"), range.start)
                .param(&format!("to{n}"), range.end);
        }
        Some(bind(statement, self.query.select()))
    }

    fn of_scans(&self, key: &str, ranges: usize) -> String {
        let any: Vec<String> = (0..ranges)
            .map(|n| {
                format!(
                    "time >= fromUnixTimestamp64Micro({{from{n}:Int64}}, 'UTC') AND time < fromUnixTimestamp64Micro({{to{n}:Int64}}, 'UTC')"
                )
            })
            .collect();
        format!(
            "SELECT {key} AS key, count() AS n FROM scans
             WHERE workspace = {{workspace:String}} AND tag_version > 0{}{} AND ({}) GROUP BY key",
            selected(self.query.select()),
            automated(self.query.bots()),
            any.join(" OR ")
        )
    }

    /// What the rows of a table say that hold.
    fn of_rollups(&self, rolled: &Rolled, table: &str, hold: &str) -> String {
        let key = match rolled.key {
            Key::Hour(unit) => format!("toInt64(intDiv(toUnixTimestamp(hour), {unit}))"),
            Key::Minute(unit) => format!("toInt64(intDiv(toUnixTimestamp(minute), {unit}))"),
            Key::Value => "value".to_owned(),
            Key::Campaign => expression(Dimension::Campaign).to_owned(),
            Key::Code => expression(Dimension::Code).to_owned(),
        };
        format!(
            "SELECT {key} AS key, sum(scans) AS n FROM {table} WHERE workspace = {{workspace:String}}{}{}{} AND {hold} GROUP BY key",
            rolled.condition(),
            selected(self.query.select()),
            automated(self.query.bots()),
        )
    }
}

/// A parameter that is given in pieces.
fn in_pieces(name: &str, kind: &str, pieces: usize) -> String {
    let pieces: Vec<_> = (0..pieces)
        .map(|n| format!("{{{name}{n}:Array({kind})}}"))
        .collect();
    format!("arrayConcat({})", pieces.join(", "))
}

/// A dimension's value, as text.
pub(super) fn expression(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Country => "if(country = '', 'unknown', country)",
        Dimension::Region => "if(region = '', 'unknown', region)",
        Dimension::City => "if(city = '', 'unknown', city)",
        Dimension::Device => "if(device = '', 'unknown', device)",
        Dimension::Os => "if(os = '', 'unknown', os)",
        Dimension::Browser => "if(browser = '', 'unknown', browser)",
        Dimension::Language => "if(language = '', 'unknown', language)",
        Dimension::Referrer => "if(referrer = '', 'none', referrer)",
        Dimension::Rule => "if(rule = '', 'none', rule)",
        Dimension::BotReason => "if(bot_reason = '', 'none', bot_reason)",
        Dimension::Campaign => "if(campaign = '', 'none', campaign)",
        Dimension::Destination => "if(outcome = 'redirected', toString(destination_index), 'none')",
        Dimension::Outcome => "toString(outcome)",
        Dimension::Code => "code",
    }
}
