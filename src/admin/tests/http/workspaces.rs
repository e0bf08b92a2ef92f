//! What is set for a whole workspace: defaults of its tags, and its limits.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Api, PUBLIC_URL, Server};

/// A workspace with these limits, its path, and its owner.
async fn limited(server: &Server, limits: Value) -> (String, Api) {
    let made = json!({"name": "Limited"});
    let made = server.owner().post("/workspaces", made).await.created();
    let path = format!("/workspaces/{}", made["id"].as_str().unwrap());
    server.owner().patch(&path, limits).await.ok();
    (
        path,
        server.with_key(made["key"]["secret"].as_str().unwrap()),
    )
}

#[tokio::test]
async fn new_tags_have_their_workspace_s_defaults_and_old_ones_stay() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("before").await;
    let defaults = json!({"default_redirect_status": 307, "default_query": "drop"});
    let set = owner.patch("/workspaces/default", defaults).await.ok();
    assert_eq!(
        (&set["default_redirect_status"], &set["default_query"]),
        (&json!(307), &json!("drop"))
    );
    let of = |tag: Value| (tag["redirect_status"].clone(), tag["query"].clone());
    assert_eq!(of(owner.tag("plain").await), (json!(307), json!("drop")));
    let own =
        json!({"destination": "https://example.com/", "redirect_status": 303, "query": "override"});
    let own = owner.post("/tags", own).await.created();
    assert_eq!(of(own), (json!(303), json!("override")));
    let before = owner.get("/tags/before").await.ok();
    assert_eq!(of(before), (json!(302), json!("append")));
    let back = json!({"default_redirect_status": null, "default_query": null});
    owner.patch("/workspaces/default", back).await.ok();
    assert_eq!(of(owner.tag("after").await), (json!(302), json!("append")));
}

#[tokio::test]
async fn a_workspace_s_fields_are_checked() {
    let server = Server::start().await;
    let owner = server.owner();
    for (field, values) in [
        (
            "default_redirect_status",
            vec![json!(301), json!(308), json!(200), json!("302")],
        ),
        ("default_query", vec![json!("keep"), json!(1)]),
        ("retention_days", vec![json!(0), json!(3_651), json!(-1)]),
        (
            "max_tags",
            vec![json!(0), json!(-1), json!("many"), json!(4_294_967_296_u64)],
        ),
        ("max_keys", vec![json!(0)]),
        ("api_requests_per_second", vec![json!(0.5)]),
        ("redirects_per_second", vec![json!(true)]),
    ] {
        for value in values {
            let patched = owner
                .patch("/workspaces/default", json!({field: value}))
                .await;
            assert_eq!(patched.pointers(422), [format!("/{field}")], "{value}");
            let made = owner
                .post("/workspaces", json!({"name": "n", field: value}))
                .await;
            assert_eq!(made.pointers(422), [format!("/{field}")], "{value}");
        }
    }
}

