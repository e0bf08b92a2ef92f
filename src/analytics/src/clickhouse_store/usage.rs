//! What workspaces' scans take in ClickHouse: rows by day, and the average row of each month's partition.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use clickhouse::Client;
use jiff::civil::Date;
use tags::WorkspaceId;

use super::within;
use crate::usage::{bytes, micros};
use crate::{Day, StoreError, Usage};

const DOING: &str = "count what workspaces' scans take";

pub(super) async fn of_days(
    client: &Client,
    days: &RangeInclusive<Date>,
    workspace: Option<&WorkspaceId>,
) -> Result<Vec<Usage>, StoreError> {
    let of_workspace = workspace.map_or("", |_| "workspace = {workspace:String} AND");
    let (from, to) = micros(days);
    let counts = client
        .query_raw(&format!(
            "SELECT workspace, toInt64(toDate(time)) AS day, count() FROM scans
             WHERE {of_workspace} time >= fromUnixTimestamp64Micro({{from:Int64}}, 'UTC') AND time < fromUnixTimestamp64Micro({{to:Int64}}, 'UTC')
             GROUP BY workspace, day ORDER BY workspace, day"
        ))
        .param("from", from)
        .param("to", to);
    let counts = match workspace {
        Some(workspace) => counts.param("workspace", workspace.as_str()),
        None => counts,
    };
    let counts = within(DOING, counts.fetch_all::<(String, i64, u64)>()).await?;
    let row_bytes = row_bytes(client).await?;
    let usage = counts.into_iter().map(|(workspace, number, scans)| {
        let refused = |reason| StoreError::Refused {
            doing: DOING,
            reason,
        };
        let day = Day::from_number(number).date();
        let day = day.ok_or_else(|| refused(format!("there is no day {number}")))?;
        let month = format!("{:04}{:02}", day.year(), day.month());
        Ok(Usage {
            workspace: WorkspaceId::parse(&workspace)
                .map_err(|error| refused(error.to_string()))?,
            day,
            scans,
            stored_bytes: bytes(scans, row_bytes.get(&month).copied().unwrap_or_default()),
        })
    });
    usage.collect()
}

/// By partition, which is a month.
async fn row_bytes(client: &Client) -> Result<HashMap<String, f64>, StoreError> {
    let sizes = client.query_raw(
        "SELECT partition, sum(bytes_on_disk) / sum(rows) FROM system.parts
         WHERE database = currentDatabase() AND table = 'scans' AND active AND rows > 0 GROUP BY partition",
    );
    let sizes = within(DOING, sizes.fetch_all::<(String, f64)>()).await?;
    Ok(sizes.into_iter().collect())
}
