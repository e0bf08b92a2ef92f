//! Who changed what: told to those who may know, in pages or whole, and never told otherwise later.

use reqwest::Method;
use reqwest::header::ACCEPT;
use serde_json::{Value, json};

use crate::support::{Answer, Api, PUBLIC_URL, Server};

async fn export(api: &Api, path: &str, accept: &str) -> Answer {
    api.send(api.request(Method::GET, path).header(ACCEPT, accept))
        .await
}

async fn items(api: &Api, path: &str) -> Vec<Value> {
    api.get(path).await.ok()["items"]
        .as_array()
        .unwrap()
        .clone()
}

/// A workspace in which something of each kind has happened, and the id of a second key that made the last two edits.
async fn busy(server: &Server) -> String {
    let owner = server.owner();
    owner.tag("spring").await;
    owner.tag("autumn").await;
    owner
        .patch("/tags/spring", json!({"name": "Can"}))
        .await
        .ok();
    owner
        .post("/domains", json!({"name": "qr.example.org"}))
        .await
        .created();
    owner
        .patch("/workspaces/default", json!({"name": "Ours"}))
        .await
        .ok();
    let key = owner
        .post("/keys", json!({"name": "k", "role": "editor"}))
        .await
        .created();
    let editor = server.with_key(key["secret"].as_str().unwrap());
    editor
        .post("/tags/spring/rollback", json!({"version": 1}))
        .await
        .ok();
    editor.delete("/tags/autumn").await.no_content();
    key["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_change_is_told_with_who_when_from_where_and_what() {
    let server = Server::start().await;
    let second = busy(&server).await;
    let told = items(&server.owner(), "/audit").await;
    let summary: Vec<_> = told
        .iter()
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            (text("action"), text("subject"), entry["version"].as_u64())
        })
        .collect();
    let tag = |code: &str| format!("tag/go.example.net/{code}");
    let expected = [
        ("revoke", tag("autumn"), Some(2)),
        ("rollback", tag("spring"), Some(3)),
        ("create", format!("key/{second}"), None),
        ("update", "workspace/default".to_owned(), None),
        ("create", "domain/qr.example.org".to_owned(), None),
        ("update", tag("spring"), Some(2)),
        ("create", tag("autumn"), Some(1)),
        ("create", tag("spring"), Some(1)),
    ]
    .map(|(action, subject, version)| (action.to_owned(), subject, version));
    assert_eq!(summary, expected);
    let edit = &told[5];
    assert_eq!(
        edit["changes"],
        json!([{"pointer": "/name", "before": null, "after": "Can"}])
    );
    assert_eq!(
        (&edit["code"], &edit["domain"]),
        (&json!("spring"), &json!("go.example.net"))
    );
    assert_eq!(edit["remote"], "127.0.0.1");
    assert_eq!(told[0]["actor"], second.as_str());
    let made = told[7]["changes"].as_array().unwrap();
    let destination = json!({"pointer": "/destination", "after": "https://example.com/spring"});
    assert!(made.contains(&destination), "{made:?}");
    assert!(made.iter().all(|change| !change["after"].is_null()));
    // As answered when it was edited.
    let version = server.owner().get("/tags/spring/versions/2").await.ok();
    let time = |value: &Value| -> jiff::Timestamp { value.as_str().unwrap().parse().unwrap() };
    assert!(time(&version["updated_at"]) <= time(&edit["at"]));
}

