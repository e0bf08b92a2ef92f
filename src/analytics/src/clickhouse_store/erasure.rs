//! How a visitor is erased in ClickHouse: by a mutation that is waited for. What it changes is in no key and in no projection.

use std::time::Duration;

use clickhouse::Client;
use clickhouse::query::Query;

use super::{PATIENCE, failure, periods, within};
use crate::{Erasure, StoreError};

const DOING: &str = "erase a visitor";

/// How long the server may take for it when nobody waits any more: rollups of its hours do not hold until then.
const AT_MOST: Duration = Duration::from_secs(3_600);

const THEIRS: &str = "workspace = {workspace:String} AND visitor = {visitor:UInt64}
    AND time >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND time < fromUnixTimestamp64Micro({to:Int64}, 'UTC')";

/// Says how many scans were the visitor's. Scans that come meanwhile may stay as they are.
pub(super) async fn erase(client: &Client, erasure: &Erasure) -> Result<u64, StoreError> {
    let (from, to) = erasure.micros();
    let of = |statement: &str| -> Query {
        let statement = client.query_raw(&format!("{statement} WHERE {THEIRS}"));
        statement
            .param("workspace", erasure.workspace.as_str())
            .param("visitor", erasure.visitor.as_u64())
            .param("from", from)
            .param("to", to)
    };
    let hours = of("SELECT intDiv(toUnixTimestamp64Micro(time), 3600000000) AS hour FROM scans");
    let hours: Vec<i64> = within(DOING, hours.fetch_all()).await?;
    if hours.is_empty() {
        return Ok(0);
    }
    let mut changed: Vec<u32> = hours.iter().copied().filter_map(periods::second).collect();
    changed.sort_unstable();
    changed.dedup();
    // Before, as whoever is killed in between says nothing afterwards; and after, since somebody may have counted what was there meanwhile.
    periods::mark_changed(client, &changed).await?;
    let month = i32::from(erasure.day.year()) * 100 + i32::from(erasure.day.month());
    let update = of(&format!(
        "ALTER TABLE scans UPDATE {} IN PARTITION {month}",
        Erasure::assignments()
    ));
    // On all replicas, so that none answers with what was erased.
    let update = update.with_setting("mutations_sync", "2");
    match tokio::time::timeout(PATIENCE, update.execute()).await {
        Ok(done) => done.map_err(|error| failure(DOING, &error))?,
        Err(_) => {
            periods::mark_changing(client, &changed, AT_MOST).await?;
            return Err(StoreError::Unfinished { doing: DOING });
        }
    }
    Ok(hours.len() as u64)
}
