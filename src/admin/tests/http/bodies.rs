//! Bodies that are wrong: what they are answered, and that nothing of them is written.

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Server};

async fn create(api: &Api, body: &str) -> Answer {
    api.raw(Method::POST, "/tags", body.to_owned()).await
}

#[tokio::test]
async fn every_wrong_field_is_pointed_to_at_once_and_nothing_is_written() {
    let server = Server::start().await;
    let wrong = json!({
        "code": 7, "domain": [], "destination": "ftp://example.com/", "redirect_status": "302", "cache_max_age": -1, "starts_at": 1,
        "expires_at": "2026-02-30T00:00:00Z", "max_scans": "7", "fallback_url": "http://10.0.0.1/", "query": "keep", "campaign": false, "name": {},
        "labels": ["a", "a", 1, ""], "status": "revoked", "a/b~c": 1, "short_url": "x", "version": 1, "workspace": "w",
        "created_at": "x", "updated_at": "x", "updated_by": "x", "qr": {}, "rules": {}, "warnings": [],
    });
    let mut pointers = server
        .owner()
        .post("/tags", wrong.clone())
        .await
        .pointers(422);
    pointers.sort();
    let mut expected: Vec<String> = wrong
        .as_object()
        .unwrap()
        .keys()
        .filter(|name| !["a/b~c", "labels"].contains(&name.as_str()))
        .map(|name| format!("/{name}"))
        .collect();
    expected.extend(["/a~1b~0c", "/labels/1", "/labels/2", "/labels/3"].map(str::to_owned));
    expected.sort();
    assert_eq!(pointers, expected);
    assert_eq!(server.owner().get("/tags").await.ok()["items"], json!([]));
}

#[tokio::test]
async fn each_field_is_refused_outside_its_range() {
    let server = Server::start().await;
    let owner = server.owner();
    let cases = [
        ("redirect_status", json!(300)),
        ("redirect_status", json!(302.5)),
        ("redirect_status", json!(1e18)),
        ("cache_max_age", json!(31_536_001)),
        ("max_scans", json!(0)),
        ("max_scans", json!(1.5)),
        ("max_scans", json!(9_007_199_254_740_992_u64)),
        ("labels", json!(["x".repeat(65)])),
        ("labels", json!(vec!["x"; 33])),
        ("labels", json!("x")),
        ("labels", json!([["x"]])),
        ("campaign", json!("x".repeat(201))),
        ("campaign", json!("a\u{7}")),
        ("campaign", json!("   ")),
        ("campaign", json!("spring ")),
        ("name", json!(" ")),
        ("name", json!("\u{a0}Menu")),
        ("labels", json!(["print", " "])),
        ("labels", json!([" print"])),
        ("status", json!("Active")),
        ("query", json!("")),
        ("starts_at", json!("2026-12-24T18:00:00")),
        ("expires_at", json!("2020-01-01T00:00:00Z")),
        ("destination", json!("")),
        ("destination", json!(null)),
        (
            "destination",
            json!(format!("https://example.com/{}", "x".repeat(2048))),
        ),
        ("fallback_url", json!("javascript:alert(1)")),
        ("domain", json!("elsewhere.example.org")),
        ("code", json!("a.b")),
    ];
    for (name, value) in cases {
        let mut fields = json!({"destination": "https://example.com/"});
        fields[name] = value.clone();
        if name == "cache_max_age" {
            fields["redirect_status"] = json!(301);
        }
        let pointers = owner.post("/tags", fields).await.pointers(422);
        assert!(
            pointers.len() == 1 && pointers[0].starts_with(&format!("/{name}")),
            "{name} {value}: {pointers:?}"
        );
    }
    assert_eq!(owner.get("/tags").await.ok()["items"], json!([]));
}

#[tokio::test]
async fn a_destination_is_required() {
    let server = Server::start().await;
    assert_eq!(
        server.owner().post("/tags", json!({})).await.pointers(422),
        ["/destination"]
    );
}

#[tokio::test]
async fn what_is_no_json_is_malformed_and_what_is_no_object_unprocessable() {
    let server = Server::start().await;
    let owner = server.owner();
    let nested = "[".repeat(100_000);
    let nested_value = format!(r#"{{"destination": {nested}"#);
    let malformed = [
        "",
        "{",
        "nonsense",
        "{} {}",
        r#"{"a": 1,}"#,
        "{'a': 1}",
        "[1",
        &nested,
        &nested_value,
        r#"{"name": "\ud800"}"#,
        r#"{"redirect_status": 1e999}"#,
        "{\"name\": \"a\u{0}b\"}",
    ];
    for body in malformed {
        create(&owner, body).await.problem(400);
    }
    owner
        .raw(
            Method::POST,
            "/tags",
            vec![b'{', b'"', 0xff, b'"', b':', b'1', b'}'],
        )
        .await
        .problem(400);
    for body in ["[]", "null", "1", "\"x\"", "true"] {
        let answer = create(&owner, body).await;
        assert_eq!(answer.pointers(422), [""]);
        assert_eq!(
            answer.problem(422)["detail"],
            "the body must be a JSON object"
        );
    }
}

#[tokio::test]
async fn a_field_given_twice_is_refused_since_readers_differ_about_which_one_counts() {
    let server = Server::start().await;
    let body = r#"{"destination": "https://example.com/good", "destination": "https://example.com/other"}"#;
    let answer = create(&server.owner(), body).await;
    assert_eq!(answer.pointers(422), ["/destination"]);
}

#[tokio::test]
async fn a_body_of_nothing_but_unknown_fields_is_not_answered_at_many_times_its_size() {
    let server = Server::start().await;
    let fields: serde_json::Map<String, Value> = (0..10_000)
        .map(|n| (format!("field{n}"), json!(1)))
        .collect();
    let answer = server.owner().post("/tags", Value::Object(fields)).await;
    assert_eq!(answer.pointers(422).len(), 100);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_told_how_large_it_may_be() {
    let server = Server::start().await;
    let owner = server.owner();
    let largest = 256 * 1024;
    let mut body = r#"{"destination": "https://example.com/"}"#.to_owned();
    body.push_str(&" ".repeat(largest - body.len()));
    create(&owner, &body).await.created();
    let problem = create(&owner, &format!("{body} ")).await.problem(413);
    assert_eq!(
        problem["detail"],
        "The body is too large: at most 262144 bytes are allowed."
    );
}

#[tokio::test]
async fn other_content_types_have_their_own_status() {
    let server = Server::start().await;
    let owner = server.owner();
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
    ] {
        let request = owner
            .request(Method::POST, "/tags")
            .body("{}")
            .header(CONTENT_TYPE, content_type);
        owner.send(request).await.problem(415);
    }
    let bare = owner.request(Method::POST, "/tags").body("{}");
    owner.send(bare).await.problem(415);
    let charset = owner
        .request(Method::POST, "/tags")
        .header(CONTENT_TYPE, "Application/JSON; charset=utf-8");
    owner
        .send(charset.body(r#"{"destination": "https://example.com/"}"#))
        .await
        .created();
    let patch = owner
        .request(Method::PATCH, "/tags/none")
        .header(CONTENT_TYPE, "application/merge-patch+json");
    owner.send(patch.body("{}")).await.problem(404);
}
