//! How scans leave ClickHouse: their identities are kept, then their rows are deleted by a mutation, which goes on by itself.

use clickhouse::Client;
use clickhouse::query::Query;

use super::{periods, within};
use crate::{Expiry, StoreError};

/// How many workspaces' a statement has, all within the server's longest URI (1 MiB).
const AT_ONCE: usize = 1_000;

/// What is kept no longer.
const OLD: &str = "workspace IN {workspaces:Array(String)} AND time < fromUnixTimestamp64Micro({before:Int64}, 'UTC')
    AND time < fromUnixTimestamp64Micro(arrayElement({befores:Array(Int64)}, indexOf({workspaces:Array(String)}, workspace)), 'UTC')";

pub(super) async fn expire(
    client: &Client,
    expiries: &[Expiry],
) -> Result<Option<u64>, StoreError> {
    if are_being_deleted(client).await? {
        return Ok(None);
    }
    let mut expired = 0;
    for some in expiries.chunks(AT_ONCE) {
        expired += expire_some(client, some).await?;
    }
    Ok(Some(expired))
}

async fn are_being_deleted(client: &Client) -> Result<bool, StoreError> {
    let (count, reason) = under_way(client).await?;
    if !reason.is_empty() {
        return Err(StoreError::Refused {
            doing: "delete scans that are kept no longer",
            reason,
        });
    }
    Ok(count > 0)
}

/// How many mutations are not done, and why one of them cannot be.
pub(super) async fn under_way(client: &Client) -> Result<(u64, String), StoreError> {
    const DOING: &str = "look whether scans are being deleted";
    let mutations = client.query_raw(
        "SELECT count(), max(latest_fail_reason) FROM system.mutations
         WHERE database = currentDatabase() AND table = 'scans' AND NOT is_done",
    );
    within(DOING, mutations.fetch_one()).await
}

async fn expire_some(client: &Client, expiries: &[Expiry]) -> Result<u64, StoreError> {
    const DOING: &str = "delete scans that are kept no longer";
    let hours = format!(
        "SELECT intDiv(toUnixTimestamp64Micro(time), 3600000000) AS hour, count() FROM scans WHERE {OLD} GROUP BY hour ORDER BY hour"
    );
    let hours = of(client, &hours, expiries).fetch_all::<(i64, u64)>();
    let hours = within(DOING, hours).await?;
    // Hour by hour, so that each is done within the time of a request. One that is done twice leaves each identity once.
    for (hour, _) in &hours {
        let identities = format!(
            "INSERT INTO scans_expired SELECT edge, boot, writer, seq FROM scans
             WHERE {OLD} AND intDiv(toUnixTimestamp64Micro(time), 3600000000) = {{hour:Int64}}"
        );
        let identities = of(client, &identities, expiries).param("hour", *hour);
        within(DOING, identities.execute()).await?;
    }
    if !hours.is_empty() {
        let changed = hours.iter().filter_map(|(hour, _)| periods::second(*hour));
        periods::mark_changed(client, changed.collect()).await?;
        let delete = format!("ALTER TABLE scans DELETE WHERE {OLD}");
        within(DOING, of(client, &delete, expiries).execute()).await?;
    }
    Ok(hours.iter().map(|(_, scans)| scans).sum())
}

fn of(client: &Client, statement: &str, expiries: &[Expiry]) -> Query {
    let workspaces = expiries.iter().map(|expiry| expiry.workspace.as_str());
    // As far as the store can hold scans.
    let befores = expiries
        .iter()
        .map(|expiry| expiry.before.as_microsecond().max(0));
    let befores: Vec<i64> = befores.collect();
    client
        .query_raw(statement)
        .param("workspaces", workspaces.collect::<Vec<_>>())
        .param("before", befores.iter().copied().max().unwrap_or_default())
        .param("befores", befores)
}