#[tokio::test]
async fn the_log_is_narrowed_by_tag_actor_action_and_time() {
    let server = Server::start().await;
    let second = busy(&server).await;
    let owner = server.owner();
    let all = items(&owner, "/audit").await;
    let only = |wanted: &dyn Fn(&Value) -> bool| -> Vec<Value> {
        all.iter().filter(|entry| wanted(entry)).cloned().collect()
    };
    assert_eq!(
        items(&owner, "/audit?code=spring").await,
        only(&|entry| entry["code"] == "spring")
    );
    assert_eq!(
        items(
            &owner,
            "/audit?code=spring&domain=go.example.net&action=rollback"
        )
        .await,
        only(&|entry| entry["action"] == "rollback")
    );
    assert_eq!(
        items(&owner, &format!("/audit?actor={second}")).await,
        only(&|entry| entry["actor"] == second.as_str())
    );
    assert_eq!(
        items(&owner, "/audit?actor=nobody").await,
        Vec::<Value>::new()
    );
    let moment = |position: usize| all[position]["at"].as_str().unwrap();
    let between = format!("/audit?from={}&to={}", moment(5), moment(2));
    assert_eq!(items(&owner, &between).await, all[3..=5]);
    for (wrong, parameter) in [
        ("action=read", "action"),
        ("from=yesterday", "from"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
        ("domain=go.example.net", "domain"),
        ("limit=501", "limit"),
        ("cursor=x", "cursor"),
        ("q=x", "q"),
    ] {
        let answer = owner.get(&format!("/audit?{wrong}")).await;
        assert_eq!(answer.parameter(), parameter, "{wrong}");
    }
    owner.get("/audit?code=none").await.problem(404);
}

#[tokio::test]
async fn pages_stay_in_place_while_changes_are_added() {
    let server = Server::start().await;
    busy(&server).await;
    let owner = server.owner();
    let all = items(&owner, "/audit").await;
    let (mut read, mut path) = (Vec::new(), "/audit?limit=3".to_owned());
    loop {
        let page = owner.get(&path).await.ok();
        read.extend(page["items"].as_array().unwrap().clone());
        owner.tag(&format!("later{}", read.len())).await;
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/audit?limit=3&cursor={cursor}");
    }
    assert_eq!(read, all);
}

#[tokio::test]
async fn an_export_is_all_of_it_as_lines_of_json_or_csv() {
    let server = Server::start().await;
    let owner = server.owner();
    // More than are read at a time.
    owner.tag("spring").await;
    for number in 0..600 {
        let body = json!({"name": format!("n{number}")});
        owner.patch("/tags/spring", body).await.ok();
    }
    owner
        .post("/tags/spring/rollback", json!({"version": 1}))
        .await
        .ok();
    let mut all = items(&owner, "/audit?limit=500").await;
    let cursor = owner.get("/audit?limit=500").await.ok()["next_cursor"]
        .as_str()
        .unwrap()
        .to_owned();
    all.extend(items(&owner, &format!("/audit?limit=500&cursor={cursor}")).await);
    assert_eq!(all.len(), 602);

    let lines = export(&owner, "/audit", "application/x-ndjson").await;
    assert_eq!(
        (lines.status.as_u16(), lines.header("content-type")),
        (200, "application/x-ndjson")
    );
    let lines: Vec<Value> = lines
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines, all);

    let table = export(&owner, "/audit", "text/csv").await;
    assert_eq!(
        table.header("content-type"),
        "text/csv; charset=utf-8; header=present"
    );
    let mut reader = csv::Reader::from_reader(table.body.as_slice());
    let columns = reader.headers().unwrap().clone();
    let rows: Vec<Value> = reader
        .records()
        .map(|record| {
            let record = record.unwrap();
            let cells = columns.iter().zip(&record);
            let mut row: Value = cells
                .map(|(column, cell)| (column.to_owned(), json!(cell)))
                .collect();
            row["version"] = row["version"]
                .as_str()
                .unwrap()
                .parse::<u64>()
                .unwrap()
                .into();
            row["changes"] = serde_json::from_str(row["changes"].as_str().unwrap()).unwrap();
            row
        })
        .collect();
    assert_eq!(rows, all);

    let narrowed = export(&owner, "/audit?action=rollback", "application/x-ndjson").await;
    assert_eq!(narrowed.text().lines().count(), 1);
    for parameter in ["limit", "cursor"] {
        let answer = export(&owner, &format!("/audit?{parameter}=5"), "text/csv").await;
        assert_eq!(answer.parameter(), parameter);
    }
    export(&owner, "/audit", "application/xml")
        .await
        .problem(406);
    export(&owner, "/audit", "csv").await.problem(400);
}

#[tokio::test]
async fn analysts_and_above_read_the_log_of_their_own_workspace_alone() {
    let server = Server::start().await;
    busy(&server).await;
    let viewer = server.with_role(&server.owner(), "viewer").await;
    viewer.get("/audit").await.problem(403);
    export(&viewer, "/audit", "text/csv").await.problem(403);
    let other = server.other_tenant().await;
    assert_eq!(items(&other, "/audit").await, Vec::<Value>::new());
    other.get("/audit?code=spring").await.problem(404);
    let lines = export(&other, "/audit", "application/x-ndjson").await;
    assert_eq!((lines.status.as_u16(), lines.text()), (200, String::new()));
    other.tag("theirs").await;
    let analyst = server.with_role(&server.owner(), "analyst").await;
    let ours = items(&analyst, "/audit?limit=500").await;
    assert!(ours.len() >= 8 && ours.iter().all(|entry| entry["code"] != "theirs"));
}

