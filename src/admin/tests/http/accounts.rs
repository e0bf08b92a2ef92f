//! Workspaces, keys, and the first key's file.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::{PUBLIC_URL, Server};

#[tokio::test]
async fn a_workspace_is_made_by_an_owner_of_the_default_one_and_its_key_works_there_alone() {
    let server = Server::start().await;
    let owner = server.owner();
    let made = owner
        .post(
            "/workspaces",
            json!({"name": "Acme", "fallback_url": "https://example.com/"}),
        )
        .await
        .created();
    assert_eq!(
        (&made["name"], &made["key"]["role"]),
        (&json!("Acme"), &json!("owner"))
    );
    let acme = server.with_key(made["key"]["secret"].as_str().unwrap());
    let id = made["id"].as_str().unwrap();
    assert_eq!(acme.tag("spring").await["workspace"], id);
    assert_eq!(
        acme.get(&format!("/workspaces/{id}")).await.ok()["fallback_url"],
        "https://example.com/"
    );
    acme.post("/workspaces", json!({"name": "Third"}))
        .await
        .problem(403);
    owner.get("/tags/spring").await.problem(404);
    let editor = server.with_role(&owner, "editor").await;
    editor
        .post("/workspaces", json!({"name": "Third"}))
        .await
        .problem(403);
}

#[tokio::test]
async fn a_workspace_is_changed_by_its_own_owner() {
    let server = Server::start().await;
    let owner = server.owner();
    let other = server.other_tenant().await;
    let changed = owner
        .patch(
            "/workspaces/default",
            json!({"name": "Ours", "fallback_url": "https://example.com/f"}),
        )
        .await
        .ok();
    assert_eq!(
        (&changed["name"], &changed["fallback_url"]),
        (&json!("Ours"), &json!("https://example.com/f"))
    );
    assert_eq!(
        owner
            .patch("/workspaces/default", json!({"fallback_url": null}))
            .await
            .ok()["fallback_url"],
        Value::Null
    );
    other
        .patch("/workspaces/default", json!({"name": "Mine"}))
        .await
        .problem(404);
    for (body, pointer) in [
        (json!({"name": null}), "/name"),
        (json!({"name": ""}), "/name"),
        (json!({"name": "   "}), "/name"),
        (json!({"id": "x"}), "/id"),
        (json!({"owner": 1}), "/owner"),
    ] {
        assert_eq!(
            owner.patch("/workspaces/default", body).await.pointers(422),
            [pointer]
        );
    }
    assert_eq!(
        owner.post("/workspaces", json!({})).await.pointers(422),
        ["/name"]
    );
}

#[tokio::test]
async fn a_name_of_white_space_or_with_some_around_it_is_none() {
    let server = Server::start().await;
    let owner = server.owner();
    for name in ["   ", "\u{a0}", " CI", "CI\u{2003}"] {
        for (path, body) in [
            ("/keys", json!({"name": name, "role": "editor"})),
            ("/workspaces", json!({"name": name})),
        ] {
            let answer = owner.post(path, body).await;
            assert_eq!(answer.pointers(422), ["/name"], "{path} {name:?}");
            assert!(answer.text().contains("white space"), "{}", answer.text());
        }
    }
    owner
        .post("/keys", json!({"name": "CI of spring", "role": "editor"}))
        .await
        .created();
}

#[tokio::test]
async fn a_key_s_secret_is_shown_once() {
    let server = Server::start().await;
    let owner = server.owner();
    let made = owner
        .post("/keys", json!({"name": "CI", "role": "editor"}))
        .await
        .created();
    let secret = made["secret"].as_str().unwrap();
    assert_eq!(
        (&made["name"], &made["role"]),
        (&json!("CI"), &json!("editor"))
    );
    let list = owner.get("/keys").await;
    let first = server.first_key();
    assert!(
        !list.text().contains(secret)
            && !list.text().contains(&first)
            && !list.text().contains("secret")
    );
    let items = list.ok()["items"].as_array().unwrap().clone();
    assert_eq!(items.len(), 2);
    assert_eq!(
        (&items[1]["id"], &items[1]["revoked_at"]),
        (&made["id"], &Value::Null)
    );
    // Nor is it kept where it could be read.
    for file in [
        "journal.sqlite",
        "journal.sqlite-wal",
        "admin/index.sqlite",
        "admin/index.sqlite-wal",
    ] {
        let bytes = std::fs::read(server.folder().join(file)).unwrap();
        assert!(
            !bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes()),
            "{file}"
        );
    }
}

#[tokio::test]
async fn a_key_needs_a_name_and_a_role() {
    let server = Server::start().await;
    let owner = server.owner();
    assert_eq!(
        owner.post("/keys", json!({})).await.pointers(422),
        ["/name", "/role"]
    );
    assert_eq!(
        owner
            .post(
                "/keys",
                json!({"name": "k", "role": "admin", "secret": "s"})
            )
            .await
            .pointers(422),
        ["/role", "/secret"]
    );
}

#[tokio::test]
async fn the_last_owner_s_key_stays() {
    let server = Server::start().await;
    let owner = server.owner();
    let first = owner.get("/keys").await.ok()["items"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    owner.delete(&format!("/keys/{first}")).await.problem(409);
    let second = owner
        .post("/keys", json!({"name": "k", "role": "owner"}))
        .await
        .created();
    let second = server.with_key(second["secret"].as_str().unwrap());
    owner.delete(&format!("/keys/{first}")).await.no_content();
    owner.get("/tags").await.problem(401);
    second.delete(&format!("/keys/{first}")).await.no_content();
    let theirs = server.with_role(&second, "viewer").await;
    theirs.get("/tags").await.ok();
}

#[tokio::test]
async fn another_workspace_s_key_cannot_be_revoked() {
    let server = Server::start().await;
    let other = server.other_tenant().await;
    let first = server.owner().get("/keys").await.ok()["items"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let never = other.delete("/keys/key_never").await;
    let theirs = other.delete(&format!("/keys/{first}")).await;
    assert_eq!(
        (never.problem(404), never.body),
        (theirs.problem(404), theirs.body)
    );
    server.owner().get("/tags").await.ok();
}

#[tokio::test]
async fn the_first_key_lies_in_a_file_for_its_owner_alone_and_is_written_once() {
    let server = Server::start().await;
    let metadata = std::fs::metadata(server.key_file()).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
    let text = std::fs::read_to_string(server.key_file()).unwrap();
    let secret = text.strip_suffix('\n').unwrap();
    assert!(secret.starts_with("tagwire_") && !secret.contains(char::is_whitespace));
    let (key, file) = (server.first_key(), server.key_file());
    std::fs::remove_file(&file).unwrap();
    let server = server.restart(PUBLIC_URL).await;
    assert!(!file.exists());
    server.with_key(&key).get("/tags").await.ok();
}
