//! ClickHouse is killed, away, slow, or refuses what comes.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::sinks::through;
use super::tag;
use crate::deployment::{Deployment, stored};
use crate::figures::{self, Figures};
use crate::ground::{Ground, ask_clickhouse};
use crate::proxy::{Manner, Proxy, Step};
use crate::steady::Steady;
use crate::support::DEADLINE;

/// How long it is away in row 16.
const AWAY: Duration = Duration::from_secs(120);
/// From one scan of a phone to its next at full load: as fast as they are answered.
const FULL: Duration = Duration::from_millis(1);
/// How much more memory the sink may take while nothing can be stored: what it holds is bounded by `held_scans` (200,000), of which each takes some
/// 150 bytes as it lies in its batch and some 700 as a row of a block that is being inserted, and librdkafka's queue.
const MORE_MEMORY: u64 = 256 << 20;
/// How long each manner of row 17 lasts.
const LASTS: Duration = Duration::from_secs(4);

pub async fn row_15_clickhouse_is_killed_during_an_insert(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut plan = ground.plan_on_own()?;
    let proxy = Proxy::before(&plan.clickhouse).await?;
    plan.sink_environment.push(through(&proxy));
    let mut deployment = Deployment::start(&plan).await?;
    tag(&deployment, "cut").await?;
    let load = Steady::start(deployment.redirects(), "cut");
    load.goes_on(1_000).await?;
    for step in [Step::DuringInsert, Step::AfterInsert, Step::DuringInsert] {
        proxy.stops_at(step).await?;
        ground.clickhouse()?.kill()?;
        proxy.cut();
        load.goes_on(500).await?;
        ground.clickhouse()?;
        load.goes_on(500).await?;
    }
    let back = Instant::now();
    let scanned = load.finish().await;
    stored::matches(&deployment, "cut", &scanned.sent).await?;
    let recovery = back.elapsed();
    let found = figures::exact_by_ledger(&mut deployment, &scanned.sent).await?;
    deployment.end().await;
    Ok(found.recovered_in(recovery))
}

pub async fn row_16_clickhouse_is_away_at_full_load(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut deployment = Deployment::start(&ground.plan_on_own()?).await?;
    tag(&deployment, "backlog").await?;
    let (edges, host) = (
        deployment.redirects(),
        deployment.redirects()[0].to_string(),
    );
    let load = Steady::start_at(FULL, edges, &host, "backlog");
    load.goes_on(20_000).await?;
    let before = memory(&mut deployment)?;
    ground.clickhouse()?.kill()?;
    let (killed, answered) = (Instant::now(), load.answered());
    let mut most = before;
    while killed.elapsed() < AWAY {
        load.goes_on(1_000).await?;
        most = most.max(memory(&mut deployment)?);
    }
    let backlog = load.answered() - answered;
    ground.clickhouse()?;
    let back = Instant::now();
    let scanned = load.finish().await;
    println!(
        "{backlog} scans came while it was away; the sink had {} MiB before, and {} MiB at most",
        before >> 20,
        most >> 20
    );
    stored::matches(&deployment, "backlog", &scanned.sent).await?;
    let recovery = back.elapsed();
    most = most.max(memory(&mut deployment)?);
    ensure!(
        most < before + MORE_MEMORY,
        "the sink grew from {before} to {most} bytes"
    );
    let found = figures::exact_by_ledger(&mut deployment, &scanned.sent).await?;
    deployment.end().await;
    Ok(found.recovered_in(recovery))
}

pub async fn row_17_clickhouse_is_slow_breaks_off_and_refuses(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut plan = ground.plan()?;
    let proxy = Proxy::before(&plan.clickhouse).await?;
    plan.sink_environment.push(through(&proxy));
    let mut deployment = Deployment::start(&plan).await?;
    tag(&deployment, "refused").await?;
    let load = Steady::start(deployment.redirects(), "refused");
    load.goes_on(1_000).await?;
    for manner in [
        Manner::Slow(Duration::from_millis(700)),
        Manner::HalfClose,
        Manner::Error500,
    ] {
        let before = retries(&mut deployment).await;
        proxy.treat(manner);
        tokio::time::sleep(LASTS).await; // the fault itself
        let deadline = Instant::now() + DEADLINE;
        let more = loop {
            let more = retries(&mut deployment).await - before;
            // What is slow does not fail.
            if more > 0.0 || matches!(manner, Manner::Slow(_)) {
                break more;
            }
            ensure!(Instant::now() < deadline, "{manner:?}: nothing failed");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        println!("{manner:?}: {more} retries");
        proxy.treat(Manner::Pass);
        load.goes_on(1_000).await?;
        deployment.sink().ready().await;
    }
    // The server's own refusal: inserts make parts that nobody merges, and so many may there be.
    ask_clickhouse(&deployment, "SYSTEM STOP MERGES scans").await?;
    let few =
        "ALTER TABLE scans MODIFY SETTING parts_to_delay_insert = 1, parts_to_throw_insert = 1";
    ask_clickhouse(&deployment, few).await?;
    deployment.sink().process().logs("TOO_MANY_PARTS").await;
    load.goes_on(1_000).await?;
    let enough = "ALTER TABLE scans RESET SETTING parts_to_delay_insert, parts_to_throw_insert";
    ask_clickhouse(&deployment, enough).await?;
    ask_clickhouse(&deployment, "SYSTEM START MERGES scans").await?;
    let back = Instant::now();
    load.goes_on(1_000).await?;
    let scanned = load.finish().await;
    stored::matches(&deployment, "refused", &scanned.sent).await?;
    let recovery = back.elapsed();
    let found = figures::exact_by_ledger(&mut deployment, &scanned.sent).await?;
    deployment.end().await;
    Ok(found.recovered_in(recovery))
}

/// How often the sink has had to try something again, since its start.
async fn retries(deployment: &mut Deployment) -> f64 {
    deployment.sink().metric("tagwire_sink_retries_total").await
}

/// What the sink has of the machine's memory, in bytes.
fn memory(deployment: &mut Deployment) -> anyhow::Result<u64> {
    let id = deployment.sink().process().id();
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = resident.and_then(|text| text.trim().strip_suffix(" kB"));
    Ok(kilobytes.context("VmRSS")?.trim().parse::<u64>()? << 10)
}
