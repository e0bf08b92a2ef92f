//! Every endpoint of the OpenAPI document, asked by a tenant for what is another's. An endpoint that is not in the walk fails it.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::receiver::put;
use crate::support::{Api, PASSWORD, Server};

/// What a tenant is answered who asks an endpoint for another's.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    /// What is named does not exist.
    NotFound,
    /// A field of the body names it, and is refused as if it did not exist.
    Refused(&'static str),
    /// Nothing can be named: the answer holds nothing of another's.
    OwnAlone,
    /// Only who runs the installation may ask.
    Forbidden,
    /// Whoever asks is not who they say, or has not signed in.
    Unauthorized,
}

use Expected::{Forbidden, NotFound, OwnAlone, Refused, Unauthorized};

/// One request of the walk: the document's method and path, what is put into it, and what comes back.
struct Step {
    operation: &'static str,
    path: String,
    body: Value,
    expected: Expected,
}

/// Another tenant and its identifiers, all of which hold the word `victim` where a tenant may choose them.
struct Victim {
    api: Api,
    workspace: String,
    key: String,
    user: String,
    invitation: String,
    import: String,
    bulk: String,
}

/// Whoever has this address at the other's may have it at one's own too.
const EMAIL: &str = "ada@example.com";
const CODE: &str = "victim-code";
const DOMAIN: &str = "victim.example.org";
/// Not proven yet.
const PENDING: &str = "pending.victim.example.org";

impl Victim {
    /// A workspace with one of everything.
    async fn of(server: &Server) -> Self {
        let made = json!({"name": "victim workspace"});
        let made = server.owner().post("/workspaces", made).await.created();
        let api = server.with_key(made["key"]["secret"].as_str().unwrap());
        server.verified(&api, DOMAIN).await;
        let claim = json!({"name": PENDING});
        api.post("/domains", claim).await.created();
        let tag = json!({"code": CODE, "destination": "https://example.com/victim", "name": "victim", "campaign": "victim", "labels": ["victim"]});
        api.post("/tags", tag).await.created();
        let line = json!({"code": "victim-import", "destination": "https://example.com/victim"});
        let (kind, line) = ("application/x-ndjson", line.to_string());
        let import = api.upload("/tags/import", kind, line).await.accepted();
        let edit = json!({"filter": {"campaign": "victim"}, "set": {"labels": ["victim"]}});
        let bulk = api.post("/tags/bulk", edit).await.accepted();
        let hook = "https://victim.example.com/";
        let workspace = made["id"].as_str().unwrap();
        put(&api, workspace, hook).await.created();
        let key = json!({"name": "victim", "role": "viewer"});
        let key = api.post("/keys", key).await.created();
        let user = server.user(&api, EMAIL, "owner").await;
        let invitation = json!({"email": "victim@example.com", "role": "viewer"});
        let invitation = api.post("/invitations", invitation).await.created();
        Self {
            api,
            user,
            import: import["id"].as_str().unwrap().to_owned(),
            bulk: bulk["id"].as_str().unwrap().to_owned(),
            invitation: invitation["id"].as_str().unwrap().to_owned(),
            workspace: made["id"].as_str().unwrap().to_owned(),
            key: key["id"].as_str().unwrap().to_owned(),
        }
    }

    /// All that the walk could change of it.
    async fn state(&self) -> Vec<Value> {
        let mut state = Vec::new();
        let workspace = format!("/workspaces/{}", self.workspace);
        for path in [
            "/tags",
            "/keys",
            "/domains",
            "/users",
            "/invitations",
            &workspace,
            &format!("{workspace}/webhook"),
        ] {
            state.push(self.api.get(path).await.ok());
        }
        state
    }

