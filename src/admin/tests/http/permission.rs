//! Who may do what, and in which order a request is judged.

use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use serde_json::json;

use crate::support::{Api, Server};

/// Every operation, on a tag `spring`; wrong in its fields, so that it changes nothing.
const OPERATIONS: [(&str, &str, &str); 28] = [
    ("viewer", "GET", "/tags"),
    ("viewer", "GET", "/tags/spring"),
    ("viewer", "GET", "/tags/spring/versions"),
    ("viewer", "GET", "/tags/spring/versions/1"),
    ("viewer", "GET", "/tags/spring/diff?from=1"),
    ("viewer", "POST", "/tags/spring/simulate"),
    ("viewer", "GET", "/tags/spring/qr.svg"),
    ("viewer", "GET", "/tags/spring/qr.png"),
    ("viewer", "GET", "/domains"),
    ("viewer", "GET", "/workspaces"),
    ("viewer", "GET", "/workspaces/default"),
    ("analyst", "GET", "/analytics/scans"),
    ("analyst", "GET", "/audit"),
    ("editor", "POST", "/tags"),
    ("editor", "PATCH", "/tags/spring"),
    ("editor", "POST", "/tags/spring/rollback"),
    ("editor", "DELETE", "/tags/spring?wrong=1"),
    ("viewer", "GET", "/tags/spring/schedule"),
    ("editor", "PUT", "/tags/spring/schedule"),
    ("editor", "DELETE", "/tags/spring/schedule"),
    ("owner", "GET", "/edges"),
    ("owner", "GET", "/keys"),
    ("owner", "POST", "/keys"),
    ("owner", "DELETE", "/keys/key_none"),
    ("owner", "POST", "/domains"),
    ("owner", "PATCH", "/domains/go.example.net"),
    ("owner", "POST", "/workspaces"),
    ("owner", "PATCH", "/workspaces/default"),
];

async fn status(api: &Api, method: &str, path: &str) -> u16 {
    let method: Method = method.parse().unwrap();
    api.raw(method, path, r#"{"unknown": 1}"#)
        .await
        .status
        .as_u16()
}

#[tokio::test]
async fn each_role_may_do_its_own_and_what_the_ones_before_it_may() {
    let server = Server::start().await;
    server.owner().tag("spring").await;
    let roles = ["viewer", "analyst", "editor", "owner"];
    for (rank, role) in roles.iter().enumerate() {
        let api = server.with_role(&server.owner(), role).await;
        for (needed, method, path) in OPERATIONS {
            let allowed = roles.iter().position(|role| *role == needed) <= Some(rank);
            let status = status(&api, method, path).await;
            assert_eq!(
                status != 403,
                allowed,
                "{role}: {method} {path} is {status}"
            );
            assert!(
                [200, 400, 403, 404, 422].contains(&status),
                "{role}: {method} {path} is {status}"
            );
        }
    }
}

#[tokio::test]
async fn without_a_valid_key_nothing_is_answered_but_how_to_give_one() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    let made = owner
        .post("/keys", json!({"name": "k", "role": "owner"}))
        .await
        .created();
    let revoked = server.with_key(made["secret"].as_str().unwrap());
    revoked.get("/tags").await.ok();
    owner
        .delete(&format!("/keys/{}", made["id"].as_str().unwrap()))
        .await
        .no_content();
    for api in [
        server.without_key(),
        server.with_key("wrong"),
        server.with_key(""),
        revoked,
    ] {
        for (_, method, path) in OPERATIONS {
            let answer = api.raw(method.parse().unwrap(), path, "{").await;
            answer.problem(401);
            assert_eq!(
                answer.header("www-authenticate"),
                "Bearer realm=\"tagwire\""
            );
        }
    }
    let basic = server
        .without_key()
        .request(Method::GET, "/tags")
        .header(AUTHORIZATION, format!("Basic {}", server.first_key()));
    owner.send(basic).await.problem(401);
    let other_case = server
        .without_key()
        .request(Method::GET, "/tags")
        .header(AUTHORIZATION, format!("bearer {}", server.first_key()));
    owner.send(other_case).await.ok();
}

#[tokio::test]
async fn a_request_is_judged_by_key_then_role_then_tag_then_fields() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    let viewer = server.with_role(&owner, "viewer").await;
    for body in ["{", "[]", r#"{"unknown": 1}"#] {
        for (method, path) in [
            (Method::PATCH, "/tags/none"),
            (Method::POST, "/tags/none/rollback"),
            (Method::PATCH, "/domains/none.example.org"),
            (Method::PATCH, "/workspaces/none"),
        ] {
            server
                .without_key()
                .raw(method.clone(), path, body)
                .await
                .problem(401);
            viewer.raw(method.clone(), path, body).await.problem(403);
            owner.raw(method.clone(), path, body).await.problem(404);
        }
        viewer.raw(Method::POST, "/tags", body).await.problem(403);
        viewer
            .raw(Method::PATCH, "/tags/spring", body)
            .await
            .problem(403);
        assert!(
            [400, 422].contains(
                &owner
                    .raw(Method::PATCH, "/tags/spring", body)
                    .await
                    .status
                    .as_u16()
            )
        );
    }
    let plain = viewer.request(Method::POST, "/tags").body("x");
    viewer.send(plain).await.problem(403);
}
