//! What is counted and what is kept of scans.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::ensure;
use serde_json::json;

use super::counted;
use crate::deployment::client::{Api, leads_to};
use crate::deployment::stored;
use crate::deployment::{Deployment, Shape, given};
use crate::support::{IPHONE, client};

pub async fn bots_and_head_and_prefetches_are_counted_only_when_asked_for(
    deployment: &mut Deployment,
) -> anyhow::Result<()> {
    let api = Api::of(deployment)?;
    api.post(
        "/tags",
        json!({"code": "crawled", "destination": "https://example.com/"}),
    )
    .await?;
    leads_to(deployment, "crawled", "https://example.com/").await?;
    let people = deployment.redirects().len();
    let edge = format!("http://{}/crawled", deployment.redirects()[0]);
    let client = client();
    let bot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
    client.get(&edge).header("User-Agent", bot).send().await?;
    client
        .head(&edge)
        .header("User-Agent", IPHONE)
        .send()
        .await?;
    client
        .get(&edge)
        .header("User-Agent", IPHONE)
        .header("Sec-Purpose", "prefetch")
        .send()
        .await?;
    counted(&api, "code=crawled&bots=include", people + 3).await?;
    counted(&api, "code=crawled&bots=only", 3).await?;
    counted(&api, "code=crawled", people).await?;
    Ok(())
}

pub async fn every_scan_that_k6_sends_is_one_row(
    deployment: &mut Deployment,
) -> anyhow::Result<()> {
    let api = Api::of(deployment)?;
    api.post(
        "/tags",
        json!({"code": "k6", "destination": "https://example.com/k6"}),
    )
    .await?;
    leads_to(deployment, "k6", "https://example.com/k6").await?;
    // What the cluster has to store exactly; each of its three edges gets a third.
    let all: usize = match deployment.shape() {
        Shape::Standalone => 20_000,
        Shape::Cluster => 100_002,
    };
    let edges = deployment.redirects();
    let runs: Vec<_> = edges
        .iter()
        .map(|edge| k6(*edge, "k6", all / edges.len()))
        .collect::<Result<_, _>>()?;
    for run in runs {
        let output = tokio::task::spawn_blocking(move || run.wait_with_output()).await??;
        ensure!(
            output.status.success(),
            "k6: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    deployment.delivered().await?;
    let by_hand = edges.len();
    stored::exactly(deployment, "k6", all + by_hand).await?;
    counted(&api, "code=k6", all + by_hand).await?;
    for edge in deployment.edges() {
        let accepted = edge.metric("tagwire_edge_scans_accepted_total").await;
        let acknowledged = edge.metric("tagwire_edge_scans_acknowledged_total").await;
        let dropped = edge.metric("tagwire_edge_scans_dropped_total").await;
        ensure!(
            accepted == acknowledged && dropped == 0.0,
            "{accepted} accepted, {acknowledged} acknowledged, {dropped} dropped"
        );
    }
    Ok(())
}

fn k6(edge: SocketAddr, code: &str, scans: usize) -> anyhow::Result<Child> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../loadtest/steady.js");
    let settings = [
        ("BASE_URL", format!("http://{edge}")),
        ("CODES", code.to_owned()),
        ("ITERATIONS", scans.to_string()),
        ("VUS", "16".to_owned()),
        ("K6_NO_USAGE_REPORT", "true".to_owned()),
    ];
    let command = Command::new(given("TAGWIRE_TEST_K6")?)
        .args(["run", "--quiet"])
        .arg(script)
        .envs(settings)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    Ok(command)
}
