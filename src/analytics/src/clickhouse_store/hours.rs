//! Hours of tags in ClickHouse, straight from the raw scans.

use std::collections::{BTreeMap, HashMap};

use clickhouse::Client;
use clickhouse::query::Query;
use tags::{Code, Domain, WorkspaceId};

use super::within;
use crate::{Hour, ScannedTag, StoreError, TagHours};

/// People's scans of tags in a time.
const PEOPLE: &str = "tag_version > 0 AND NOT automated
    AND time >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND time < fromUnixTimestamp64Micro({to:Int64}, 'UTC')";

pub(super) async fn busiest(
    client: &Client,
    hour: Hour,
    least: u64,
    most: usize,
) -> Result<Vec<ScannedTag>, StoreError> {
    const DOING: &str = "look for the tags that were scanned most";
    let query = client
        .query_raw(&format!(
            "SELECT workspace, domain, code FROM scans WHERE {PEOPLE}
             GROUP BY workspace, domain, code HAVING count() >= {{least:UInt64}}
             ORDER BY count() DESC, workspace, domain, code LIMIT {{most:UInt64}}"
        ))
        .param("least", least)
        .param("most", most as u64);
    let rows = in_time(query, hour.micros()).fetch_all::<(String, String, String)>();
    let rows = within(DOING, rows).await?.into_iter();
    rows.map(|(workspace, domain, code)| scanned_tag(&workspace, &domain, &code))
        .collect()
}

pub(super) async fn of_tags(
    client: &Client,
    tags: &[ScannedTag],
    hours: &[Hour],
    since: Hour,
) -> Result<Vec<TagHours>, StoreError> {
    const DOING: &str = "count scans hour by hour";
    let Some(last) = hours.iter().max() else {
        return Ok(Vec::new());
    };
    let time = (since.micros().0, last.micros().1);
    let select = "SELECT workspace, domain, code, intDiv(toUnixTimestamp64Micro(min(time)), 3600000000) FROM scans";
    let firsts = of(client, select, "", "GROUP BY workspace, domain, code", tags);
    let firsts = in_time(firsts, time).fetch_all::<(String, String, String, i64)>();
    let mut found = HashMap::new();
    for (workspace, domain, code, first) in within(DOING, firsts).await? {
        let tag = scanned_tag(&workspace, &domain, &code)?;
        let hours = TagHours {
            tag: tag.clone(),
            first: Hour::from_number(first),
            scans: BTreeMap::new(),
        };
        found.insert(tag, hours);
    }
    let select = "SELECT workspace, domain, code, intDiv(toUnixTimestamp64Micro(time), 3600000000) AS hour, country, count() FROM scans";
    let group = "GROUP BY workspace, domain, code, hour, country";
    let numbers: Vec<i64> = hours.iter().map(|hour| hour.number()).collect();
    let counts = of(
        client,
        select,
        " AND hour IN {hours:Array(Int64)}",
        group,
        tags,
    );
    let counts = in_time(counts.param("hours", numbers), time);
    let counts = counts.fetch_all::<(String, String, String, i64, String, u64)>();
    for (workspace, domain, code, hour, country, scans) in within(DOING, counts).await? {
        let tag = scanned_tag(&workspace, &domain, &code)?;
        if let Some(of_tag) = found.get_mut(&tag) {
            let of_hour = of_tag.scans.entry(Hour::from_number(hour)).or_default();
            of_hour.insert(country, scans);
        }
    }
    Ok(tags.iter().filter_map(|tag| found.remove(tag)).collect())
}

/// A query about these tags, which are bound. A set of constants lets the primary key choose what is read.
fn of(client: &Client, select: &str, more: &str, rest: &str, tags: &[ScannedTag]) -> Query {
    let column = |name: fn(&ScannedTag) -> &str| tags.iter().map(name).collect::<Vec<_>>();
    client
        .query_raw(&format!(
            "{select} WHERE (workspace, domain, code)
                 IN arrayZip({{workspaces:Array(String)}}, {{domains:Array(String)}}, {{codes:Array(String)}})
             AND {PEOPLE}{more} {rest}"
        ))
        .param("workspaces", column(|tag| tag.workspace.as_str()))
        .param("domains", column(|tag| tag.domain.as_str()))
        .param("codes", column(|tag| tag.code.as_str()))
}

fn in_time(query: Query, (from, to): (i64, i64)) -> Query {
    query.param("from", from).param("to", to)
}

fn scanned_tag(workspace: &str, domain: &str, code: &str) -> Result<ScannedTag, StoreError> {
    let refused = |reason: String| StoreError::Refused {
        doing: "read the name of a tag that was scanned",
        reason,
    };
    Ok(ScannedTag {
        workspace: WorkspaceId::parse(workspace).map_err(|error| refused(error.to_string()))?,
        domain: Domain::parse(domain).map_err(|error| refused(error.to_string()))?,
        code: Code::parse(code).map_err(|error| refused(error.to_string()))?,
    })
}
