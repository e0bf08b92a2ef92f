//! Destinations that lead back here: a scan must not go in circles.

use serde_json::{Value, json};

use crate::support::Server;

const LOOPS: [&str; 8] = [
    "https://go.example.net/spring",
    "http://GO.example.net.:9999/spring",
    "https://go.example.net/q/spring/",
    "https://go.example.net/%73pring?x=1#y",
    "https://go.example.net/never-made",
    "https://qr.example.org/spring",
    "https://qr.example.org:8443/spring",
    "https://theirs.example.org/x",
];
const NO_LOOPS: [&str; 5] = [
    "https://go.example.net/",
    "https://qr.example.org:8443/",
    "https://go.example.net/robots.txt",
    "https://go.example.net/a/page.html",
    "https://sub.go.example.net/spring",
];

async fn with_domains() -> Server {
    let server = Server::start().await;
    server
        .owner()
        .post("/domains", json!({"name": "qr.example.org"}))
        .await
        .created();
    let other = server.other_tenant().await;
    server.verified(&other, "theirs.example.org").await;
    server
}

#[tokio::test]
async fn a_short_url_of_any_own_domain_is_no_destination_at_any_port() {
    let server = with_domains().await;
    let owner = server.owner();
    owner.tag("spring").await;
    for url in LOOPS {
        let fields = json!({"destination": url, "fallback_url": url});
        assert_eq!(
            owner.post("/tags", fields.clone()).await.pointers(422),
            ["/destination", "/fallback_url"],
            "{url}"
        );
        assert_eq!(
            owner.patch("/tags/spring", fields).await.pointers(422),
            ["/destination", "/fallback_url"],
            "{url}"
        );
        assert_eq!(
            owner
                .patch("/workspaces/default", json!({"fallback_url": url}))
                .await
                .pointers(422),
            ["/fallback_url"]
        );
        assert_eq!(
            owner
                .post("/workspaces", json!({"name": "n", "fallback_url": url}))
                .await
                .pointers(422),
            ["/fallback_url"]
        );
        let domain = json!({"home_url": url, "fallback_url": url});
        assert_eq!(
            owner
                .patch("/domains/go.example.net", domain)
                .await
                .pointers(422),
            ["/home_url", "/fallback_url"]
        );
    }
    assert_eq!(owner.get("/tags/spring").await.ok()["version"], 1);
}

#[tokio::test]
async fn other_paths_of_own_domains_are_destinations_like_any_other() {
    let server = with_domains().await;
    for url in NO_LOOPS {
        let fields = json!({"destination": url, "fallback_url": url});
        server.owner().post("/tags", fields).await.created();
    }
}

#[tokio::test]
async fn a_domain_that_is_being_added_is_an_own_one_already() {
    let server = Server::start().await;
    let owner = server.owner();
    let url = "https://new.example.org/code";
    let answer = owner
        .post(
            "/domains",
            json!({"name": "new.example.org", "home_url": url, "fallback_url": url}),
        )
        .await;
    assert_eq!(answer.pointers(422), ["/home_url", "/fallback_url"]);
    let home = json!({"name": "new.example.org", "home_url": "https://new.example.org/"});
    assert_eq!(
        owner.post("/domains", home).await.pointers(422),
        ["/home_url"]
    );
    owner
        .post(
            "/domains",
            json!({"name": "new.example.org", "home_url": "https://www.example.org/"}),
        )
        .await
        .created();
}

#[tokio::test]
async fn going_back_to_what_has_become_a_loop_is_refused() {
    let server = Server::start().await;
    let owner = server.owner();
    let leading_away = json!({"code": "spring", "destination": "https://qr.example.org/page"});
    owner.post("/tags", leading_away).await.created();
    owner
        .patch(
            "/tags/spring",
            json!({"destination": "https://example.com/"}),
        )
        .await
        .ok();
    owner
        .post("/domains", json!({"name": "qr.example.org"}))
        .await
        .created();
    let answer = owner
        .post(
            "/tags/spring/rollback?domain=go.example.net",
            json!({"version": 1}),
        )
        .await;
    assert_eq!(answer.pointers(422), ["/version"]);
    let detail = answer.problem(422)["errors"][0]["detail"].clone();
    assert!(
        detail
            .as_str()
            .is_some_and(|detail| detail.contains("destination")),
        "{detail}"
    );
    assert_ne!(detail, Value::Null);
}
