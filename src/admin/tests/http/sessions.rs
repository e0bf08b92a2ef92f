//! Signing in: a cookie for browsers, a token for their writes, and no end of guessing.

use facts::TrustedProxies;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, COOKIE, HeaderMap, SET_COOKIE};
use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, PUBLIC_URL, Server};

const EMAIL: &str = "ada@example.com";

/// A browser that has signed in.
struct Browser<'a> {
    server: &'a Server,
    cookie: String,
    csrf_token: String,
    user: String,
}

impl<'a> Browser<'a> {
    async fn sign_in(server: &'a Server, credentials: Value) -> Self {
        let answer = server.without_key().post("/session", credentials).await;
        let cookie = answer.header("set-cookie").split(';').next().unwrap();
        let cookie = cookie.to_owned();
        let session = answer.created();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            server,
            cookie,
            csrf_token: text(&session["csrf_token"]),
            user: text(&session["user"]["id"]),
        }
    }

    /// A request with the cookie, and with the token where there is one.
    async fn send(&self, method: Method, path: &str, body: Value, csrf: Option<&str>) -> Answer {
        let api = self.server.without_key();
        let mut request = api.request(method, path).header(COOKIE, &self.cookie);
        if body != Value::Null {
            request = request.json(&body);
        }
        if let Some(token) = csrf {
            request = request.header("X-CSRF-Token", token);
        }
        api.send(request).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, Value::Null, None).await
    }

    async fn write(&self, method: Method, path: &str, body: Value) -> Answer {
        let token = Some(self.csrf_token.as_str());
        self.send(method, path, body, token).await
    }
}

fn credentials() -> Value {
    json!({"email": EMAIL, "password": PASSWORD})
}

async fn with_user(role: &str) -> Server {
    let server = Server::start().await;
    server.user(&server.owner(), EMAIL, role).await;
    server
}

#[tokio::test]
async fn who_signs_in_may_what_their_role_may_and_is_named_by_what_they_do() {
    let server = with_user("editor").await;
    let browser = Browser::sign_in(&server, credentials()).await;
    let tag = json!({"code": "spring", "destination": "https://example.com/"});
    let made = browser.write(Method::POST, "/tags", tag).await.created();
    assert_eq!(made["updated_by"], json!(browser.user));
    browser.get("/tags/spring").await.ok();
    browser.get("/keys").await.problem(403);
    let session = browser.get("/session").await.ok();
    assert_eq!(
        (&session["csrf_token"], &session["user"]["email"]),
        (&json!(browser.csrf_token), &json!(EMAIL))
    );
}

