//! What happens to sinks: killed at each step, paused for too long, coming and going. And a record that none can read.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::Signal;

use super::tag;
use crate::deployment::{Deployment, stored};
use crate::figures::{self, Figures};
use crate::ground::{Ground, ask_clickhouse};
use crate::proxy::{Proxy, Step};
use crate::steady::{PHONES, Steady};
use crate::support::DEADLINE;

/// After how long without a sign of life a sink is out of the group: the least that Kafka allows.
const PATIENCE: Duration = Duration::from_secs(6);
/// How long the storm of row 19 lasts, and how long until the next sink comes or goes.
const STORM: Duration = Duration::from_secs(60);
const EACH: Duration = Duration::from_secs(2);

fn impatient() -> (&'static str, String) {
    let patience = PATIENCE.as_millis();
    let options = format!("session.timeout.ms={patience},max.poll.interval.ms={patience}");
    ("TAGWIRE_KAFKA__OPTIONS", options)
}

pub async fn row_13_records_in_scans_are_poison(ground: &mut Ground) -> anyhow::Result<Figures> {
    let mut deployment = ground.cluster().await?;
    tag(&deployment, "healthy").await?;
    let load = Steady::start(deployment.redirects(), "healthy");
    load.goes_on(1_000).await?;
    let topic = format!("{}scans", deployment.kafka_prefix());
    // Garbage, a newer major format (field 1), and much of it.
    let large = vec![0xff; 100 * 1024];
    let poison = [&b"\xff\xff\xff"[..], &[0x08, 0x63], &large];
    for (number, poison) in poison.iter().enumerate() {
        ground
            .kafka()?
            .produce(&topic, &format!("poison-{number}"), poison)?;
    }
    load.goes_on(2_000).await?;
    let scanned = load.finish().await;
    stored::matches(&deployment, "healthy", &scanned.sent).await?;
    // They are counted when the block that they are in has been committed.
    let deadline = Instant::now() + DEADLINE;
    loop {
        let dead = deployment.sink().metric("tagwire_sink_dead_total").await;
        if dead == 3.0 {
            break;
        }
        ensure!(
            dead < 3.0 && Instant::now() < deadline,
            "{dead} of 3 poison records are counted as dead"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let found = figures::exact_by_ledger(&mut deployment, &scanned.sent).await?;
    for poison in poison {
        let hex: String = poison.iter().map(|byte| format!("{byte:02X}")).collect();
        let aside = format!(
            "SELECT count() FROM scans_dead FINAL WHERE hex(bytes) = '{hex}' AND topic = '{topic}' AND partition >= 0 AND offset >= 0 AND reason != ''"
        );
        let aside = ask_clickhouse(&deployment, &aside).await?;
        ensure!(
            aside == "1",
            "{aside} times in scans_dead: {} bytes",
            poison.len()
        );
    }
    deployment.end().await;
    Ok(found)
}

pub async fn row_14_the_sink_is_killed_at_each_step(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut plan = ground.plan()?;
    let proxy = Proxy::before(&plan.clickhouse).await?;
    plan.sink_environment.extend([through(&proxy), impatient()]);
    let mut deployment = Deployment::start(&plan).await?;
    tag(&deployment, "sunk").await?;
    let load = Steady::start(deployment.redirects(), "sunk");
    load.goes_on(1_000).await?;
    for step in [
        Step::BeforeInsert,
        Step::DuringInsert,
        Step::AfterInsert,
        Step::BeforeCommit,
    ] {
        proxy.stops_at(step).await.context("the first kill")?;
        deployment.sink().kill().await;
        proxy.cut();
        deployment.sink().start().await;
        // And while the next one makes good what this one has left.
        proxy.stops_at(step).await.context("the kill behind it")?;
        deployment.sink().kill().await;
        proxy.cut();
        deployment.sink().start().await;
        deployment.sink().ready().await;
        load.goes_on(500).await?;
    }
    // Before the intent: within the time that scans wait for others of their block, behind a commit.
    for wait in [50, 150, 300] {
        proxy.stops_at(Step::BeforeCommit).await?;
        proxy.go_on();
        tokio::time::sleep(Duration::from_millis(wait)).await; // the moment of the fault
        deployment.sink().kill().await;
        proxy.cut();
        deployment.sink().start().await;
        load.goes_on(500).await?;
    }
    let killed = Instant::now();
    let scanned = load.finish().await;
    stored::matches(&deployment, "sunk", &scanned.sent).await?;
    let recovery = killed.elapsed();
    let found = figures::exact_by_ledger(&mut deployment, &scanned.sent).await?;
    deployment.end().await;
    Ok(found.recovered_in(recovery))
}

pub async fn row_18_a_sink_is_paused_for_too_long_and_goes_on(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut plan = ground.plan()?;
    let proxy = Proxy::before(&plan.clickhouse).await?;
    plan.sink_environment.push(impatient());
    // So many writers that both sinks have some of them.
    let threads = ("TAGWIRE_EDGE__THREADS", "8".to_owned());
    plan.edge_environment.push(threads);
    let mut deployment = Deployment::start(&plan).await?;
    tag(&deployment, "zombie").await?;
    let (name, url) = through(&proxy);
    let mut zombie = deployment.another_sink(&[(name, &url)]).await;
    zombie.ready().await;
    let load = Steady::start(deployment.redirects(), "zombie");
    load.goes_on(1_000).await?;
    for step in [Step::BeforeInsert, Step::DuringInsert, Step::AfterInsert] {
        proxy.stops_at(step).await?;
        zombie.signal(Signal::STOP);
        // The other one has all partitions when it stores what comes now.
        let all_answered = load.answered().saturating_sub(PHONES as u64);
        stored::up_to(&deployment, "zombie", all_answered).await?;
        // What it was about to do comes through now, and then it goes on itself.
        proxy.go_on();
        zombie.signal(Signal::CONT);
        load.goes_on(2_000).await?;
        zombie.ready().await;
    }
    let scanned = load.finish().await;
    stored::matches(&deployment, "zombie", &scanned.sent).await?;
    let ended = zombie.terminate().await;
    ensure!(ended.code == Some(0), "it ended so: {ended:?}");
    let found = figures::exact(&mut deployment, "zombie", &scanned.sent).await?;
    deployment.end().await;
    Ok(found)
}

pub async fn row_19_sinks_join_and_leave_every_two_seconds(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut deployment = ground.cluster().await?;
    tag(&deployment, "storm").await?;
    let load = Steady::start(deployment.redirects(), "storm");
    load.goes_on(1_000).await?;
    let began = Instant::now();
    let mut others = Vec::new();
    for turn in 0.. {
        if began.elapsed() > STORM {
            break;
        }
        // Two come, then two go; of those that go every other is killed.
        match turn % 4 {
            0 | 1 => others.push(deployment.another_sink(&[]).await),
            2 => {
                let ended = others.remove(0).terminate().await;
                ensure!(ended.code == Some(0), "it ended so: {ended:?}");
            }
            _ => others.remove(0).end().await,
        }
        tokio::time::sleep(EACH).await; // the fault itself
    }
    for other in others {
        other.end().await;
    }
    let over = Instant::now();
    let scanned = load.finish().await;
    stored::matches(&deployment, "storm", &scanned.sent).await?;
    let recovery = over.elapsed();
    let found = figures::exact_by_ledger(&mut deployment, &scanned.sent).await?;
    deployment.end().await;
    Ok(found.recovered_in(recovery))
}

/// A sink's way to ClickHouse.
pub fn through(proxy: &Proxy) -> (&'static str, String) {
    ("TAGWIRE_CLICKHOUSE__URL", proxy.url())
}
