//! Answers whose format a client chooses: that they say so, and whom they are not sent to.

use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::half_sent::connect;
use crate::support::Server;

#[tokio::test]
async fn an_answer_whose_format_is_chosen_by_accept_says_so_in_every_format() {
    let server = Server::start().await;
    let owner = server.owner();
    let document = owner.get("/openapi.json").await.ok();
    let mut chosen = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let operation = &item["get"];
        let parameters = operation["parameters"].as_array();
        let mut parameters = parameters.into_iter().flatten();
        if !parameters.any(|it| it["in"] == "header" && it["name"] == "Accept") {
            continue;
        }
        chosen += 1;
        let formats = operation["responses"]["200"]["content"]
            .as_object()
            .unwrap();
        let formats = formats.keys().map(String::as_str);
        for format in formats.chain(["*/*", "image/png", "csv"]) {
            let path = path.strip_prefix("/api/v1").unwrap();
            let request = owner.request(Method::GET, path).header("accept", format);
            let answer = owner.send(request).await;
            let expected = match format {
                "image/png" => 406,
                "csv" => 400,
                _ => 200,
            };
            assert_eq!(answer.status, expected, "{path} {format}");
            assert_eq!(answer.header("vary"), "Accept", "{path} {format}");
            if expected == 200 && format != "*/*" {
                let kind = answer.header("content-type");
                assert!(kind.starts_with(format), "{path} {format} {kind}");
            }
        }
    }
    assert!(chosen >= 4, "{chosen}");
    assert_eq!(owner.get("/tags").await.header("vary"), "");
}

#[tokio::test]
async fn an_export_that_would_end_with_the_connection_is_refused_to_http_1_0() {
    let server = Server::start().await;
    let key = server.first_key();
    let ask = async |path: &str, accept: &str| {
        let mut connection = connect(&server).await;
        let request = format!(
            "GET /api/v1{path} HTTP/1.0\r\nHost: a\r\nAuthorization: Bearer {key}\r\nAccept: {accept}\r\n\r\n"
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    for path in ["/tags/export", "/audit", "/analytics/scans"] {
        for accept in ["application/x-ndjson", "text/csv"] {
            let refusal = ask(path, accept).await;
            let (head, body) = refusal.split_once("\r\n\r\n").unwrap();
            let status = head.split(' ').nth(1).unwrap();
            assert_eq!(status, "426", "{path} {accept}: {refusal}");
            let head = head.to_ascii_lowercase();
            assert!(head.contains("\r\nupgrade: http/1.1"), "{head}");
            assert!(body.contains("Ask by HTTP/1.1."), "{body}");
        }
    }
    // What tells by itself where it ends is answered.
    for (path, accept, told) in [
        ("/audit", "application/json", "content-length"),
        ("/analytics/scans", "application/json", "content-length"),
        ("/usage", "text/csv", "content-length"),
        ("/usage", "application/x-ndjson", "content-length"),
    ] {
        let answer = ask(path, accept).await;
        assert_eq!(answer.split(' ').nth(1), Some("200"), "{path}: {answer}");
        assert!(answer.to_ascii_lowercase().contains(told), "{answer}");
    }
    let file = ask("/analytics/scans?format=parquet", "*/*").await;
    assert_eq!(file.split(' ').nth(1), Some("200"), "{file}");
    assert!(file.ends_with("PAR1"), "{file}");
}
