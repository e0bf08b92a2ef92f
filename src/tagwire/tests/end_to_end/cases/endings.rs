//! Processes that end under load, killed or told to, and start again.

use anyhow::ensure;
use serde_json::json;

use crate::deployment::client::{Api, leads_to, until_known};
use crate::deployment::load::Load;
use crate::deployment::stored;
use crate::deployment::{Deployment, Shape};

pub async fn answered_scans_and_acknowledged_tags_survive_kill_9_under_load(
    deployment: &mut Deployment,
) -> anyhow::Result<()> {
    let api = Api::of(deployment)?;
    api.post(
        "/tags",
        json!({"code": "under-fire", "destination": "https://example.com/fire"}),
    )
    .await?;
    until_known(deployment, "under-fire").await?;
    let load = Load::start(deployment.redirects(), "under-fire", 16, 10_000);
    let mut acknowledged = Vec::new();
    for answered in [2_000, 4_000, 7_000] {
        load.reaches(answered).await;
        for _ in 0..3 {
            let number = acknowledged.len();
            let code = format!("kept-{number}");
            api.post(
                "/tags",
                json!({"code": code, "destination": format!("https://example.com/kept/{number}")}),
            )
            .await?;
            acknowledged.push(code);
        }
        let edge = deployment.edge();
        edge.kill().await;
        edge.start().await;
        edge.ready().await;
    }
    let sent = load.finish().await;
    ensure!(
        sent.answered.len() >= 10_000,
        "{} answered",
        sent.answered.len()
    );
    stored::matches(deployment, "under-fire", &sent).await?;
    for (number, code) in acknowledged.iter().enumerate() {
        leads_to(
            deployment,
            code,
            &format!("https://example.com/kept/{number}"),
        )
        .await?;
    }
    Ok(())
}

pub async fn scans_survive_kill_9_of_the_sink(deployment: &mut Deployment) -> anyhow::Result<()> {
    if deployment.shape() == Shape::Standalone {
        // There the sink is the edge's own process, which the case before has killed.
        return Ok(());
    }
    let api = Api::of(deployment)?;
    api.post(
        "/tags",
        json!({"code": "sunk", "destination": "https://example.com/sunk"}),
    )
    .await?;
    until_known(deployment, "sunk").await?;
    let load = Load::start(deployment.redirects(), "sunk", 16, 20_000);
    for answered in [4_000, 9_000, 14_000] {
        load.reaches(answered).await;
        deployment.sink().kill().await;
        deployment.sink().start().await;
    }
    let sent = load.finish().await;
    deployment.sink().ready().await;
    stored::matches(deployment, "sunk", &sent).await
}

pub async fn sigterm_under_load_fails_no_scan_and_loses_none(
    deployment: &mut Deployment,
) -> anyhow::Result<()> {
    let api = Api::of(deployment)?;
    api.post(
        "/tags",
        json!({"code": "drained", "destination": "https://example.com/drained"}),
    )
    .await?;
    until_known(deployment, "drained").await?;
    let load = Load::start(deployment.redirects(), "drained", 8, 6_000);
    load.reaches(2_000).await;
    let edge = deployment.edge();
    let ended = edge.terminate().await;
    ensure!(ended.code == Some(0), "SIGTERM ended it so: {ended:?}");
    edge.start().await;
    edge.ready().await;
    let sent = load.finish().await;
    stored::matches(deployment, "drained", &sent).await
}
