//! `Idempotency-Key`: what is made once, however often it is asked for.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use journal::{Event, Journal, Since, SqliteJournal};
use reqwest::Method;
use serde_json::{Value, json};
use tags::{Change, Topic};

use crate::support::{Answer, Api, PUBLIC_URL, Server};

const KEY: &str = "8e03978e-40d5-43dd-bc93-6894a57f9324";

async fn post(api: &Api, path: &str, key: &str, body: &Value) -> Answer {
    let request = api
        .request(Method::POST, path)
        .header("Idempotency-Key", key);
    api.send(request.json(body)).await
}

async fn count(api: &Api, path: &str) -> usize {
    let list = api.get(path).await.ok();
    list["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_create_that_is_sent_again_makes_nothing_more_and_is_answered_as_before() {
    let server = Server::start().await;
    let owner = server.owner();
    for (path, body, secret) in [
        ("/tags", json!({"destination": "https://example.com/"}), ""),
        ("/domains", json!({"name": "qr.example.org"}), ""),
        ("/keys", json!({"name": "k", "role": "owner"}), "/secret"),
        ("/workspaces", json!({"name": "Acme"}), "/key/secret"),
    ] {
        let before = count(&owner, path).await;
        // Each path with a key of its own: one key stands for one request.
        let key = format!("\"{KEY}{}\"", path.replace('/', "-"));
        let first = post(&owner, path, &key, &body).await;
        first.created();
        for again in [&key, key.trim_matches('"')] {
            let again = post(&owner, path, again, &body).await;
            assert_eq!((again.status.as_u16(), again.text()), (201, first.text()));
            for header in ["etag", "location", "content-type"] {
                assert_eq!(
                    again.header(header),
                    first.header(header),
                    "{path}: {header}"
                );
            }
        }
        assert_eq!(count(&owner, path).await, before + 1, "{path}");
        if let Some(secret) = first.created().pointer(secret).and_then(Value::as_str) {
            server.with_key(secret).get("/tags").await.ok();
        }
    }
}

#[tokio::test]
async fn the_same_key_with_another_request_is_refused() {
    let server = Server::start().await;
    let owner = server.owner();
    let body = json!({"destination": "https://example.com/"});
    post(&owner, "/tags", KEY, &body).await.created();
    let other = json!({"destination": "https://example.com/other"});
    let problem = post(&owner, "/tags", KEY, &other).await.problem(422);
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("Idempotency-Key"),
        "{problem}"
    );
    post(&owner, "/keys", KEY, &body).await.problem(422);
    assert_eq!(
        (count(&owner, "/tags").await, count(&owner, "/keys").await),
        (1, 1)
    );
    for bad in ["a b", "\"", &"x".repeat(256)] {
        post(&owner, "/tags", bad, &body).await.problem(400);
    }
    let twice = owner
        .request(Method::POST, "/tags")
        .header("Idempotency-Key", "a")
        .header("Idempotency-Key", "a");
    owner.send(twice.json(&body)).await.problem(400);
}

#[tokio::test]
async fn a_request_that_made_nothing_may_be_sent_again_corrected() {
    let server = Server::start().await;
    let owner = server.owner();
    post(&owner, "/tags", KEY, &json!({"destination": "x"}))
        .await
        .problem(422);
    let corrected = json!({"code": "spring", "destination": "https://example.com/"});
    post(&owner, "/tags", KEY, &corrected).await.created();
    // One that is refused for its code is no answer to keep either.
    post(&owner, "/tags", "other", &corrected)
        .await
        .problem(409);
    let free = json!({"code": "autumn", "destination": "https://example.com/"});
    post(&owner, "/tags", "other", &free).await.created();
}

#[tokio::test]
async fn a_key_is_its_client_s_own() {
    let server = Server::start().await;
    let owner = server.owner();
    let editor = server.with_role(&owner, "editor").await;
    let other = server.other_tenant().await;
    let body = json!({"destination": "https://example.com/"});
    let mut codes = Vec::new();
    for api in [&owner, &editor, &other] {
        let made = post(api, "/tags", KEY, &body).await.created();
        codes.push(made["code"].as_str().unwrap().to_owned());
    }
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), 3);
    // Nor does a key open what its role does not.
    let viewer = server.with_role(&owner, "viewer").await;
    post(&viewer, "/tags", KEY, &body).await.problem(403);
}

#[tokio::test]
async fn an_answer_outlives_the_admin_and_can_be_read_by_nobody_else() {
    let server = Server::start().await;
    let owner_key = server.first_key();
    let body = json!({"name": "k", "role": "editor"});
    let first = post(&server.owner(), "/keys", KEY, &body).await;
    let secret = first.created()["secret"].as_str().unwrap().to_owned();
    let server = server.restart(PUBLIC_URL).await;
    let owner = server.with_key(&owner_key);
    assert_eq!(post(&owner, "/keys", KEY, &body).await.text(), first.text());
    assert_eq!(count(&owner, "/keys").await, 2);
    for file in std::fs::read_dir(server.folder()).unwrap() {
        let file = file.unwrap().path();
        if file.is_file() {
            let bytes = std::fs::read(&file).unwrap();
            let holds = |text: &str| {
                bytes
                    .windows(text.len())
                    .any(|part| part == text.as_bytes())
            };
            assert!(!holds(&secret) && !holds(KEY), "{}", file.display());
        }
    }
}

#[tokio::test]
async fn an_answer_is_forgotten_after_a_day() {
    for (age, makes_another) in [
        (SignedDuration::from_mins(23 * 60 + 59), false),
        (SignedDuration::from_hours(24), true),
    ] {
        let server = Server::start().await;
        let owner_key = server.first_key();
        let body = json!({"destination": "https://example.com/"});
        let first = post(&server.owner(), "/tags", KEY, &body).await.text();
        let next = post(&server.owner(), "/tags", "another", &body)
            .await
            .text();
        let journal = server.folder().join("journal.sqlite");
        age_answers(&journal, age).await;
        let server = server.restart(PUBLIC_URL).await;
        let owner = server.with_key(&owner_key);
        let again = post(&owner, "/tags", KEY, &body).await;
        again.created();
        assert_eq!(again.text() != first, makes_another, "{age:?}");
        assert_eq!(post(&owner, "/tags", KEY, &body).await.text(), again.text());
        // What is kept anew takes the place of the oldest, and of nothing else.
        assert_eq!(
            post(&owner, "/tags", "another", &body).await.text() != next,
            makes_another
        );
    }
}

/// Makes every kept answer this old, in the place of an admin that has run so long.
async fn age_answers(journal: &std::path::Path, age: SignedDuration) {
    let journal = SqliteJournal::open(journal).unwrap();
    journal.become_writer().await.unwrap();
    let mut follower = journal
        .follow(&[Topic::Accounts], Since::default())
        .unwrap();
    let mut aged = Vec::new();
    loop {
        match follower.next(Duration::from_secs(5)).unwrap() {
            Some(Event::Change { change, .. }) => {
                if let Change::Idempotency(mut entry) = *change {
                    entry.at = Timestamp::now() - age;
                    aged.push(Change::Idempotency(entry));
                }
            }
            Some(Event::CaughtUp) => break,
            _ => {}
        }
    }
    assert_eq!(aged.len(), 2);
    journal.publish(aged).await.unwrap();
}
