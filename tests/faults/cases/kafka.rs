//! Kafka goes away, comes back, and is changed behind our back.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::Signal;
use serde_json::json;

use super::{everywhere, tag};
use crate::deployment::client::Api;
use crate::deployment::{Deployment, stored};
use crate::figures::{self, Figures};
use crate::ground::Ground;
use crate::steady::Steady;

/// How long Kafka is away in row 1.
const AWAY: Duration = Duration::from_secs(60);
/// How long it hangs.
const HANGS: Duration = Duration::from_secs(8);

pub async fn row_01_kafka_is_killed_and_comes_back(ground: &mut Ground) -> anyhow::Result<Figures> {
    let mut deployment = ground.cluster().await?;
    tag(&deployment, "outage").await?;
    let load = Steady::start(deployment.redirects(), "outage");
    let quiet = Instant::now();
    load.goes_on(8_000).await?;
    let killed = Instant::now();
    ground.kafka()?.kill()?;
    tokio::time::sleep(AWAY).await; // the fault itself: an outage of this length
    load.goes_on(1_000).await?;
    let edges = Api::of(&deployment)?.get("/edges?live=true").await?;
    ensure!(edges["items"] == json!([]), "live without Kafka: {edges}");
    let back = Instant::now();
    ground.kafka()?;
    everywhere(&deployment, "outage").await?;
    println!(
        "an edit was on every edge {:?} after its return",
        back.elapsed()
    );
    load.goes_on(4_000).await?;
    let scanned = load.finish().await;
    let (before, during) = (scanned.p99(quiet, killed), scanned.p99(killed, back));
    println!("p99 before {before:?}, while Kafka was away {during:?}");
    stored::matches(&deployment, "outage", &scanned.sent).await?;
    let recovery = back.elapsed();
    let found = figures::exact_by_ledger(&mut deployment, &scanned.sent).await?;
    deployment.end().await;
    Ok(found.recovered_in(recovery))
}

pub async fn row_01_kafka_hangs_and_goes_on(ground: &mut Ground) -> anyhow::Result<Figures> {
    let mut deployment = ground.cluster().await?;
    tag(&deployment, "hanging").await?;
    let load = Steady::start(deployment.redirects(), "hanging");
    load.goes_on(2_000).await?;
    ground.kafka()?.signal(Signal::STOP)?;
    let before = delivery_cpu(&deployment)?;
    tokio::time::sleep(HANGS).await; // the fault itself
    let spent = delivery_cpu(&deployment)?.saturating_sub(before);
    ground.kafka()?.signal(Signal::CONT)?;
    load.goes_on(4_000).await?;
    let scanned = load.finish().await;
    println!("librdkafka's threads took {spent:?} of {HANGS:?}");
    // One that asks without a pause whether it may send takes as much as it gets.
    ensure!(spent < HANGS / 4, "{spent:?} for nothing");
    let found = figures::exact(&mut deployment, "hanging", &scanned.sent).await?;
    deployment.end().await;
    Ok(found)
}

/// What the threads of librdkafka that talk to brokers have taken of the processors, in all edges.
fn delivery_cpu(deployment: &Deployment) -> anyhow::Result<Duration> {
    let mut nanoseconds = 0;
    for edge in deployment.edges() {
        for thread in std::fs::read_dir(format!("/proc/{}/task", edge.process().id()))? {
            let thread = thread?.path();
            if std::fs::read_to_string(thread.join("comm"))?.starts_with("rdk:broker") {
                let schedule = std::fs::read_to_string(thread.join("schedstat"))?;
                let ran = schedule.split_whitespace().next();
                nanoseconds += ran.context("a thread's time")?.parse::<u64>()?;
            }
        }
    }
    Ok(Duration::from_nanos(nanoseconds))
}

pub async fn row_36_partitions_are_added_to_scans(ground: &mut Ground) -> anyhow::Result<Figures> {
    let mut deployment = ground.cluster().await?;
    tag(&deployment, "widened").await?;
    let load = Steady::start(deployment.redirects(), "widened");
    load.goes_on(1_000).await?;
    let topic = format!("{}scans", deployment.kafka_prefix());
    ground.kafka()?.add_partitions(&topic, 96).await?;
    load.goes_on(4_000).await?;
    // A boot that comes after has more partitions to choose from than the one before.
    deployment.edge().kill().await;
    deployment.edge().start().await;
    load.goes_on(2_000).await?;
    let scanned = load.finish().await;
    stored::matches(&deployment, "widened", &scanned.sent).await?;
    let missing = deployment.sink().metric("tagwire_sink_missing_total").await;
    ensure!(
        missing == 0.0,
        "the sink says that {missing} scans are missing"
    );
    let found = figures::exact_by_ledger(&mut deployment, &scanned.sent).await?;
    deployment.end().await;
    Ok(found)
}
