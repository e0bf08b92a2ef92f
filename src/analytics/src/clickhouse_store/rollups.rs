//! How an hour's rollup is computed in ClickHouse: rows of a new generation, then the line that makes them count. Whoever is killed in
//! between leaves rows that nobody reads, and two who compute the same hour do not meet.

use std::time::{Duration, Instant};

use clickhouse::Client;
use clickhouse::query::Query;

use super::report::expression;
use super::{periods, within_time};
use crate::StoreError;
use crate::rollups::{HourRange, Rolled, Table};

const DOING: &str = "compute rollups";

/// How long one statement may take; the server ends it then, too.
const PATIENCE: Duration = Duration::from_secs(600);

/// Bytes of memory from which a statement goes on with files.
const MEMORY: u64 = 1 << 30;

/// Computes the rollups of these hours, and says how many hold then: all but those for which scans came late meanwhile.
pub(super) async fn compute(
    client: &Client,
    settled: Duration,
    hours: &HourRange,
) -> Result<u64, StoreError> {
    let generation = periods::begin(client, hours).await?;
    rows(client, hours, generation).await?;
    periods::hold(client, hours, generation).await?;
    periods::count_holding(client, settled, hours).await
}

async fn rows(client: &Client, hours: &HourRange, generation: u64) -> Result<(), StoreError> {
    let scans = "FROM scans WHERE tag_version > 0
        AND time >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND time < fromUnixTimestamp64Micro({to:Int64}, 'UTC')";
    // Each campaign's rows, and the same once more as the workspace's.
    let twice = "ARRAY JOIN [('workspace', ''), ('campaign', c)] AS of";
    let tags = format!(
        "INSERT INTO {} (workspace, domain, code, campaign, hour, automated, scans, generation)
         SELECT workspace, domain, code, campaign, toStartOfHour(time) AS h, automated, count(), {{generation:UInt64}}
         {scans} GROUP BY workspace, domain, code, campaign, h, automated",
        Table::Tags.name()
    );
    let minutes = format!(
        "INSERT INTO {} (workspace, per, campaign, hour, minute, automated, scans, generation)
         SELECT w, of.1, of.2, toStartOfHour(m), m, a, sum(n), {{generation:UInt64}} FROM (
             SELECT workspace AS w, campaign AS c, toStartOfMinute(time) AS m, automated AS a, count() AS n {scans} GROUP BY w, c, m, a
         ) {twice} GROUP BY w, of.1, of.2, m, a",
        Table::Minutes.name()
    );
    let by_dimension = Rolled::dimensions().map(|dimension| {
        format!(
            "INSERT INTO {} (workspace, per, dimension, campaign, hour, value, automated, scans, generation)
             SELECT w, of.1, '{dimension}', of.2, h, v, a, sum(n), {{generation:UInt64}} FROM (
                 SELECT workspace AS w, campaign AS c, toStartOfHour(time) AS h, {} AS v, automated AS a, count() AS n
                 {scans} GROUP BY w, c, h, v, a
             ) {twice} GROUP BY w, of.1, of.2, h, v, a",
            Table::Hours.name(),
            expression(dimension)
        )
    });
    for statement in [tags, minutes].into_iter().chain(by_dimension) {
        let query = client
            .query_raw(&statement)
            .param("from", hours.start().as_microsecond())
            .param("to", hours.end().as_microsecond())
            .param("generation", generation);
        in_the_background(query).await?;
    }
    Ok(())
}

/// Removes rows that nobody reads any more, and then what is said of them.
pub(super) async fn sweep(client: &Client) -> Result<(), StoreError> {
    let replaced = periods::replaced(client).await?;
    if replaced.is_empty() {
        return Ok(());
    }
    let (hours, generations): (Vec<u32>, Vec<u64>) = replaced.into_iter().unzip();
    let tables = [Table::Minutes, Table::Hours, Table::Tags];
    let tables = tables.iter().map(|table| table.name());
    for table in tables.chain(["rollup_periods"]) {
        let delete = client
            .query_raw(&format!(
                "DELETE FROM {table} WHERE (hour, generation) IN arrayZip({{hours:Array(UInt32)}}, {{generations:Array(UInt64)}})"
            ))
            .param("hours", hours.clone())
            .param("generations", generations.clone());
        in_the_background(delete).await?;
    }
    Ok(())
}

/// On one of the server's threads, so that inserts and questions have the others.
pub(super) async fn in_the_background(query: Query) -> Result<(), StoreError> {
    let query = query
        .with_setting("max_threads", "1")
        .with_setting("max_insert_threads", "1")
        .with_setting("max_bytes_before_external_group_by", MEMORY.to_string())
        .with_setting("max_execution_time", PATIENCE.as_secs().to_string());
    let began = Instant::now();
    let done = within_time(PATIENCE, DOING, query.execute()).await;
    // The server's word for it may come before ours.
    done.map_err(|error| match began.elapsed() >= PATIENCE {
        true => periods::too_long(PATIENCE),
        false => error,
    })
}
