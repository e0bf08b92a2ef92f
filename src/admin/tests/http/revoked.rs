//! Tags that have ended for good.

use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn a_revoked_tag_can_be_read_and_never_changed_or_made_again() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    owner.delete("/tags/spring").await.no_content();
    let tag = owner.get("/tags/spring").await.ok();
    assert_eq!(
        (&tag["status"], &tag["version"]),
        (&json!("revoked"), &json!(2))
    );
    owner.delete("/tags/spring").await.no_content();
    assert_eq!(owner.get("/tags/spring").await.ok()["version"], 2);
    owner
        .patch("/tags/spring", json!({"status": "active"}))
        .await
        .problem(409);
    owner.patch("/tags/spring", json!({})).await.problem(409);
    owner
        .post("/tags/spring/rollback", json!({"version": 1}))
        .await
        .problem(409);
    let again = json!({"code": "spring", "destination": "https://example.com/"});
    assert_eq!(owner.post("/tags", again).await.pointers(409), ["/code"]);
    let versions = owner.get("/tags/spring/versions").await.ok();
    assert_eq!(versions["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_tag_is_revoked_by_delete_alone() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    let answer = owner
        .patch("/tags/spring", json!({"status": "revoked"}))
        .await;
    assert_eq!(answer.pointers(422), ["/status"]);
    assert_eq!(
        owner
            .patch("/tags/spring", json!({"status": "paused"}))
            .await
            .ok()["status"],
        "paused"
    );
}
