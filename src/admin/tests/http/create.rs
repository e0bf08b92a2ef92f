//! Making tags.

use serde_json::json;

use crate::support::{PUBLIC_URL, Server};

#[tokio::test]
async fn a_tag_needs_a_destination_alone_and_gets_a_random_code_and_defaults() {
    let server = Server::start().await;
    let answer = server
        .owner()
        .post("/tags", json!({"destination": "https://example.com/a"}))
        .await;
    let tag = answer.created();
    let code = tag["code"].as_str().unwrap();
    assert_eq!(code.len(), 7);
    assert_eq!(answer.header("etag"), "\"1\"");
    assert_eq!(
        answer.header("location"),
        format!("/api/v1/tags/{code}?domain=go.example.net")
    );
    assert_eq!(answer.header("cache-control"), "no-store");
    let mut expected = json!({
        "workspace": "default", "domain": "go.example.net", "code": code, "short_url": format!("{PUBLIC_URL}/{code}"),
        "version": 1, "status": "active", "destination": "https://example.com/a", "rules": [], "warnings": [], "redirect_status": 302, "cache_max_age": null,
        "starts_at": null, "expires_at": null, "max_scans": null, "fallback_url": null, "query": "append", "campaign": null, "name": null, "labels": [],
        "qr": {"svg": format!("/api/v1/tags/{code}/qr.svg?domain=go.example.net"), "png": format!("/api/v1/tags/{code}/qr.png?domain=go.example.net")},
        "scheduled": null,
    });
    for set_by_server in ["created_at", "updated_at", "updated_by"] {
        expected[set_by_server] = tag[set_by_server].clone();
    }
    assert_eq!(tag, expected);
    assert_eq!(tag["created_at"], tag["updated_at"]);
    assert_eq!(server.owner().get(&format!("/tags/{code}")).await.ok(), tag);
}

#[tokio::test]
async fn every_field_is_kept_as_it_was_given() {
    let server = Server::start().await;
    let fields = json!({
        "code": "Summer_26-a", "domain": "go.example.net", "destination": "https://example.com/a?x=1#top", "redirect_status": 307,
        "starts_at": "2090-01-01T00:00:00Z", "expires_at": "2091-01-01T00:00:00.5Z", "max_scans": 9_007_199_254_740_991_u64, "fallback_url": "https://example.com/over",
        "query": "override", "campaign": "summer", "name": "On the can", "labels": ["print", "de"], "status": "paused",
    });
    let tag = server.owner().post("/tags", fields.clone()).await.created();
    for (name, value) in fields.as_object().unwrap() {
        assert_eq!(&tag[name], value, "{name}");
    }
}

#[tokio::test]
async fn a_permanent_redirect_may_be_kept_for_an_hour_unless_it_says_otherwise() {
    let server = Server::start().await;
    for (status, given, kept) in [
        (301, json!(null), 3600),
        (308, json!(60), 60),
        (301, json!(0), 0),
    ] {
        let fields = json!({"destination": "https://example.com/", "redirect_status": status, "cache_max_age": given});
        let tag = server.owner().post("/tags", fields).await.created();
        assert_eq!(tag["cache_max_age"], kept);
    }
}

#[tokio::test]
async fn a_destination_is_answered_as_it_will_be_sent() {
    let server = Server::start().await;
    let fields = json!({"destination": "HTTPS://Müller.example.com:443/ä?q=ü"});
    let tag = server.owner().post("/tags", fields).await.created();
    assert_eq!(
        tag["destination"],
        "https://xn--mller-kva.example.com/%C3%A4?q=%C3%BC"
    );
}

#[tokio::test]
async fn names_of_200_characters_are_taken_in_any_script_and_longer_ones_refused() {
    let server = Server::start().await;
    let owner = server.owner();
    let with_name = |name: String| json!({"destination": "https://example.com/", "name": name});
    let tag = owner
        .post("/tags", with_name("🎈".repeat(200)))
        .await
        .created();
    assert_eq!(tag["name"], "🎈".repeat(200));
    let answer = owner.post("/tags", with_name("🎈".repeat(201))).await;
    assert_eq!(answer.pointers(422), ["/name"]);
    let answer = owner.post("/tags", with_name("a\0b".to_owned())).await;
    assert_eq!(answer.pointers(422), ["/name"]);
}

#[tokio::test]
async fn a_code_that_is_taken_is_a_conflict_at_the_code() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    let again = json!({"code": "spring", "destination": "https://example.com/other"});
    assert_eq!(owner.post("/tags", again).await.pointers(409), ["/code"]);
    assert_eq!(
        owner.get("/tags/spring").await.ok()["destination"],
        "https://example.com/spring"
    );
    // Case matters here.
    owner.tag("Spring").await;
}

#[tokio::test]
async fn the_service_s_own_paths_are_no_codes() {
    let server = Server::start().await;
    for code in ["healthz", "q", "", "a b", "a/b", "ä", &"x".repeat(65)] {
        let fields = json!({"code": code, "destination": "https://example.com/"});
        assert_eq!(
            server.owner().post("/tags", fields).await.pointers(422),
            ["/code"],
            "{code:?}"
        );
    }
}
