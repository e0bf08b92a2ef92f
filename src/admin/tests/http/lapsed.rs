//! Requests whose sender's access ends between their head and the end of their body: they give no access any more.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::half_sent::HalfSent;
use crate::support::{Api, PASSWORD, Server};

/// All that gives access and has a body, each under way.
struct UnderWay {
    requests: Vec<(&'static str, HalfSent)>,
}

/// What all of it would change.
struct Names {
    key: String,
    user: String,
}

impl Names {
    async fn of(server: &Server) -> Self {
        let key = json!({"name": "k", "role": "viewer"});
        let key = server.owner().post("/keys", key).await.created();
        Self {
            key: id(&key),
            user: server
                .user(&server.owner(), "eve@example.com", "viewer")
                .await,
        }
    }
}

impl UnderWay {
    async fn begin(server: &Server, names: &Names, proof: &str) -> Self {
        let fields = format!("{proof}\r\nConnection: close");
        let (key, user) = (&names.key, &names.user);
        let mut requests = Vec::new();
        for (what, request, body) in [
            (
                "a new key",
                "POST /keys",
                json!({"name": "k", "role": "owner"}),
            ),
            (
                "a new secret",
                &format!("POST /keys/{key}/rotate"),
                json!({"overlap_seconds": 0}),
            ),
            (
                "an invitation",
                "POST /invitations",
                json!({"email": "mallory@example.com", "role": "owner"}),
            ),
            (
                "another role",
                &format!("PATCH /users/{user}"),
                json!({"role": "owner"}),
            ),
            ("a workspace", "POST /workspaces", json!({"name": "w"})),
        ] {
            let sent = HalfSent::begin(server, request, &fields, &body.to_string()).await;
            requests.push((what, sent));
        }
        Self { requests }
    }

