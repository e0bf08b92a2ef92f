//! Two tenants that cannot see each other.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Api, Server, codes};

/// Status, headers but the date, and body.
async fn seen(
    api: &Api,
    method: &str,
    path: &str,
    body: Value,
) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let request = api
        .request(method.parse::<Method>().unwrap(), path)
        .json(&body);
    let answer = api.send(request).await;
    let headers = answer.headers.iter().filter(|(name, _)| *name != "date");
    let mut headers: Vec<_> = headers
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    (answer.status.as_u16(), headers, answer.body)
}

#[tokio::test]
async fn another_tenants_tag_is_answered_byte_for_byte_as_one_that_never_was() {
    let server = Server::start().await;
    let owner = server.owner();
    let other = server.other_tenant().await;
    owner.tag("theirs1").await;
    owner.tag("revoked").await;
    owner.delete("/tags/revoked").await.no_content();
    let operations = [
        ("GET", "/tags/CODE", json!({})),
        ("GET", "/tags/CODE?domain=go.example.net", json!({})),
        ("PATCH", "/tags/CODE", json!({"name": "x"})),
        ("PATCH", "/tags/CODE", json!({"unknown": 1})),
        ("PATCH", "/tags/CODE?domain=go.example.net", json!([])),
        ("DELETE", "/tags/CODE", json!({})),
        ("GET", "/tags/CODE/versions", json!({})),
        ("POST", "/tags/CODE/rollback", json!({"version": 1})),
        ("POST", "/tags/CODE/rollback", json!({})),
        ("GET", "/tags/CODE/qr.svg", json!({})),
        ("GET", "/tags/CODE/qr.png", json!({})),
        ("GET", "/analytics/scans?code=CODE", json!({})),
        ("GET", "/analytics/peaks?code=CODE", json!({})),
        ("GET", "/analytics/visitors?code=CODE", json!({})),
        (
            "GET",
            "/analytics/scans?code=CODE&domain=go.example.net",
            json!({}),
        ),
    ];
    for (method, path, body) in operations {
        let never = seen(
            &other,
            method,
            &path.replace("CODE", "never01"),
            body.clone(),
        )
        .await;
        assert_eq!(never.0, 404, "{method} {path}");
        for code in ["theirs1", "revoked"] {
            assert_eq!(
                seen(&other, method, &path.replace("CODE", code), body.clone()).await,
                never,
                "{method} {path} {code}"
            );
        }
    }
    assert_eq!(owner.get("/tags/theirs1").await.ok()["version"], 1);
}

#[tokio::test]
async fn lists_hold_the_keys_own_workspace_alone() {
    let server = Server::start().await;
    let owner = server.owner();
    let other = server.other_tenant().await;
    owner.tag("ours").await;
    other.tag("theirs").await;
    assert_eq!(codes(&owner.get("/tags").await.ok()), ["ours"]);
    assert_eq!(codes(&other.get("/tags").await.ok()), ["theirs"]);
    assert_eq!(
        codes(&other.get("/tags?q=example.com").await.ok()),
        ["theirs"]
    );
    // A cursor is a place, not a permission.
    owner.tag("ours2").await;
    let cursor = owner.get("/tags?limit=1").await.ok()["next_cursor"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        codes(&other.get(&format!("/tags?cursor={cursor}")).await.ok()),
        ["theirs"]
    );
    assert_eq!(
        other.get("/keys").await.ok()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        other.get("/workspaces").await.ok()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        owner.get("/workspaces").await.ok()["items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    other.get("/workspaces/default").await.problem(404);
}

#[tokio::test]
async fn on_the_shared_default_domain_a_code_belongs_to_who_came_first() {
    let server = Server::start().await;
    server.owner().tag("spring").await;
    let other = server.other_tenant().await;
    let fields = json!({"code": "spring", "destination": "https://example.com/"});
    assert_eq!(other.post("/tags", fields).await.pointers(409), ["/code"]);
}
