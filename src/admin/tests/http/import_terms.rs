//! What a line of a file may be is what a request for one tag may be: defaults, limits, ends, permissions, the policy of destinations.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::{Api, Server, codes};

const NDJSON: &str = "application/x-ndjson";

async fn import(api: &Api, lines: &[Value]) -> Value {
    run(api, "/tags/import", lines).await
}

async fn try_out(api: &Api, lines: &[Value]) -> Value {
    run(api, "/tags/import?dry_run=true", lines).await
}

async fn run(api: &Api, path: &str, lines: &[Value]) -> Value {
    let file: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let job = api.upload(path, NDJSON, file).await.accepted();
    let id = job["id"].as_str().unwrap();
    api.job(&format!("/tags/import/{id}")).await
}

fn line(code: &str) -> Value {
    json!({"code": code, "destination": format!("https://example.com/{code}")})
}

fn with(code: &str, fields: Value) -> Value {
    let mut line = line(code);
    let fields = fields.as_object().unwrap().clone();
    line.as_object_mut().unwrap().extend(fields);
    line
}

/// The numbers of a job: created, unchanged, withheld, invalid.
fn numbers(job: &Value) -> [u64; 4] {
    ["created", "unchanged", "withheld", "invalid"].map(|name| job[name].as_u64().unwrap())
}

