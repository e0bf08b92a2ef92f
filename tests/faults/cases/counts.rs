//! Limits of scans over several edges: how far they are overshot, and that a kill loses no count.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::ensure;
use reqwest::header::LOCATION;
use rustix::process::Signal;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::tag;
use crate::deployment::client::{Answer, Api, answers, scan};
use crate::figures::Figures;
use crate::ground::Ground;
use crate::support::{DEADLINE, IPHONE, client};

const LIMIT: u64 = 3_000;
/// At each edge, each with a connection of its own.
const PHONES: u64 = 8;
/// From one scan of a phone to its next: 24 phones make 480 scans a second.
const PACE: Duration = Duration::from_millis(50);
/// How far apart edges tell each other.
const INTERVAL: Duration = Duration::from_millis(200);

const USED_UP: Answer = Answer {
    status: 410,
    location: None,
};

pub async fn row_40_an_edge_is_killed_while_three_count_towards_a_limit(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut deployment = ground.cluster().await?;
    tag(&deployment, "limited").await?;
    let api = Api::of(&deployment)?;
    let path = "/tags/limited";
    api.patch(&format!("{path}?wait=edges"), json!({"max_scans": LIMIT}))
        .await?;

    let redirected = Arc::<AtomicU64>::default();
    let mut load = start(deployment.redirects(), &redirected);
    until(&redirected, LIMIT / 3).await?;
    deployment.edge().kill().await;
    until(&redirected, LIMIT / 2).await?;
    deployment.edge().start().await;
    deployment.edge().ready().await;
    while let Some(ended) = load.join_next().await {
        ended?;
    }
    let given = redirected.load(Ordering::Relaxed);
    let edges = deployment.redirects().len() as u64;
    let rate = (edges * PHONES) as f64 / PACE.as_secs_f64();
    let bound = (rate * INTERVAL.as_secs_f64() * edges as f64) as u64;
    println!(
        "limit {LIMIT}, at {rate} scans a second over {edges} edges: {given} redirects, a bound of {bound} beyond"
    );
    // When it was killed, some had a number and no answer yet.
    ensure!(
        (LIMIT - PHONES..=LIMIT + bound).contains(&given),
        "{given} redirects"
    );

    // Nothing is lost with all of them killed at once: what is left of a raised limit is exact.
    for edge in deployment.edges_mut() {
        edge.kill().await;
    }
    for edge in deployment.edges_mut() {
        edge.start().await;
        edge.ready().await;
    }
    answers(&deployment, "limited", &USED_UP).await?;
    let more = 20;
    let raised = json!({"max_scans": given + PHONES + more});
    api.patch(&format!("{path}?wait=edges"), raised).await?;
    let edge = deployment.redirects()[0];
    let mut left = 0;
    while scan(edge, "limited").await? != USED_UP {
        left += 1;
    }
    println!("raised to {}: {left} redirects more", given + PHONES + more);
    ensure!((more..=more + PHONES).contains(&left), "{left} redirects");
    // The others hear of it.
    answers(&deployment, "limited", &USED_UP).await?;
    deployment.end().await;
    Ok(Figures::none())
}

pub async fn row_40_edges_count_on_by_themselves_while_kafka_hangs(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let deployment = ground.cluster().await?;
    let (api, edges) = (Api::of(&deployment)?, deployment.redirects());
    let each = 5;
    let before = each * edges.len();
    let heard = "https://example.com/heard";
    let rule = json!({"name": "heard", "when": {"scan_number": {"from": before + 1}}, "to": heard});
    let limit = 2 * before;
    let tag = json!({"code": "alone", "destination": "https://example.com/", "rules": [rule], "max_scans": limit});
    api.post("/tags?wait=edges", tag).await?;

    ground.kafka()?.signal(Signal::STOP)?;
    for &edge in edges {
        for _ in 0..each {
            let answer = scan(edge, "alone").await?;
            ensure!(answer.status == 302, "{edge}: {answer:?}");
        }
    }
    ground.kafka()?.signal(Signal::CONT)?;
    let recovery = Instant::now();
    for &edge in edges {
        until_next_leads_to(edge, heard).await?;
    }
    println!("all heard of all after {:?}", recovery.elapsed());
    let mut given = before;
    while scan(edges[0], "alone").await? != USED_UP {
        given += 1;
    }
    ensure!(given == limit, "{given} redirects");
    answers(&deployment, "alone", &USED_UP).await?;
    deployment.end().await;
    Ok(Figures::none())
}

/// Waits until the next scan would lead there: a HEAD is not counted.
async fn until_next_leads_to(edge: SocketAddr, destination: &str) -> anyhow::Result<()> {
    let (client, url) = (client(), format!("http://{edge}/alone"));
    let deadline = Instant::now() + DEADLINE;
    loop {
        let answer = client.head(&url).send().await?;
        let location = answer.headers().get(LOCATION);
        if location.is_some_and(|location| location == destination) {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "{edge} has not heard of all scans"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Phones that scan at each edge until the limit is reached there; one that is away is tried again.
fn start(edges: &[SocketAddr], redirected: &Arc<AtomicU64>) -> JoinSet<()> {
    let mut load = JoinSet::new();
    for &edge in edges {
        for _ in 0..PHONES {
            let (client, redirected) = (client(), Arc::clone(redirected));
            load.spawn(async move {
                let mut pace = tokio::time::interval(PACE);
                pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    pace.tick().await;
                    let request = client.get(format!("http://{edge}/limited"));
                    let request = request.header("User-Agent", IPHONE);
                    match request.send().await.map(|answer| answer.status().as_u16()) {
                        Ok(302) => redirected.fetch_add(1, Ordering::Relaxed),
                        Ok(410) => return,
                        Ok(503) | Err(_) => continue, // not there, or not ready
                        Ok(other) => panic!("{other}"),
                    };
                }
            });
        }
    }
    load
}

async fn until(redirected: &AtomicU64, enough: u64) -> anyhow::Result<()> {
    let deadline = Instant::now() + DEADLINE;
    while redirected.load(Ordering::Relaxed) < enough {
        ensure!(Instant::now() < deadline, "nobody scans");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
