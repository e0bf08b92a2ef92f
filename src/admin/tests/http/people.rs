//! People: invited, become users, are changed and removed.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Api, PASSWORD, PUBLIC_URL, Server};

async fn invited(api: &Api, email: &str, role: &str) -> Value {
    let invitation = json!({"email": email, "role": role});
    api.post("/invitations", invitation).await.created()
}

fn acceptance(invitation: &Value) -> Value {
    json!({"token": invitation["token"], "name": "Ada", "password": PASSWORD})
}

async fn user(server: &Server, api: &Api, email: &str, role: &str) -> Value {
    let invitation = invited(api, email, role).await;
    let accepted = server.without_key();
    let accepted = accepted.post("/invitations/accept", acceptance(&invitation));
    accepted.await.created()
}

fn path(of: &str, record: &Value) -> String {
    format!("/{of}/{}", record["id"].as_str().unwrap())
}

fn count(list: &Value) -> usize {
    list["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn an_invited_person_becomes_a_user_once() {
    let server = Server::start().await;
    let owner = server.owner();
    let anyone = server.without_key();
    let invitation = invited(&owner, "Ada@Example.com", "editor").await;
    assert_eq!(invitation["email"], "ada@example.com");
    let listed = owner.get("/invitations").await;
    assert!(!listed.text().contains("token"), "{}", listed.text());
    assert_eq!(listed.ok()["items"][0]["id"], invitation["id"]);

    let accepted = anyone.post("/invitations/accept", acceptance(&invitation));
    let accepted = accepted.await.created();
    for (field, expected) in [
        ("workspace", "default"),
        ("email", "ada@example.com"),
        ("name", "Ada"),
        ("role", "editor"),
    ] {
        assert_eq!(accepted[field], expected, "{field}");
    }
    assert_eq!(owner.get(&path("users", &accepted)).await.ok(), accepted);
    assert_eq!(count(&owner.get("/invitations").await.ok()), 0);
    let again = anyone.post("/invitations/accept", acceptance(&invitation));
    again.await.problem(404);
    let twice = json!({"email": "ADA@example.com", "role": "viewer"});
    assert_eq!(
        owner.post("/invitations", twice).await.pointers(409),
        ["/email"]
    );
}

#[tokio::test]
async fn neither_passwords_nor_tokens_are_kept_or_shown() {
    let server = Server::start().await;
    let owner = server.owner();
    let invitation = invited(&owner, "ada@example.com", "viewer").await;
    let token = invitation["token"].as_str().unwrap();
    let waiting = invited(&owner, "bob@example.com", "viewer").await;
    let waiting = waiting["token"].as_str().unwrap();
    let made = server.without_key();
    let made = made
        .post("/invitations/accept", acceptance(&invitation))
        .await;
    assert!(!made.text().contains("password"), "{}", made.text());
    assert!(!owner.get("/users").await.text().contains("argon2"));
    for file in [
        "journal.sqlite",
        "journal.sqlite-wal",
        "admin/index.sqlite-wal",
    ] {
        let bytes = std::fs::read(server.folder().join(file)).unwrap();
        for secret in [PASSWORD, token, waiting] {
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "{file}");
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_acceptance_is_told_to_who_has_the_token_alone() {
    let server = Server::start().await;
    let anyone = server.without_key();
    let invitation = invited(&server.owner(), "ada@example.com", "viewer").await;
    let accept = |body: Value| anyone.post("/invitations/accept", body);
    assert_eq!(
        accept(json!({})).await.pointers(422),
        ["/token", "/name", "/password"]
    );
    let guessed = json!({"token": "x".repeat(43), "name": "", "password": "short"});
    accept(guessed).await.problem(404);
    let mut wrong = acceptance(&invitation);
    wrong["password"] = json!("elf Zeichen");
    wrong["name"] = json!(" ");
    wrong["role"] = json!("owner");
    assert_eq!(
        accept(wrong).await.pointers(422),
        ["/name", "/password", "/role"]
    );
    accept(acceptance(&invitation)).await.created();
}

#[tokio::test]
async fn an_invitation_is_withdrawn_or_replaced_by_another() {
    let server = Server::start().await;
    let owner = server.owner();
    let anyone = server.without_key();
    let first = invited(&owner, "ada@example.com", "viewer").await;
    let second = invited(&owner, "ada@example.com", "editor").await;
    let listed = owner.get("/invitations").await.ok();
    assert_eq!(
        (count(&listed), &listed["items"][0]["id"]),
        (1, &second["id"])
    );
    let late = anyone.post("/invitations/accept", acceptance(&first));
    late.await.problem(404);
    owner
        .delete(&path("invitations", &second))
        .await
        .no_content();
    owner
        .delete(&path("invitations", &second))
        .await
        .problem(404);
    let late = anyone.post("/invitations/accept", acceptance(&second));
    late.await.problem(404);
}

#[tokio::test]
async fn an_invitation_needs_an_address_and_a_role() {
    let server = Server::start().await;
    let owner = server.owner();
    for (body, pointers) in [
        (json!({}), vec!["/email", "/role"]),
        (
            json!({"email": "ada", "role": "admin"}),
            vec!["/email", "/role"],
        ),
        (
            json!({"email": "a@b.example\r\n", "role": "viewer"}),
            vec!["/email"],
        ),
        (
            json!({"email": "ada@example.com", "role": "viewer", "token": "x"}),
            vec!["/token"],
        ),
    ] {
        let answer = owner.post("/invitations", body.clone()).await;
        assert_eq!(answer.pointers(422), pointers, "{body}");
    }
}

#[tokio::test]
async fn the_last_owner_stays_one_of_the_users() {
    let server = Server::start().await;
    let owner = server.owner();
    let ada = user(&server, &owner, "ada@example.com", "owner").await;
    let bob = user(&server, &owner, "bob@example.com", "editor").await;
    let (ada, bob) = (path("users", &ada), path("users", &bob));
    owner.delete(&ada).await.problem(409);
    owner
        .patch(&ada, json!({"role": "editor"}))
        .await
        .problem(409);
    owner
        .patch(&ada, json!({"role": "owner", "name": "Ada L."}))
        .await
        .ok();
    owner.patch(&bob, json!({"role": "owner"})).await.ok();
    owner.patch(&ada, json!({"role": "viewer"})).await.ok();
    owner.delete(&bob).await.problem(409);
    owner.delete(&ada).await.no_content();
    owner.get(&ada).await.problem(404);
    owner.delete(&ada).await.problem(404);
    let listed = owner.get("/users").await.ok();
    assert_eq!(
        (count(&listed), &listed["items"][0]["role"]),
        (1, &json!("owner"))
    );
    // Whoever was removed may come again.
    user(&server, &owner, "ada@example.com", "viewer").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_owners_who_are_removed_at_once_one_stays() {
    let server = Server::start().await;
    let owner = server.owner();
    let mut removals = JoinSet::new();
    for email in ["ada@example.com", "bob@example.com"] {
        let user = path("users", &user(&server, &owner, email, "owner").await);
        let owner = owner.clone();
        removals.spawn(async move { owner.delete(&user).await.status.as_u16() });
    }
    let mut statuses = removals.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 409]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_makes_one_user_however_often_it_is_sent_at_once() {
    let server = Server::start().await;
    let owner = server.owner();
    let invitation = invited(&owner, "ada@example.com", "viewer").await;
    let mut acceptances = JoinSet::new();
    for _ in 0..4 {
        let (anyone, body) = (server.without_key(), acceptance(&invitation));
        acceptances.spawn(async move {
            let answer = anyone.post("/invitations/accept", body).await;
            answer.status.as_u16()
        });
    }
    let mut statuses = acceptances.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 404, 404, 404]);
    assert_eq!(count(&owner.get("/users").await.ok()), 1);
}

#[tokio::test]
async fn nobody_gives_or_takes_a_role_that_may_more_than_they_may() {
    let server = Server::start().await;
    let owner = server.owner();
    let ada = path(
        "users",
        &user(&server, &owner, "ada@example.com", "owner").await,
    );
    let bob = path(
        "users",
        &user(&server, &owner, "bob@example.com", "owner").await,
    );
    let scopes = ["tags:read", "settings:read", "users:read", "users:write"];
    let narrow = json!({"name": "k", "role": "owner", "scopes": scopes});
    let narrow = owner.post("/keys", narrow).await.created();
    let narrow = server.with_key(narrow["secret"].as_str().unwrap());
    let invitation = json!({"email": "eve@example.com", "role": "owner"});
    narrow.post("/invitations", invitation).await.problem(403);
    narrow
        .patch(&ada, json!({"role": "viewer"}))
        .await
        .problem(403);
    narrow.delete(&bob).await.problem(403);
    let eve = user(&server, &narrow, "eve@example.com", "viewer").await;
    let eve = path("users", &eve);
    narrow
        .patch(&eve, json!({"role": "editor"}))
        .await
        .problem(403);
    narrow.patch(&eve, json!({"name": "Eve"})).await.ok();
    narrow.delete(&eve).await.no_content();
}

#[tokio::test]
async fn an_invitation_ends_with_the_key_that_invited() {
    let server = Server::start().await;
    let owner = server.owner();
    let anyone = server.without_key();
    let key = json!({"name": "k", "role": "owner"});
    let key = owner.post("/keys", key).await.created();
    let inviter = server.with_key(key["secret"].as_str().unwrap());
    let invitation = invited(&inviter, "bob@example.com", "viewer").await;
    owner.delete(&path("keys", &key)).await.no_content();
    let late = anyone.post("/invitations/accept", acceptance(&invitation));
    late.await.problem(404);
    assert_eq!(count(&owner.get("/users").await.ok()), 0);
}

#[tokio::test]
async fn an_invitation_that_is_sent_again_with_its_idempotency_key_is_one() {
    let server = Server::start().await;
    let owner = server.owner();
    let invitation = json!({"email": "ada@example.com", "role": "viewer"});
    let send = || {
        let request = owner.request(reqwest::Method::POST, "/invitations");
        owner.send(request.header("Idempotency-Key", "a").json(&invitation))
    };
    let first = send().await.created();
    assert_eq!(send().await.created(), first);
    let accepted = server.without_key();
    let accepted = accepted.post("/invitations/accept", acceptance(&first));
    accepted.await.created();
}

#[tokio::test]
async fn the_same_person_in_two_workspaces_is_two_users() {
    let server = Server::start().await;
    let (owner, other) = (server.owner(), server.other_tenant().await);
    let here = user(&server, &owner, "ada@example.com", "owner").await;
    let there = user(&server, &other, "ada@example.com", "viewer").await;
    assert_ne!(here["id"], there["id"]);
    assert_eq!(count(&owner.get("/users").await.ok()), 1);
    assert_eq!(other.get("/users").await.ok()["items"][0]["role"], "viewer");
}

#[tokio::test]
async fn users_and_invitations_outlive_a_restart() {
    let server = Server::start().await;
    let key = server.first_key();
    let owner = server.owner();
    user(&server, &owner, "ada@example.com", "owner").await;
    let gone = user(&server, &owner, "bob@example.com", "viewer").await;
    owner.delete(&path("users", &gone)).await.no_content();
    let waiting = invited(&owner, "eve@example.com", "viewer").await;
    let (users, invitations) = (
        owner.get("/users").await.ok(),
        owner.get("/invitations").await.ok(),
    );
    let server = server.restart(PUBLIC_URL).await;
    let owner = server.with_key(&key);
    assert_eq!(owner.get("/users").await.ok(), users);
    assert_eq!(owner.get("/invitations").await.ok(), invitations);
    let accepted = server.without_key();
    let accepted = accepted.post("/invitations/accept", acceptance(&waiting));
    accepted.await.created();
}
