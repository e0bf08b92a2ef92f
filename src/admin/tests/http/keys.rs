//! Keys that may do less than their role, that end by themselves, and whose secrets are replaced.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::{Answer, Api, Server};

fn later(seconds: i64) -> String {
    let at = Timestamp::now() + SignedDuration::from_secs(seconds);
    at.to_string()
}

async fn scoped(server: &Server, role: &str, scopes: &[&str]) -> Api {
    let key = json!({"name": "scoped", "role": role, "scopes": scopes});
    let made = server.owner().post("/keys", key).await.created();
    assert_eq!(made["scopes"], json!(scopes));
    server.with_key(made["secret"].as_str().unwrap())
}

#[tokio::test]
async fn a_scoped_key_may_what_its_scopes_name_and_nothing_else_of_its_role() {
    let server = Server::start().await;
    server.owner().tag("spring").await;
    let api = scoped(&server, "editor", &["tags:write"]).await;
    api.tag("autumn").await;
    api.get("/tags").await.problem(403);
    api.get("/tags/spring").await.problem(403);
    api.get("/analytics/scans").await.problem(403);
    let refusal = api.get("/domains").await.problem(403);
    let detail = refusal["detail"].as_str().unwrap();
    assert_eq!(
        detail,
        "This needs the permission settings:read; who asks has tags:write."
    );
    let api = scoped(&server, "owner", &["tags:read", "analytics:read"]).await;
    api.get("/tags/spring").await.ok();
    api.get("/analytics/scans").await.ok();
    api.delete("/tags/spring").await.problem(403);
    api.get("/keys").await.problem(403);
    api.get("/edges").await.problem(403);
}

#[tokio::test]
async fn scopes_are_words_within_the_role_each_once() {
    let server = Server::start().await;
    let owner = server.owner();
    for (role, scopes, pointer) in [
        ("editor", json!(["tags:read", "tags:all"]), "/scopes/1"),
        ("editor", json!(["tags:read", 1]), "/scopes/1"),
        ("editor", json!(["export", "export"]), "/scopes/1"),
        ("editor", json!([]), "/scopes"),
        ("editor", json!("tags:read"), "/scopes"),
        ("viewer", json!(["tags:read", "tags:write"]), "/scopes"),
    ] {
        let key = json!({"name": "k", "role": role, "scopes": scopes});
        let answer = owner.post("/keys", key).await;
        assert_eq!(answer.pointers(422), [pointer], "{scopes}");
    }
    // The installation is run from the workspace `default`.
    let other = server.other_tenant().await;
    let key = json!({"name": "k", "role": "owner", "scopes": ["operations"]});
    assert_eq!(other.post("/keys", key).await.pointers(422), ["/scopes"]);
    let all = json!({"name": "k", "role": "viewer", "scopes": null});
    assert_eq!(
        owner.post("/keys", all).await.created()["scopes"],
        Value::Null
    );
}

