//! Starts, restarts, and a second admin that takes over.

use serde_json::json;

use crate::support::{PUBLIC_URL, Server};

#[tokio::test]
async fn after_a_restart_everything_is_answered_as_before_also_without_the_index() {
    let server = Server::start().await;
    let key = server.first_key();
    let owner = server.owner();
    owner
        .post("/domains", json!({"name": "qr.example.org"}))
        .await
        .created();
    owner
        .post("/workspaces", json!({"name": "Acme"}))
        .await
        .created();
    for number in 0..5 {
        owner.tag(&format!("t{number}")).await;
    }
    owner
        .patch("/tags/t1", json!({"labels": ["a"], "campaign": "c"}))
        .await
        .ok();
    owner
        .post("/tags/t1/rollback", json!({"version": 1}))
        .await
        .ok();
    owner.patch("/tags/t2", json!({"labels": ["a"]})).await.ok();
    owner.delete("/tags/t3").await.no_content();
    let paths = [
        "/tags",
        "/tags?label=a",
        "/tags?status=revoked",
        "/tags?limit=2",
        "/tags/t1",
        "/tags/t1/versions",
        "/tags/t3/versions",
        "/keys",
        "/domains",
        "/workspaces",
    ];
    let mut before = Vec::new();
    for path in paths {
        before.push(owner.get(path).await.ok());
    }
    let mut server = server;
    for delete_index in [false, true] {
        let index = server.data_dir.join("index.sqlite");
        if delete_index {
            std::fs::remove_file(index).unwrap();
        }
        server = server.restart(PUBLIC_URL).await;
        for (path, before) in paths.iter().zip(&before) {
            assert_eq!(
                &server.with_key(&key).get(path).await.ok(),
                before,
                "{path}"
            );
        }
    }
    assert_eq!(
        server
            .owner()
            .patch("/tags/t1", json!({"name": "n"}))
            .await
            .ok()["version"],
        4
    );
}

#[tokio::test]
async fn a_second_admin_that_takes_over_fences_the_first() {
    let first = Server::start().await;
    let key = first.first_key();
    first.owner().tag("spring").await;
    let second = Server::start_beside(&first, "second").await;
    let owner = second.with_key(&key);
    assert!(!second.key_file().exists());
    assert_eq!(
        owner
            .patch("/tags/spring", json!({"name": "second"}))
            .await
            .ok()["version"],
        2
    );
    let old = first.with_key(&key);
    for answer in [
        old.patch("/tags/spring", json!({"campaign": "lost"})).await,
        old.post(
            "/tags",
            json!({"code": "lost", "destination": "https://example.com/"}),
        )
        .await,
        old.delete("/tags/spring").await,
        old.post("/keys", json!({"name": "k", "role": "viewer"}))
            .await,
    ] {
        answer.problem(503);
        assert_ne!(answer.header("retry-after"), "");
    }
    let tag = owner.get("/tags/spring").await.ok();
    assert_eq!(
        (&tag["version"], &tag["name"], &tag["campaign"]),
        (&json!(2), &json!("second"), &json!(null))
    );
    owner.get("/tags/lost").await.problem(404);
    assert_eq!(
        owner.get("/keys").await.ok()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
