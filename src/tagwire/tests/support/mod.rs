//! The real binary as tests drive it: on free ports and a data directory of the test's, its output captured, ended with the test.
//!
//! [`Start`] says how; [`Start::run`] waits until the process is ready, [`Start::spawn`] only until it has started,
//! [`Start::refused`] expects it to end by itself. A [`Process`] that is dropped is killed.

#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)] // each test program uses its part of it

mod output;
mod process;
mod start;

use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

pub use process::{Ended, Process};
pub use start::Start;

/// After it, something is broken, not slow.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// A User-Agent that counts as a person's.
pub const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1";

/// A folder for a process's data, in memory where there is such a place: the scan log is in it too.
pub fn data_dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// A client that shows redirects instead of following them, and that no proxy of the environment comes between.
pub fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(DEADLINE)
        .no_proxy()
        .build()
        .unwrap()
}

/// Makes a tag; the API's answer.
pub async fn make_tag(process: &Process, tag: &Value) -> Value {
    let request = client()
        .post(process.api_url("/tags"))
        .bearer_auth(process.key())
        .json(tag);
    let answer = request.send().await.unwrap();
    assert_eq!(
        answer.status(),
        201,
        "{}\n{}",
        answer.text().await.unwrap(),
        process.stderr()
    );
    answer.json().await.unwrap()
}
