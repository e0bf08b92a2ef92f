//! Rules: from the API over every edge to what is counted.

use serde_json::json;

use super::counted;
use crate::deployment::Deployment;
use crate::deployment::client::{Api, leads_to};
use crate::support::client;

pub async fn rules_lead_by_device_place_and_language_and_are_counted_by_name(
    deployment: &mut Deployment,
) -> anyhow::Result<()> {
    let api = Api::of(deployment)?;
    let to = |path: &str| format!("https://example.com/{path}");
    let rules = json!([
        {"name": "phones in Germany", "when": {"device": ["mobile"], "os": ["ios"], "country": ["DE"]}, "to": to("de")},
        {"name": "French", "when": {"language": ["fr"]}, "to": [{"url": to("fr"), "weight": 1}]}
    ]);
    let tag = json!({"code": "ruled", "destination": to("else"), "rules": rules});
    api.post("/tags", tag).await?;
    // A phone in Germany, at every edge.
    leads_to(deployment, "ruled", &to("de")).await?;
    let phones = deployment.redirects().len();
    let visit = |language: &'static str| {
        let edge = deployment.redirects()[0];
        async move {
            let request = client().get(format!("http://{edge}/ruled"));
            let answer = request.header("Accept-Language", language).send().await?;
            let location = answer.headers().get("location").cloned();
            anyhow::ensure!(location.is_some(), "{answer:?}");
            Ok(location)
        }
    };
    anyhow::ensure!(visit("fr-CA,en;q=0.5").await? == to("fr").parse().ok());
    anyhow::ensure!(visit("en").await? == to("else").parse().ok());
    let report = counted(&api, "code=ruled&by=rule&bots=include", phones + 2).await?;
    let of_rule = |name: &str| {
        let rows = report["breakdown"]["rule"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let row = rows.into_iter().find(|row| row["value"] == name);
        row.and_then(|row| row["scans"].as_u64())
    };
    anyhow::ensure!(
        of_rule("phones in Germany") == Some(phones as u64),
        "{report}"
    );
    anyhow::ensure!(
        of_rule("French") == Some(1) && of_rule("none") == Some(1),
        "{report}"
    );
    // An edit of the rules is an edit like any other.
    let rules = json!([{"name": "all", "when": {}, "to": to("all")}]);
    api.patch("/tags/ruled?wait=edges", json!({"rules": rules}))
        .await?;
    leads_to(deployment, "ruled", &to("all")).await?;
    Ok(())
}