fn errors(job: &Value) -> Vec<(u64, &str)> {
    let errors = job["errors"].as_array().unwrap().iter();
    let place = |error: &'_ Value| error["line"].as_u64().unwrap();
    errors
        .map(|error| (place(error), error["pointer"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn lines_have_their_workspaces_defaults_and_say_otherwise_if_they_like() {
    let server = Server::start().await;
    let owner = server.owner();
    let defaults = json!({"default_redirect_status": 307, "default_query": "drop"});
    owner.patch("/workspaces/default", defaults).await.ok();
    let lines = [
        line("a"),
        with("b", json!({"redirect_status": 303, "query": "append"})),
    ];
    assert_eq!(numbers(&import(&owner, &lines).await), [2, 0, 0, 0]);
    for (code, status, query) in [("a", 307, "drop"), ("b", 303, "append")] {
        let tag = owner.get(&format!("/tags/{code}")).await.ok();
        assert_eq!(
            (&tag["redirect_status"], &tag["query"]),
            (&json!(status), &json!(query))
        );
    }
    assert_eq!(numbers(&import(&owner, &lines).await), [0, 2, 0, 0]);
}

#[tokio::test]
async fn no_import_makes_more_tags_than_the_workspace_may_have() {
    let server = Server::start().await;
    let made = json!({"name": "Limited", "max_tags": 4});
    let made = server.owner().post("/workspaces", made).await.created();
    let tenant = server.with_key(made["key"]["secret"].as_str().unwrap());
    let lines: Vec<_> = (0..5).map(|number| line(&format!("t{number}"))).collect();
    for job in [
        try_out(&tenant, &lines).await,
        import(&tenant, &lines).await,
    ] {
        assert_eq!(numbers(&job), [0, 0, 4, 1], "{job}");
        assert_eq!(errors(&job), [(1, "")]);
        let detail = job["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains("4 tags (max_tags)"), "{detail}");
    }
    assert_eq!(numbers(&import(&tenant, &lines[..4]).await), [4, 0, 0, 0]);
    // What is there needs no room, nor does a change of it.
    assert_eq!(numbers(&import(&tenant, &lines[..4]).await), [0, 4, 0, 0]);
    for name in ["one", "two", "three"] {
        tenant.patch("/tags/t0", json!({"name": name})).await.ok();
    }
    let edit = json!({"filter": {"q": "t"}, "set": {"campaign": "c"}});
    let job = tenant.post("/tags/bulk", edit).await.accepted();
    let path = format!("/tags/bulk/{}", job["id"].as_str().unwrap());
    assert_eq!(tenant.job(&path).await["changed"], 4);
    tenant.delete("/tags/t1").await.no_content();
    assert_eq!(numbers(&import(&tenant, &lines[4..]).await), [1, 0, 0, 0]);
    assert_eq!(numbers(&import(&tenant, &[line("t5")]).await), [0, 0, 0, 1]);
}

#[tokio::test]
async fn a_new_tag_has_not_ended_and_one_that_is_there_may_have() {
    let server = Server::start().await;
    let owner = server.owner();
    let ended = with("a", json!({"expires_at": "2020-01-01T00:00:00Z"}));
    for job in [
        try_out(&owner, &[ended.clone(), line("b")]).await,
        import(&owner, &[ended.clone(), line("b")]).await,
    ] {
        assert_eq!(
            (numbers(&job), errors(&job)),
            ([0, 0, 1, 1], vec![(1, "/expires_at")])
        );
    }
    owner.tag("a").await;
    let end = json!({"expires_at": "2020-01-01T00:00:00Z"});
    owner.patch("/tags/a", end).await.ok();
    assert_eq!(
        numbers(&import(&owner, &[ended, line("b")]).await),
        [1, 1, 0, 0]
    );
}

#[tokio::test]
async fn the_policy_of_destinations_is_kept_by_every_target_of_a_line() {
    let server = Server::start().await;
    let owner = server.owner();
    let rule = |to: Value| json!({"rules": [{"name": "a", "when": {}, "to": to}]});
    let lines = [
        with("a", json!({"destination": "http://169.254.169.254/latest"})),
        with("b", json!({"destination": "https://go.example.net/x"})),
        with("c", json!({"fallback_url": "https://user@example.com/"})),
        with("d", rule(json!("http://127.0.0.1/"))),
        with(
            "e",
            rule(
                json!([{"url": "http://[::1]/", "weight": 1}, {"url": "https://example.com/", "weight": 1}]),
            ),
        ),
    ];
    let job = import(&owner, &lines).await;
    let expected = [
        (1, "/destination"),
        (2, "/destination"),
        (3, "/fallback_url"),
        (4, "/rules/0/to"),
        (5, "/rules/0/to/0/url"),
    ];
    assert_eq!(errors(&job), expected, "{job}");
    assert_eq!(codes(&owner.get("/tags").await.ok()), Vec::<String>::new());
}

#[tokio::test]
async fn a_key_imports_and_exports_as_far_as_its_scopes_go() {
    let server = Server::start().await;
    let owner = server.owner();
    for (scopes, may) in [
        (vec!["tags:read", "tags:write"], [false, false, true]),
        (vec!["import"], [true, false, false]),
        (vec!["export"], [false, true, false]),
    ] {
        let key = json!({"name": "scoped", "role": "editor", "scopes": scopes});
        let key = owner.post("/keys", key).await.created();
        let api = server.with_key(key["secret"].as_str().unwrap());
        let edit = json!({"filter": {"q": "x"}, "set": {"name": "n"}});
        let answers = [
            api.upload("/tags/import", NDJSON, line("a").to_string())
                .await,
            api.get("/tags/export").await,
            api.post("/tags/bulk", edit).await,
        ];
        let found = answers.map(|answer| answer.status.as_u16() != 403);
        assert_eq!(found, may, "{scopes:?}");
    }
}

#[tokio::test]
async fn one_dry_run_of_a_workspace_is_under_way_at_a_time() {
    let server = Server::start().await;
    let owner = server.owner();
    let address = server.url.strip_prefix("http://").unwrap();
    let mut open = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /api/v1/tags/import?dry_run=true HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Type: {NDJSON}\r\nContent-Length: 9\r\n\r\n",
        server.first_key()
    );
    open.write_all(head.as_bytes()).await.unwrap();
    let folder = server.data_dir.join("jobs");
    let uploads = || std::fs::read_dir(&folder).map_or(0, Iterator::count);
    server
        .until("the upload has begun", || uploads() == 1)
        .await;
    let path = "/tags/import?dry_run=true";
    let refused = owner.upload(path, NDJSON, line("a").to_string()).await;
    refused.problem(429);
    assert_ne!(refused.header("retry-after"), "");
    let edit = json!({"filter": {"q": "x"}, "set": {"name": "n"}, "dry_run": true});
    owner.post("/tags/bulk", edit).await.problem(429);
    assert_eq!(numbers(&import(&owner, &[line("a")]).await), [1, 0, 0, 0]);
}

#[tokio::test]
async fn of_finished_jobs_the_newest_hundred_of_a_workspace_are_told_of() {
    let server = Server::start().await;
    let owner = server.owner();
    let other = server.other_tenant().await;
    let path = |job: &Value| format!("/tags/import/{}", job["id"].as_str().unwrap());
    let theirs = path(&import(&other, &[]).await);
    let mut jobs = Vec::new();
    for _ in 0..103 {
        jobs.push(path(&import(&owner, &[]).await));
    }
    let told = |path: &str| {
        let (owner, path) = (owner.clone(), path.to_owned());
        async move { owner.get(&path).await.status == 200 }
    };
    assert!(!told(&jobs[0]).await && !told(&jobs[2]).await);
    assert!(told(&jobs[3]).await && told(&jobs[102]).await);
    other.get(&theirs).await.ok();
    let kept = std::fs::read_dir(server.data_dir.join("jobs"))
        .unwrap()
        .count();
    assert_eq!(kept, 101);
}

#[tokio::test]
async fn a_host_on_a_blocklist_comes_in_neither_by_a_file_nor_by_a_bulk_edit() {
    let server = Server::start().await;
    let owner = server.owner();
    server.block("phishing.txt", &["bad.example.com"]);
    let bad = "https://a.bad.example.com/prize";
    let rules = json!([{"name": "a", "when": {}, "to": bad}]);
    let lines = [
        with("a", json!({"destination": bad})),
        with("b", json!({"fallback_url": bad, "rules": rules})),
    ];
    for job in [try_out(&owner, &lines).await, import(&owner, &lines).await] {
        let mut found = errors(&job);
        found.sort_unstable();
        let expected = [
            (1, "/destination"),
            (2, "/fallback_url"),
            (2, "/rules/0/to"),
        ];
        assert_eq!(found, expected, "{job}");
        let detail = job["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains("the blocklist 'phishing.txt'"), "{detail}");
    }
    owner.tag("good").await;
    let edit = json!({"filter": {"q": "good"}, "set": {"destination": bad}});
    let refused = owner.post("/tags/bulk", edit).await;
    assert_eq!(refused.pointers(422), ["/set/destination"]);
}