    fn steps(&self) -> Vec<Step> {
        let (workspace, key) = (&self.workspace, &self.key);
        let (user, invitation) = (&self.user, &self.invitation);
        let tag = json!({"destination": "https://example.com/"});
        let on_theirs = json!({"destination": "https://example.com/", "domain": DOMAIN});
        let line = json!({"code": "n", "destination": "https://example.com/", "domain": DOMAIN});
        let line = Value::String(line.to_string());
        let today = crate::salts::today();
        let erasure = json!({"address": "203.0.113.9", "user_agent": "", "day": today});
        let none = Value::Null;
        vec![
            step("post /tags", "/tags", on_theirs, Refused("/domain")),
            step("get /tags", "/tags?q=victim", none.clone(), OwnAlone),
            step("get /tags", "/tags?label=victim", none.clone(), OwnAlone),
            step("get /tags", "/tags?campaign=victim", none.clone(), OwnAlone),
            step("post /tags/import", "/tags/import", line, OwnAlone),
            step(
                "get /tags/import/{id}",
                format!("/tags/import/{}", self.import),
                none.clone(),
                NotFound,
            ),
            step(
                "get /tags/export",
                "/tags/export?campaign=victim",
                none.clone(),
                OwnAlone,
            ),
            step(
                "post /tags/bulk",
                "/tags/bulk",
                json!({"filter": {"campaign": "victim"}, "set": {"name": "n"}}),
                OwnAlone,
            ),
            step(
                "get /tags/bulk/{id}",
                format!("/tags/bulk/{}", self.bulk),
                none.clone(),
                NotFound,
            ),
            of_tag("get /tags/{code}", "", none.clone()),
            of_tag("patch /tags/{code}", "", tag),
            of_tag("delete /tags/{code}", "", none.clone()),
            of_tag("get /tags/{code}/versions", "/versions", none.clone()),
            of_tag(
                "get /tags/{code}/versions/{version}",
                "/versions/1",
                none.clone(),
            ),
            of_tag("get /tags/{code}/diff", "/diff", none.clone()),
            of_tag("get /tags/{code}/schedule", "/schedule", none.clone()),
            of_tag(
                "put /tags/{code}/schedule",
                "/schedule",
                json!({"at": "2099-01-01T00:00:00Z", "set": {"name": "n"}}),
            ),
            of_tag("delete /tags/{code}/schedule", "/schedule", none.clone()),
            of_tag("post /tags/{code}/simulate", "/simulate", json!({})),
            step(
                "get /audit",
                format!("/audit?code={CODE}&domain={DOMAIN}"),
                none.clone(),
                NotFound,
            ),
            step("get /audit", "/audit", none.clone(), OwnAlone),
            of_tag(
                "post /tags/{code}/rollback",
                "/rollback",
                json!({"version": 1}),
            ),
            of_tag("get /tags/{code}/qr.svg", "/qr.svg", none.clone()),
            of_tag("get /tags/{code}/qr.png", "/qr.png", none.clone()),
            step(
                "get /analytics/scans",
                format!("/analytics/scans?code={CODE}&domain={DOMAIN}"),
                none.clone(),
                NotFound,
            ),
            step(
                "get /analytics/scans",
                "/analytics/scans?campaign=victim&by=code",
                none.clone(),
                OwnAlone,
            ),
            step(
                "get /analytics/peaks",
                format!("/analytics/peaks?code={CODE}&domain={DOMAIN}"),
                none.clone(),
                NotFound,
            ),
            step(
                "get /analytics/visitors",
                format!("/analytics/visitors?code={CODE}&domain={DOMAIN}"),
                none.clone(),
                NotFound,
            ),
            step(
                "get /analytics/live",
                format!("/analytics/live?code={CODE}&domain={DOMAIN}"),
                none.clone(),
                NotFound,
            ),
            step("post /erasures", "/erasures", erasure, OwnAlone),
            step("get /usage", "/usage", none.clone(), OwnAlone),
            step(
                "get /usage",
                "/usage?workspaces=all",
                none.clone(),
                Forbidden,
            ),
            step(
                "post /workspaces",
                "/workspaces",
                json!({"name": "n"}),
                Forbidden,
            ),
            step("get /workspaces", "/workspaces", none.clone(), OwnAlone),
            step(
                "get /workspaces/{id}",
                format!("/workspaces/{workspace}"),
                none.clone(),
                NotFound,
            ),
            step(
                "patch /workspaces/{id}",
                format!("/workspaces/{workspace}"),
                json!({"name": "n"}),
                NotFound,
            ),
            of_webhook(workspace, "put", "", json!({"url": "https://example.com/"})),
            of_webhook(workspace, "get", "", none.clone()),
            of_webhook(workspace, "delete", "", none.clone()),
            of_webhook(workspace, "post", "/rotate", json!({})),
            of_webhook(workspace, "post", "/test", none.clone()),
            step("get /keys", "/keys", none.clone(), OwnAlone),
            step(
                "post /keys",
                "/keys",
                json!({"name": "n", "role": "viewer"}),
                OwnAlone,
            ),
            step(
                "delete /keys/{id}",
                format!("/keys/{key}"),
                none.clone(),
                NotFound,
            ),
            step(
                "post /keys/{id}/rotate",
                format!("/keys/{key}/rotate"),
                json!({}),
                NotFound,
            ),
            step("get /domains", "/domains", none.clone(), OwnAlone),
            step(
                "post /domains",
                "/domains",
                json!({"name": "own.example.org"}),
                OwnAlone,
            ),
            step(
                "patch /domains/{name}",
                format!("/domains/{DOMAIN}"),
                json!({"home_url": null}),
                NotFound,
            ),
            step(
                "patch /domains/{name}",
                format!("/domains/{PENDING}"),
                json!({"home_url": null}),
                NotFound,
            ),
            step(
                "delete /domains/{name}",
                format!("/domains/{DOMAIN}"),
                none.clone(),
                NotFound,
            ),
            step(
                "delete /domains/{name}",
                format!("/domains/{PENDING}"),
                none.clone(),
                NotFound,
            ),
            step(
                "post /domains/{name}/verify",
                format!("/domains/{DOMAIN}/verify"),
                none.clone(),
                NotFound,
            ),
            step(
                "post /domains/{name}/verify",
                format!("/domains/{PENDING}/verify"),
                none.clone(),
                NotFound,
            ),
            step("get /users", "/users", none.clone(), OwnAlone),
            step(
                "get /users/{id}",
                format!("/users/{user}"),
                none.clone(),
                NotFound,
            ),
            step(
                "patch /users/{id}",
                format!("/users/{user}"),
                json!({"role": "viewer"}),
                NotFound,
            ),
            step(
                "delete /users/{id}",
                format!("/users/{user}"),
                none.clone(),
                NotFound,
            ),
            step("get /invitations", "/invitations", none.clone(), OwnAlone),
            step(
                "post /invitations",
                "/invitations",
                json!({"email": EMAIL, "role": "viewer"}),
                OwnAlone,
            ),
            step(
                "delete /invitations/{id}",
                format!("/invitations/{invitation}"),
                none.clone(),
                NotFound,
            ),
            step(
                "post /invitations/accept",
                "/invitations/accept",
                json!({"token": invitation, "name": "n", "password": PASSWORD}),
                NotFound,
            ),
            step(
                "post /session",
                "/session",
                json!({"workspace": workspace, "email": EMAIL, "password": "not the password"}),
                Unauthorized,
            ),
            step("get /session", "/session", none.clone(), Unauthorized),
            step("delete /session", "/session", none.clone(), Unauthorized),
            step("get /alerts", "/alerts", none.clone(), OwnAlone),
            step(
                "get /alerts",
                format!("/alerts?code={CODE}&domain={DOMAIN}"),
                none.clone(),
                NotFound,
            ),
            step("get /edges", "/edges", none, Forbidden),
        ]
    }
}

