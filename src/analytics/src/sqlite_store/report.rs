//! How questions are put to SQLite: to the rollups for the hours of which they hold, to the scans for the rest. Every value is a parameter;
//! only our own column names, and numbers, are pasted.

use std::collections::HashMap;
use std::ops::Range;

use rusqlite::types::{FromSql, Value};
use rusqlite::{Connection, TransactionBehavior, params, params_from_iter};
use tags::WorkspaceId;

use super::filter::{automated, selected};
use crate::rollups::{ByDay, Division, Key, Rolled, whole_days, whole_hours, without};
use crate::{Dimension, ScanQuery, ScanReport};

pub(super) fn answer(
    connection: &mut Connection,
    workspace: &WorkspaceId,
    query: &ScanQuery,
) -> rusqlite::Result<ScanReport> {
    // One transaction: all parts of the answer are of the same moment.
    let moment = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
    let question = Question::new(&moment, workspace, query)?;
    let unit = query.unit();
    let number = format!("time / {}", unit * 1_000_000);
    let series = Rolled::series(query.select(), unit);
    let counts: HashMap<i64, u64> = question.count(series, &number, "")?.into_iter().collect();

    let mut report = ScanReport {
        total: counts.values().sum(),
        series: query.series(&counts),
        breakdown: Vec::new(),
    };
    let order = format!("ORDER BY scans DESC, key LIMIT {}", ScanQuery::MOST_VALUES);
    for dimension in query.by() {
        let rolled = Rolled::breakdown(query.select(), *dimension);
        let values = question.count(rolled, expression(*dimension), &order)?;
        report.breakdown.push((*dimension, values));
    }
    Ok(report)
}

/// A workspace's question, and which of its hours the rollups answer.
struct Question<'a> {
    moment: &'a Connection,
    workspace: &'a WorkspaceId,
    query: &'a ScanQuery,
    division: Division,
    by_day: ByDay,
}

impl<'a> Question<'a> {
    fn new(
        moment: &'a Connection,
        workspace: &'a WorkspaceId,
        query: &'a ScanQuery,
    ) -> rusqlite::Result<Self> {
        let (from, to) = query.filter().stored_range();
        let whole = whole_hours(&(from..to));
        // An hour that is not there has no scans, which its rollup says as well.
        let missing = moment
            .prepare_cached(
                "SELECT hour FROM rollup_periods WHERE NOT holds AND hour >= ?1 AND hour < ?2 ORDER BY hour",
            )?
            .query_map(params![whole.start, whole.end], |line| line.get(0))?
            .collect::<rusqlite::Result<Vec<i64>>>()?;
        let division = Division::of(from..to, without(whole, missing));
        // Of what lies in it, where there is anything: a day that is not there has no scans either.
        let within = match (division.rolled.first(), division.rolled.last()) {
            (Some(first), Some(last)) => whole_days(&(first.start..last.end)),
            _ => 0..0,
        };
        let missing = moment
            .prepare_cached(
                "SELECT day FROM rollup_days WHERE NOT holds AND day >= ?1 AND day < ?2 ORDER BY day",
            )?
            .query_map(params![within.start, within.end], |line| line.get(0))?
            .collect::<rusqlite::Result<Vec<i64>>>()?;
        Ok(Self {
            moment,
            workspace,
            query,
            by_day: ByDay::of(&division.rolled, &missing),
            division,
        })
    }

    /// Counts by a key, which is `rolled` in the rollups and an expression of the scans.
    fn count<K: FromSql>(
        &self,
        rolled: Option<Rolled>,
        of_scans: &str,
        order: &str,
    ) -> rusqlite::Result<Vec<(K, u64)>> {
        let (from, to) = self.query.filter().stored_range();
        let scans_alone = Division::raw(from..to);
        let division = match rolled {
            Some(_) => &self.division,
            None => &scans_alone,
        };
        let (mut parts, mut bound) = (Vec::new(), Vec::new());
        if let Some(rolled) = rolled {
            let hours = match rolled.by_day() {
                None => &division.rolled,
                Some(table) => {
                    for days in &self.by_day.days {
                        let of_days = ("rollup_days", table, "day");
                        parts.push(self.of_rollups(&rolled, of_days, days, &mut bound));
                    }
                    &self.by_day.hours
                }
            };
            for hours in hours {
                let of_hours = ("rollup_periods", rolled.table.name(), "hour");
                parts.push(self.of_rollups(&rolled, of_hours, hours, &mut bound));
            }
        }
        for time in &division.raw {
            parts.push(self.of_scans(of_scans, time, &mut bound));
        }
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let statement = format!(
            "SELECT key, sum(n) AS scans FROM ({}) GROUP BY key {order}",
            parts.join(" UNION ALL ")
        );
        let mut statement = self.moment.prepare_cached(&statement)?;
        let lines = statement.query_map(params_from_iter(&bound), |line| {
            Ok((line.get(0)?, line.get::<_, i64>(1)? as u64))
        })?;
        lines.collect()
    }

    fn of_scans(&self, key: &str, time: &Range<i64>, bound: &mut Vec<Value>) -> String {
        bound.push(self.workspace.as_str().to_owned().into());
        bound.extend([time.start.into(), time.end.into()]);
        format!(
            "SELECT {key} AS key, count(*) AS n FROM scans WHERE workspace = ? AND tag_version > 0 AND time >= ? AND time < ?{}{} GROUP BY key",
            selected(self.query.select(), bound),
            automated(self.query.bots())
        )
    }

    /// From hour to hour or day to day, of each what is asked for alone.
    fn of_rollups(
        &self,
        rolled: &Rolled,
        (periods, table, period): (&str, &str, &str),
        numbers: &Range<i64>,
        bound: &mut Vec<Value>,
    ) -> String {
        let key = match rolled.key {
            Key::Hour(unit) => format!("hour / {}", unit / 3_600),
            Key::Minute(unit) => format!("minute / {}", unit / 60),
            Key::Value => "value".to_owned(),
            Key::Campaign => expression(Dimension::Campaign).to_owned(),
            Key::Code => expression(Dimension::Code).to_owned(),
        };
        bound.extend([numbers.start.into(), numbers.end.into()]);
        bound.push(self.workspace.as_str().to_owned().into());
        format!(
            "SELECT {key} AS key, sum(scans) AS n FROM {periods} CROSS JOIN {table} USING ({period})
             WHERE {period} >= ? AND {period} < ? AND workspace = ?{}{}{} GROUP BY key",
            rolled.condition(),
            selected(self.query.select(), bound),
            automated(self.query.bots()),
        )
    }
}

/// A dimension's value, as text.
pub(super) fn expression(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Country => "iif(country = '', 'unknown', country)",
        Dimension::Region => "iif(region = '', 'unknown', region)",
        Dimension::City => "iif(city = '', 'unknown', city)",
        Dimension::Device => "iif(device = '', 'unknown', device)",
        Dimension::Os => "iif(os = '', 'unknown', os)",
        Dimension::Browser => "iif(browser = '', 'unknown', browser)",
        Dimension::Language => "iif(language = '', 'unknown', language)",
        Dimension::Referrer => "iif(referrer = '', 'none', referrer)",
        Dimension::Rule => "iif(rule = '', 'none', rule)",
        Dimension::BotReason => "iif(bot_reason = '', 'none', bot_reason)",
        Dimension::Campaign => "iif(campaign = '', 'none', campaign)",
        Dimension::Destination => {
            "iif(outcome = 'redirected', CAST(destination_index AS TEXT), 'none')"
        }
        Dimension::Outcome => "outcome",
        Dimension::Code => "code",
    }
}
