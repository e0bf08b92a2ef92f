//! How questions are put to ClickHouse, straight to the raw scans. Every value is a parameter; only our own column names are pasted.

use std::collections::HashMap;

use clickhouse::Client;
use clickhouse::query::Query;
use tags::WorkspaceId;

use super::within;
use crate::{Bots, Dimension, ScanQuery, ScanReport, Select, StoreError};

pub(super) async fn answer(
    client: &Client,
    workspace: &WorkspaceId,
    query: &ScanQuery,
) -> Result<ScanReport, StoreError> {
    const DOING: &str = "answer a question about scans";
    let micros = query.interval().seconds() * 1_000_000;
    let series = format!(
        "SELECT intDiv(toUnixTimestamp64Micro(time), {micros}) AS number, count() FROM scans"
    );
    let series = bound(client, &series, "GROUP BY number", workspace, query);
    let counts: HashMap<i64, u64> = within(DOING, series.fetch_all::<(i64, u64)>())
        .await?
        .into_iter()
        .collect();

    let mut report = ScanReport {
        total: counts.values().sum(),
        series: query.series(&counts),
        breakdown: Vec::new(),
    };
    for dimension in query.by() {
        let select = format!(
            "SELECT {} AS value, count() AS scans FROM scans",
            expression(*dimension)
        );
        let rest = format!(
            "GROUP BY value ORDER BY scans DESC, value LIMIT {}",
            ScanQuery::MOST_VALUES
        );
        let values = bound(client, &select, &rest, workspace, query);
        report.breakdown.push((
            *dimension,
            within(DOING, values.fetch_all::<(String, u64)>()).await?,
        ));
    }
    Ok(report)
}

/// The whole statement for one workspace, its values bound.
fn bound(
    client: &Client,
    select: &str,
    rest: &str,
    workspace: &WorkspaceId,
    query: &ScanQuery,
) -> Query {
    let selected = match query.select() {
        Select::Workspace => "",
        Select::Code { .. } => " AND domain = {domain:String} AND code = {code:String}",
        Select::Campaign(_) => " AND campaign = {campaign:String}",
    };
    let bots = match query.bots() {
        Bots::Exclude => " AND NOT automated",
        Bots::Include => "",
        Bots::Only => " AND automated",
    };
    let (from, to) = query.stored_range();
    let statement = client
        .query_raw(&format!(
            "{select} WHERE workspace = {{workspace:String}} AND tag_version > 0{selected}{bots}
             AND time >= fromUnixTimestamp64Micro({{from:Int64}}, 'UTC') AND time < fromUnixTimestamp64Micro({{to:Int64}}, 'UTC') {rest}"
        ))
        .param("workspace", workspace.as_str())
        .param("from", from)
        .param("to", to);
    match query.select() {
        Select::Workspace => statement,
        Select::Code { domain, code } => statement
            .param("domain", domain.as_str())
            .param("code", code.as_str()),
        Select::Campaign(campaign) => statement.param("campaign", campaign),
    }
}

/// A dimension's value, as text.
fn expression(dimension: Dimension) -> &'static str {
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
