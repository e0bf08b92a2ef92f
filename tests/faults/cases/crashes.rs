//! Edges, machines and a whole standalone are killed in mid-load, and started again.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::Signal;
use serde_json::json;
use tokio::task::JoinSet;

use super::tag;
use crate::deployment::client::{Api, leads_to};
use crate::deployment::load::Load;
use crate::deployment::{Deployment, Plan, Shape, ledger, stored};
use crate::figures::{self, Figures};
use crate::ground::{Ground, ask_clickhouse};
use crate::steady::Steady;
use crate::support::DEADLINE;

/// Bytes in an edge's spool.
const SPOOLED: &str = "tagwire_edge_scan_log_spool_bytes";
/// Scans that an edge has found when it started.
const ADOPTED: &str = "tagwire_edge_scans_adopted_total";
/// A writer that fell silent is told of after this time, and some more for the clocks.
const SILENCE: Duration = Duration::from_secs(65);

pub async fn row_03_edges_are_killed_in_mid_load_and_started_again(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut deployment = ground.cluster().await?;
    tag(&deployment, "killed").await?;
    let load = Steady::start(deployment.redirects(), "killed");
    load.goes_on(1_000).await?;
    let mut recovery = Duration::ZERO;
    for edge in deployment.edges_mut() {
        edge.kill().await;
        let killed = Instant::now();
        edge.start().await;
        edge.ready().await;
        recovery = recovery.max(killed.elapsed());
        load.goes_on(1_000).await?;
    }
    let scanned = load.finish().await;
    let found = figures::exact(&mut deployment, "killed", &scanned.sent).await?;
    deployment.end().await;
    Ok(found.recovered_in(recovery))
}

pub async fn row_04_edges_are_killed_while_kafka_is_away(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut deployment = ground.cluster().await?;
    tag(&deployment, "cut-off").await?;
    let load = Steady::start(deployment.redirects(), "cut-off");
    load.goes_on(1_000).await?;
    ground.kafka()?.kill()?;
    load.goes_on(1_000).await?;
    // One comes back before Kafka does, one after it. Phones stay with the third.
    for edge in deployment.edges_mut().take(2) {
        edge.kill().await;
        load.goes_on(1_000).await?;
    }
    deployment.edge().start().await;
    load.goes_on(1_000).await?;
    ground.kafka()?;
    let back = Instant::now();
    let second = deployment.edges_mut().nth(1).context("the second edge")?;
    second.start().await;
    for edge in deployment.edges() {
        edge.ready().await;
    }
    load.goes_on(1_000).await?;
    let scanned = load.finish().await;
    stored::matches(&deployment, "cut-off", &scanned.sent).await?;
    let recovery = back.elapsed();
    let found = figures::exact_by_ledger(&mut deployment, &scanned.sent).await?;
    deployment.end().await;
    Ok(found.recovered_in(recovery))
}

