//! Every version of a tag, whole, and what differs between any two.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{PUBLIC_URL, Server, listed};

#[tokio::test]
async fn every_version_can_be_read_whole_as_it_was() {
    let server = Server::start().await;
    let owner = server.owner();
    let mut versions = vec![owner.tag("spring").await];
    for body in [
        json!({"name": "n", "labels": ["a"]}),
        json!({"status": "paused"}),
    ] {
        versions.push(owner.patch("/tags/spring", body).await.ok());
    }
    owner.delete("/tags/spring").await.no_content();
    versions.push(owner.get("/tags/spring").await.ok());
    let server = {
        let key = server.first_key();
        let server = server.restart(PUBLIC_URL).await;
        (server.with_key(&key), server)
    };
    let (owner, _server) = server;
    for (position, version) in versions.iter().enumerate() {
        let number = position + 1;
        let answer = owner.get(&format!("/tags/spring/versions/{number}")).await;
        assert_eq!(answer.ok(), listed(version));
        assert_eq!(answer.header("etag"), format!("\"{number}\""));
    }
    for none in [
        "0",
        "5",
        "x",
        "+1",
        "01",
        "1.0",
        "18446744073709551616",
        "%ff",
    ] {
        owner
            .get(&format!("/tags/spring/versions/{none}"))
            .await
            .problem(404);
    }
    owner.get("/tags/other/versions/1").await.problem(404);
}

#[tokio::test]
async fn versions_come_in_pages() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    for number in 2..=7 {
        let body = json!({"name": format!("n{number}")});
        owner.patch("/tags/spring", body).await.ok();
    }
    let whole = owner.get("/tags/spring/versions").await.ok();
    assert_eq!(whole.get("next_cursor"), None);
    let mut read = Vec::new();
    let mut path = "/tags/spring/versions?limit=3".to_owned();
    loop {
        let page = owner.get(&path).await.ok();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 3);
        read.extend(items.clone());
        // A version that is made meanwhile moves nothing.
        let body = json!({"name": format!("later {}", read.len())});
        owner.patch("/tags/spring", body).await.ok();
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/tags/spring/versions?limit=3&cursor={cursor}");
    }
    assert_eq!(&Value::from(read), &whole["items"]);
    for (wrong, parameter) in [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("cursor=x", "cursor"),
    ] {
        let answer = owner.get(&format!("/tags/spring/versions?{wrong}")).await;
        assert_eq!(answer.parameter(), parameter);
    }
}

#[tokio::test]
async fn the_difference_between_any_two_versions_names_each_field() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    let second = json!({"name": "Can", "labels": ["a", "b"], "starts_at": "2090-01-01T00:00:00Z"});
    owner.patch("/tags/spring", second).await.ok();
    let third = json!({"destination": "https://example.com/3", "labels": ["a", "c"]});
    owner.patch("/tags/spring", third).await.ok();
    let difference = async |query: &str| {
        let path = format!("/tags/spring/diff{query}");
        owner.get(&path).await.ok()
    };
    let to_third = json!([
        {"pointer": "/destination", "before": "https://example.com/spring", "after": "https://example.com/3"},
        {"pointer": "/labels/1", "before": "b", "after": "c"},
    ]);
    for query in ["", "?to=3", "?from=2", "?from=2&to=3"] {
        let told = difference(query).await;
        assert_eq!(
            told,
            json!({"from": 2, "to": 3, "changes": to_third}),
            "{query}"
        );
    }
    let told = difference("?from=3&to=1").await;
    assert_eq!(
        told["changes"],
        json!([
            {"pointer": "/destination", "before": "https://example.com/3", "after": "https://example.com/spring"},
            {"pointer": "/labels", "before": ["a", "c"], "after": []},
            {"pointer": "/name", "before": "Can", "after": null},
            {"pointer": "/starts_at", "before": "2090-01-01T00:00:00Z", "after": null},
        ])
    );
    assert_eq!(difference("?from=2&to=2").await["changes"], json!([]));
    owner.delete("/tags/spring").await.no_content();
    assert_eq!(
        difference("").await["changes"],
        json!([{"pointer": "/status", "before": "active", "after": "revoked"}])
    );
    for (wrong, parameter) in [
        ("from=0", "from"),
        ("from=5", "from"),
        ("to=5", "to"),
        ("to=x", "to"),
        ("to=1", "from"),
        ("version=1", "version"),
    ] {
        let answer = owner.get(&format!("/tags/spring/diff?{wrong}")).await;
        assert_eq!(answer.parameter(), parameter, "{wrong}");
    }
}

#[tokio::test]
async fn another_tenant_s_history_is_as_absent_as_none() {
    let server = Server::start().await;
    server.owner().tag("spring").await;
    let other = server.other_tenant().await;
    for path in ["versions", "versions/1", "diff?from=1&to=1"] {
        other
            .get(&format!("/tags/spring/{path}"))
            .await
            .problem(404);
    }
}

#[tokio::test]
async fn history_takes_no_method_that_could_change_it() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    let paths = [
        "/audit",
        "/tags/spring/versions",
        "/tags/spring/versions/1",
        "/tags/spring/diff",
    ];
    for path in paths {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let answer = owner.raw(method, path, "{}").await;
            answer.problem(405);
            assert_eq!(answer.header("allow"), "GET,HEAD", "{path}");
        }
    }
}
