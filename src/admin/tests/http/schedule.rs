//! Changes that take place by themselves.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::IF_MATCH;
use serde_json::{Value, json};

use crate::support::{Answer, Api, PUBLIC_URL, Server, listed};

const FAR: &str = "2090-01-01T00:00:00Z";

async fn schedule(api: &Api, at: &str, set: Value) -> Answer {
    put(api, json!({"at": at, "set": set})).await
}

async fn put(api: &Api, body: Value) -> Answer {
    let request = api.request(Method::PUT, "/tags/spring/schedule");
    api.send(request.json(&body)).await
}

/// Waits until a tag has this version.
async fn until_version(api: &Api, version: u64) -> Value {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        // The history, which has it when it is published.
        let versions = api.get("/tags/spring/versions").await.ok();
        if versions["items"][0]["version"] == version {
            return versions["items"][0].clone();
        }
        assert!(tokio::time::Instant::now() < deadline, "{versions}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_is_scheduled_is_told_with_the_tag_and_becomes_its_next_version() {
    let server = Server::start().await;
    let owner = server.owner();
    let first = owner.tag("spring").await;
    assert_eq!(first["scheduled"], json!(null));
    let at = Timestamp::now() + Duration::from_millis(1_500);
    let at = Timestamp::from_millisecond(at.as_millisecond())
        .unwrap()
        .to_string();
    let set = json!({"destination": "https://example.com/later", "name": "Later"});
    let answer = schedule(&owner, &at, set.clone()).await;
    let tag = answer.ok();
    assert_eq!(
        (answer.header("etag"), &tag["destination"]),
        ("\"2\"", &first["destination"])
    );
    assert_eq!(tag["scheduled"]["at"], json!(at));
    assert_eq!(tag["scheduled"]["set"], set);
    assert_eq!(
        owner.get("/tags/spring/schedule").await.ok(),
        tag["scheduled"]
    );
    assert_eq!(
        schedule(&owner, &at, set).await.ok(),
        tag,
        "the same again is no change"
    );
    let later = until_version(&owner, 3).await;
    assert_eq!(later["destination"], "https://example.com/later");
    assert_eq!(
        (&later["updated_at"], &later["scheduled"]),
        (&json!(at), &json!(null))
    );
    let now = owner.get("/tags/spring").await.ok();
    assert_eq!(listed(&now), later);
    owner.get("/tags/spring/schedule").await.problem(404);
    let entries = owner.get("/audit?code=spring").await.ok();
    let pointers = |entry: &Value| -> Vec<String> {
        let changes = entry["changes"].as_array().unwrap().iter();
        changes
            .map(|change| change["pointer"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        pointers(&entries["items"][0]),
        ["/destination", "/name", "/scheduled"]
    );
    assert_eq!(pointers(&entries["items"][1]), ["/scheduled"]);
    assert_eq!(entries["items"][0]["actor"], first["updated_by"]);
}

#[tokio::test]
async fn a_simulation_goes_by_what_is_scheduled_for_its_time() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    let set = json!({"rules": [{"name": "all", "when": {}, "to": "https://example.com/later"}]});
    schedule(&owner, FAR, set).await.ok();
    for (time, rule) in [("2089-12-31T23:59:59Z", json!(null)), (FAR, json!("all"))] {
        let decision = owner
            .post("/tags/spring/simulate", json!({"time": time}))
            .await;
        assert_eq!(decision.ok()["rule"], rule, "{time}");
    }
}

#[tokio::test]
async fn a_schedule_is_judged_field_by_field_like_an_edit() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    for (body, pointers) in [
        (json!({}), vec!["/at", "/set"]),
        (
            json!({"at": "2020-01-01T00:00:00Z", "set": {"name": "n"}}),
            vec!["/at"],
        ),
        (json!({"at": "soon", "set": {"name": "n"}}), vec!["/at"]),
        (json!({"at": null, "set": []}), vec!["/at", "/set"]),
        (
            json!({"at": FAR, "set": {"name": "n"}, "by": "me"}),
            vec!["/by"],
        ),
        (json!({"at": FAR, "set": {}}), vec!["/set"]),
        (
            json!({"at": FAR, "set": {"destination": "https://example.com/spring"}}),
            vec!["/set"],
        ),
        (
            json!({"at": FAR, "set": {"destination": "http://127.0.0.1/", "code": "x", "colour": 1}}),
            vec!["/set/destination", "/set/code", "/set/colour"],
        ),
        (
            json!({"at": FAR, "set": {"destination": null}}),
            vec!["/set/destination"],
        ),
        (
            json!({"at": FAR, "set": {"scheduled": null}}),
            vec!["/set/scheduled"],
        ),
        (
            json!({"at": FAR, "set": {"redirect_status": 301, "starts_at": FAR}}),
            vec!["/set/redirect_status"],
        ),
    ] {
        assert_eq!(
            put(&owner, body.clone()).await.pointers(422),
            pointers,
            "{body}"
        );
    }
    let direct = json!({"scheduled": {"at": FAR, "set": {}}});
    assert_eq!(
        owner.patch("/tags/spring", direct).await.pointers(422),
        ["/scheduled"]
    );
    assert_eq!(owner.get("/tags/spring").await.ok()["version"], 1);
}

#[tokio::test]
async fn an_edit_before_keeps_what_is_scheduled_and_is_part_of_what_comes() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    schedule(
        &owner,
        FAR,
        json!({"destination": "https://example.com/later"}),
    )
    .await
    .ok();
    let edited = owner
        .patch(
            "/tags/spring",
            json!({"name": "n", "destination": "https://example.com/now"}),
        )
        .await
        .ok();
    assert_eq!(
        edited["scheduled"]["set"],
        json!({"destination": "https://example.com/later"})
    );
    let soon = (Timestamp::now() + Duration::from_millis(700)).to_string();
    schedule(
        &owner,
        &soon,
        json!({"destination": "https://example.com/later"}),
    )
    .await
    .ok();
    owner
        .patch("/tags/spring", json!({"campaign": "c"}))
        .await
        .ok();
    let later = until_version(&owner, 6).await;
    assert_eq!(
        (&later["destination"], &later["name"], &later["campaign"]),
        (
            &json!("https://example.com/later"),
            &json!("n"),
            &json!("c")
        )
    );
}

