//! Whether all that was accepted is stored once, as `tagwire ledger` tells it after kills and restarts.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::process::Command;

use super::counted;
use crate::deployment::client::{Api, leads_to};
use crate::deployment::{Deployment, Shape};

pub async fn all_that_was_accepted_until_now_is_stored_once(
    deployment: &mut Deployment,
) -> anyhow::Result<()> {
    let api = Api::of(deployment)?;
    let tag = json!({"code": "last", "destination": "https://example.com/last"});
    api.post("/tags", tag).await?;
    leads_to(deployment, "last", "https://example.com/last").await?;
    counted(&api, "code=last", deployment.redirects().len()).await?;
    deployment.delivered().await?;
    let cluster = deployment.shape() == Shape::Cluster;
    if cluster {
        // At its end it says up to where all is settled; otherwise twice a minute.
        let ended = deployment.sink().terminate().await;
        ensure!(ended.code == Some(0), "the sink ended so: {ended:?}");
    }
    let told = ledger(deployment).await;
    if cluster {
        deployment.sink().start().await;
        deployment.sink().ready().await;
    }
    let (code, report, said) = told?;
    ensure!(
        code == Some(0) && report["verdict"] == "exact",
        "{said}{report:#}"
    );
    let total = |name: &str| report["total"][name].as_u64().context("a number");
    let dropped = report["total"]["dropped"]["unknown_cap"].as_u64();
    ensure!(
        total("stored")? >= deployment.redirects().len() as u64
            && total("rows")? == total("stored")?
            && total("accepted")? == total("stored")? + dropped.unwrap_or_default()
            && total("missing")? == 0,
        "{report:#}"
    );
    Ok(())
}

/// How it ended, its report, and what else it said.
async fn ledger(deployment: &Deployment) -> anyhow::Result<(Option<i32>, Value, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tagwire"));
    command.args(["ledger", "--json"]).env_clear();
    if deployment.shape() == Shape::Cluster {
        let (url, database) = deployment.clickhouse();
        command.env("TAGWIRE_CLICKHOUSE__URL", url);
        command.env("TAGWIRE_CLICKHOUSE__DATABASE", database);
    } else {
        let file = deployment.sqlite();
        command.env(
            "TAGWIRE_NODE__DATA_DIR",
            file.parent().context("its folder")?,
        );
    }
    let output = command.output().await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = serde_json::from_slice(&output.stdout).with_context(|| said.clone())?;
    Ok((output.status.code(), report, said))
}
