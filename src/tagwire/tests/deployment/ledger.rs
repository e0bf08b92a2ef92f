//! What `tagwire ledger` says of a deployment.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::deployment::{Deployment, Shape};
use crate::support::DEADLINE;

/// How the command ended, and what it said.
#[derive(Debug)]
pub struct Told {
    pub code: Option<i32>,
    pub report: Value,
    pub said: String,
}

impl Told {
    /// A number of the report's sum.
    pub fn total(&self, name: &str) -> anyhow::Result<u64> {
        let number = self.report["total"][name].as_u64();
        number.with_context(|| format!("no {name} in {:#}", self.report))
    }

    /// Scans that were dropped for this reason.
    pub fn dropped(&self, reason: &str) -> u64 {
        let dropped = &self.report["total"]["dropped"][reason];
        dropped.as_u64().unwrap_or_default()
    }
}

/// Asks until everything is settled; the sink runs again then.
pub async fn settled(deployment: &mut Deployment) -> anyhow::Result<Told> {
    let told = settled_at_the_end(deployment).await;
    run_sink(deployment).await;
    told
}

/// The same where nothing has to be stored any more: a cluster's sink stays ended. A sink says up to where everything is settled at its
/// end, and otherwise twice a minute, so it is ended for each question; where others were killed before, the next one has all partitions
/// only when the group has given them up.
pub async fn settled_at_the_end(deployment: &mut Deployment) -> anyhow::Result<Told> {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        end_sink(deployment).await?;
        let told = ask(deployment).await?;
        let open = &told.report["under_way"]["scans"];
        if *open == 0 || tokio::time::Instant::now() > deadline {
            return Ok(told);
        }
        run_sink(deployment).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

async fn end_sink(deployment: &mut Deployment) -> anyhow::Result<()> {
    if deployment.shape() == Shape::Cluster {
        let ended = deployment.sink().terminate().await;
        ensure!(ended.code == Some(0), "the sink ended so: {ended:?}");
    }
    Ok(())
}

async fn run_sink(deployment: &mut Deployment) {
    if deployment.shape() == Shape::Cluster {
        deployment.sink().start().await;
        deployment.sink().ready().await;
    }
}

async fn ask(deployment: &Deployment) -> anyhow::Result<Told> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tagwire"));
    command.args(["ledger", "--json"]).env_clear();
    if deployment.shape() == Shape::Cluster {
        let (url, database) = deployment.clickhouse();
        command.env("TAGWIRE_CLICKHOUSE__URL", url);
        command.env("TAGWIRE_CLICKHOUSE__DATABASE", database);
    } else {
        let file = deployment.sqlite();
        let folder = file.parent().context("its folder")?;
        command.env("TAGWIRE_NODE__DATA_DIR", folder);
    }
    let output = command.kill_on_drop(true).output().await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = serde_json::from_slice(&output.stdout).with_context(|| said.clone())?;
    let code = output.status.code();
    Ok(Told { code, report, said })
}
