//! One workspace asks for more than it may have, and another beside it asks as ever.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::deployment::client::Api;
use crate::deployment::load::{Attempt, Connection, Sent};
use crate::deployment::{Deployment, stored};
use crate::figures::{self, Figures};
use crate::ground::Ground;
use crate::steady::Steady;
use crate::support::{DEADLINE, client};

/// Redirects a second.
const LIMIT: u32 = 200;
/// Each on a connection of its own, a request every eight milliseconds: ten times the limit.
const FLOODERS: usize = 16;
const PACE: Duration = Duration::from_millis(8);
const LASTS: Duration = Duration::from_secs(10);
/// Domains of a workspace each, which also have their codes.
const CALM: &str = "calm.example.com";
const LOUD: &str = "loud.example.com";

pub async fn row_27_one_workspace_asks_for_ten_times_what_it_may_have(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut plan = ground.plan()?;
    let unproven = ("TAGWIRE_ADMIN__DOMAIN_VERIFICATION", "off".to_owned());
    plan.admin_environment.push(unproven);
    let mut deployment = Deployment::start(&plan).await?;
    let edge = deployment.redirects()[0];
    workspace(&deployment, CALM, None).await?;
    workspace(&deployment, LOUD, Some(LIMIT)).await?;

    let load = Steady::start_on(&[edge], CALM, CALM_CODE);
    let quiet = Instant::now();
    load.goes_on(8_000).await?;
    let began = Instant::now();
    let flood = flood(edge).await?;
    let over = Instant::now();
    load.goes_on(1_000).await?;
    let scanned = load.finish().await;

    let seconds = over.duration_since(began).as_secs_f64();
    let (before, during) = (scanned.p99(quiet, began), scanned.p99(began, over));
    let (answered, refused) = (flood.sent.answered.len(), flood.refused);
    println!(
        "{answered} answered and {refused} refused in {seconds:.1} s; p99 of the other before {before:?}, during {during:?}"
    );
    // A second's worth at once, and then so many a second.
    let most = f64::from(LIMIT) * (seconds + 1.0);
    ensure!(
        (f64::from(LIMIT)..=most).contains(&(answered as f64)) && refused > 0,
        "{answered} answered and {refused} refused in {seconds:.1} s, with a limit of {LIMIT} a second"
    );
    stored::matches(&deployment, LOUD_CODE, &flood.sent).await?;
    let found = figures::exact(&mut deployment, CALM_CODE, &scanned.sent).await?;
    counted(&deployment, refused).await?;
    deployment.end().await;
    Ok(found)
}

const CALM_CODE: &str = "calm";
const LOUD_CODE: &str = "loud";

/// Makes a workspace with a domain and a tag there, and waits until every edge has it.
async fn workspace(
    deployment: &Deployment,
    domain: &str,
    redirects_per_second: Option<u32>,
) -> anyhow::Result<()> {
    let operator = Api::of(deployment)?;
    let workspace = json!({"name": domain, "redirects_per_second": redirects_per_second});
    let made = operator.post("/workspaces", workspace).await?;
    let key = made["key"]["secret"].as_str().context("its owner's key")?;
    let owner = operator.with_key(key);
    let named = owner.post("/domains", json!({"name": domain})).await?;
    ensure!(named["status"] == "verified", "{named}");
    let code = domain.split('.').next().unwrap_or_default();
    let destination = format!("https://example.org/{code}");
    let tag = json!({"code": code, "domain": domain, "destination": destination});
    owner.post("/tags", tag).await?;
    let http = client();
    for edge in deployment.redirects() {
        let deadline = Instant::now() + DEADLINE;
        let ask = || {
            http.head(format!("http://{edge}/{code}"))
                .header("host", domain)
        };
        while ask().send().await?.status() != 302 {
            ensure!(Instant::now() < deadline, "{edge} does not know {code}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}

/// What came of it.
#[derive(Default)]
struct Flood {
    sent: Sent,
    refused: usize,
}

async fn flood(edge: SocketAddr) -> anyhow::Result<Flood> {
    let (host, numbers) = (Arc::<str>::from(LOUD), Arc::<AtomicU64>::default());
    let ends = Instant::now() + LASTS;
    let mut flooders = JoinSet::new();
    for _ in 0..FLOODERS {
        let (host, numbers) = (Arc::clone(&host), Arc::clone(&numbers));
        flooders.spawn(async move {
            let mut flood = Flood::default();
            // Refusals close nothing: one connection lasts.
            let mut connection = Connection::open_to(edge, &host).await?;
            let mut pace = tokio::time::interval(PACE);
            pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
            while Instant::now() < ends {
                pace.tick().await;
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                let again = match connection.scan(LOUD_CODE, number).await {
                    Attempt::Answered { again } => {
                        flood.sent.answered.insert(number);
                        again
                    }
                    Attempt::Limited { again } => {
                        flood.refused += 1;
                        again
                    }
                    Attempt::Wrong(head) => bail!("neither answered nor refused: {head}"),
                    Attempt::Closed | Attempt::BrokenOff => bail!("the connection ended"),
                };
                connection = again.context("the edge closes the connection")?;
            }
            anyhow::Ok(flood)
        });
    }
    let mut all = Flood::default();
    while let Some(flooder) = flooders.join_next().await {
        let flood = flooder??;
        all.sent.answered.extend(flood.sent.answered);
        all.refused += flood.refused;
    }
    Ok(all)
}

/// Waits until the edges have counted every refusal, by the limit that it was for.
async fn counted(deployment: &Deployment, refused: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + DEADLINE;
    let of_workspaces = |page: &str| {
        let series = "tagwire_edge_limited_total{limit=\"workspace\"} ";
        let mut values = page.lines().filter_map(|line| line.strip_prefix(series));
        values.next().and_then(|value| value.parse::<f64>().ok())
    };
    loop {
        let (mut by_workspaces, mut by_any) = (0.0, 0.0);
        for edge in deployment.edges() {
            by_workspaces += of_workspaces(&edge.process().metrics().await).context("no series")?;
            by_any += edge.metric("tagwire_edge_limited_total").await;
        }
        if by_workspaces == refused as f64 && by_any == by_workspaces {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "{by_workspaces} counted of {refused} refused, and {by_any} in all"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
