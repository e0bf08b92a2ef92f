//! Every endpoint of the OpenAPI document, asked by every role. An endpoint that is not in the table fails it.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::Server;
use crate::walk::documented;

/// The least role that may use each endpoint, with a path that changes nothing.
const ROLES: &[(&str, &str, &str)] = &[
    ("viewer", "get /tags", "/tags"),
    ("viewer", "get /tags/{code}", "/tags/spring"),
    (
        "viewer",
        "get /tags/{code}/versions",
        "/tags/spring/versions",
    ),
    (
        "viewer",
        "get /tags/{code}/versions/{version}",
        "/tags/spring/versions/1",
    ),
    (
        "viewer",
        "get /tags/{code}/diff",
        "/tags/spring/diff?from=1",
    ),
    (
        "viewer",
        "get /tags/{code}/schedule",
        "/tags/spring/schedule",
    ),
    (
        "viewer",
        "post /tags/{code}/simulate",
        "/tags/spring/simulate",
    ),
    ("viewer", "get /tags/{code}/qr.svg", "/tags/spring/qr.svg"),
    ("viewer", "get /tags/{code}/qr.png", "/tags/spring/qr.png"),
    ("viewer", "get /domains", "/domains"),
    ("viewer", "get /workspaces", "/workspaces"),
    ("viewer", "get /workspaces/{id}", "/workspaces/default"),
    ("analyst", "get /analytics/scans", "/analytics/scans"),
    ("analyst", "get /analytics/peaks", "/analytics/peaks"),
    ("analyst", "get /analytics/visitors", "/analytics/visitors"),
    ("analyst", "get /analytics/live", "/analytics/live"),
    ("analyst", "get /usage", "/usage"),
    ("analyst", "get /audit", "/audit"),
    ("analyst", "get /alerts", "/alerts"),
    ("analyst", "get /tags/export", "/tags/export"),
    ("editor", "post /tags/import", "/tags/import"),
    ("editor", "get /tags/import/{id}", "/tags/import/job_none"),
    ("editor", "post /tags/bulk", "/tags/bulk"),
    ("editor", "get /tags/bulk/{id}", "/tags/bulk/job_none"),
    ("editor", "post /tags", "/tags"),
    ("editor", "patch /tags/{code}", "/tags/spring"),
    (
        "editor",
        "post /tags/{code}/rollback",
        "/tags/spring/rollback",
    ),
    (
        "editor",
        "put /tags/{code}/schedule",
        "/tags/spring/schedule",
    ),
    (
        "editor",
        "delete /tags/{code}/schedule",
        "/tags/spring/schedule",
    ),
    ("editor", "delete /tags/{code}", "/tags/spring?wrong=1"),
    ("owner", "get /edges", "/edges"),
    ("owner", "post /erasures", "/erasures"),
    ("owner", "get /keys", "/keys"),
    ("owner", "post /keys", "/keys"),
    ("owner", "delete /keys/{id}", "/keys/key_none"),
    ("owner", "post /keys/{id}/rotate", "/keys/key_none/rotate"),
    ("owner", "post /domains", "/domains"),
    ("owner", "patch /domains/{name}", "/domains/go.example.net"),
    (
        "owner",
        "delete /domains/{name}",
        "/domains/none.example.org",
    ),
    (
        "owner",
        "post /domains/{name}/verify",
        "/domains/none.example.org/verify",
    ),
    ("owner", "get /users", "/users"),
    ("owner", "get /users/{id}", "/users/user_none"),
    ("owner", "patch /users/{id}", "/users/user_none"),
    ("owner", "delete /users/{id}", "/users/user_none"),
    ("owner", "get /invitations", "/invitations"),
    ("owner", "post /invitations", "/invitations"),
    ("owner", "delete /invitations/{id}", "/invitations/none"),
    ("anyone", "post /invitations/accept", "/invitations/accept"),
    ("anyone", "post /session", "/session"),
    ("signed in", "get /session", "/session"),
    ("signed in", "delete /session", "/session"),
    ("owner", "post /workspaces", "/workspaces"),
    ("owner", "patch /workspaces/{id}", "/workspaces/default"),
    (
        "owner",
        "put /workspaces/{id}/webhook",
        "/workspaces/default/webhook",
    ),
    (
        "owner",
        "get /workspaces/{id}/webhook",
        "/workspaces/default/webhook",
    ),
    (
        "owner",
        "delete /workspaces/{id}/webhook",
        "/workspaces/default/webhook",
    ),
    (
        "owner",
        "post /workspaces/{id}/webhook/rotate",
        "/workspaces/default/webhook/rotate",
    ),
    (
        "owner",
        "post /workspaces/{id}/webhook/test",
        "/workspaces/default/webhook/test",
    ),
];

#[tokio::test]
async fn each_endpoint_takes_the_roles_of_this_table_and_no_other() {
    let server = Server::start().await;
    server.owner().tag("spring").await;
    let walked: BTreeSet<String> = ROLES.iter().map(|row| row.1.to_owned()).collect();
    assert_eq!(walked, documented(&server).await);
    let roles = ["viewer", "analyst", "editor", "owner"];
    for (rank, role) in roles.iter().enumerate() {
        let api = server.with_role(&server.owner(), role).await;
        for (needed, operation, path) in ROLES {
            // None, of who needs no key at all, comes before all ranks.
            let allowed = roles.iter().position(|role| role == needed) <= Some(rank);
            let (method, _) = operation.split_once(' ').unwrap();
            let method = method.to_uppercase().parse().unwrap();
            let answer = api.raw(method, path, r#"{"unknown": 1}"#).await;
            let status = answer.status.as_u16();
            assert_eq!(status != 403, allowed, "{role}: {operation} is {status}");
            // A key signs nobody in.
            let expected = match *needed {
                "signed in" => &[401],
                _ => [200, 400, 403, 404, 415, 422].as_slice(),
            };
            assert!(expected.contains(&status), "{role}: {operation}: {status}");
        }
    }
}

#[tokio::test]
async fn the_document_says_of_each_endpoint_which_permission_it_asks_for() {
    let server = Server::start().await;
    let viewer = server.with_role(&server.owner(), "viewer").await;
    let document = viewer.get("/openapi.json").await.ok();
    for (needed, operation, path) in ROLES {
        let (method, template) = operation.split_once(' ').unwrap();
        let documented = &document["paths"][format!("/api/v1{template}")][method]["security"];
        match *needed {
            "anyone" => assert_eq!(*documented, json!([]), "{operation}"),
            "signed in" => assert_eq!(*documented, json!([{"session": []}]), "{operation}"),
            _ => assert_eq!(
                documented[0]["key"], documented[1]["session"],
                "{operation}"
            ),
        }
        if ["anyone", "signed in"].contains(needed) {
            continue;
        }
        let permission = documented[0]["key"][0].as_str().unwrap();
        if *needed != "viewer" {
            let method = method.to_uppercase().parse().unwrap();
            let refusal = viewer.raw(method, path, "{}").await.problem(403);
            let detail = refusal["detail"].as_str().unwrap();
            let named = format!("needs the permission {permission};");
            assert!(detail.contains(&named), "{operation}: {detail}");
        }
    }
}
