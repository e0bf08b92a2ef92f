//! Whether all that was accepted is stored once, as `tagwire ledger` tells it after kills and restarts.

use anyhow::ensure;
use serde_json::json;

use super::counted;
use crate::deployment::client::{Api, leads_to};
use crate::deployment::{Deployment, ledger};

pub async fn all_that_was_accepted_until_now_is_stored_once(
    deployment: &mut Deployment,
) -> anyhow::Result<()> {
    let api = Api::of(deployment)?;
    let tag = json!({"code": "last", "destination": "https://example.com/last"});
    api.post("/tags", tag).await?;
    leads_to(deployment, "last", "https://example.com/last").await?;
    counted(&api, "code=last", deployment.redirects().len()).await?;
    deployment.delivered().await?;
    let told = ledger::settled(deployment).await?;
    ensure!(
        told.code == Some(0) && told.report["verdict"] == "exact",
        "{told:?}"
    );
    let stored = told.total("stored")?;
    ensure!(
        stored >= deployment.redirects().len() as u64
            && told.total("rows")? == stored
            && told.total("accepted")? == stored + told.dropped("unknown_cap")
            && told.total("missing")? == 0,
        "{told:?}"
    );
    Ok(())
}
