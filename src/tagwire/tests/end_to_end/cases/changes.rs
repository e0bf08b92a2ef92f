//! Changes over a tag's life that only scans show: what was scheduled, and what a campaign keeps.

use std::time::Duration;

use anyhow::{Context, ensure};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::counted;
use crate::deployment::client::{Answer, Api, leads_to, scan};
use crate::deployment::{Deployment, Shape};
use crate::support::DEADLINE;

pub async fn a_scheduled_change_takes_place_on_every_edge_without_the_admin(
    deployment: &mut Deployment,
) -> anyhow::Result<()> {
    let api = Api::of(deployment)?;
    let (before, after) = ("https://example.com/before", "https://example.com/after");
    api.post("/tags", json!({"code": "premiere", "destination": before}))
        .await?;
    leads_to(deployment, "premiere", before).await?;
    // Time enough for the rest of this to be laid down before.
    let at = Timestamp::now() + SignedDuration::from_secs(5);
    let body = json!({"at": at.to_string(), "set": {"destination": after, "campaign": "premiere"}});
    let path = "/tags/premiere/schedule?wait=edges&wait_timeout=60";
    let tag = api
        .expect(Method::PUT, path, Some(body), StatusCode::OK)
        .await?;
    let edges = deployment.redirects().len();
    ensure!(tag["propagation"]["applied"] == edges, "{tag}");
    let without_admin = deployment.shape() == Shape::Cluster;
    if without_admin {
        deployment.admin_mut().kill().await;
    }
    let redirect = |to: &str| Answer {
        status: 302,
        location: Some(to.to_owned()),
    };
    let deadline = tokio::time::Instant::now() + DEADLINE;
    for &edge in deployment.redirects() {
        loop {
            let asked = Timestamp::now();
            let answer = scan(edge, "premiere").await?;
            let answered = Timestamp::now();
            // Answered wholly before the moment: the old one; asked after it: the new one; else either.
            ensure!(
                answered >= at || answer == redirect(before),
                "{answer:?} too early"
            );
            ensure!(
                asked < at || answer == redirect(after),
                "{answer:?} at {edge}, too late"
            );
            if answer == redirect(after) {
                break;
            }
            ensure!(
                tokio::time::Instant::now() < deadline,
                "it does not take place"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    if without_admin {
        deployment.admin_mut().start().await;
        deployment.admin_mut().ready().await;
    }
    let deadline = tokio::time::Instant::now() + DEADLINE;
    let versions = loop {
        let versions = api.get("/tags/premiere/versions").await?;
        if versions["items"][0]["version"] == 3 {
            break versions;
        }
        ensure!(
            tokio::time::Instant::now() < deadline,
            "not in the history: {versions}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let newest = &versions["items"][0];
    ensure!(newest["destination"] == after, "{newest}");
    let made: Timestamp = newest["updated_at"].as_str().context("a time")?.parse()?;
    ensure!(
        made == Timestamp::from_microsecond(at.as_microsecond())?,
        "{newest}"
    );
    leads_to(deployment, "premiere", after).await?;
    // What was served by the schedule is counted for its campaign, as what is served since.
    counted(&api, "campaign=premiere", 2 * edges).await?;
    Ok(())
}

pub async fn a_tag_that_moves_to_another_campaign_leaves_its_scans_with_the_one_before(
    deployment: &mut Deployment,
) -> anyhow::Result<()> {
    let api = Api::of(deployment)?;
    let scans = deployment.redirects().len();
    let fields =
        json!({"code": "moved", "destination": "https://example.com/1", "campaign": "spring-sale"});
    api.post("/tags", fields).await?;
    leads_to(deployment, "moved", "https://example.com/1").await?;
    counted(&api, "campaign=spring-sale", scans).await?;
    let edit = json!({"destination": "https://example.com/2", "campaign": "autumn-sale"});
    api.patch("/tags/moved?wait=edges&wait_timeout=60", edit)
        .await?;
    leads_to(deployment, "moved", "https://example.com/2").await?;
    counted(&api, "campaign=autumn-sale", scans).await?;
    counted(&api, "campaign=spring-sale", scans).await?;
    counted(&api, "code=moved", 2 * scans).await?;
    Ok(())
}