pub async fn row_32_a_standalone_is_killed_under_load_and_edits(
    _: &mut Ground,
) -> anyhow::Result<Figures> {
    const KILLS: usize = 5;
    let mut deployment = Deployment::start(&Plan::given(Shape::Standalone)?).await?;
    for code in ["alone", "edited"] {
        tag(&deployment, code).await?;
    }
    let api = Api::of(&deployment)?;
    let (edits, ended) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
    let (acknowledged, until) = (Arc::clone(&edits), Arc::clone(&ended));
    // Each edit and each new tag is sent until it is acknowledged: what is acknowledged has to be there at the end.
    let mut editing = JoinSet::new();
    editing.spawn(async move {
        let mut refused = 0_u64;
        while !until.load(Ordering::Relaxed) {
            let number = acknowledged.load(Ordering::Relaxed) + 1;
            let edit = json!({"destination": format!("https://example.com/{number}")});
            let new =
                json!({"code": format!("new-{number}"), "destination": "https://example.com/new"});
            let key = format!("create-{number}");
            let done = async {
                api.patch("/tags/edited", edit).await?;
                let (status, answer) = api.post_once("/tags", &key, new).await?;
                ensure!(status == 201, "{status}: {answer}");
                anyhow::Ok(())
            };
            match done.await {
                Ok(()) => acknowledged.store(number, Ordering::Relaxed),
                Err(_) => {
                    refused += 1;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        refused
    });
    // Without an end of its own, so that it is under way at each kill, however long an edit takes.
    let load = Load::start(deployment.redirects(), "alone", 16, u64::MAX);
    let mut recovery = Duration::ZERO;
    for _ in 0..KILLS {
        one_more(&edits).await?;
        load.reaches(load.answered() + 2_000).await;
        let node = deployment.edge();
        node.kill().await;
        let killed = Instant::now();
        node.start().await;
        node.ready().await;
        recovery = recovery.max(killed.elapsed());
    }
    one_more(&edits).await?;
    load.reaches(load.answered() + 2_000).await;
    let sent = load.end().await;
    ended.store(true, Ordering::Relaxed);
    let refused = editing.join_next().await.context("the edits")??;
    let edits = edits.load(Ordering::Relaxed);
    println!("{edits} edits and as many new tags acknowledged, {refused} cut off by a kill");
    leads_to(
        &deployment,
        "edited",
        &format!("https://example.com/{edits}"),
    )
    .await?;
    for number in 1..=edits {
        leads_to(
            &deployment,
            &format!("new-{number}"),
            "https://example.com/new",
        )
        .await?;
    }
    let found = figures::exact(&mut deployment, "alone", &sent).await?;
    deployment.end().await;
    Ok(found.recovered_in(recovery))
}

/// Waits until one more edit is acknowledged.
async fn one_more(edits: &AtomicU64) -> anyhow::Result<()> {
    let (before, deadline) = (edits.load(Ordering::Relaxed), Instant::now() + DEADLINE);
    while edits.load(Ordering::Relaxed) == before {
        ensure!(
            Instant::now() < deadline,
            "no edit is acknowledged after {before} others"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

pub async fn row_37_a_machine_is_lost_with_what_it_had_not_sent(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    without_a_machine(ground, "lost", Disk::IsLost).await
}

pub async fn row_37_a_machine_crashes_and_has_its_spool_when_it_is_back(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    without_a_machine(ground, "crashed", Disk::IsKept).await
}

/// What becomes of the disk of a machine whose memory is gone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Disk {
    IsLost,
    IsKept,
}

async fn without_a_machine(ground: &mut Ground, code: &str, disk: Disk) -> anyhow::Result<Figures> {
    let mut deployment = ground.cluster().await?;
    tag(&deployment, code).await?;
    let load = Steady::start(deployment.redirects(), code);
    load.goes_on(2_000).await?;
    // So that there is something that it has not sent.
    ground.kafka()?.signal(Signal::STOP)?;
    load.goes_on(1_000).await?;
    let hot = deployment.scan_log(1);
    let edge = deployment.edge();
    if disk == Disk::IsKept {
        while edge.metric(SPOOLED).await == 0.0 {
            load.goes_on(100).await?;
        }
    }
    edge.kill().await;
    let crashed = Instant::now();
    // The memory in which the scan log was, and the disk.
    fs::remove_dir_all(&hot)?;
    if disk == Disk::IsLost {
        fs::remove_dir_all(edge.data_dir())?;
    }
    ground.kafka()?.signal(Signal::CONT)?;
    // It is back, or another one of the same name.
    edge.start().await;
    edge.ready().await;
    let recovery = crashed.elapsed();
    let found = edge.metric(ADOPTED).await;
    ensure!(
        (found > 0.0) == (disk == Disk::IsKept),
        "{found} scans were on its disk"
    );
    load.goes_on(2_000).await?;
    let scanned = load.finish().await;
    deployment.delivered().await?;
    tokio::time::sleep(SILENCE.saturating_sub(crashed.elapsed())).await; // until its silence is one
    let lost = stored::lost(&deployment, code, &scanned.sent, 2_000).await?;
    ensure!(!lost.is_empty(), "nothing was lost with the machine");
    let told = ledger::settled_at_the_end(&mut deployment).await?;
    let scans = figures::judged(&told, &scanned.sent)?;
    let writers = told.report["writers"].as_array().context("writers")?;
    let mut unknown = 0;
    for writer in writers {
        let Some(after) = writer["unknown_after"].as_u64() else {
            continue;
        };
        unknown += 1;
        ensure!(writer["edge"] == "edge-1", "{writer} fell silent");
        let boot = writer["boot"].as_str().context("a boot")?;
        let last = format!(
            "SELECT max(seq) FROM scans WHERE edge = 'edge-1' AND boot = {} AND writer = {}",
            u64::from_str_radix(boot, 16)?,
            writer["writer"]
        );
        let last: u64 = ask_clickhouse(&deployment, &last).await?.parse()?;
        ensure!(last == after, "{last} is stored, and {writer} is told");
    }
    ensure!(
        unknown > 0,
        "nobody is told to have fallen silent: {told:?}"
    );
    println!(
        "{} answered scans are gone with the machine; {unknown} of its writers are told, with their last numbers",
        lost.len()
    );
    deployment.end().await;
    Ok(Figures {
        scans: Some(scans),
        recovery: Some(recovery),
    })
}