#[tokio::test]
async fn an_invitation_ends_when_who_invited_may_no_longer_do_so_or_is_gone() {
    let server = with_user("owner").await;
    let owner = server.owner();
    server.user(&owner, "bob@example.com", "owner").await;
    let browser = Browser::sign_in(&server, credentials()).await;
    let invitation = json!({"email": "eve@example.com", "role": "editor"});
    let invitation = browser.write(Method::POST, "/invitations", invitation);
    let token = invitation.await.created()["token"].clone();
    let accept = || {
        let body = json!({"token": token, "name": "Eve", "password": PASSWORD});
        let anyone = server.without_key();
        async move { anyone.post("/invitations/accept", body).await }
    };
    let path = format!("/users/{}", browser.user);
    owner.patch(&path, json!({"role": "editor"})).await.ok();
    accept().await.problem(404);
    owner.delete(&path).await.no_content();
    accept().await.problem(404);
    let listed = owner.get("/users").await.ok();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_session_s_create_with_an_idempotency_key_is_one_too() {
    let server = with_user("owner").await;
    let browser = Browser::sign_in(&server, credentials()).await;
    let send = || {
        let api = server.without_key();
        let request = api.request(Method::POST, "/keys");
        let request = request
            .header(COOKIE, &browser.cookie)
            .header("X-CSRF-Token", &browser.csrf_token)
            .header("Idempotency-Key", "a")
            .json(&json!({"name": "k", "role": "viewer"}));
        async move { api.send(request).await.created() }
    };
    let first = send().await;
    assert_eq!(send().await, first);
}

#[tokio::test]
async fn the_cookie_is_for_https_and_this_host_alone_and_out_of_reach_of_scripts() {
    let server = with_user("viewer").await;
    let answer = server.without_key().post("/session", credentials()).await;
    let set = answer.header("set-cookie");
    let (name, rest) = set.split_once('=').unwrap();
    let (token, attributes) = rest.split_once(';').unwrap();
    assert_eq!(name, "__Host-tagwire-session");
    assert_eq!(attributes, " Path=/; Secure; HttpOnly; SameSite=Lax");
    assert_eq!(token.len(), 43);
    assert!(!answer.text().contains(token));
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn a_write_without_the_session_s_own_token_is_refused_whatever_it_asks_for() {
    let server = with_user("owner").await;
    let browser = Browser::sign_in(&server, credentials()).await;
    let other = Browser::sign_in(&server, credentials()).await;
    let tag = json!({"code": "spring", "destination": "https://example.com/"});
    for token in [
        None,
        Some(""),
        Some("guessed"),
        Some(other.csrf_token.as_str()),
    ] {
        for (method, path) in [
            (Method::POST, "/tags"),
            (Method::DELETE, "/tags/none"),
            (Method::PATCH, "/workspaces/default"),
            (Method::DELETE, "/session"),
        ] {
            browser
                .send(method, path, tag.clone(), token)
                .await
                .problem(403);
        }
    }
    browser.get("/session").await.ok();
    browser.write(Method::POST, "/tags", tag).await.created();
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_person_are_answered_alike() {
    let server = with_user("viewer").await;
    let anyone = server.without_key();
    let other = server.other_tenant().await;
    let elsewhere = other.get("/workspaces").await.ok()["items"][0]["id"].clone();
    let mut answers = Vec::new();
    for credentials in [
        json!({"email": EMAIL, "password": "wrong"}),
        json!({"email": "bob@example.com", "password": PASSWORD}),
        json!({"email": EMAIL, "password": PASSWORD, "workspace": elsewhere}),
        json!({"email": EMAIL, "password": PASSWORD, "workspace": "ws_none"}),
        json!({"email": EMAIL, "password": ""}),
    ] {
        let answer = anyone.post("/session", credentials).await;
        answer.problem(401);
        assert!(!answer.headers.contains_key(SET_COOKIE));
        answers.push(answer.body);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    let in_capitals = json!({"email": "ADA@EXAMPLE.COM", "password": PASSWORD});
    anyone.post("/session", in_capitals).await.created();
}

#[tokio::test]
async fn credentials_are_an_address_and_a_password() {
    let server = with_user("viewer").await;
    let anyone = server.without_key();
    let empty = anyone.post("/session", json!({})).await;
    assert_eq!(empty.pointers(422), ["/email", "/password"]);
    let wrong = json!({"email": "ada", "password": 1, "workspace": "No", "role": "owner"});
    let mut pointers = anyone.post("/session", wrong).await.pointers(422);
    pointers.sort();
    assert_eq!(pointers, ["/email", "/password", "/role", "/workspace"]);
}

#[tokio::test]
async fn who_guesses_is_told_to_wait_and_others_are_not() {
    let server = with_user("viewer").await;
    server
        .user(&server.owner(), "bob@example.com", "viewer")
        .await;
    let anyone = server.without_key();
    let guess = || json!({"email": EMAIL, "password": "guessed"});
    // The first is answered as ever.
    anyone.post("/session", credentials()).await.created();
    for _ in 0..10 {
        anyone.post("/session", guess()).await.problem(401);
    }
    let refused = anyone.post("/session", guess()).await;
    refused.problem(429);
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=61).contains(&wait), "{wait}");
    // Nor is the right one told from a wrong one.
    anyone.post("/session", credentials()).await.problem(429);
    let other = json!({"email": "bob@example.com", "password": PASSWORD});
    anyone.post("/session", other).await.created();
}

#[tokio::test]
async fn a_trusted_proxy_says_who_guesses_and_nobody_else_does() {
    let guess = async |server: &Server, client: &str| {
        let anyone = server.without_key();
        let request = anyone.request(Method::POST, "/session");
        let request = request.header("x-forwarded-for", client);
        let body = json!({"email": EMAIL, "password": "guessed"});
        anyone.send(request.json(&body)).await
    };
    let trusting = Server::start_configured(|options| {
        options.trusted_proxies = TrustedProxies::new(vec!["127.0.0.0/8".parse().unwrap()]);
    })
    .await;
    for _ in 0..10 {
        guess(&trusting, "203.0.113.7").await.problem(401);
    }
    guess(&trusting, "203.0.113.7").await.problem(429);
    guess(&trusting, "203.0.113.8").await.problem(401);
    let owner = trusting.owner();
    let made = owner.request(Method::POST, "/tags");
    let made = made.header("x-forwarded-for", "198.51.100.1, 203.0.113.9");
    let tag = json!({"code": "proxied", "destination": "https://example.com/"});
    owner.send(made.json(&tag)).await.created();
    let audit = owner.get("/audit?code=proxied").await.ok();
    assert_eq!(audit["items"][0]["remote"], "203.0.113.9");

    let trusting_nobody = Server::start().await;
    for client in 0..10 {
        let client = format!("203.0.113.{client}");
        guess(&trusting_nobody, &client).await.problem(401);
    }
    guess(&trusting_nobody, "203.0.113.10").await.problem(429);
}

#[tokio::test]
async fn a_session_ends_when_one_signs_out_is_removed_or_the_admin_restarts() {
    let server = with_user("viewer").await;
    let owner = server.owner();
    let browser = Browser::sign_in(&server, credentials()).await;
    let elsewhere = Browser::sign_in(&server, credentials()).await;
    let out = browser.write(Method::DELETE, "/session", Value::Null).await;
    assert!(out.header("set-cookie").ends_with("Max-Age=0"));
    out.no_content();
    browser.get("/tags").await.problem(401);
    browser.get("/session").await.problem(401);
    elsewhere.get("/tags").await.ok();

    let user = format!("/users/{}", browser.user);
    owner.patch(&user, json!({"role": "analyst"})).await.ok();
    elsewhere.get("/analytics/scans").await.ok();
    owner.patch(&user, json!({"role": "viewer"})).await.ok();
    elsewhere.get("/analytics/scans").await.problem(403);
    owner.delete(&user).await.no_content();
    elsewhere.get("/tags").await.problem(401);
    let gone = server.without_key().post("/session", credentials()).await;
    gone.problem(401);

    server.user(&owner, EMAIL, "viewer").await;
    let cookie = Browser::sign_in(&server, credentials()).await.cookie;
    let server = server.restart(PUBLIC_URL).await;
    let api = server.without_key();
    let late = api.request(Method::GET, "/tags").header(COOKIE, cookie);
    api.send(late).await.problem(401);
}

#[tokio::test]
async fn a_key_beside_a_cookie_is_what_counts() {
    let server = with_user("viewer").await;
    let browser = Browser::sign_in(&server, credentials()).await;
    let api = server.without_key();
    for (secret, status) in [(server.first_key(), 200), ("wrong".to_owned(), 401)] {
        let request = api.request(Method::GET, "/keys");
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, browser.cookie.parse().unwrap());
        let bearer = format!("Bearer {secret}").parse().unwrap();
        headers.insert(AUTHORIZATION, bearer);
        let answer = api.send(request.headers(headers)).await;
        assert_eq!(answer.status.as_u16(), status);
    }
}

#[tokio::test]
async fn a_cookie_that_is_none_of_ours_signs_nobody_in() {
    let server = with_user("viewer").await;
    let api = server.without_key();
    for cookie in [
        "__Host-tagwire-session=",
        "__Host-tagwire-session=guessed",
        "__Host-tagwire-session",
        "=;;=; ;",
        "tagwire-session=x",
    ] {
        let request = api.request(Method::GET, "/tags").header(COOKIE, cookie);
        api.send(request).await.problem(401);
    }
    let browser = Browser::sign_in(&server, credentials()).await;
    let among = format!("a=b; {}; __Host-other=c", browser.cookie);
    let request = api.request(Method::GET, "/tags").header(COOKIE, among);
    api.send(request).await.ok();
}
