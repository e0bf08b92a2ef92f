//! Which scans a question is about, in ClickHouse's words. Every value is a parameter.

use clickhouse::Client;
use clickhouse::query::Query;
use tags::WorkspaceId;

use crate::{Bots, ScanFilter, Select};

/// The whole statement for one workspace, its values bound.
pub(super) fn bound(
    client: &Client,
    select: &str,
    rest: &str,
    workspace: &WorkspaceId,
    filter: &ScanFilter,
) -> Query {
    let (selected, automated) = (selected(filter.select()), automated(filter.bots()));
    let (from, to) = filter.stored_range();
    let statement = client
        .query_raw(&format!(
            "{select} WHERE workspace = {{workspace:String}} AND tag_version > 0{selected}{automated}
             AND time >= fromUnixTimestamp64Micro({{from:Int64}}, 'UTC') AND time < fromUnixTimestamp64Micro({{to:Int64}}, 'UTC') {rest}"
        ))
        .param("workspace", workspace.as_str())
        .param("from", from)
        .param("to", to);
    bind(statement, filter.select())
}

/// The condition that narrows a workspace's scans to what is selected; [`bind`] has its values.
pub(super) fn selected(select: &Select) -> &'static str {
    match select {
        Select::Workspace => "",
        Select::Code { .. } => " AND domain = {domain:String} AND code = {code:String}",
        Select::Campaign(_) => " AND campaign = {campaign:String}",
    }
}

/// Binds what is selected.
pub(super) fn bind(statement: Query, select: &Select) -> Query {
    match select {
        Select::Workspace => statement,
        Select::Code { domain, code } => statement
            .param("domain", domain.as_str())
            .param("code", code.as_str()),
        Select::Campaign(campaign) => statement.param("campaign", campaign),
    }
}

/// The condition that narrows scans to people's, or to the others.
pub(super) fn automated(bots: Bots) -> &'static str {
    match bots {
        Bots::Exclude => " AND NOT automated",
        Bots::Include => "",
        Bots::Only => " AND automated",
    }
}
