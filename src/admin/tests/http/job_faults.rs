//! Jobs whose journal or disk fails under them, or that are overtaken by a blocklist.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::faults::{Faults, start};
use crate::support::{Api, PUBLIC_URL, Server};

const LISTED: &str = "https://bad.example.com/prize";

/// The path of an import that has begun, of one tag.
async fn begin_import(owner: &Api, code: &str, destination: &str) -> String {
    let line = json!({"code": code, "destination": destination});
    let kind = "application/x-ndjson";
    let answer = owner.upload("/tags/import", kind, line.to_string()).await;
    format!("/tags/import/{}", answer.accepted()["id"].as_str().unwrap())
}

/// Waits until a job says that it waits for this.
async fn until_it_waits(owner: &Api, path: &str, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let job = owner.get(path).await.ok();
        if job["detail"].as_str().is_some_and(|it| it.contains(what)) {
            assert_eq!(job["status"], "running");
            return;
        }
        assert!(Instant::now() < deadline, "{job}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until there is an alert about a tag.
async fn until_reported(owner: &Api, code: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let page = owner.get(&format!("/alerts?code={code}")).await.ok();
        if !page["items"].as_array().unwrap().is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "nothing was said of {code}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_was_judged_before_a_list_changed_and_is_seen_after_the_inspection_is_found() {
    let faults = Faults::default();
    let server = start(&faults).await;
    let owner = server.owner();
    let tag = |code: &str| json!({"code": code, "destination": LISTED});
    owner.post("/tags", tag("before")).await.created();

    faults.nothing_is_written.store(true, Ordering::SeqCst);
    let path = begin_import(&owner, "imported", LISTED).await;
    until_it_waits(&owner, &path, "journal").await;
    server.block("phishing.txt", &["bad.example.com"]);
    // The inspection has passed where the tag will be.
    until_reported(&owner, "before").await;
    faults.nothing_is_written.store(false, Ordering::SeqCst);
    assert_eq!(owner.job(&path).await["created"], 1);
    until_reported(&owner, "imported").await;
}

#[tokio::test]
async fn an_edit_that_a_list_has_overtaken_is_found() {
    let faults = Faults::default();
    let server = start(&faults).await;
    let owner = server.owner();
    let tag = |code: &str| json!({"code": code, "destination": LISTED});
    owner.post("/tags", tag("before")).await.created();

    let published = faults.publishing.load(Ordering::SeqCst);
    let held = faults.held.write().await;
    let creating = owner.post("/tags", tag("late"));
    let overtaking = async {
        let begun = || faults.publishing.load(Ordering::SeqCst) > published;
        server.until("it is published", begun).await;
        server.block("phishing.txt", &["bad.example.com"]);
        until_reported(&owner, "before").await;
        drop(held);
    };
    let (created, ()) = tokio::join!(creating, overtaking);
    created.created();
    until_reported(&owner, "late").await;
}

#[tokio::test]
async fn a_job_goes_on_when_the_disk_does() {
    let faults = Faults::default();
    let server = start(&faults).await;
    let owner = server.owner();
    faults.nothing_is_written.store(true, Ordering::SeqCst);
    let path = begin_import(&owner, "spring", "https://example.com/").await;
    until_it_waits(&owner, &path, "journal").await;
    // What it is at cannot be kept any more.
    let id = path.rsplit('/').next().unwrap();
    let in_the_way = server.data_dir.join("jobs").join(format!("{id}.new"));
    std::fs::create_dir(&in_the_way).unwrap();
    faults.nothing_is_written.store(false, Ordering::SeqCst);
    until_it_waits(&owner, &path, "data directory").await;
    std::fs::remove_dir(&in_the_way).unwrap();
    let job = owner.job(&path).await;
    let counts = (&job["status"], &job["created"], &job["unchanged"]);
    assert_eq!(counts, (&json!("done"), &json!(1), &json!(0)), "{job}");
    let tag = owner.get("/tags/spring").await.ok();
    assert_eq!(tag["version"], 1);
}

#[tokio::test]
async fn what_a_bulk_edit_makes_is_written_in_parts() {
    let faults = Faults::default();
    let server = start(&faults).await;
    let owner = server.owner();
    let tags = 12;
    for number in 0..tags {
        owner.tag(&format!("t{number}")).await;
    }
    let target = |number| {
        let url = format!("https://example.com/{number}/{}", "x".repeat(2_000));
        json!({"url": url, "weight": 1})
    };
    let rule = |name: &str| {
        let to: Vec<Value> = (0..10).map(target).collect();
        json!({"name": name, "when": {}, "to": to})
    };
    let rules = json!([rule("one"), rule("two"), rule("three"), rule("four")]);
    let edit = json!({"filter": {"status": "active"}, "set": {"rules": rules}});
    let published = faults.publishing.load(Ordering::SeqCst);
    let begun = owner.post("/tags/bulk", edit).await.accepted();
    let job = owner
        .job(&format!("/tags/bulk/{}", begun["id"].as_str().unwrap()))
        .await;
    assert_eq!(job["changed"], tags, "{job}");
    // Each is 160 KB in the tag and in the audit trail; a part is 1 MiB and at most one more.
    let parts = faults.publishing.load(Ordering::SeqCst) - published;
    assert_eq!(parts, 2);
    for number in 0..tags {
        let tag = owner.get(&format!("/tags/t{number}")).await.ok();
        assert_eq!(tag["version"], 2);
    }
}

#[tokio::test]
async fn what_lies_beside_the_jobs_keeps_nobody_from_starting_and_old_uploads_go() {
    let server = Server::start().await;
    let owner = server.owner();
    let path = begin_import(&owner, "spring", "https://example.com/").await;
    owner.job(&path).await;
    let folder = server.data_dir.join("jobs");
    std::fs::create_dir(folder.join("lost+found")).unwrap();
    let id = path.rsplit('/').next().unwrap();
    let upload = folder.join(format!("{id}.upload"));
    std::fs::write(&upload, "left by a kill").unwrap();
    let server = server.restart(PUBLIC_URL).await;
    assert!(!upload.exists());
    assert!(folder.join("lost+found").exists());
    assert_eq!(server.owner().job(&path).await["created"], 1);
}
