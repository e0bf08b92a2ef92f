//! Requests at the same time, and clients that go away.

use reqwest::Method;
use reqwest::header::IF_MATCH;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::{PUBLIC_URL, Server, listed};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_edits_of_the_same_version_exactly_one_wins() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    for version in 1..=5 {
        let mut edits = JoinSet::new();
        for number in 0..8 {
            let owner = owner.clone();
            edits.spawn(async move {
                let request = owner
                    .request(Method::PATCH, "/tags/spring")
                    .header(IF_MATCH, format!("\"{version}\""));
                owner
                    .send(request.json(&json!({"name": format!("{version}-{number}")})))
                    .await
                    .status
                    .as_u16()
            });
        }
        let mut statuses = edits.join_all().await;
        statuses.sort_unstable();
        assert_eq!(statuses, [vec![200], vec![412; 7]].concat());
    }
    let versions = owner.get("/tags/spring/versions").await.ok();
    let numbers: Vec<_> = versions["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["version"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [6, 5, 4, 3, 2, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn edits_without_if_match_all_succeed_one_after_the_other_and_none_is_lost() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    let mut edits = JoinSet::new();
    for (number, field) in ["name", "campaign", "fallback_url", "destination"]
        .into_iter()
        .enumerate()
    {
        let owner = owner.clone();
        edits.spawn(async move {
            owner
                .patch(
                    "/tags/spring",
                    json!({field: format!("https://example.com/{number}")}),
                )
                .await
                .ok()
        });
    }
    edits.join_all().await;
    let tag = owner.get("/tags/spring").await.ok();
    assert_eq!(tag["version"], 5);
    for (number, field) in ["name", "campaign", "fallback_url", "destination"]
        .into_iter()
        .enumerate()
    {
        assert_eq!(tag[field], format!("https://example.com/{number}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_creates_with_the_same_code_exactly_one_makes_it() {
    let server = Server::start().await;
    let (owner, other) = (server.owner(), server.other_tenant().await);
    let mut creates = JoinSet::new();
    for number in 0..16 {
        let api = if number % 2 == 0 {
            owner.clone()
        } else {
            other.clone()
        };
        creates.spawn(async move {
            let fields =
                json!({"code": "spring", "destination": format!("https://example.com/{number}")});
            api.post("/tags", fields).await.status.as_u16()
        });
    }
    let mut statuses = creates.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![201], vec![409; 15]].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn domains_and_last_owners_are_raced_for_by_one_only() {
    let server = Server::start().await;
    let owner = server.owner();
    let mut creates = JoinSet::new();
    for _ in 0..8 {
        let owner = owner.clone();
        creates.spawn(async move {
            owner
                .post("/domains", json!({"name": "qr.example.org"}))
                .await
                .status
                .as_u16()
        });
    }
    let mut statuses = creates.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![201], vec![409; 7]].concat());

    owner
        .post("/keys", json!({"name": "second", "role": "owner"}))
        .await
        .created();
    let ids: Vec<_> = owner.get("/keys").await.ok()["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["id"].as_str().unwrap().to_owned())
        .collect();
    let mut revocations = JoinSet::new();
    for id in ids {
        let owner = owner.clone();
        revocations
            .spawn(async move { owner.delete(&format!("/keys/{id}")).await.status.as_u16() });
    }
    let gone = revocations
        .join_all()
        .await
        .into_iter()
        .filter(|status| *status == 204)
        .count();
    assert_eq!(gone, 1);
}

/// Sends a request and goes away at once, without reading a byte of the answer.
async fn send_and_leave(server: &Server, method: &str, path: &str, body: &str) {
    let mut stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap())
        .await
        .unwrap();
    let head = format!(
        "{method} /api/v1{path} HTTP/1.1\r\nHost: admin\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        server.first_key(),
        body.len()
    );
    stream
        .write_all(format!("{head}{body}").as_bytes())
        .await
        .unwrap();
    socket_closes_with_reset(stream);
}

fn socket_closes_with_reset(stream: TcpStream) {
    // No lingering: the peer sees a reset while it may still be at work.
    let _ = stream.set_zero_linger();
    drop(stream);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_goes_away_in_the_middle_leaves_a_whole_edit_or_none() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    for number in 0..50 {
        send_and_leave(
            &server,
            "PATCH",
            "/tags/spring",
            &format!(r#"{{"name": "n{number}", "campaign": "c{number}"}}"#),
        )
        .await;
    }
    // An edit that waits its turn among those under way: nobody holds the tag for ever.
    owner
        .patch("/tags/spring", json!({"labels": ["last"]}))
        .await
        .ok();
    let key = server.first_key();
    let server = server.restart(PUBLIC_URL).await;
    let owner = server.with_key(&key);
    let versions = owner.get("/tags/spring/versions").await.ok();
    let items = versions["items"].as_array().unwrap();
    for (position, tag) in items.iter().enumerate() {
        assert_eq!(
            tag["version"],
            items.len() - position,
            "each version is in the history once"
        );
        let (name, campaign) = (&tag["name"], &tag["campaign"]);
        let number = |text: &serde_json::Value| text.as_str().map(|text| text[1..].to_owned());
        assert_eq!(number(name), number(campaign), "an edit is whole");
    }
    assert_eq!(listed(&owner.get("/tags/spring").await.ok()), items[0]);
}
