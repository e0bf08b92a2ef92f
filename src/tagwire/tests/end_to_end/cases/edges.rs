//! What the API says of edges, and edits that wait for them.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::deployment::client::{Answer, Api, scan};
use crate::deployment::{Deployment, Shape};
use crate::support::DEADLINE;

pub async fn an_edit_that_waits_for_edges_shows_in_the_very_next_redirect_of_each(
    deployment: &mut Deployment,
) -> anyhow::Result<()> {
    let api = Api::of(deployment)?;
    until_all_serve(deployment, &api).await?;
    let made = json!({"code": "everywhere", "destination": "https://example.com/0"});
    let mut answer = api.post("/tags?wait=edges", made).await?;
    for number in 1..=20 {
        shown(deployment, &answer, &redirect(number - 1)).await?;
        let edit = json!({"destination": format!("https://example.com/{number}")});
        answer = api.patch("/tags/everywhere?wait=edges", edit).await?;
    }
    shown(deployment, &answer, &redirect(20)).await?;
    let back = Some(json!({"version": 1}));
    let path = "/tags/everywhere/rollback?wait=edges";
    answer = api.expect(Method::POST, path, back, StatusCode::OK).await?;
    shown(deployment, &answer, &redirect(0)).await?;
    // What changes nothing is everywhere already.
    let same = json!({"destination": "https://example.com/0"});
    answer = api.patch("/tags/everywhere?wait=edges", same).await?;
    shown(deployment, &answer, &redirect(0)).await?;
    let path = "/tags/everywhere?wait=edges";
    answer = api
        .expect(Method::DELETE, path, None, StatusCode::OK)
        .await?;
    let gone = Answer {
        status: 410,
        location: None,
    };
    shown(deployment, &answer, &gone).await
}

pub async fn an_edge_that_ends_is_waited_for_no_longer(
    deployment: &mut Deployment,
) -> anyhow::Result<()> {
    let api = Api::of(deployment)?;
    if deployment.shape() == Shape::Standalone {
        // There the edge and the admin are one process, of which there is one.
        let edges = until_all_serve(deployment, &api).await?;
        let addresses = json!([deployment.redirects()[0].to_string()]);
        ensure!(edges[0]["addresses"] == addresses, "{edges:?}");
        return Ok(());
    }
    let edges = until_all_serve(deployment, &api).await?;
    let all = edges.len();
    api.post(
        "/tags",
        json!({"code": "fewer", "destination": "https://example.com/"}),
    )
    .await?;

    // One that drains says farewell.
    deployment.edge().terminate().await;
    let answer = edit(&api, "after SIGTERM").await?;
    ensure!(answer["edges"] == all - 1, "{answer}");
    ensure!(answer["waiting"] == json!([]), "{answer}");
    deployment.edge().start().await;
    until_all_serve(deployment, &api).await?;

    // One that is killed cannot. It is named for as long as it counts as live.
    let killed = edges[0]["id"].clone();
    deployment.edge().kill().await;
    let began = Instant::now();
    let mut answer = edit(&api, "after SIGKILL").await?;
    while answer["edges"] == all {
        ensure!(answer["waiting"] == json!([killed]), "{answer}");
        ensure!(began.elapsed() < DEADLINE, "still live: {answer}");
        answer = edit(&api, &format!("{:?} after SIGKILL", began.elapsed())).await?;
    }
    ensure!(answer["applied"] == all - 1, "{answer}");
    let dead = api.get("/edges?live=false").await?;
    let dead = dead["items"].as_array().context("items")?;
    ensure!(dead.iter().any(|edge| edge["id"] == killed), "{dead:?}");
    deployment.edge().start().await;
    until_all_serve(deployment, &api).await?;
    Ok(())
}

/// The propagation of an edit that waits.
async fn edit(api: &Api, name: &str) -> anyhow::Result<Value> {
    let answer = api
        .patch("/tags/fewer?wait=edges", json!({"name": name}))
        .await?;
    Ok(answer["propagation"].clone())
}

/// Waits until as many edges serve as there are; them.
async fn until_all_serve(deployment: &Deployment, api: &Api) -> anyhow::Result<Vec<Value>> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let list = api.get("/edges?live=true").await?;
        let edges = list["items"].as_array().context("items")?;
        let serving = edges.iter().all(|edge| edge["state"] == "serving");
        if serving && edges.len() == deployment.redirects().len() {
            return Ok(edges.clone());
        }
        ensure!(Instant::now() < deadline, "{list}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One redirect of each edge, at once, and what the edit's answer said of them.
async fn shown(deployment: &Deployment, answer: &Value, wanted: &Answer) -> anyhow::Result<()> {
    for &edge in deployment.redirects() {
        let redirect = scan(edge, "everywhere").await?;
        ensure!(
            redirect == *wanted,
            "{edge}: {redirect:?} instead of {wanted:?} after {answer}"
        );
    }
    let (propagation, edges) = (&answer["propagation"], deployment.redirects().len());
    ensure!(propagation["edges"] == edges, "{answer}");
    ensure!(propagation["applied"] == edges, "{answer}");
    ensure!(propagation["slowest_ms"].is_f64(), "{answer}");
    Ok(())
}

fn redirect(number: u32) -> Answer {
    Answer {
        status: 302,
        location: Some(format!("https://example.com/{number}")),
    }
}
