//! The OpenAPI document and the running API, compared by Schemathesis: it makes requests from the document, right ones and wrong ones, and
//! judges the answers by it.

use std::process::Stdio;

use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::json;
use tokio::process::Command;

use crate::deployment::client::Api;
use crate::deployment::{Deployment, Shape, given};

/// The check that is left out: what JSON Schema cannot say, such as that a cursor is one that was given out, is refused.
const REFUSALS: &str = "positive_data_acceptance";

pub async fn whatever_is_sent_the_answer_is_one_that_the_document_has(
    deployment: &mut Deployment,
) -> anyhow::Result<()> {
    let api = Api::of(deployment)?;
    let made = api.post("/workspaces", json!({"name": "Document"})).await?;
    let key = made["key"]["secret"].as_str().context("a secret")?;
    // Not what would end the key that it asks with, nor what answers without an end.
    let apart = r"^/api/v1/(keys/\{id\}|(tags/import|analytics/live)$)";
    judge(deployment, key, &["--exclude-path-regex", apart], REFUSALS).await?;
    // A file is taken as it is, and what is wrong with its lines is said by the job.
    let import = ["--include-path", "/api/v1/tags/import"];
    let checks = format!("{REFUSALS},negative_data_rejection");
    judge(deployment, key, &import, &checks).await?;
    is_known(&api.with_key(key)).await?;
    // What only the installation's owners may.
    let of_operators = "^/api/v1/(workspaces|edges)";
    let scope = ["--include-path-regex", of_operators];
    judge(deployment, &deployment.key()?, &scope, REFUSALS).await?;
    is_known(&api).await
}

/// Whether the key that was asked with is one still, so that not all answers were refusals for want of it. It may have set a limit for
/// itself by now.
async fn is_known(api: &Api) -> anyhow::Result<()> {
    let (status, answer) = api.send(Method::GET, "/tags", None).await?;
    ensure!(status == 200 || status == 429, "{status}: {answer}");
    Ok(())
}

/// Asks once more where there is a complaint. The requests are the same each time, so that what is wrong with the program is found twice, and
/// what a machine that does something else brings about is not.
async fn judge(
    deployment: &Deployment,
    key: &str,
    scope: &[&str],
    left_out: &str,
) -> anyhow::Result<()> {
    let Err(complaint) = ask(deployment, key, scope, left_out).await else {
        return Ok(());
    };
    println!("{complaint:#}");
    ask(deployment, key, scope, left_out).await
}

/// Lets it ask with this key: no 5xx, no status, media type, header or body that the document does not have, no wrong request taken.
async fn ask(
    deployment: &Deployment,
    key: &str,
    scope: &[&str],
    left_out: &str,
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let document = format!("http://{}/api/v1/openapi.json", deployment.api());
    let done = Command::new(given("TAGWIRE_TEST_SCHEMATHESIS")?)
        .args(["run", &document, "--header"])
        .arg(format!("Authorization: Bearer {key}"))
        .args(["--generation-deterministic", "--no-color"])
        .args(thoroughness(deployment.shape()))
        .args(["--exclude-checks", left_out])
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
