//! How often the API may be asked: by one key, by one user, by all of a workspace. How much that is in a second is tested where time is an
//! argument; here, that as much comes through, and what is beyond is refused to whom it should be.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use reqwest::header::COOKIE;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Answer, Api, PASSWORD, Server};

/// In a second; more than preparing a test takes.
const LIMIT: u32 = 20;

/// An installation where a key or user may make so many requests.
async fn start_limited() -> Server {
    let limit = NonZeroU32::new(LIMIT);
    Server::start_configured(|options| options.requests_per_second = limit).await
}

/// Sends more than the limit at once.
async fn flood(api: &Api, request: impl Fn() -> RequestBuilder) -> Vec<Answer> {
    let mut requests = JoinSet::new();
    for _ in 0..2 * LIMIT {
        let (api, request) = (api.clone(), request());
        requests.spawn(async move { api.send(request).await });
    }
    requests.join_all().await
}

/// Floods until something has been refused, also where a flood takes longer than a second. All statuses, and the fields of a refusal.
async fn until_limited(
    api: &Api,
    request: impl Fn() -> RequestBuilder,
) -> (BTreeSet<u16>, [String; 3]) {
    let mut statuses = BTreeSet::new();
    loop {
        let answers = flood(api, &request).await;
        statuses.extend(answers.iter().map(|answer| answer.status.as_u16()));
        if let Some(limited) = answers.iter().find(|answer| answer.status == 429) {
            limited.problem(429);
            let fields = ["retry-after", "ratelimit-policy", "ratelimit"];
            return (statuses, fields.map(|name| limited.header(name).to_owned()));
        }
    }
}

fn get(api: &Api, path: &'static str) -> impl Fn() -> RequestBuilder {
    move || api.request(Method::GET, path)
}

fn statuses<const N: usize>(expected: [u16; N]) -> BTreeSet<u16> {
    expected.into()
}

#[tokio::test]
async fn a_key_s_requests_are_limited_and_another_key_s_are_its_own() {
    let server = start_limited().await;
    let owner = server.owner();
    let viewer = server.with_role(&owner, "viewer").await;
    let answers = flood(&viewer, get(&viewer, "/tags")).await;
    let let_through = answers.iter().filter(|answer| answer.status == 200);
    assert!(let_through.count() >= LIMIT as usize);

    let (seen, fields) = until_limited(&viewer, get(&viewer, "/tags")).await;
    assert!(seen.is_subset(&statuses([200, 429])), "{seen:?}");
    let expected = ["1", r#""key";q=20;w=1"#, r#""key";r=0;t=1"#];
    assert_eq!(fields, expected);
    owner.get("/tags").await.ok();
    // What is refused counts for nothing: who goes on asking is let through again.
    let mut again = viewer.get("/tags").await;
    while again.status == 429 {
        again = viewer.get("/tags").await;
    }
    again.ok();
}

#[tokio::test]
async fn who_is_asking_is_judged_first_and_what_they_may_last() {
    let server = start_limited().await;
    let viewer = server.with_role(&server.owner(), "viewer").await;
    let (seen, _) = until_limited(&viewer, get(&viewer, "/keys")).await;
    assert_eq!(seen, statuses([403, 429]));
    let nobody = server.with_key("tagwire_guessed");
    for answer in flood(&nobody, get(&nobody, "/keys")).await {
        answer.problem(401);
    }
}

#[tokio::test]
async fn a_user_s_requests_are_limited_as_a_key_s_are() {
    let server = start_limited().await;
    let (owner, browser) = (server.owner(), server.without_key());
    server.user(&owner, "ada@example.com", "viewer").await;
    let credentials = json!({"email": "ada@example.com", "password": PASSWORD});
    let signed_in = browser.post("/session", credentials).await;
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap();
    for path in ["/session", "/tags"] {
        let request = || browser.request(Method::GET, path).header(COOKIE, cookie);
        let (seen, fields) = until_limited(&browser, request).await;
        assert!(seen.is_subset(&statuses([200, 429])), "{seen:?}");
        let expected = ["1", r#""user";q=20;w=1"#, r#""user";r=0;t=1"#];
        assert_eq!(fields, expected);
    }
    owner.get("/tags").await.ok();
}

#[tokio::test]
async fn all_of_a_workspace_have_one_limit_together_and_another_workspace_is_never_refused_for_it()
{
    let server = Server::start().await;
    let (owner, other) = (server.owner(), server.other_tenant().await);
    let made = owner.post("/workspaces", json!({"name": "Limited"})).await;
    let made = made.created();
    let tenant = server.with_key(made["key"]["secret"].as_str().unwrap());
    let viewer = server.with_role(&tenant, "viewer").await;
    let workspace = format!("/workspaces/{}", made["id"].as_str().unwrap());
    let limit = |limit: Value| owner.patch(&workspace, json!({"api_requests_per_second": limit}));

    limit(json!(LIMIT)).await.ok();
    for key in [&tenant, &viewer] {
        let (seen, fields) = until_limited(key, get(key, "/tags")).await;
        assert!(seen.is_subset(&statuses([200, 429])), "{seen:?}");
        let expected = ["1", r#""workspace";q=20;w=1"#, r#""workspace";r=0;t=1"#];
        assert_eq!(fields, expected);
        for answer in flood(&other, get(&other, "/tags")).await {
            answer.ok();
        }
    }
    limit(Value::Null).await.ok();
    for answer in flood(&tenant, get(&tenant, "/tags")).await {
        answer.ok();
    }
}
