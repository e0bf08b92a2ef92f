//! Paths and methods that there are not.

use reqwest::Method;

use crate::support::Server;

#[tokio::test]
async fn an_unknown_path_is_not_found_as_a_problem() {
    let server = Server::start().await;
    let owner = server.owner();
    for path in ["", "/", "/tag", "/tags/", "/tags/a/b", "/tags/a/qr.gif"] {
        owner.get(path).await.problem(404);
        server.without_key().get(path).await.problem(404);
    }
}

#[tokio::test]
async fn what_no_code_can_be_is_not_found_however_it_is_written() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    let long = format!("/tags/{}", "x".repeat(60_000));
    for path in [
        "/tags/%FF",
        "/tags/a%2Fb",
        "/tags/%00",
        "/tags/a%20b",
        "/tags/%F0%9F%8E%88",
        "/tags/healthz",
        "/tags/..%2Fkeys",
        &long,
        "/workspaces/%FF",
    ] {
        owner.get(path).await.problem(404);
    }
    assert_eq!(owner.get("/tags/sp%72ing").await.ok()["code"], "spring");
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_told_which_ones_it_does() {
    let server = Server::start().await;
    let owner = server.owner();
    for (method, path, allowed) in [
        (Method::PUT, "/tags", "GET,HEAD,POST"),
        (Method::PUT, "/tags/a", "DELETE,GET,HEAD,PATCH"),
        (Method::POST, "/tags/a/versions", "GET,HEAD"),
        (Method::GET, "/tags/a/rollback", "POST"),
        (Method::POST, "/tags/a/qr.png", "GET,HEAD"),
        (Method::DELETE, "/analytics/scans", "GET,HEAD"),
        (Method::DELETE, "/workspaces/default", "GET,HEAD,PATCH"),
        (Method::GET, "/keys/a", "DELETE"),
        (Method::GET, "/domains/a", "DELETE,PATCH"),
        (Method::POST, "/openapi.json", "GET,HEAD"),
        (Method::OPTIONS, "/tags", "GET,HEAD,POST"),
    ] {
        let answer = owner.send(owner.request(method.clone(), path)).await;
        answer.problem(405);
        let mut allow: Vec<_> = answer.header("allow").split(',').map(str::trim).collect();
        allow.sort_unstable();
        assert_eq!(allow.join(","), allowed, "{method} {path}");
    }
}

#[tokio::test]
async fn head_is_answered_as_get_without_a_body() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    let answer = owner
        .send(owner.request(Method::HEAD, "/tags/spring"))
        .await;
    assert_eq!(
        (
            answer.status.as_u16(),
            answer.header("etag"),
            answer.body.len()
        ),
        (200, "\"1\"", 0)
    );
}
