//! Who may do what, and in which order a request is judged.

use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use serde_json::json;

use crate::support::Server;

/// One operation of each kind; the walk has all of them.
const OPERATIONS: [(Method, &str); 9] = [
    (Method::GET, "/tags"),
    (Method::GET, "/tags/spring"),
    (Method::GET, "/analytics/scans"),
    (Method::POST, "/tags"),
    (Method::PATCH, "/tags/spring"),
    (Method::DELETE, "/tags/spring"),
    (Method::GET, "/edges"),
    (Method::POST, "/keys"),
    (Method::PATCH, "/workspaces/default"),
];

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
        for (method, path) in OPERATIONS {
            let answer = api.raw(method, path, "{").await;
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
