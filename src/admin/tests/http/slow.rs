//! Clients that take too long to send a request, and the drain, which waits for those that do not.

use std::time::Duration;

use admin::Timeouts;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::half_sent::{HalfSent, connect, until_closed};
use crate::support::{Server, codes};

const BODY: &str = r#"{"code": "slow", "destination": "https://example.com/slow"}"#;

/// A request for a new tag, of whose body the server has the first byte.
async fn half_a_body(server: &Server) -> HalfSent {
    let key = format!("Authorization: Bearer {}", server.first_key());
    HalfSent::begin(server, "POST /tags", &key, BODY).await
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_answered_408_while_others_are_served() {
    let timeouts = Timeouts {
        body: Duration::from_secs(1),
        ..Timeouts::default()
    };
    let server = Server::start_within(timeouts).await;
    let slow = half_a_body(&server).await;
    server.owner().tag("quick").await;
    let answer = slow.give_up().await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("HTTP/1.1 408 Request Timeout"));
    let headers: Vec<_> = lines.collect();
    assert!(headers.contains(&"connection: close"), "{head}");
    assert!(
        headers.contains(&"content-type: application/problem+json"),
        "{head}"
    );
    let problem: Value = serde_json::from_str(body).unwrap();
    assert_eq!(problem["status"], json!(408));
    assert_eq!(codes(&server.owner().get("/tags").await.ok()), ["quick"]);
}

#[tokio::test]
async fn a_head_that_does_not_arrive_is_cut_off_while_others_are_served() {
    let timeouts = Timeouts {
        head: Duration::from_secs(1),
        ..Timeouts::default()
    };
    let server = Server::start_within(timeouts).await;
    let mut slow = connect(&server).await;
    slow.write_all(b"GET /api/v1/tags HTTP/1.1\r\nHos")
        .await
        .unwrap();
    server.owner().tag("quick").await;
    assert_eq!(until_closed(slow).await, "");
    server.owner().get("/tags/quick").await.ok();
}

#[tokio::test]
async fn a_request_whose_body_is_still_coming_when_the_drain_begins_is_answered() {
    let server = Server::start().await;
    let under_way = half_a_body(&server).await;
    let idle = connect(&server).await;
    let stopped = tokio::spawn(server.stop());
    // The drain has begun.
    assert_eq!(until_closed(idle).await, "");
    let answer = under_way.finish().await;
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    stopped.await.unwrap();
}
