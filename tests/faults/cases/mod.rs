//! The cases, each named after its row in docs/reliability.md.

mod edges;
mod input;
mod kafka;

use std::pin::Pin;
use std::time::Duration;

use anyhow::ensure;
use reqwest::StatusCode;
use serde_json::json;

use crate::deployment::Deployment;
use crate::deployment::client::Api;
use crate::ground::Ground;
use crate::support::{DEADLINE, client};

/// Whether a case runs each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Seconds: with all other tests.
    Seconds,
    /// Longer: with `tests/run --faults`.
    Long,
}

/// A case on the ground that all share.
pub type Case = for<'a> fn(&'a mut Ground) -> Outcome<'a>;

type Outcome<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;

macro_rules! cases {
    ($($takes:ident $file:ident::$name:ident),+ $(,)?) => {
        /// All cases, by name.
        pub const ALL: &[(&str, Takes, Case)] =
            &[$((stringify!($name), Takes::$takes, |ground| Box::pin($file::$name(ground)))),+];
    };
}

cases![
    Long kafka::row_01_kafka_is_killed_and_comes_back,
    Seconds edges::row_05_edges_are_restarted_one_after_the_other,
    Seconds input::row_26_unknown_codes_are_guessed_by_the_thousand,
    Seconds edges::row_28_the_geoip_file_is_replaced_truncated_and_removed,
    Long input::row_29_a_thousand_edits_a_second,
    Seconds edges::row_30_file_descriptors_are_exhausted,
    Seconds kafka::row_36_partitions_are_added_to_scans,
    Seconds edges::row_39_there_is_no_salt_for_today,
];

/// Makes a tag, and waits until every edge knows it: by HEAD, which is kept apart from the scans that are counted.
async fn tag(deployment: &Deployment, code: &str) -> anyhow::Result<()> {
    let destination = format!("https://example.com/{code}");
    let tag = json!({"code": code, "destination": destination});
    Api::of(deployment)?.post("/tags", tag).await?;
    let client = client();
    for edge in deployment.redirects() {
        let url = format!("http://{edge}/{code}");
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while client.head(&url).send().await?.status() != StatusCode::FOUND {
            ensure!(
                tokio::time::Instant::now() < deadline,
                "{edge} does not know {code}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}