#[tokio::test]
async fn a_key_gives_no_more_than_it_has() {
    let server = Server::start().await;
    let owner = server.owner();
    let strong = json!({"name": "strong", "role": "owner"});
    let strong = owner.post("/keys", strong).await.created();
    let narrow = scoped(&server, "owner", &["tags:read", "keys:write"]).await;
    for key in [
        json!({"name": "k", "role": "owner"}),
        json!({"name": "k", "role": "viewer"}),
        json!({"name": "k", "role": "owner", "scopes": ["tags:read", "keys:read"]}),
    ] {
        narrow.post("/keys", key).await.problem(403);
    }
    let path = format!("/keys/{}/rotate", strong["id"].as_str().unwrap());
    narrow.post(&path, json!({})).await.problem(403);
    let less = json!({"name": "k", "role": "viewer", "scopes": ["tags:read"]});
    narrow.post("/keys", less).await.created();
    assert_eq!(
        owner.get("/keys").await.ok()["items"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
}

#[tokio::test]
async fn a_key_ends_when_its_time_has_come() {
    let server = Server::start().await;
    let owner = server.owner();
    for end in [json!(later(-1)), json!("tomorrow"), json!(5)] {
        let key = json!({"name": "k", "role": "viewer", "expires_at": end});
        assert_eq!(
            owner.post("/keys", key).await.pointers(422),
            ["/expires_at"]
        );
    }
    let short = json!({"name": "short", "role": "viewer", "expires_at": later(2)});
    let short = owner.post("/keys", short).await.created();
    let api = server.with_key(short["secret"].as_str().unwrap());
    api.get("/tags").await.ok();
    until_refused(&api).await;
    let path = format!("/keys/{}/rotate", short["id"].as_str().unwrap());
    owner.post(&path, json!({})).await.problem(409);
}

async fn until_refused(api: &Api) {
    let refused = async {
        while api.get("/tags").await.status != 401 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), refused).await;
    waited.expect("the key ends");
}

struct Rotated {
    id: String,
    before: Api,
    after: Api,
    answer: Value,
}

async fn rotated(server: &Server, overlap: Value) -> Rotated {
    let owner = server.owner();
    let key = json!({"name": "k", "role": "editor", "scopes": ["tags:read"]});
    let made = owner.post("/keys", key).await.created();
    let id = made["id"].as_str().unwrap().to_owned();
    let answer = owner
        .post(&format!("/keys/{id}/rotate"), overlap)
        .await
        .ok();
    assert_eq!(answer["id"], made["id"]);
    assert_eq!(answer["scopes"], json!(["tags:read"]));
    Rotated {
        id,
        before: server.with_key(made["secret"].as_str().unwrap()),
        after: server.with_key(answer["secret"].as_str().unwrap()),
        answer,
    }
}

#[tokio::test]
async fn a_rotated_key_s_old_secret_is_good_until_the_overlap_is_over() {
    let server = Server::start().await;
    let key = rotated(&server, json!({"overlap_seconds": 2})).await;
    assert_ne!(key.answer["previous_expires_at"], Value::Null);
    key.before.get("/tags").await.ok();
    key.after.get("/tags").await.ok();
    until_refused(&key.before).await;
    key.after.get("/tags").await.ok();

    let at_once = rotated(&server, json!({"overlap_seconds": 0})).await;
    assert_eq!(at_once.answer["previous_expires_at"], Value::Null);
    at_once.before.get("/tags").await.problem(401);
    at_once.after.get("/tags").await.ok();
}

#[tokio::test]
async fn a_second_rotation_ends_the_first_secret_and_a_revocation_all_of_them() {
    let server = Server::start().await;
    let owner = server.owner();
    let key = rotated(&server, json!({"overlap_seconds": 3600})).await;
    let path = format!("/keys/{}/rotate", key.id);
    let again = owner
        .post(&path, json!({"overlap_seconds": 3600}))
        .await
        .ok();
    let newest = server.with_key(again["secret"].as_str().unwrap());
    key.before.get("/tags").await.problem(401);
    key.after.get("/tags").await.ok();
    newest.get("/tags").await.ok();
    owner
        .delete(&format!("/keys/{}", key.id))
        .await
        .no_content();
    for api in [&key.before, &key.after, &newest] {
        api.get("/tags").await.problem(401);
    }
    owner.post(&path, json!({})).await.problem(409);
}

#[tokio::test]
async fn a_rotation_cuts_nobody_off_who_takes_the_new_secret_within_a_day() {
    let server = Server::start().await;
    let key = rotated(&server, json!({})).await;
    let until = key.answer["previous_expires_at"].as_str().unwrap();
    let left = until.parse::<Timestamp>().unwrap() - Timestamp::now();
    let left = left.as_secs();
    assert!((86_000..=86_400).contains(&left), "{left}");
    key.before.get("/tags").await.ok();
}

#[tokio::test]
async fn a_secret_that_was_replaced_makes_nothing_that_outlasts_it() {
    let server = Server::start().await;
    let owner = server.owner();
    let made = json!({"name": "k", "role": "owner"});
    let made = owner.post("/keys", made).await.created();
    let before = server.with_key(made["secret"].as_str().unwrap());
    let id = made["id"].as_str().unwrap();
    let rotate = format!("/keys/{id}/rotate");
    let rotated = before.post(&rotate, json!({})).await.ok();
    let after = server.with_key(rotated["secret"].as_str().unwrap());
    let key = json!({"name": "k", "role": "viewer"});
    let invitation = json!({"email": "eve@example.com", "role": "owner"});
    for refused in [
        before.post(&rotate, json!({})).await,
        before.post("/keys", key).await,
        before.delete(&format!("/keys/{id}")).await,
        before.post("/invitations", invitation).await,
    ] {
        let refusal = refused.problem(403);
        let detail = refusal["detail"].as_str().unwrap();
        assert!(detail.starts_with("This secret was replaced"), "{detail}");
    }
    let workspace = json!({"name": "w"});
    let refusal = before.post("/workspaces", workspace).await.problem(403);
    let detail = refusal["detail"].as_str().unwrap();
    assert!(detail.starts_with("Nobody gives what outlasts"), "{detail}");
    // What it is for goes on.
    before.tag("spring").await;
    before.get("/edges").await.ok();
    before.get("/keys").await.ok();
    after.post(&rotate, json!({})).await.ok();
    before.get("/keys").await.problem(401);
}

#[tokio::test]
async fn a_key_that_ends_gives_nothing_that_outlasts_it() {
    let server = Server::start().await;
    let owner = server.owner();
    let end = later(3600);
    let short = json!({"name": "short", "role": "owner", "expires_at": end});
    let short = owner.post("/keys", short).await.created();
    let api = server.with_key(short["secret"].as_str().unwrap());
    for key in [
        json!({"name": "k", "role": "viewer"}),
        json!({"name": "k", "role": "viewer", "expires_at": null}),
        json!({"name": "k", "role": "viewer", "expires_at": later(7200)}),
    ] {
        api.post("/keys", key).await.problem(403);
    }
    let invitation = json!({"email": "eve@example.com", "role": "viewer"});
    api.post("/invitations", invitation).await.problem(403);
    let lasting = json!({"name": "k", "role": "viewer"});
    let lasting = owner.post("/keys", lasting).await.created();
    let path = format!("/keys/{}/rotate", lasting["id"].as_str().unwrap());
    api.post(&path, json!({})).await.problem(403);

    let as_long = json!({"name": "k", "role": "viewer", "expires_at": end});
    api.post("/keys", as_long).await.created();
    let itself = format!("/keys/{}/rotate", short["id"].as_str().unwrap());
    let rotated = api.post(&itself, json!({})).await.ok();
    assert_eq!(rotated["expires_at"], short["expires_at"]);
}

#[tokio::test]
async fn a_key_that_ends_makes_no_user_more_than_they_are() {
    let server = Server::start().await;
    let owner = server.owner();
    let short = json!({"name": "short", "role": "owner", "expires_at": later(3600)});
    let short = owner.post("/keys", short).await.created();
    let api = server.with_key(short["secret"].as_str().unwrap());
    let user = server.user(&owner, "eve@example.com", "editor").await;
    let path = format!("/users/{user}");
    api.patch(&path, json!({"role": "owner"}))
        .await
        .problem(403);
    let named = json!({"name": "Eve", "role": "editor"});
    api.patch(&path, named).await.ok();
    api.patch(&path, json!({"role": "viewer"})).await.ok();
    api.patch(&path, json!({"role": "editor"}))
        .await
        .problem(403);
    let user = owner.get(&path).await.ok();
    assert_eq!(
        (&user["name"], &user["role"]),
        (&json!("Eve"), &json!("viewer"))
    );
    owner.patch(&path, json!({"role": "editor"})).await.ok();
}

#[tokio::test]
async fn only_a_key_and_secret_without_an_end_make_a_workspace() {
    let server = Server::start().await;
    let owner = server.owner();
    let workspace = json!({"name": "w"});
    let made =
        json!({"name": "k", "role": "owner", "scopes": ["operations"], "expires_at": later(3600)});
    let made = owner.post("/keys", made).await.created();
    let short = server.with_key(made["secret"].as_str().unwrap());
    short
        .post("/workspaces", workspace.clone())
        .await
        .problem(403);

    let made = json!({"name": "k", "role": "owner", "scopes": ["operations"]});
    let made = owner.post("/keys", made).await.created();
    let before = server.with_key(made["secret"].as_str().unwrap());
    before
        .post("/workspaces", workspace.clone())
        .await
        .created();
    let rotate = format!("/keys/{}/rotate", made["id"].as_str().unwrap());
    let rotated = owner.post(&rotate, json!({})).await.ok();
    before
        .post("/workspaces", workspace.clone())
        .await
        .problem(403);
    before.get("/edges").await.ok();
    let after = server.with_key(rotated["secret"].as_str().unwrap());
    after.post("/workspaces", workspace).await.created();
    let all = owner.get("/workspaces").await.ok();
    assert_eq!(all["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn nobody_revokes_a_key_that_may_more_than_the_one_they_ask_with() {
    let server = Server::start().await;
    let owner = server.owner();
    let strong = json!({"name": "strong", "role": "owner"});
    let strong = owner.post("/keys", strong).await.created();
    let strong = format!("/keys/{}", strong["id"].as_str().unwrap());
    let weak = json!({"name": "weak", "role": "viewer", "scopes": ["tags:read"]});
    let weak = owner.post("/keys", weak).await.created();
    let weak = format!("/keys/{}", weak["id"].as_str().unwrap());
    let narrow = scoped(&server, "owner", &["tags:read", "keys:write"]).await;
    narrow.delete(&strong).await.problem(403);
    narrow.delete(&weak).await.no_content();
    owner.delete(&strong).await.no_content();
    narrow.delete(&strong).await.problem(403);
}

#[tokio::test]
async fn a_rotation_s_overlap_is_at_most_a_week() {
    let server = Server::start().await;
    let owner = server.owner();
    let first = owner.get("/keys").await.ok()["items"][0]["id"].clone();
    let path = format!("/keys/{}/rotate", first.as_str().unwrap());
    for overlap in [json!(604_801), json!(-1), json!("1"), json!(1.5)] {
        let answer: Answer = owner.post(&path, json!({"overlap_seconds": overlap})).await;
        assert_eq!(answer.pointers(422), ["/overlap_seconds"], "{overlap}");
    }
    let rotated = owner
        .post(&path, json!({"overlap_seconds": 604_800}))
        .await
        .ok();
    server
        .with_key(rotated["secret"].as_str().unwrap())
        .get("/keys")
        .await
        .ok();
}

#[tokio::test]
async fn only_a_key_that_may_everything_without_an_end_is_a_last_owner() {
    let server = Server::start().await;
    let owner = server.owner();
    let first = owner.get("/keys").await.ok()["items"][0]["id"].clone();
    let first = format!("/keys/{}", first.as_str().unwrap());
    let short = json!({"name": "k", "role": "owner", "expires_at": later(3600)});
    owner.post("/keys", short).await.created();
    let scoped = json!({"name": "k", "role": "owner", "scopes": ["keys:write"]});
    owner.post("/keys", scoped).await.created();
    owner.delete(&first).await.problem(409);
    let lasting = json!({"name": "k", "role": "owner"});
    owner.post("/keys", lasting).await.created();
    owner.delete(&first).await.no_content();
}
