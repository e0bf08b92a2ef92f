//! What is said about a request head, in full: the fields of answers, and problems for people and for programs. The heads themselves,
//! and what becomes of their connections, are the `corpus`.

use crate::fixture::Edge;

#[test]
fn an_answer_has_the_fields_that_it_should_and_no_others() {
    let edge = Edge::start();
    let response = edge.get("GET /abc?x=1 HTTP/1.1\r\nHost: qr.example.com\r\n\r\n");
    let names: Vec<&str> = response
        .head
        .lines()
        .skip(1)
        .filter_map(|line| Some(line.split_once(':')?.0))
        .collect();
    assert_eq!(
        names,
        ["Date", "Location", "Cache-Control", "Content-Length"]
    );
    assert_eq!(
        response.field("Location"),
        Some("https://example.com/abc?x=1")
    );
    let not_allowed = edge.get("POST /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n");
    assert_eq!(not_allowed.field("Allow"), Some("GET, HEAD"));
    let kept = edge.get("GET /kept HTTP/1.1\r\nHost: qr.example.com\r\n\r\n");
    assert_eq!(
        (kept.status, kept.field("Cache-Control")),
        (308, Some("private, max-age=60"))
    );
    let empty = edge.get("GET /favicon.ico HTTP/1.1\r\nHost: qr.example.com\r\n\r\n");
    assert_eq!(
        (empty.status, empty.field("Content-Length")),
        (204, None),
        "RFC 9110 8.6"
    );
    let old = edge.get("GET /abc HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(old.field("Connection"), Some("keep-alive"));
}

#[test]
fn head_gets_the_fields_of_get_and_no_body() {
    let edge = Edge::start();
    for path in ["/abc", "/nowhere", "/", "/robots.txt", "/ended"] {
        let get = edge.get(&format!(
            "GET {path} HTTP/1.1\r\nHost: qr.example.com\r\n\r\n"
        ));
        let mut client = edge.connect();
        client.send(
            format!("HEAD {path} HTTP/1.1\r\nHost: qr.example.com\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        );
        let head = client.response(true).unwrap();
        assert!(client.is_closed(), "a body came for HEAD {path}");
        let without = |head: &str| {
            head.lines()
                .filter(|l| !l.starts_with("Date") && !l.starts_with("Connection"))
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(without(&head.head), without(&get.head), "{path}");
    }
}

#[test]
fn problems_are_told_to_people_and_to_programs() {
    let edge = Edge::start();
    let ask = |rest: &str| {
        edge.get(&format!(
            "GET /nowhere HTTP/1.1\r\nHost: qr.example.com\r\n{rest}\r\n"
        ))
    };
    let page = ask("Accept: text/html,*/*;q=0.8\r\n");
    assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
    assert_eq!(
        page.field("Content-Security-Policy"),
        Some(edge::CONTENT_SECURITY_POLICY)
    );
    assert_eq!(page.field("X-Content-Type-Options"), Some("nosniff"));
    assert!(page.body.starts_with("<!doctype html>") && page.body.contains("lang=\"en\""));
    let problem = ask("Accept: application/json\r\n");
    assert_eq!(
        problem.field("Content-Type"),
        Some("application/problem+json")
    );
    let parsed: serde_json::Value = serde_json::from_str(&problem.body).unwrap();
    assert_eq!(parsed["status"], 404);
    let refused = edge.get("GET /abc HTTP/1.1\r\nAccept: application/json\r\n\r\n");
    assert_eq!(
        (refused.status, refused.field("Content-Type")),
        (400, Some("application/problem+json"))
    );
}
