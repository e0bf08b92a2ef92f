//! The OpenAPI document and the running API, compared by Schemathesis: it makes requests from the document, right ones and wrong ones, and
//! judges the answers by it.

use std::process::Stdio;

use anyhow::{Context, ensure};
use serde_json::json;
use tokio::process::Command;

use crate::deployment::client::Api;
use crate::deployment::{Deployment, Shape, given};

pub async fn whatever_is_sent_the_answer_is_one_that_the_document_has(
    deployment: &mut Deployment,
) -> anyhow::Result<()> {
    let api = Api::of(deployment)?;
    let made = api.post("/workspaces", json!({"name": "Document"})).await?;
    let key = made["key"]["secret"].as_str().context("a secret")?;
    // Not what would end the key that it asks with.
    judge(
        deployment,
        key,
        &["--exclude-path-regex", r"^/api/v1/keys/\{id\}"],
    )
    .await?;
    api.with_key(key).get("/tags").await?;
    // What only the installation's owners may.
    let of_operators = "^/api/v1/(workspaces|edges)";
    judge(
        deployment,
        &deployment.key()?,
        &["--include-path-regex", of_operators],
    )
    .await?;
    api.get("/workspaces").await?;
    Ok(())
}

/// Lets it ask with this key: no 5xx, no status, media type, header or body that the document does not have, no wrong request taken.
async fn judge(deployment: &Deployment, key: &str, scope: &[&str]) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let document = format!("http://{}/api/v1/openapi.json", deployment.api());
    let done = Command::new(given("TAGWIRE_TEST_SCHEMATHESIS")?)
        .args(["run", &document, "--header"])
        .arg(format!("Authorization: Bearer {key}"))
        .args(["--generation-deterministic", "--no-color"])
        .args(thoroughness(deployment.shape()))
        // What JSON Schema cannot say, such as that a cursor is one that was given out, is refused.
        .args(["--exclude-checks", "positive_data_acceptance"])
        .args(scope)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let told = String::from_utf8_lossy(&done.stdout);
    let complaint = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{told}{complaint}");
    ensure!(told.contains("Test cases:"), "nothing was tried: {told}");
    Ok(())
}

/// The same code answers in both deployments: what can differ is how what a request changes becomes true, and that takes longer on Kafka.
fn thoroughness(shape: Shape) -> [&'static str; 4] {
    match shape {
        Shape::Standalone => [
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            "20",
        ],
        Shape::Cluster => ["--phases", "examples,fuzzing", "--max-examples", "4"],
    }
}
