//! One change of all tags that fit a filter: what is shown first, what is done, and what is refused.

use serde_json::{Value, json};

use crate::support::{Api, Server};

async fn run(api: &Api, request: Value) -> Value {
    let answer = api.post("/tags/bulk", request).await;
    let job = answer.accepted();
    let path = format!("/tags/bulk/{}", job["id"].as_str().unwrap());
    assert_eq!(answer.header("location"), format!("/api/v1{path}"));
    api.job(&path).await
}

/// The numbers of a job: read, changed, unchanged, invalid.
fn numbers(job: &Value) -> [u64; 4] {
    ["read", "changed", "unchanged", "invalid"].map(|name| job[name].as_u64().unwrap())
}

async fn make(api: &Api, code: &str, fields: Value) {
    let mut tag = json!({"code": code, "destination": format!("https://example.com/{code}")});
    let members = fields.as_object().unwrap().clone();
    tag.as_object_mut().unwrap().extend(members);
    api.post("/tags", tag).await.created();
}

#[tokio::test]
async fn what_would_be_changed_is_shown_and_then_done() {
    let server = Server::start().await;
    let owner = server.owner();
    let other = server.other_tenant().await;
    make(&owner, "a", json!({"campaign": "summer", "labels": ["x"]})).await;
    make(
        &owner,
        "b",
        json!({"campaign": "summer", "status": "paused", "fallback_url": "https://example.com/f"}),
    )
    .await;
    make(&owner, "c", json!({"campaign": "winter", "labels": ["x"]})).await;
    make(&owner, "d", json!({"campaign": "summer"})).await;
    make(&other, "theirs", json!({"campaign": "summer"})).await;
    owner.delete("/tags/d").await.no_content();
    let request = json!({"filter": {"campaign": "summer"}, "set": {"fallback_url": "https://example.com/f", "labels": ["y"]}, "dry_run": true});
    let job = run(&owner, request.clone()).await;
    assert_eq!(
        (&job["status"], &job["dry_run"], numbers(&job)),
        (&json!("done"), &json!(true), [2, 2, 0, 0])
    );
    let (f, domain) = ("https://example.com/f", "go.example.net");
    assert_eq!(
        job["examples"],
        json!([
            {"domain": domain, "code": "a", "before": {"fallback_url": null, "labels": ["x"]}, "after": {"fallback_url": f, "labels": ["y"]}},
            {"domain": domain, "code": "b", "before": {"labels": null}, "after": {"labels": ["y"]}}
        ])
    );
    assert_eq!(owner.get("/tags/a").await.ok()["version"], 1);
    let mut request = request;
    request["dry_run"] = json!(false);
    assert_eq!(numbers(&run(&owner, request.clone()).await), [2, 2, 0, 0]);
    for (code, version) in [("a", 2), ("b", 2), ("c", 1)] {
        let tag = owner.get(&format!("/tags/{code}")).await.ok();
        assert_eq!(tag["version"], version, "{code}");
        assert_eq!(tag["fallback_url"] == f, version == 2, "{code}");
    }
    assert_eq!(other.get("/tags/theirs").await.ok()["version"], 1);
    // Each has a history of its own.
    let versions = owner.get("/tags/a/versions").await.ok();
    assert_eq!(versions["items"].as_array().unwrap().len(), 2);
    owner
        .post("/tags/a/rollback", json!({"version": 1}))
        .await
        .ok();
    // Done again, it changes what is not so any more.
    assert_eq!(numbers(&run(&owner, request).await), [2, 1, 1, 0]);
    // A change that takes tags out of the filter goes on with the others.
    let request = json!({"filter": {"campaign": "summer"}, "set": {"campaign": "autumn"}});
    assert_eq!(numbers(&run(&owner, request).await), [2, 2, 0, 0]);
    let request = json!({"filter": {"campaign": "summer"}, "set": {"campaign": "autumn"}});
    assert_eq!(numbers(&run(&owner, request).await), [0, 0, 0, 0]);
}

