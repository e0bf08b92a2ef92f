//! An import that is killed goes on where it was, and what it was writing is there whole or not at all.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{DEADLINE, Process, Start, client, data_dir};

const TAGS: u32 = 60_000;

async fn job(process: &Process, path: &str) -> Value {
    let request = client()
        .get(process.api_url(path))
        .bearer_auth(process.key());
    request.send().await.unwrap().json().await.unwrap()
}

/// Tags in the journal, however often each.
fn written(data: &Path) -> u32 {
    let journal = rusqlite::Connection::open(data.join("journal.sqlite")).unwrap();
    let count = "SELECT count(*) FROM records WHERE topic = 'tags'";
    journal.query_row(count, [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn an_import_that_is_killed_goes_on_and_makes_every_tag_once() {
    let data = data_dir();
    let mut process = Start::standalone(data.path()).run().await;
    let line = |number| {
        format!(
            "{{\"code\": \"t{number}\", \"destination\": \"https://example.com/{number}\", \"labels\": [\"a\"]}}\n"
        )
    };
    let file: String = (0..TAGS).map(line).collect();
    let request = client()
        .post(process.api_url("/tags/import"))
        .bearer_auth(process.key())
        .header("Content-Type", "application/x-ndjson")
        .body(file);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let path = answer.headers()["location"].to_str().unwrap().to_owned();
    let path = path.strip_prefix("/api/v1").unwrap().to_owned();
    // Killed at different moments: what matters is that each falls somewhere into the work.
    for pause in [0, 40, 130] {
        let before = written(data.path());
        let deadline = Instant::now() + DEADLINE;
        while written(data.path()) == before && before < TAGS {
            assert!(Instant::now() < deadline, "{}", process.stderr());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
        process.kill().await;
        process = Start::standalone(data.path()).run().await;
    }
    let deadline = Instant::now() + DEADLINE;
    let job = loop {
        let job = job(&process, &path).await;
        if job["status"] != "running" && job["status"] != "queued" {
            break job;
        }
        assert!(Instant::now() < deadline, "{job}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let numbers =
        ["status", "read", "created", "unchanged", "error_count"].map(|name| job[name].clone());
    assert_eq!(
        numbers,
        [json!("done"), json!(TAGS), json!(TAGS), json!(0), json!(0)]
    );
    assert_eq!(written(data.path()), TAGS, "each once");
    let exported = client()
        .get(process.api_url("/tags/export"))
        .bearer_auth(process.key())
        .send()
        .await
        .unwrap();
    let exported = exported.text().await.unwrap();
    let codes = exported.lines().map(|line| {
        let tag: Value = serde_json::from_str(line).unwrap();
        tag["code"].as_str().unwrap().to_owned()
    });
    assert!(
        codes.eq((0..TAGS).map(|number| format!("t{number}"))),
        "in the file's order"
    );
    let scan = client()
        .get(process.redirect_url("/t59999"))
        .send()
        .await
        .unwrap();
    assert_eq!(scan.headers()["location"], "https://example.com/59999");
    let left: Vec<_> = std::fs::read_dir(data.path().join("jobs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        left,
        [format!("{}.json", job["id"].as_str().unwrap())],
        "the file is gone"
    );
}
