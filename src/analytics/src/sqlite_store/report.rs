//! How questions are put to SQLite. Every value is a parameter; only our own column names are pasted.

use std::collections::HashMap;

use rusqlite::types::Value;
use rusqlite::{Connection, TransactionBehavior, params_from_iter};
use tags::WorkspaceId;

use crate::{Bots, Dimension, ScanQuery, ScanReport, Select};

pub(super) fn answer(
    connection: &mut Connection,
    workspace: &WorkspaceId,
    query: &ScanQuery,
) -> rusqlite::Result<ScanReport> {
    // One transaction: all parts of the answer are of the same moment.
    let moment = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
    let (condition, bound) = condition(workspace, query);

    let micros = query.interval().seconds() * 1_000_000;
    let statement = format!(
        "SELECT time / {micros} AS number, count(*) FROM scans WHERE {condition} GROUP BY number"
    );
    let mut counts: HashMap<i64, u64> = HashMap::new();
    let mut series = moment.prepare_cached(&statement)?;
    let mut lines = series.query(params_from_iter(&bound))?;
    while let Some(line) = lines.next()? {
        counts.insert(line.get(0)?, line.get::<_, i64>(1)? as u64);
    }

    let mut report = ScanReport {
        total: counts.values().sum(),
        series: query.series(&counts),
        breakdown: Vec::new(),
    };
    for dimension in query.by() {
        let statement = format!(
            "SELECT {} AS value, count(*) AS scans FROM scans WHERE {condition}
             GROUP BY value ORDER BY scans DESC, value LIMIT {}",
            expression(*dimension),
            ScanQuery::MOST_VALUES
        );
        let mut breakdown = moment.prepare_cached(&statement)?;
        let values = breakdown
            .query_map(params_from_iter(&bound), |line| {
                Ok((line.get(0)?, line.get::<_, i64>(1)? as u64))
            })?
            .collect::<Result<_, _>>()?;
        report.breakdown.push((*dimension, values));
    }
    Ok(report)
}

fn condition(workspace: &WorkspaceId, query: &ScanQuery) -> (String, Vec<Value>) {
    let (from, to) = query.stored_range();
    let mut bound: Vec<Value> = vec![workspace.as_str().to_owned().into(), from.into(), to.into()];
    let selected = match query.select() {
        Select::Workspace => "",
        Select::Code { domain, code } => {
            bound.extend([
                domain.as_str().to_owned().into(),
                code.as_str().to_owned().into(),
            ]);
            " AND domain = ? AND code = ?"
        }
        Select::Campaign(campaign) => {
            bound.push(campaign.clone().into());
            " AND campaign = ?"
        }
    };
    let bots = match query.bots() {
        Bots::Exclude => " AND NOT automated",
        Bots::Include => "",
        Bots::Only => " AND automated",
    };
    (
        format!("workspace = ? AND tag_version > 0 AND time >= ? AND time < ?{selected}{bots}"),
        bound,
    )
}

/// A dimension's value, as text.
fn expression(dimension: Dimension) -> &'static str {
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