#[tokio::test]
async fn thousands_of_tags_are_changed_once_each() {
    let server = Server::start().await;
    let owner = server.owner();
    let line = |number| {
        let (even, code) = (number % 2 == 0, format!("t{number}"));
        json!({"code": code, "destination": "https://example.com/", "labels": if even { ["even"] } else { ["odd"] }}).to_string() + "\n"
    };
    let file: String = (0..3_001).map(line).collect();
    let job = owner
        .upload("/tags/import", "application/x-ndjson", file)
        .await
        .accepted();
    owner
        .job(&format!("/tags/import/{}", job["id"].as_str().unwrap()))
        .await;
    let request =
        json!({"filter": {"label": "even"}, "set": {"destination": "https://example.com/even"}});
    let job = run(&owner, request.clone()).await;
    assert_eq!(numbers(&job), [1_501, 1_501, 0, 0]);
    assert_eq!(job["examples"].as_array().unwrap().len(), 10);
    assert_eq!(numbers(&run(&owner, request).await), [1_501, 0, 1_501, 0]);
    for (code, version) in [("t0", 2), ("t1", 1), ("t3000", 2)] {
        assert_eq!(
            owner.get(&format!("/tags/{code}")).await.ok()["version"],
            version
        );
    }
}

#[tokio::test]
async fn a_tag_for_which_the_change_is_not_valid_is_named_and_left_as_it_is() {
    let server = Server::start().await;
    let owner = server.owner();
    make(&owner, "a", json!({"labels": ["x"]})).await;
    make(
        &owner,
        "b",
        json!({"labels": ["x"], "expires_at": "2099-01-01T00:00:00Z"}),
    )
    .await;
    let job = run(
        &owner,
        json!({"filter": {"label": "x", "q": "EXAMPLE"}, "set": {"redirect_status": 301}}),
    )
    .await;
    assert_eq!(
        (numbers(&job), &job["error_count"]),
        ([2, 1, 0, 1], &json!(1))
    );
    let error = &job["errors"][0];
    assert_eq!(
        (&error["tag"], &error["pointer"]),
        (&json!("go.example.net/b"), &json!("/redirect_status"))
    );
    assert_eq!(owner.get("/tags/b").await.ok()["version"], 1);
    // What belongs to permanent redirects alone is for those that are so.
    let job = run(
        &owner,
        json!({"filter": {"label": "x"}, "set": {"cache_max_age": 60}}),
    )
    .await;
    assert_eq!(numbers(&job), [2, 1, 0, 1]);
    assert_eq!(owner.get("/tags/a").await.ok()["cache_max_age"], 60);
}