#[tokio::test]
async fn an_edit_that_what_is_scheduled_does_not_go_with_is_refused_in_words() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    schedule(&owner, FAR, json!({"expires_at": "2091-01-01T00:00:00Z"}))
        .await
        .ok();
    let edit = json!({"starts_at": "2092-01-01T00:00:00Z"});
    let problem = owner.patch("/tags/spring", edit.clone()).await.problem(409);
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains(FAR) && detail.contains("/set/expires_at"),
        "{detail}"
    );
    owner.delete("/tags/spring/schedule").await.no_content();
    owner.patch("/tags/spring", edit).await.ok();
}

#[tokio::test]
async fn what_is_scheduled_is_replaced_taken_back_and_ends_with_the_tag() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    owner.delete("/tags/spring/schedule").await.problem(404);
    schedule(&owner, FAR, json!({"name": "first"})).await.ok();
    let replaced = schedule(&owner, FAR, json!({"name": "second"})).await.ok();
    assert_eq!(replaced["scheduled"]["set"], json!({"name": "second"}));
    let stale = owner
        .request(Method::DELETE, "/tags/spring/schedule")
        .header(IF_MATCH, "\"2\"");
    owner.send(stale).await.problem(412);
    let stale = owner
        .request(Method::PUT, "/tags/spring/schedule")
        .header(IF_MATCH, "\"2\"");
    owner
        .send(stale.json(&json!({"at": FAR, "set": {"name": "x"}})))
        .await
        .problem(412);
    owner.delete("/tags/spring/schedule").await.no_content();
    let tag = owner.get("/tags/spring").await.ok();
    assert_eq!(
        (&tag["version"], &tag["scheduled"]),
        (&json!(4), &json!(null))
    );
    schedule(&owner, FAR, json!({"name": "third"})).await.ok();
    owner.delete("/tags/spring").await.no_content();
    owner.get("/tags/spring/schedule").await.problem(404);
    schedule(&owner, FAR, json!({"name": "fourth"}))
        .await
        .problem(409);
}

#[tokio::test]
async fn what_came_due_while_the_admin_was_away_is_made_when_it_is_back() {
    let server = Server::start().await;
    let owner_key = server.first_key();
    let owner = server.owner();
    owner.tag("spring").await;
    let soon = Timestamp::now() + Duration::from_millis(500);
    schedule(&owner, &soon.to_string(), json!({"name": "later"}))
        .await
        .ok();
    let server = server.restart(PUBLIC_URL).await;
    let owner = server.with_key(&owner_key);
    let later = until_version(&owner, 3).await;
    assert_eq!(later["name"], "later");
    // Whoever edits then, edits what came.
    assert_eq!(
        owner
            .patch("/tags/spring", json!({"campaign": "c"}))
            .await
            .ok()["name"],
        "later"
    );
}

#[tokio::test]
async fn who_may_not_edit_may_not_schedule_and_another_tenant_s_tag_is_none() {
    let server = Server::start().await;
    server.owner().tag("spring").await;
    let analyst = server.with_role(&server.owner(), "analyst").await;
    schedule(&analyst, FAR, json!({"name": "n"}))
        .await
        .problem(403);
    analyst.delete("/tags/spring/schedule").await.problem(403);
    let other = server.other_tenant().await;
    schedule(&other, FAR, json!({"name": "n"}))
        .await
        .problem(404);
    other.get("/tags/spring/schedule").await.problem(404);
    other.delete("/tags/spring/schedule").await.problem(404);
}
