//! When a tag redirects, and for how long a client may keep what it was told.

use serde_json::{Value, json};

use crate::support::Server;

#[tokio::test]
async fn a_permanent_redirect_has_no_start_and_no_end() {
    let server = Server::start().await;
    let owner = server.owner();
    for time in ["starts_at", "expires_at"] {
        for status in [301, 308] {
            let fields = json!({"destination": "https://example.com/", "redirect_status": status, time: "2090-01-01T00:00:00Z"});
            assert_eq!(
                owner.post("/tags", fields).await.pointers(422),
                ["/redirect_status"]
            );
        }
        let code = format!("with-{time}");
        owner.tag(&code).await;
        owner
            .patch(
                &format!("/tags/{code}"),
                json!({time: "2090-01-01T00:00:00Z"}),
            )
            .await
            .ok();
        let answer = owner
            .patch(&format!("/tags/{code}"), json!({"redirect_status": 308}))
            .await;
        assert_eq!(answer.pointers(422), ["/redirect_status"]);
        // Both in one edit is the way.
        owner
            .patch(
                &format!("/tags/{code}"),
                json!({"redirect_status": 308, time: null}),
            )
            .await
            .ok();
        let answer = owner
            .patch(
                &format!("/tags/{code}"),
                json!({time: "2090-01-01T00:00:00Z"}),
            )
            .await;
        assert_eq!(answer.pointers(422), [format!("/{time}")]);
    }
}

#[tokio::test]
async fn how_long_to_keep_it_belongs_to_permanent_redirects_alone() {
    let server = Server::start().await;
    let owner = server.owner();
    for status in [json!(null), json!(302), json!(303), json!(307)] {
        let fields = json!({"destination": "https://example.com/", "redirect_status": status, "cache_max_age": 60});
        assert_eq!(
            owner.post("/tags", fields).await.pointers(422),
            ["/cache_max_age"]
        );
    }
    owner.tag("spring").await;
    assert_eq!(
        owner
            .patch("/tags/spring", json!({"cache_max_age": 60}))
            .await
            .pointers(422),
        ["/cache_max_age"]
    );
    let permanent = owner
        .patch(
            "/tags/spring",
            json!({"redirect_status": 301, "cache_max_age": 60}),
        )
        .await
        .ok();
    assert_eq!(permanent["cache_max_age"], 60);
    let found = owner
        .patch("/tags/spring", json!({"redirect_status": 302}))
        .await
        .ok();
    assert_eq!(found["cache_max_age"], Value::Null);
    let permanent = owner
        .patch("/tags/spring", json!({"redirect_status": 301}))
        .await
        .ok();
    assert_eq!(permanent["cache_max_age"], 3600);
}

#[tokio::test]
async fn a_wrong_status_is_not_reported_a_second_time_at_the_fields_that_depend_on_it() {
    let server = Server::start().await;
    let fields =
        json!({"destination": "https://example.com/", "redirect_status": 418, "cache_max_age": 60});
    assert_eq!(
        server.owner().post("/tags", fields).await.pointers(422),
        ["/redirect_status"]
    );
}

#[tokio::test]
async fn a_tag_is_not_made_at_its_end_and_an_edit_may_end_it_at_once() {
    let server = Server::start().await;
    let owner = server.owner();
    let past = "2020-01-01T00:00:00Z";
    let ended = json!({"destination": "https://example.com/", "expires_at": past});
    assert_eq!(
        owner.post("/tags", ended).await.pointers(422),
        ["/expires_at"]
    );
    owner.tag("spring").await;
    assert_eq!(
        owner
            .patch("/tags/spring", json!({"expires_at": past}))
            .await
            .ok()["expires_at"],
        past
    );
    let fallback = json!({"fallback_url": "https://example.com/over"});
    assert_eq!(
        owner.patch("/tags/spring", fallback).await.ok()["version"],
        3
    );
}

#[tokio::test]
async fn an_end_comes_after_the_start() {
    let server = Server::start().await;
    let owner = server.owner();
    let fields = json!({"destination": "https://example.com/", "starts_at": "2091-01-01T00:00:00Z", "expires_at": "2091-01-01T01:00:00+01:00"});
    assert_eq!(
        owner.post("/tags", fields).await.pointers(422),
        ["/expires_at"]
    );
    owner.tag("spring").await;
    owner
        .patch(
            "/tags/spring",
            json!({"expires_at": "2090-01-01T00:00:00Z"}),
        )
        .await
        .ok();
    let answer = owner
        .patch("/tags/spring", json!({"starts_at": "2090-01-01T00:00:00Z"}))
        .await;
    assert_eq!(answer.pointers(422), ["/starts_at"]);
}

#[tokio::test]
async fn an_offset_that_no_zone_can_have_and_a_time_that_cannot_be_kept_are_refused() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    for (given, words) in [
        ("2090-12-24T18:00:00+25:00", "RFC 3339"),
        ("9999-12-31T23:59:59Z", "to 9999-12-30T22:00:00Z"),
    ] {
        let answer = owner
            .patch("/tags/spring", json!({"expires_at": given}))
            .await;
        assert_eq!(answer.pointers(422), ["/expires_at"]);
        assert!(answer.text().contains(words), "{}", answer.text());
    }
    let last = "9999-12-30T22:00:00Z";
    let tag = owner
        .patch("/tags/spring", json!({"expires_at": last}))
        .await
        .ok();
    assert_eq!(tag["expires_at"], last);
}

#[tokio::test]
async fn offsets_are_taken_and_times_answered_in_utc() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    for (given, kept) in [
        ("2090-06-01T02:00:00+02:00", "2090-06-01T00:00:00Z"),
        ("2090-05-31T19:00:00.25-05:00", "2090-06-01T00:00:00.25Z"),
        ("2090-06-01t00:00:00z", "2090-06-01T00:00:00Z"),
    ] {
        let tag = owner
            .patch("/tags/spring", json!({"starts_at": given}))
            .await
            .ok();
        assert_eq!(tag["starts_at"], kept);
        assert_eq!(owner.get("/tags/spring").await.ok()["starts_at"], kept);
    }
}
