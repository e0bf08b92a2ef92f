//! Files of tags, in and out again.

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::deployment::Deployment;
use crate::deployment::client::{Api, leads_to};

pub async fn imported_tags_redirect_on_every_edge_and_are_exported_as_they_came(
    deployment: &mut Deployment,
) -> anyhow::Result<()> {
    let api = Api::of(deployment)?;
    let made = api.post("/workspaces", json!({"name": "Imports"})).await?;
    let api = api.with_key(made["key"]["secret"].as_str().unwrap_or_default());
    let line = |number: u32| {
        let destination = format!("https://example.com/i/{number}");
        json!({"code": format!("i{number}"), "destination": destination, "campaign": "imported"})
            .to_string()
            + "\n"
    };
    let file: String = (0..25_000).map(line).collect();
    let job = api.import("application/x-ndjson", file.clone()).await?;
    let numbers = ["read", "created", "error_count"].map(|name| job[name].as_u64());
    ensure!(numbers == [Some(25_000), Some(25_000), Some(0)], "{job}");
    for number in [0, 9_999, 10_000, 24_999] {
        let destination = format!("https://example.com/i/{number}");
        leads_to(deployment, &format!("i{number}"), &destination).await?;
    }
    let page = api.get("/tags?q=I2499&limit=500").await?;
    let found = page["items"].as_array().map_or(0, Vec::len);
    ensure!(found == 11, "i2499 and those that begin so: {page}");
    let exported = String::from_utf8(api.bytes("/tags/export").await?)?;
    ensure!(exported.lines().count() == 25_000);
    let job = api.import("application/x-ndjson", exported).await?;
    ensure!(job["unchanged"] == 25_000, "{job}");
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("some.csv");
    let file = file.to_str().context("a path in UTF-8")?;
    api.command(&["tags", "export", "--q", "i2499", "--output", file])
        .await?;
    let printed = api.command(&["tags", "import", "--json", file]).await?;
    let job: Value = serde_json::from_slice(&printed)?;
    ensure!(job["unchanged"] == 11, "{job}");
    Ok(())
}
