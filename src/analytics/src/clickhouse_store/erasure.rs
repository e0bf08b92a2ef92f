//! How a visitor is erased in ClickHouse: by a mutation that is waited for. What it changes is in no key and in no projection.

use clickhouse::Client;
use clickhouse::query::Query;

use super::{periods, within};
use crate::{Erasure, StoreError};

const DOING: &str = "erase a visitor";

const THEIRS: &str = "workspace = {workspace:String} AND visitor = {visitor:UInt64}
    AND time >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND time < fromUnixTimestamp64Micro({to:Int64}, 'UTC')";

/// Says how many scans were the visitor's. Scans that come meanwhile may stay as they are.
pub(super) async fn erase(client: &Client, erasure: &Erasure) -> Result<u64, StoreError> {
    let Some((from, to)) = erasure.micros() else {
        return Ok(0);
    };
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
    let update = of(&format!(
        "ALTER TABLE scans UPDATE {}",
        Erasure::assignments()
    ));
    // On all replicas, so that none answers with what was erased.
    let update = update.with_setting("mutations_sync", "2");
    within(DOING, update.execute()).await?;
    periods::mark_changed(client, &changed).await?;
    Ok(hours.len() as u64)
}
