//! Visitors are the same to every edge, also to one that was started again; and one who is erased is known to none of what was stored.

use anyhow::{Context, bail, ensure};
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::counted;
use crate::deployment::client::{Api, leads_to};
use crate::deployment::{Deployment, stored};
use crate::support::{IPHONE, client};

const ADDRESSES: [&str; 2] = ["198.51.100.7", "2001:db8:88::7"];

/// At every edge twice.
async fn scan_everywhere(deployment: &Deployment) -> anyhow::Result<usize> {
    let mut scans = 0;
    for edge in deployment.redirects() {
        for address in ADDRESSES.into_iter().cycle().take(2 * ADDRESSES.len()) {
            let scan = client().get(format!("http://{edge}/visited"));
            let scan = scan.header("User-Agent", IPHONE);
            scan.header("X-Forwarded-For", address).send().await?;
            scans += 1;
        }
    }
    Ok(scans)
}

/// The most visitors of a day, and of all days; scans may be of two where midnight passes.
async fn visitors(api: &Api) -> anyhow::Result<(u64, u64)> {
    let report = api.get("/analytics/visitors?code=visited").await?;
    let days = report["series"].as_array().context("days")?;
    let most = days.iter().filter_map(|day| day["visitors"].as_u64()).max();
    let all = report["visitor_days"].as_u64().context("their sum")?;
    Ok((most.context("a day")?, all))
}

pub async fn a_visitor_of_every_edge_counts_once_a_day_until_erased(
    deployment: &mut Deployment,
) -> anyhow::Result<()> {
    let api = Api::of(deployment)?;
    deployment.salted().await?;
    let tag = json!({"code": "visited", "destination": "https://example.com/visited"});
    api.post("/tags", tag).await?;
    leads_to(deployment, "visited", "https://example.com/visited").await?;
    // Who asks where it leads is a visitor too, the same at every edge.
    let mut scans = deployment.redirects().len();
    scans += scan_everywhere(deployment).await?;
    for edge in deployment.edges_mut() {
        edge.kill().await;
        edge.start().await;
        edge.ready().await;
    }
    scans += scan_everywhere(deployment).await?;
    for edge in deployment.edges() {
        let local = edge.metric("tagwire_edge_local_salts_total").await;
        ensure!(local == 0.0, "an edge that was started again made {local}");
    }
    counted(&api, "code=visited", scans).await?;
    let (most, all) = visitors(&api).await?;
    ensure!(
        most <= 3 && all >= 3,
        "{most} visitors of a day, {all} in all"
    );

    let mut erased = 0;
    let days = api.get("/analytics/visitors?code=visited").await?;
    for day in days["series"].as_array().context("days")? {
        if day["scans"] == 0 {
            continue;
        }
        let day = day["start"].as_str().context("a day")?;
        let day = day.split('T').next().context("a date")?;
        let whom = json!({"address": ADDRESSES[0], "user_agent": IPHONE, "day": day});
        let asked = api.send(Method::POST, "/erasures", Some(whom)).await?;
        let (StatusCode::OK, done) = asked else {
            bail!("{asked:?}");
        };
        erased += done["scans"].as_u64().context("scans")?;
    }
    let theirs = 2 * 2 * deployment.redirects().len();
    ensure!(erased == theirs as u64, "{erased} scans, not {theirs}");
    let (most, all) = visitors(&api).await?;
    ensure!(
        most <= 2 && all >= 2,
        "{most} visitors of a day, {all} in all"
    );
    counted(&api, "code=visited", scans).await?;
    let agents = stored::rows(deployment, "visited").await?;
    let blank = agents.iter().filter(|row| row.user_agent.is_empty());
    ensure!(blank.count() == theirs, "{agents:?}");
    Ok(())
}