#[tokio::test]
async fn what_was_told_once_is_told_the_same_for_ever() {
    let server = Server::start().await;
    let key = server.first_key();
    busy(&server).await;
    let before = items(&server.owner(), "/audit").await;
    let oldest = async |api: &Api| {
        let told = items(api, "/audit?limit=500").await;
        told[told.len() - before.len()..].to_vec()
    };
    // Everything that can be done is done again, also to what was revoked.
    busy_again(&server.owner()).await;
    assert_eq!(oldest(&server.owner()).await, before);
    let server = server.restart(PUBLIC_URL).await;
    assert_eq!(oldest(&server.with_key(&key)).await, before);
}

async fn busy_again(owner: &Api) {
    owner
        .patch("/tags/spring", json!({"name": "other", "status": "paused"}))
        .await
        .ok();
    owner
        .post("/tags/spring/rollback", json!({"version": 2}))
        .await
        .ok();
    owner.delete("/tags/spring").await.no_content();
    owner.delete("/tags/autumn").await.no_content();
    owner
        .patch("/tags/autumn", json!({"name": "n"}))
        .await
        .problem(409);
    owner
        .patch(
            "/domains/qr.example.org",
            json!({"home_url": "https://example.com/"}),
        )
        .await
        .ok();
    owner
        .patch("/workspaces/default", json!({"name": "Again"}))
        .await
        .ok();
    for key in items(owner, "/keys").await {
        let answer = owner
            .delete(&format!("/keys/{}", key["id"].as_str().unwrap()))
            .await;
        assert!([204, 409].contains(&answer.status.as_u16()));
    }
}

#[tokio::test]
async fn settings_and_accounts_are_told_with_what_changed_and_without_their_secrets() {
    let server = Server::start().await;
    let owner = server.owner();
    let id = |made: &Value| made["id"].as_str().unwrap().to_owned();
    let limits = json!({"max_keys": 9, "retention_days": 30});
    owner.patch("/workspaces/default", limits).await.ok();
    let domain = json!({"name": "qr.example.org"});
    owner.post("/domains", domain).await.created();
    let home = json!({"home_url": "https://www.example.org/"});
    owner.patch("/domains/qr.example.org", home).await.ok();
    let key = json!({"name": "k", "role": "editor", "scopes": ["tags:read"]});
    let key = owner.post("/keys", key).await.created();
    let rotate = format!("/keys/{}/rotate", id(&key));
    let rotated = owner
        .post(&rotate, json!({"overlap_seconds": 0}))
        .await
        .ok();
    owner
        .delete(&format!("/keys/{}", id(&key)))
        .await
        .no_content();
    server.user(&owner, "ada@example.com", "owner").await;
    let user = server.user(&owner, "bob@example.com", "viewer").await;
    let path = format!("/users/{user}");
    owner.patch(&path, json!({"role": "editor"})).await.ok();
    owner.delete(&path).await.no_content();

    let told = items(&owner, "/audit").await;
    let changes = |action: &str, subject: &str| -> Value {
        let found = told
            .iter()
            .find(|entry| entry["action"] == action && entry["subject"] == subject);
        found.unwrap_or_else(|| panic!("{action} {subject}"))["changes"].clone()
    };
    let (key, user) = (format!("key/{}", id(&key)), format!("user/{user}"));
    let change = |pointer: &str, before: Value, after: Value| json!({"pointer": pointer, "before": before, "after": after});
    assert_eq!(
        changes("update", "workspace/default"),
        json!([
            change("/max_keys", Value::Null, json!(9)),
            change("/retention_days", Value::Null, json!(30))
        ])
    );
    assert_eq!(
        changes("update", "domain/qr.example.org"),
        json!([change(
            "/home_url",
            Value::Null,
            json!("https://www.example.org/")
        )])
    );
    let made = changes("create", &key);
    let made = made.as_array().unwrap();
    assert!(
        made.contains(&json!({"pointer": "/scopes", "after": ["tags:read"]})),
        "{made:?}"
    );
    assert_eq!(changes("rotate", &key), json!([]));
    let revoked = changes("revoke", &key);
    assert_eq!(revoked[0]["pointer"], "/revoked_at");
    assert_eq!(
        changes("update", &user),
        json!([change("/role", json!("viewer"), json!("editor"))])
    );
    assert_eq!(changes("revoke", &user)[0]["pointer"], "/removed_at");

    let all = export(&owner, "/audit", "application/x-ndjson")
        .await
        .text();
    for secret in [
        "argon2",
        "secret",
        "hash",
        "token",
        rotated["secret"].as_str().unwrap(),
    ] {
        assert!(!all.contains(secret), "{secret}");
    }
    let rotations = items(&owner, "/audit?action=rotate").await;
    assert_eq!(rotations.len(), 1);
}
