//! Changing tags, and going back.

use reqwest::Method;
use reqwest::header::IF_MATCH;
use serde_json::json;

use crate::support::{Answer, Api, Server, listed};

async fn patch_if(api: &Api, matches: &str, body: serde_json::Value) -> Answer {
    let request = api
        .request(Method::PATCH, "/tags/spring")
        .header(IF_MATCH, matches);
    api.send(request.json(&body)).await
}

#[tokio::test]
async fn an_edit_changes_what_it_gives_and_makes_the_next_version() {
    let server = Server::start().await;
    let owner = server.owner();
    let mut expected = owner.tag("spring").await;
    let answer = owner
        .patch("/tags/spring", json!({"name": "Can", "labels": ["a"]}))
        .await;
    let tag = answer.ok();
    assert_eq!(answer.header("etag"), "\"2\"");
    expected["name"] = json!("Can");
    expected["labels"] = json!(["a"]);
    expected["version"] = json!(2);
    expected["updated_at"] = tag["updated_at"].clone();
    assert_eq!(tag, expected);
    assert_eq!(owner.get("/tags/spring").await.ok(), tag);
}

#[tokio::test]
async fn an_edit_that_changes_nothing_keeps_the_version() {
    let server = Server::start().await;
    let owner = server.owner();
    let tag = owner.tag("spring").await;
    for body in [
        json!({}),
        json!({"destination": "https://EXAMPLE.com/spring"}),
        json!({"name": null, "labels": []}),
    ] {
        let answer = owner.patch("/tags/spring", body).await;
        assert_eq!((answer.ok(), answer.header("etag")), (tag.clone(), "\"1\""));
    }
    assert_eq!(
        owner.get("/tags/spring/versions").await.ok()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn null_puts_the_default_back() {
    let server = Server::start().await;
    let owner = server.owner();
    let plain = owner.tag("spring").await;
    let all = json!({
        "redirect_status": 303, "starts_at": "2090-01-01T00:00:00Z", "expires_at": "2091-01-01T00:00:00Z", "max_scans": 7, "query": "drop",
        "fallback_url": "https://example.com/f", "campaign": "c", "name": "n", "labels": ["l"], "status": "paused",
    });
    owner.patch("/tags/spring", all.clone()).await.ok();
    let nulls = all
        .as_object()
        .unwrap()
        .keys()
        .map(|name| (name.clone(), json!(null)));
    let mut tag = owner.patch("/tags/spring", nulls.collect()).await.ok();
    tag["version"] = json!(1);
    tag["updated_at"] = plain["updated_at"].clone();
    assert_eq!(tag, plain);
    let required = owner
        .patch("/tags/spring", json!({"destination": null}))
        .await;
    assert_eq!(required.pointers(422), ["/destination"]);
}

#[tokio::test]
async fn code_and_domain_are_for_ever() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    let answer = owner
        .patch(
            "/tags/spring",
            json!({"code": "x", "domain": "go.example.net", "version": 1}),
        )
        .await;
    assert_eq!(answer.pointers(422), ["/code", "/domain", "/version"]);
}

#[tokio::test]
async fn if_match_refuses_an_edit_of_a_version_that_the_client_has_not_seen() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    patch_if(&owner, "\"1\"", json!({"name": "second"}))
        .await
        .ok();
    for stale in [
        "\"1\"",
        "\"9\"",
        "\"x\"",
        "W/\"2\"",
        "\"+2\"",
        "\"02\"",
        "\"1\", \"3\"",
        "\"\"",
    ] {
        patch_if(&owner, stale, json!({"name": "lost"}))
            .await
            .problem(412);
    }
    assert_eq!(owner.get("/tags/spring").await.ok()["name"], "second");
    patch_if(&owner, "\"1\", \"2\"", json!({"name": "third"}))
        .await
        .ok();
    patch_if(&owner, "*", json!({"name": "fourth"})).await.ok();
    let guarded = |method, path: &str| owner.request(method, path).header(IF_MATCH, "\"1\"");
    owner
        .send(guarded(Method::DELETE, "/tags/spring"))
        .await
        .problem(412);
    let rollback = guarded(Method::POST, "/tags/spring/rollback").json(&json!({"version": 1}));
    owner.send(rollback).await.problem(412);
    let current = owner
        .request(Method::DELETE, "/tags/spring")
        .header(IF_MATCH, "\"4\"");
    owner.send(current).await.no_content();
}

#[tokio::test]
async fn an_earlier_version_comes_back_as_the_newest() {
    let server = Server::start().await;
    let owner = server.owner();
    let first = owner.tag("spring").await;
    let second = owner
        .patch(
            "/tags/spring",
            json!({"destination": "https://example.com/2", "name": "n"}),
        )
        .await
        .ok();
    let answer = owner
        .post("/tags/spring/rollback", json!({"version": 1}))
        .await;
    let third = answer.ok();
    assert_eq!(answer.header("etag"), "\"3\"");
    assert_eq!(
        (&third["version"], &third["destination"], &third["name"]),
        (&json!(3), &first["destination"], &json!(null))
    );
    assert_eq!(third["created_at"], first["created_at"]);
    let versions = owner.get("/tags/spring/versions").await.ok();
    let items = [third, second, first].map(|tag| listed(&tag));
    assert_eq!(versions, json!({"items": items}));
}

#[tokio::test]
async fn going_back_needs_a_version_that_there_is() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    let cases = [
        json!({"version": 2}),
        json!({"version": 0}),
        json!({"version": "1"}),
        json!({"version": null}),
        json!({}),
        json!({"version": 5_000_000_000_u64}),
    ];
    for body in cases {
        assert_eq!(
            owner
                .post("/tags/spring/rollback", body)
                .await
                .pointers(422),
            ["/version"]
        );
    }
    let answer = owner
        .post("/tags/spring/rollback", json!({"version": 1, "name": "n"}))
        .await;
    assert_eq!(answer.pointers(422), ["/name"]);
    // Back to what it is: nothing changes.
    assert_eq!(
        owner
            .post("/tags/spring/rollback", json!({"version": 1}))
            .await
            .ok()["version"],
        1
    );
}
