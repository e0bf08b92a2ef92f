//! Imports whose parts are written faster than they are taken in, so that some are on their way when something happens.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use crate::faults::{Faults, start};
use crate::support::{Api, PUBLIC_URL, Server};

/// Tags of a part, and parts that are on their way at most.
const PART: usize = 2_000;
const ON_THEIR_WAY: usize = 3;

fn line(number: usize, destination: &str) -> String {
    json!({"code": format!("t{number}"), "destination": destination}).to_string() + "\n"
}

fn lines(range: std::ops::Range<usize>) -> String {
    range
        .map(|number| line(number, "https://example.com/"))
        .collect()
}

/// An import of this file, of which so many parts have been written and none can be seen.
async fn half_way(
    server: &Server,
    faults: &Faults,
    api: &Api,
    file: String,
    parts: usize,
) -> String {
    faults.reader_rests.store(true, Ordering::SeqCst);
    // What it waited for just then it has taken in.
    let rested = faults.rested.load(Ordering::SeqCst);
    let rests = || faults.rested.load(Ordering::SeqCst) > rested;
    server.until("the reader rests", rests).await;
    let before = faults.published.load(Ordering::SeqCst);
    let job = api.upload("/tags/import", "application/x-ndjson", file);
    let job = job.await.accepted();
    let written = || faults.published.load(Ordering::SeqCst) == before + parts;
    server.until("so many parts are written", written).await;
    format!("/tags/import/{}", job["id"].as_str().unwrap())
}

/// The numbers of a job: read, created, unchanged, withheld, invalid.
fn numbers(job: &Value) -> [u64; 5] {
    ["read", "created", "unchanged", "withheld", "invalid"].map(|name| job[name].as_u64().unwrap())
}

/// The codes of all tags, each of which has one version and one entry in the audit.
async fn made_once(api: &Api) -> usize {
    let text = api.get("/tags/export").await.text();
    let entries = api.request(reqwest::Method::GET, "/audit?action=create");
    let entries = entries.header("accept", "application/x-ndjson");
    let entries = api.send(entries).await.text();
    let made = entries.lines().filter(|entry| entry.contains("/t"));
    let (tags, made) = (text.lines().count(), made.count());
    assert_eq!(tags, made, "an entry for each tag");
    tags
}

#[tokio::test]
async fn no_more_than_some_parts_are_on_their_way_and_what_they_make_is_held() {
    let faults = Faults::default();
    let server = start(&faults).await;
    let owner = server.owner();
    // The second chunk has the last two of the first again, one of them with another destination.
    let file = lines(0..10_000)
        + &line(9_999, "https://example.com/")
        + &line(9_998, "https://example.com/other");
    let path = half_way(&server, &faults, &owner, file, ON_THEIR_WAY).await;
    let published = faults.published.load(Ordering::SeqCst);
    // One that is written and not seen is there for nobody yet.
    owner
        .patch("/tags/t0", json!({"name": "edited"}))
        .await
        .problem(404);
    // The making of one that is not written yet.
    let make = owner.post(
        "/tags",
        json!({"code": "t9997", "destination": "https://example.com/mine"}),
    );
    let rest = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(faults.published.load(Ordering::SeqCst), published);
        faults.reader_rests.store(false, Ordering::SeqCst);
    };
    let (made, ()) = tokio::join!(make, rest);
    made.problem(409);
    let job = owner.job(&path).await;
    let edited = owner.patch("/tags/t0", json!({"name": "edited"})).await;
    assert_eq!(edited.ok()["version"], 2);
    assert_eq!(numbers(&job), [10_002, 10_000, 1, 0, 1], "{job}");
    assert_eq!(job["errors"][0]["line"], 10_002);
    assert_eq!(made_once(&owner).await, 10_000);
}

#[tokio::test]
async fn what_was_written_and_not_seen_when_the_admin_is_killed_is_made_once() {
    // In the midst of a chunk, and behind a whole one.
    for (tags, parts) in [(10_000, ON_THEIR_WAY), (2 * PART, 2)] {
        let faults = Faults::default();
        let server = start(&faults).await;
        let owner = server.owner();
        let path = half_way(&server, &faults, &owner, lines(0..tags), parts).await;
        let key = server.first_key();
        // The reader of the one that is left behind rests for ever, and its job with it.
        let server = server.restart(PUBLIC_URL).await;
        let owner = server.with_key(&key);
        let job = owner.job(&path).await;
        let made = tags as u64;
        assert_eq!(job["status"], "done", "{job}");
        assert_eq!(numbers(&job), [made, made, 0, 0, 0], "{job}");
        assert_eq!(made_once(&owner).await, tags);
    }
}

#[tokio::test]
async fn an_import_whose_key_ends_writes_the_chunk_it_is_at_and_holds_nothing_back_then() {
    let faults = Faults::default();
    let server = start(&faults).await;
    let owner = server.owner();
    let key = json!({"name": "import", "role": "editor"});
    let key = owner.post("/keys", key).await.created();
    let importer = server.with_key(key["secret"].as_str().unwrap());
    let path = half_way(&server, &faults, &importer, lines(0..20_000), ON_THEIR_WAY).await;
    let key = format!("/keys/{}", key["id"].as_str().unwrap());
    let published = faults.published.load(Ordering::SeqCst);
    let revoke = owner.delete(&key);
    let rest = async {
        // It is in the journal before the next part is.
        let revoked = || faults.published.load(Ordering::SeqCst) > published;
        server.until("the key is revoked", revoked).await;
        faults.reader_rests.store(false, Ordering::SeqCst);
    };
    let (revoked, ()) = tokio::join!(revoke, rest);
    revoked.no_content();
    let job = owner.job(&path).await;
    assert_eq!(
        (&job["status"], &job["created"]),
        (&json!("failed"), &json!(10_000)),
        "{job}"
    );
    for code in ["t0", "t9999"] {
        let edited = owner
            .patch(&format!("/tags/{code}"), json!({"name": "edited"}))
            .await;
        assert_eq!(edited.ok()["version"], 2);
    }
    owner.get("/tags/t10000").await.problem(404);
    owner.tag("t10000").await;
}
