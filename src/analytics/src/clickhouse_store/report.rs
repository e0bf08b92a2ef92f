//! How questions are put to ClickHouse: to the rollups for the hours of which they hold, to the scans for the rest. Every value is a
//! parameter; only our own column names are pasted.

use std::collections::HashMap;
use std::time::Duration;

use clickhouse::Client;
use clickhouse::query::Query;
use tags::WorkspaceId;

use super::filter::{automated, bind, selected};
use super::{periods, within};
use crate::rollups::{Division, Key, Rolled, runs, whole_hours};
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
    /// The hours in `division`, in seconds since 1970, and the generations of rows that hold for them.
    hours: Vec<u32>,
    generations: Vec<u64>,
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
        let read = holding.iter().filter(|(hour, _)| division.rolls(*hour));
        let read = read.filter_map(|(hour, held)| Some((periods::second(*hour)?, *held)));
        let (hours, generations) = read.unzip();
        Ok(Self {
            client,
            workspace,
            query,
            division,
            hours,
            generations,
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
        if let Some(rolled) = rolled.filter(|_| !division.rolled.is_empty()) {
            parts.push(self.of_rollups(&rolled));
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
        let pieces = self.hours.chunks(PIECE).zip(self.generations.chunks(PIECE));
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

    fn of_rollups(&self, rolled: &Rolled) -> String {
        let key = match rolled.key {
            Key::Hour(unit) => format!("toInt64(intDiv(toUnixTimestamp(hour), {unit}))"),
            Key::Minute(unit) => format!("toInt64(intDiv(toUnixTimestamp(minute), {unit}))"),
            Key::Value => "value".to_owned(),
            Key::Campaign => expression(Dimension::Campaign).to_owned(),
            Key::Code => expression(Dimension::Code).to_owned(),
        };
        format!(
            "SELECT {key} AS key, sum(scans) AS n FROM {} WHERE workspace = {{workspace:String}}{}{}{}
             AND (hour, generation) IN arrayZip({}, {}) GROUP BY key",
            rolled.table.name(),
            rolled.condition(),
            selected(self.query.select()),
            automated(self.query.bots()),
            self.in_pieces("hours", "UInt32"),
            self.in_pieces("generations", "UInt64"),
        )
    }

    fn in_pieces(&self, name: &str, kind: &str) -> String {
        let pieces = 0..self.hours.len().div_ceil(PIECE);
        let pieces: Vec<_> = pieces
            .map(|n| format!("{{{name}{n}:Array({kind})}}"))
            .collect();
        format!("arrayConcat({})", pieces.join(", "))
    }
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