fn step(operation: &'static str, path: impl Into<String>, body: Value, expected: Expected) -> Step {
    Step {
        operation,
        path: path.into(),
        body,
        expected,
    }
}

fn of_webhook(workspace: &str, method: &str, behind: &str, body: Value) -> Step {
    let operation = match (method, behind) {
        ("put", _) => "put /workspaces/{id}/webhook",
        ("get", _) => "get /workspaces/{id}/webhook",
        ("delete", _) => "delete /workspaces/{id}/webhook",
        (_, "/rotate") => "post /workspaces/{id}/webhook/rotate",
        _ => "post /workspaces/{id}/webhook/test",
    };
    let path = format!("/workspaces/{workspace}/webhook{behind}");
    step(operation, path, body, NotFound)
}

fn of_tag(operation: &'static str, behind: &str, body: Value) -> Step {
    let path = format!("/tags/{CODE}{behind}?domain={DOMAIN}");
    step(operation, path, body, NotFound)
}

impl Step {
    async fn walk(&self, tenant: &Api) {
        let (method, _) = self.operation.split_once(' ').unwrap();
        let method: Method = method.to_uppercase().parse().unwrap();
        let mut request = tenant.request(method, &self.path);
        request = match &self.body {
            Value::Null => request,
            // A file of tags.
            Value::String(lines) => request
                .header("content-type", "application/x-ndjson")
                .body(lines.clone()),
            body => request.json(body),
        };
        let answer = tenant.send(request).await;
        let told = answer.text();
        match self.expected {
            NotFound => drop(answer.problem(404)),
            Forbidden => drop(answer.problem(403)),
            Unauthorized => drop(answer.problem(401)),
            Refused(pointer) => assert_eq!(answer.pointers(422), [pointer]),
            OwnAlone => assert!(answer.status.is_success(), "{} {told}", self.path),
        }
        assert!(!told.contains("victim"), "{}: {told}", self.path);
    }
}

/// `method path` of every operation of the document, below `/api/v1`.
pub async fn documented(server: &Server) -> BTreeSet<String> {
    let document = server.without_key().get("/openapi.json").await.ok();
    let mut operations = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path.strip_prefix("/api/v1").unwrap();
        let methods = item.as_object().unwrap().keys();
        operations.extend(methods.map(|method| format!("{method} {path}")));
    }
    operations
}

#[tokio::test]
async fn no_endpoint_tells_a_tenant_of_another_s() {
    let server = Server::start().await;
    let victim = Victim::of(&server).await;
    let tenant = server.other_tenant().await;
    let steps = victim.steps();
    let walked: BTreeSet<String> = steps.iter().map(|step| step.operation.to_owned()).collect();
    assert_eq!(walked, documented(&server).await);
    let before = victim.state().await;
    for step in steps {
        step.walk(&tenant).await;
    }
    assert_eq!(victim.state().await, before);
}
