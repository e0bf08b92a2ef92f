//! The OpenAPI document: it says what is there, and what it says is there.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::receiver::put;
use crate::support::Server;

/// Every route of the API.
const ROUTES: &[&str] = &[
    "post /api/v1/tags",
    "get /api/v1/tags",
    "post /api/v1/tags/import",
    "get /api/v1/tags/import/{id}",
    "get /api/v1/tags/export",
    "post /api/v1/tags/bulk",
    "get /api/v1/tags/bulk/{id}",
    "get /api/v1/tags/{code}",
    "patch /api/v1/tags/{code}",
    "delete /api/v1/tags/{code}",
    "get /api/v1/tags/{code}/versions",
    "get /api/v1/tags/{code}/versions/{version}",
    "get /api/v1/tags/{code}/diff",
    "get /api/v1/audit",
    "get /api/v1/alerts",
    "post /api/v1/tags/{code}/rollback",
    "put /api/v1/tags/{code}/schedule",
    "get /api/v1/tags/{code}/schedule",
    "delete /api/v1/tags/{code}/schedule",
    "post /api/v1/tags/{code}/simulate",
    "get /api/v1/tags/{code}/qr.svg",
    "get /api/v1/tags/{code}/qr.png",
    "get /api/v1/analytics/scans",
    "get /api/v1/analytics/peaks",
    "get /api/v1/analytics/visitors",
    "get /api/v1/analytics/live",
    "get /api/v1/usage",
    "post /api/v1/workspaces",
    "get /api/v1/workspaces",
    "get /api/v1/workspaces/{id}",
    "patch /api/v1/workspaces/{id}",
    "put /api/v1/workspaces/{id}/webhook",
    "get /api/v1/workspaces/{id}/webhook",
    "delete /api/v1/workspaces/{id}/webhook",
    "post /api/v1/workspaces/{id}/webhook/rotate",
    "post /api/v1/workspaces/{id}/webhook/test",
    "post /api/v1/keys",
    "get /api/v1/keys",
    "delete /api/v1/keys/{id}",
    "post /api/v1/keys/{id}/rotate",
    "post /api/v1/domains",
    "get /api/v1/domains",
    "patch /api/v1/domains/{name}",
    "delete /api/v1/domains/{name}",
    "post /api/v1/domains/{name}/verify",
    "get /api/v1/users",
    "get /api/v1/users/{id}",
    "patch /api/v1/users/{id}",
    "delete /api/v1/users/{id}",
    "post /api/v1/invitations",
    "get /api/v1/invitations",
    "delete /api/v1/invitations/{id}",
    "post /api/v1/invitations/accept",
    "post /api/v1/session",
    "get /api/v1/session",
    "delete /api/v1/session",
    "get /api/v1/edges",
    "post /api/v1/erasures",
];

async fn document(server: &Server) -> Value {
    server.without_key().get("/openapi.json").await.ok()
}

fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.push((method.clone(), path.clone(), operation.clone()));
        }
    }
    operations
}

/// What there is for a path to name: another key than the one that asks, since an operation may end it.
struct Names {
    key: String,
    user: String,
}

impl Names {
    async fn of(server: &Server) -> Self {
        let owner = server.owner();
        owner.tag("spring").await;
        put(&owner, "default", "https://example.com/")
            .await
            .created();
        let key = json!({"name": "k", "role": "viewer"});
        let key = owner.post("/keys", key).await.created();
        Self {
            key: key["id"].as_str().unwrap().to_owned(),
            user: server.user(&owner, "ada@example.com", "owner").await,
        }
    }

    /// The path below `/api/v1`, with names in it.
    fn fill(&self, path: &str) -> String {
        let path = path.strip_prefix("/api/v1").unwrap();
        let id = match path.split('/').nth(1) {
            Some("keys") => &self.key,
            Some("users") => &self.user,
            _ => "default",
        };
        path.replace("{code}", "spring")
            .replace("{version}", "1")
            .replace("{id}", id)
            .replace("{name}", "go.example.net")
    }
}

#[tokio::test]
async fn it_is_openapi_3_1_and_names_every_route() {
    let server = Server::start().await;
    let document = document(&server).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let named: BTreeSet<String> = operations(&document)
        .into_iter()
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    let expected: BTreeSet<String> = ROUTES.iter().map(ToString::to_string).collect();
    assert_eq!(named, expected);
}

#[tokio::test]
async fn every_operation_that_knows_who_is_asking_says_how_often_they_may() {
    let server = Server::start().await;
    for (method, path, operation) in operations(&document(&server).await) {
        let is_open = operation["security"].as_array().unwrap().is_empty();
        let fields = &operation["responses"]["429"]["headers"]["RateLimit-Policy"];
        assert_eq!(fields.is_object(), !is_open, "{method} {path}");
    }
}