    /// Sends the rest of all of them. All are answered so, and nothing has changed.
    async fn are_refused(self, owner: &Api, status: StatusCode) {
        let before = accounts(owner).await;
        for (what, request) in self.requests {
            let answer = request.finish().await;
            let expected = format!("HTTP/1.1 {status}\r\n");
            assert!(answer.starts_with(&expected), "{what}: {answer}");
        }
        assert_eq!(accounts(owner).await, before);
    }
}

/// Who has access.
async fn accounts(owner: &Api) -> Vec<Value> {
    let mut lists = Vec::new();
    for path in ["/keys", "/users", "/invitations", "/workspaces"] {
        lists.push(owner.get(path).await.ok());
    }
    lists
}

fn id(record: &Value) -> String {
    record["id"].as_str().unwrap().to_owned()
}

/// A new owner key's id, and the header field of who has its secret.
async fn stolen_key(owner: &Api) -> (String, String) {
    let key = json!({"name": "stolen", "role": "owner"});
    let key = owner.post("/keys", key).await.created();
    let secret = key["secret"].as_str().unwrap();
    (id(&key), format!("Authorization: Bearer {secret}"))
}

/// A new session of a user's: its cookie, and its token.
async fn session(server: &Server, email: &str) -> [(&'static str, String); 2] {
    let credentials = json!({"email": email, "password": PASSWORD});
    let answer = server.without_key().post("/session", credentials).await;
    let cookie = answer.header("set-cookie").split(';').next().unwrap();
    let session = answer.created();
    let token = session["csrf_token"].as_str().unwrap().to_owned();
    [("Cookie", cookie.to_owned()), ("X-CSRF-Token", token)]
}

fn proof(session: &[(&'static str, String)]) -> String {
    let lines = session
        .iter()
        .map(|(name, value)| format!("{name}: {value}"));
    lines.collect::<Vec<_>>().join("\r\n")
}

#[tokio::test]
async fn a_revoked_key_gives_no_access() {
    let server = Server::start().await;
    let (owner, names) = (server.owner(), Names::of(&server).await);
    let (key, proof) = stolen_key(&owner).await;
    let under_way = UnderWay::begin(&server, &names, &proof).await;
    owner.delete(&format!("/keys/{key}")).await.no_content();
    under_way
        .are_refused(&owner, StatusCode::UNAUTHORIZED)
        .await;
}

#[tokio::test]
async fn a_revoked_key_makes_and_edits_nothing() {
    let server = Server::start().await;
    let owner = server.owner();
    let tag = |code| json!({"code": code, "destination": "https://example.com/"});
    owner.post("/tags", tag("there")).await.created();
    let domain = json!({"name": "go.example.com"});
    owner.post("/domains", domain).await.created();
    let (key, proof) = stolen_key(&owner).await;
    let fields = format!("{proof}\r\nConnection: close");
    let mut under_way = Vec::new();
    for (request, body) in [
        ("POST /tags", tag("new")),
        (
            "PATCH /tags/there",
            json!({"destination": "https://evil.example/"}),
        ),
        ("PUT /tags/there/schedule", json!({"changes": []})),
        (
            "PATCH /domains/go.example.com",
            json!({"home_url": "https://evil.example/"}),
        ),
        (
            "PATCH /workspaces/default",
            json!({"fallback_url": "https://evil.example/"}),
        ),
    ] {
        let sent = HalfSent::begin(&server, request, &fields, &body.to_string()).await;
        under_way.push((request, sent));
    }
    owner.delete(&format!("/keys/{key}")).await.no_content();
    for (what, request) in under_way {
        let answer = request.finish().await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{what}: {answer}");
    }
    let there = owner.get("/tags/there").await.ok();
    assert_eq!(
        (&there["version"], &there["destination"]),
        (&json!(1), &json!("https://example.com/"))
    );
    owner.get("/tags/new").await.problem(404);
}

#[tokio::test]
async fn a_secret_that_was_replaced_gives_no_access() {
    let server = Server::start().await;
    let (owner, names) = (server.owner(), Names::of(&server).await);
    for (overlap, status) in [(0, StatusCode::UNAUTHORIZED), (3600, StatusCode::FORBIDDEN)] {
        let (key, proof) = stolen_key(&owner).await;
        let under_way = UnderWay::begin(&server, &names, &proof).await;
        let rotation = json!({"overlap_seconds": overlap});
        let rotate = format!("/keys/{key}/rotate");
        owner.post(&rotate, rotation).await.ok();
        under_way.are_refused(&owner, status).await;
    }
}

#[tokio::test]
async fn a_user_gives_no_access_once_they_are_removed_or_may_less_or_have_signed_out() {
    let server = Server::start().await;
    let (owner, names) = (server.owner(), Names::of(&server).await);
    server.user(&owner, "last@example.com", "owner").await;
    let user = server.user(&owner, "ada@example.com", "owner").await;
    let user = format!("/users/{user}");

    let signed_in = session(&server, "ada@example.com").await;
    let under_way = UnderWay::begin(&server, &names, &proof(&signed_in)).await;
    let anyone = server.without_key();
    let mut out = anyone.request(Method::DELETE, "/session");
    for (name, value) in signed_in {
        out = out.header(name, value);
    }
    anyone.send(out).await.no_content();
    under_way
        .are_refused(&owner, StatusCode::UNAUTHORIZED)
        .await;

    let proof = proof(&session(&server, "ada@example.com").await);
    let under_way = UnderWay::begin(&server, &names, &proof).await;
    owner.patch(&user, json!({"role": "editor"})).await.ok();
    under_way.are_refused(&owner, StatusCode::FORBIDDEN).await;

    owner.patch(&user, json!({"role": "owner"})).await.ok();
    let under_way = UnderWay::begin(&server, &names, &proof).await;
    owner.delete(&user).await.no_content();
    under_way
        .are_refused(&owner, StatusCode::UNAUTHORIZED)
        .await;
}

#[tokio::test]
async fn who_still_has_access_is_answered_however_slowly_they_ask() {
    let server = Server::start().await;
    let (owner, names) = (server.owner(), Names::of(&server).await);
    let (_, proof) = stolen_key(&owner).await;
    for (what, request) in UnderWay::begin(&server, &names, &proof).await.requests {
        let answer = request.finish().await;
        assert!(answer.starts_with("HTTP/1.1 20"), "{what}: {answer}");
    }
}
