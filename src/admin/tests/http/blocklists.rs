//! Destinations on blocklists: no door lets one in.

use serde_json::{Value, json};

use crate::support::{Answer, Server};

const LISTED: &str = "https://a.b.bad.example.com/prize?x=1";
const GOOD: &str = "https://good.example.com/";

async fn with_a_list() -> Server {
    let server = Server::start().await;
    server.block("phishing.txt", &["BAD.example.com", "93.184.215.14"]);
    server
}

fn refused_at(answer: &Answer, pointers: &[&str]) -> Value {
    assert_eq!(answer.pointers(422), pointers);
    answer.problem(422)
}

#[tokio::test]
async fn a_host_on_a_list_is_no_destination_of_a_new_tag_and_the_list_is_named() {
    let server = with_a_list().await;
    let owner = server.owner();
    let rule = |name: &str, to: Value| json!({"name": name, "when": {}, "to": to});
    let tag = json!({
        "destination": LISTED,
        "fallback_url": "https://bad.example.com.:8443/",
        "rules": [
            rule("one", json!("http://BAD.example.com")),
            rule("two", json!([{"url": GOOD, "weight": 1}, {"url": "https://bad.exa%6Dple.com/", "weight": 2}])),
        ],
    });
    let answer = owner.post("/tags", tag).await;
    let pointers = [
        "/destination",
        "/fallback_url",
        "/rules/0/to",
        "/rules/1/to/1/url",
    ];
    let problem = refused_at(&answer, &pointers);
    assert_eq!(
        problem["errors"][0]["detail"],
        "leads to 'a.b.bad.example.com', which is on the blocklist 'phishing.txt' as a part of 'bad.example.com'; give another destination"
    );
    assert_eq!(
        problem["errors"][2]["detail"],
        "leads to 'bad.example.com', which is on the blocklist 'phishing.txt'; give another destination"
    );
    for good in [
        GOOD,
        "https://notbad.example.com/",
        "https://example.com/bad.example.com",
        "mailto:info@bad.example.com",
    ] {
        let tag = json!({"destination": good});
        owner.post("/tags", tag).await.created();
    }
}

#[tokio::test]
async fn an_edit_a_schedule_and_a_rollback_are_judged_by_the_lists_of_the_moment() {
    let server = Server::start().await;
    let owner = server.owner();
    for (destination, code) in [(LISTED, "was"), (GOOD, "is")] {
        let tag = json!({"code": code, "destination": destination});
        owner.post("/tags", tag).await.created();
    }
    let good = json!({"destination": GOOD});
    owner.patch("/tags/was", good).await.ok();
    server.block("phishing.txt", &["bad.example.com"]);

    let listed = json!({"destination": LISTED});
    let answer = owner.patch("/tags/is", listed.clone()).await;
    refused_at(&answer, &["/destination"]);
    let at = "2199-01-01T00:00:00Z";
    let schedule = json!({"at": at, "set": listed});
    let request = owner.request(reqwest::Method::PUT, "/tags/is/schedule");
    let answer = owner.send(request.json(&schedule)).await;
    refused_at(&answer, &["/set/destination"]);
    let back = owner
        .post("/tags/was/rollback", json!({"version": 1}))
        .await;
    let problem = refused_at(&back, &["/version"]);
    let detail = problem["errors"][0]["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("its destination is no longer allowed: leads to 'a.b.bad.example.com'"),
        "{detail}"
    );

    server.block("phishing.txt", &[]);
    owner
        .post("/tags/was/rollback", json!({"version": 1}))
        .await
        .ok();
}

#[tokio::test]
async fn what_has_been_listed_since_can_be_edited_and_paused_but_not_put_on_the_air_again() {
    let server = Server::start().await;
    let owner = server.owner();
    let tag = json!({"code": "prize", "destination": GOOD, "fallback_url": LISTED});
    owner.post("/tags", tag).await.created();
    server.block("phishing.txt", &["bad.example.com"]);
    owner
        .patch("/tags/prize", json!({"name": "Prize"}))
        .await
        .ok();
    let (paused, active) = (json!({"status": "paused"}), json!({"status": "active"}));
    owner.patch("/tags/prize", paused).await.ok();
    let answer = owner.patch("/tags/prize", active.clone()).await;
    let problem = refused_at(&answer, &["/status"]);
    let detail = problem["errors"][0]["detail"].as_str().unwrap();
    assert!(
        detail.starts_with(
            "the tag cannot be active: its fallback_url leads to 'a.b.bad.example.com'"
        ),
        "{detail}"
    );
    let schedule = json!({"at": "2199-01-01T00:00:00Z", "set": active});
    let request = owner.request(reqwest::Method::PUT, "/tags/prize/schedule");
    let answer = owner.send(request.json(&schedule)).await;
    refused_at(&answer, &["/set/status"]);
    let mended = json!({"status": "active", "fallback_url": null});
    owner.patch("/tags/prize", mended).await.ok();
}

#[tokio::test]
async fn a_domain_that_has_waited_for_its_proof_is_judged_by_the_lists_of_the_moment() {
    let server = Server::start().await;
    let tenant = server.other_tenant().await;
    let claim = json!({"name": "qr.example.org", "home_url": LISTED});
    let made = tenant.post("/domains", claim).await.created();
    server.dns.publish(&made["challenge"]);
    server.block("phishing.txt", &["bad.example.com"]);
    let verify = "/domains/qr.example.org/verify";
    let refused = tenant.post(verify, Value::Null).await.problem(409);
    let detail = refused["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("The domain's home_url leads to 'a.b.bad.example.com'"),
        "{detail}"
    );
    let mended = json!({"home_url": GOOD});
    tenant.patch("/domains/qr.example.org", mended).await.ok();
    let verified = tenant.post(verify, Value::Null).await.ok();
    assert_eq!(verified["status"], "verified");
}

#[tokio::test]
async fn workspaces_domains_and_sites_behind_them_are_held_to_the_lists() {
    let server = with_a_list().await;
    let owner = server.owner();
    let fallback = json!({"fallback_url": LISTED});
    let answer = owner.patch("/workspaces/default", fallback).await;
    refused_at(&answer, &["/fallback_url"]);
    let new = json!({"name": "New", "fallback_url": LISTED});
    let answer = owner.post("/workspaces", new).await;
    refused_at(&answer, &["/fallback_url"]);
    let urls =
        json!({"home_url": LISTED, "fallback_url": LISTED, "upstream_url": "http://93.184.215.14"});
    let all = ["/home_url", "/fallback_url", "/upstream_url"];
    let answer = owner.patch("/domains/go.example.net", urls.clone()).await;
    assert_eq!(answer.pointers(422), all);
    let mut domain = urls;
    domain["name"] = json!("qr.example.org");
    let answer = owner.post("/domains", domain).await;
    assert_eq!(answer.pointers(422), all);
}