#[tokio::test]
async fn every_reference_in_it_leads_somewhere() {
    fn walk(value: &Value, document: &Value) {
        match value {
            Value::Object(members) => {
                if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{reference}");
                }
                members.values().for_each(|value| walk(value, document));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, document)),
            _ => {}
        }
    }
    let document = document(&Server::start().await).await;
    walk(&document, &document);
}

#[tokio::test]
async fn every_operation_answers_with_a_status_and_type_that_it_names() {
    let server = Server::start().await;
    let owner = server.owner();
    let names = Names::of(&server).await;
    for (method, path, operation) in operations(&document(&server).await) {
        let path = names.fill(&path);
        let method: Method = method.to_uppercase().parse().unwrap();
        for api in [server.without_key(), owner.clone()] {
            for body in ["{", "{}", r#"{"unknown": 1}"#] {
                let answer = api.raw(method.clone(), &path, body).await;
                let documented = &operation["responses"][answer.status.as_str()];
                assert!(
                    documented.is_object(),
                    "{method} {path} answers {}, which is not documented",
                    answer.status
                );
                let kind = answer.header("content-type");
                assert!(
                    kind.is_empty() || documented["content"][kind].is_object(),
                    "{method} {path}: {} is {kind}: {documented}",
                    answer.status
                );
            }
        }
    }
}

/// The names of a schema's properties, also of those that it is composed of.
fn properties(document: &Value, schema: &Value) -> BTreeSet<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return properties(document, document.pointer(&reference[1..]).unwrap());
    }
    let parts = schema["allOf"].as_array().into_iter().flatten();
    let mut names: BTreeSet<String> = parts.flat_map(|part| properties(document, part)).collect();
    names.extend(
        schema["properties"]
            .as_object()
            .into_iter()
            .flat_map(|object| object.keys().cloned()),
    );
    names
}

#[tokio::test]
async fn the_fields_that_it_names_are_those_that_are_read() {
    let server = Server::start().await;
    let owner = server.owner();
    let names = Names::of(&server).await;
    let document = document(&server).await;
    let mut checked = 0;
    for (method, path, operation) in operations(&document) {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        if schema.is_null() {
            continue;
        }
        let path = names.fill(&path);
        let request = owner
            .request(method.to_uppercase().parse().unwrap(), &path)
            .json(&json!({"no such field": 1}));
        let problem = owner.send(request).await.problem(422);
        let errors = problem["errors"].as_array().unwrap();
        let detail = errors
            .iter()
            .find(|error| error["pointer"] == "/no such field")
            .unwrap()["detail"]
            .as_str()
            .unwrap();
        let read: BTreeSet<String> = detail
            .split_once("allowed are ")
            .unwrap()
            .1
            .split(", ")
            .map(str::to_owned)
            .collect();
        assert_eq!(properties(&document, schema), read, "{method} {path}");
        checked += 1;
    }
    assert!(checked > 10, "{checked}");
}

#[tokio::test]
async fn an_answer_has_the_fields_that_it_names() {
    let server = Server::start().await;
    let tag = server.owner().tag("spring").await;
    let document = document(&server).await;
    let read: BTreeSet<String> = tag.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        properties(&document, &document["components"]["schemas"]["Tag"]),
        read
    );
}

#[tokio::test]
async fn the_words_and_conditions_of_rules_that_it_names_are_those_that_are_read() {
    let document = document(&Server::start().await).await;
    let words = |schema: &str| -> Vec<String> {
        let words = &document["components"]["schemas"][schema]["enum"];
        words
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        words("Device"),
        tags::Device::ALL
            .iter()
            .map(|it| it.as_str())
            .collect::<Vec<_>>()
    );
    assert_eq!(
        words("OperatingSystem"),
        tags::Os::ALL
            .iter()
            .map(|it| it.as_str())
            .collect::<Vec<_>>()
    );
    assert_eq!(
        words("Browser"),
        tags::Browser::ALL
            .iter()
            .map(|it| it.as_str())
            .collect::<Vec<_>>()
    );
    assert_eq!(
        words("Day"),
        tags::Day::ALL
            .iter()
            .map(|it| it.as_str())
            .collect::<Vec<_>>()
    );
    let conditions: BTreeSet<String> = tags::Condition::ALL
        .iter()
        .map(|it| it.as_str().to_owned())
        .collect();
    assert_eq!(
        properties(
            &document,
            &document["components"]["schemas"]["RuleConditions"]
        ),
        conditions
    );
}
