//! How scans leave ClickHouse: their identities are kept, then their rows are deleted by a mutation, which goes on by itself.

use std::collections::BTreeMap;

use clickhouse::Client;
use clickhouse::query::Query;

use super::{periods, within};
use crate::{Expiry, Hour, StoreError};

const DOING: &str = "delete scans that are kept no longer";

/// How many workspaces' a statement has: the server takes 128 KiB of a parameter.
const AT_ONCE: usize = 1_000;

/// What is kept no longer.
const OLD: &str = "workspace IN {workspaces:Array(String)} AND time < fromUnixTimestamp64Micro({before:Int64}, 'UTC')
    AND time < fromUnixTimestamp64Micro(arrayElement({befores:Array(Int64)}, indexOf({workspaces:Array(String)}, workspace)), 'UTC')";

pub(super) async fn expire(
    client: &Client,
    expiries: &[Expiry],
    still: &(dyn Fn() -> bool + Sync),
) -> Result<Option<u64>, StoreError> {
    if are_being_deleted(client).await? {
        return Ok(None);
    }
    let mut expired = 0;
    for some in expiries.chunks(AT_ONCE) {
        match expire_some(client, some, still).await? {
            Some(scans) => expired += scans,
            None => return Ok(None),
        }
    }
    Ok(Some(expired))
}

async fn are_being_deleted(client: &Client) -> Result<bool, StoreError> {
    let (count, reason) = under_way(client).await?;
    if !reason.is_empty() {
        return Err(StoreError::Refused {
            doing: DOING,
            reason,
        });
    }
    Ok(count > 0)
}

/// How many deletions are not done, and why one of them cannot be. Erasures hold up nothing that is not theirs.
pub(super) async fn under_way(client: &Client) -> Result<(u64, String), StoreError> {
    const DOING: &str = "look whether scans are being deleted";
    let mutations = client.query_raw(
        "SELECT count(), max(latest_fail_reason) FROM system.mutations
         WHERE database = currentDatabase() AND table = 'scans' AND NOT is_done AND (startsWith(command, 'DELETE') OR startsWith(command, '(DELETE'))",
    );
    within(DOING, mutations.fetch_one()).await
}

async fn expire_some(
    client: &Client,
    expiries: &[Expiry],
    still: &(dyn Fn() -> bool + Sync),
) -> Result<Option<u64>, StoreError> {
    let mut kept = BTreeMap::new();
    loop {
        let found = hours(client, expiries).await?;
        if !still() {
            return Ok(None);
        }
        if found == kept {
            break;
        }
        // Those that scans came for meanwhile once more; each identity is left once.
        for (hour, scans) in &found {
            if kept.get(hour) != Some(scans) {
                keep_identities(client, expiries, *hour).await?;
            }
        }
        kept = found;
    }
    if !kept.is_empty() {
        let changed: Vec<u32> = kept
            .keys()
            .filter_map(|hour| periods::second(*hour))
            .collect();
        periods::mark_changed(client, &changed).await?;
        let delete = format!("ALTER TABLE scans DELETE WHERE {OLD}");
        within(DOING, of(client, &delete, expiries).execute()).await?;
    }
    Ok(Some(kept.values().sum()))
}

/// How many scans are kept no longer, by the hour's number since 1970.
async fn hours(client: &Client, expiries: &[Expiry]) -> Result<BTreeMap<i64, u64>, StoreError> {
    let hours = format!(
        "SELECT intDiv(toUnixTimestamp64Micro(time), 3600000000) AS hour, count() FROM scans WHERE {OLD} GROUP BY hour"
    );
    let hours = of(client, &hours, expiries).fetch_all::<(i64, u64)>();
    Ok(within(DOING, hours).await?.into_iter().collect())
}

/// Of one hour, so that it is done within the time of a request.
async fn keep_identities(
    client: &Client,
    expiries: &[Expiry],
    hour: i64,
) -> Result<(), StoreError> {
    let (first, end) = Hour::from_number(hour).micros();
    let identities = format!(
        "INSERT INTO scans_expired SELECT edge, boot, writer, seq FROM scans WHERE {OLD}
             AND time >= fromUnixTimestamp64Micro({{first:Int64}}, 'UTC') AND time < fromUnixTimestamp64Micro({{end:Int64}}, 'UTC')"
    );
    let identities = of(client, &identities, expiries);
    let identities = identities.param("first", first).param("end", end);
    within(DOING, identities.execute()).await
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