#[tokio::test]
async fn what_can_be_done_to_no_tag_is_refused_at_once() {
    let server = Server::start().await;
    let owner = server.owner();
    make(&owner, "a", json!({"campaign": "x"})).await;
    let set = json!({"name": "n"});
    let filter = json!({"campaign": "x"});
    for (request, pointers) in [
        (json!({}), vec!["/filter", "/set"]),
        (json!({"filter": filter}), vec!["/set"]),
        (json!({"filter": {}, "set": set}), vec!["/filter"]),
        (
            json!({"filter": null, "set": null}),
            vec!["/filter", "/set"],
        ),
        (json!({"filter": [], "set": "x"}), vec!["/filter", "/set"]),
        (
            json!({"filter": {"campaign": ""}, "set": set}),
            vec!["/filter"],
        ),
        (
            json!({"filter": {"colour": "x", "status": "revoked", "q": 1, "label": "\u{0}"}, "set": set}),
            vec![
                "/filter/q",
                "/filter/label",
                "/filter/status",
                "/filter/colour",
            ],
        ),
        (json!({"filter": filter, "set": {}}), vec!["/set"]),
        (
            json!({"filter": filter, "set": {"code": "b", "domain": "x", "version": 2, "colour": 1}}),
            vec!["/set/code", "/set/colour", "/set/domain", "/set/version"],
        ),
        (
            json!({"filter": filter, "set": {"destination": "http://127.0.0.1/", "fallback_url": "https://go.example.net/x"}}),
            vec!["/set/destination", "/set/fallback_url"],
        ),
        (
            json!({"filter": filter, "set": {"destination": null, "status": "revoked"}}),
            vec!["/set/destination", "/set/status"],
        ),
        (
            json!({"filter": filter, "set": {"redirect_status": 301, "expires_at": "2099-01-01T00:00:00Z"}}),
            vec!["/set/redirect_status"],
        ),
        (
            json!({"filter": filter, "set": set, "dry_run": "yes", "limit": 1}),
            vec!["/dry_run", "/limit"],
        ),
    ] {
        let mut refused = owner
            .post("/tags/bulk", request.clone())
            .await
            .pointers(422);
        let mut expected = pointers;
        refused.sort();
        expected.sort_unstable();
        assert_eq!(refused, expected, "{request}");
    }
    assert_eq!(owner.get("/tags/a").await.ok()["version"], 1);
    assert_eq!(
        owner.post("/tags/bulk?x=1", json!({})).await.parameter(),
        "x"
    );
    let job = run(&owner, json!({"filter": filter, "set": set})).await;
    let path = format!("/tags/bulk/{}", job["id"].as_str().unwrap());
    server.other_tenant().await.get(&path).await.problem(404);
    // An import is none, nor the other way round.
    owner
        .get(&path.replace("bulk", "import"))
        .await
        .problem(404);
}

#[tokio::test]
async fn what_is_scheduled_for_a_tag_outlasts_a_bulk_edit_of_it() {
    let server = Server::start().await;
    let owner = server.owner();
    let schedule = |code: &str, set: Value| {
        let put = owner.request(reqwest::Method::PUT, &format!("/tags/{code}/schedule"));
        owner.send(put.json(&json!({"at": "2090-01-01T00:00:00Z", "set": set})))
    };
    for code in ["a", "b"] {
        make(&owner, code, json!({"campaign": "summer"})).await;
    }
    let set = json!({"name": "Later"});
    schedule("a", set.clone()).await.ok();
    schedule("b", json!({"expires_at": "2091-01-01T00:00:00Z"}))
        .await
        .ok();
    let request =
        json!({"filter": {"campaign": "summer"}, "set": {"redirect_status": 301, "labels": ["y"]}});
    let job = run(&owner, request).await;
    assert_eq!(numbers(&job), [2, 1, 0, 1], "{job}");
    let error = &job["errors"][0];
    assert_eq!(
        (&error["tag"], &error["pointer"]),
        (&json!("go.example.net/b"), &json!("/scheduled"))
    );
    let a = owner.get("/tags/a").await.ok();
    assert_eq!(
        (&a["labels"], &a["redirect_status"], &a["scheduled"]["set"]),
        (&json!(["y"]), &json!(301), &set)
    );
    // It takes place with what was changed meanwhile.
    let at = jiff::Timestamp::now() + std::time::Duration::from_millis(300);
    let put = owner.request(reqwest::Method::PUT, "/tags/a/schedule");
    let scheduled = json!({"at": at.to_string(), "set": {"name": "Now"}});
    owner.send(put.json(&scheduled)).await.ok();
    let request = json!({"filter": {"q": "/a"}, "set": {"labels": ["z"]}});
    assert_eq!(numbers(&run(&owner, request).await), [1, 1, 0, 0]);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let a = loop {
        let a = owner.get("/tags/a").await.ok();
        if a["name"] == "Now" {
            break a;
        }
        assert!(std::time::Instant::now() < deadline, "{a}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(
        (&a["labels"], &a["scheduled"]),
        (&json!(["z"]), &Value::Null)
    );
}