#[tokio::test]
async fn limits_are_set_by_who_runs_the_installation_and_retention_by_the_owner() {
    let server = Server::start().await;
    let limits = json!({"max_tags": 5, "max_keys": 3, "api_requests_per_second": 10, "redirects_per_second": 1000});
    let (path, tenant) = limited(&server, limits.clone()).await;
    let seen = tenant.get(&path).await.ok();
    for (field, value) in limits.as_object().unwrap() {
        assert_eq!(seen[field], *value, "{field}");
        let answer = tenant.patch(&path, json!({field: 1_000_000})).await;
        assert_eq!(answer.pointers(422), [format!("/{field}")]);
        assert!(answer.text().contains("read-only"), "{}", answer.text());
    }
    let kept = tenant
        .patch(&path, json!({"retention_days": 90}))
        .await
        .ok();
    assert_eq!(kept["retention_days"], 90);
    let none = json!({"max_tags": null, "max_keys": null});
    let lifted = server.owner().patch(&path, none).await.ok();
    assert_eq!(
        (&lifted["max_tags"], &lifted["retention_days"]),
        (&Value::Null, &json!(90))
    );
    // An owner's key of `default` that may not run the installation is no operator.
    let scoped =
        json!({"name": "k", "role": "owner", "scopes": ["settings:read", "settings:write"]});
    let scoped = server.owner().post("/keys", scoped).await.created();
    let scoped = server.with_key(scoped["secret"].as_str().unwrap());
    scoped.patch(&path, json!({"name": "n"})).await.problem(404);
    scoped.get(&path).await.problem(404);
    scoped
        .patch("/workspaces/default", json!({"name": "n"}))
        .await
        .ok();
    let listed = scoped.get("/workspaces").await.ok();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_workspace_has_no_more_tags_than_it_may() {
    let server = Server::start().await;
    let (_, tenant) = limited(&server, json!({"max_tags": 2})).await;
    tenant.tag("one").await;
    tenant.tag("two").await;
    let three = json!({"code": "three", "destination": "https://example.com/"});
    let refusal = tenant.post("/tags", three.clone()).await.problem(409);
    let detail = refusal["detail"].as_str().unwrap();
    assert!(detail.contains("2 tags (max_tags)"), "{detail}");
    // Changing tags makes no more of them; revoking one makes room, once.
    tenant.patch("/tags/one", json!({"name": "n"})).await.ok();
    tenant.delete("/tags/one").await.no_content();
    tenant.delete("/tags/one").await.no_content();
    tenant.post("/tags", three).await.created();
    let four = json!({"code": "four", "destination": "https://example.com/"});
    tenant.post("/tags", four).await.problem(409);
    // Others have their own.
    server.owner().tag("elsewhere").await;
}

#[tokio::test]
async fn tags_are_counted_anew_at_a_start() {
    let server = Server::start().await;
    let made = json!({"name": "Limited", "max_tags": 3});
    let made = server.owner().post("/workspaces", made).await.created();
    let secret = made["key"]["secret"].as_str().unwrap().to_owned();
    let tenant = server.with_key(&secret);
    for code in ["one", "two", "three"] {
        tenant.tag(code).await;
    }
    tenant.patch("/tags/two", json!({"name": "n"})).await.ok();
    tenant.delete("/tags/one").await.no_content();
    let server = server.restart(PUBLIC_URL).await;
    let tenant = server.with_key(&secret);
    tenant.tag("four").await;
    let five = json!({"destination": "https://example.com/"});
    tenant.post("/tags", five).await.problem(409);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tags_made_at_once_are_no_more_than_there_may_be() {
    let server = Server::start().await;
    let (_, tenant) = limited(&server, json!({"max_tags": 5})).await;
    let mut creates = JoinSet::new();
    for _ in 0..20 {
        let tenant = tenant.clone();
        creates.spawn(async move {
            let tag = json!({"destination": "https://example.com/"});
            tenant.post("/tags", tag).await.status.as_u16()
        });
    }
    let statuses = creates.join_all().await;
    assert!(statuses.iter().all(|status| [201, 409].contains(status)));
    let made = statuses.iter().filter(|status| **status == 201).count();
    let listed = tenant.get("/tags").await.ok();
    assert_eq!(listed["items"].as_array().unwrap().len(), made);
    assert!(made <= 5, "{made}");
    // What was refused while others were being made has its room afterwards.
    for _ in made..5 {
        let tag = json!({"destination": "https://example.com/"});
        tenant.post("/tags", tag).await.created();
    }
    let tag = json!({"destination": "https://example.com/"});
    tenant.post("/tags", tag).await.problem(409);
}

#[tokio::test]
async fn a_workspace_has_no_more_keys_than_it_may() {
    let server = Server::start().await;
    let (_, tenant) = limited(&server, json!({"max_keys": 2})).await;
    let key = json!({"name": "k", "role": "viewer"});
    let second = tenant.post("/keys", key.clone()).await.created();
    let refusal = tenant.post("/keys", key.clone()).await.problem(409);
    assert!(refusal["detail"].as_str().unwrap().contains("max_keys"));
    let second = format!("/keys/{}", second["id"].as_str().unwrap());
    tenant
        .post(&format!("{second}/rotate"), json!({}))
        .await
        .ok();
    tenant.delete(&second).await.no_content();
    tenant.post("/keys", key).await.created();
}
