//! What joins a blocklist while tags lead there is reported, and taken off the air where the operator has it so.

use std::time::{Duration, Instant};

use prometheus::Registry;
use serde_json::{Value, json};

use crate::support::{Api, Server};

const LISTED: &str = "https://a.bad.example.com/prize";
const GOOD: &str = "https://good.example.com/";

async fn put_schedule(api: &Api, code: &str, set: Value) {
    let schedule = json!({"at": "2199-01-01T00:00:00Z", "set": set});
    let request = api.request(reqwest::Method::PUT, &format!("/tags/{code}/schedule"));
    api.send(request.json(&schedule)).await.ok();
}

/// The workspace's alerts, newest first, as soon as there are so many.
async fn alerts(api: &Api, count: usize) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let page = api.get("/alerts").await.ok();
        let items = page["items"].as_array().unwrap();
        if items.len() >= count {
            assert_eq!(items.len(), count, "{page}");
            return items.clone();
        }
        assert!(Instant::now() < deadline, "only {page}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What each is about, in the order of their names.
fn subjects(alerts: &[Value]) -> Vec<(String, String, String)> {
    let text = |alert: &Value, name: &str| alert[name].as_str().unwrap_or("-").to_owned();
    let subject = |alert: &Value| {
        (
            text(alert, "domain"),
            text(alert, "code"),
            text(alert, "host"),
        )
    };
    let mut subjects: Vec<_> = alerts.iter().map(subject).collect();
    subjects.sort();
    subjects
}

/// Tags that lead to a host in every way that there is, one that leads nowhere bad, and one of another tenant.
async fn with_tags(server: &Server) -> Api {
    let owner = server.owner();
    for (code, fields) in [
        ("plain", json!({"destination": LISTED})),
        (
            "fallback",
            json!({"destination": GOOD, "fallback_url": LISTED}),
        ),
        (
            "rule",
            json!({"destination": GOOD, "rules": [{"name": "one", "when": {}, "to": LISTED}]}),
        ),
        (
            "twice",
            json!({"destination": LISTED, "fallback_url": "https://93.184.215.14/"}),
        ),
        ("later", json!({"destination": GOOD})),
        ("good", json!({"destination": GOOD})),
        ("paused", json!({"destination": LISTED, "status": "paused"})),
        ("revoked", json!({"destination": LISTED})),
    ] {
        let mut tag = fields;
        tag["code"] = json!(code);
        owner.post("/tags", tag).await.created();
    }
    owner.delete("/tags/revoked").await.no_content();
    put_schedule(&owner, "later", json!({"destination": LISTED})).await;
    put_schedule(&owner, "paused", json!({"status": "active"})).await;
    put_schedule(&owner, "plain", json!({"name": "Plain"})).await;
    let fallback = json!({"fallback_url": LISTED});
    owner.patch("/workspaces/default", fallback).await.ok();
    let urls = json!({"home_url": LISTED, "fallback_url": GOOD, "upstream_url": "https://b.bad.example.com"});
    owner.patch("/domains/go.example.net", urls).await.ok();
    let other = server.other_tenant().await;
    let theirs = json!({"code": "theirs", "destination": LISTED});
    other.post("/tags", theirs).await.created();
    other
}

const LIST: [&str; 2] = ["bad.example.com", "93.184.215.14"];
/// As many alerts as the default workspace then has.
const ALERTS: usize = 10;

fn expected() -> Vec<(String, String, String)> {
    let (domain, bad) = ("go.example.net", "a.bad.example.com");
    let all = [
        ("-", "-", bad),
        (domain, "-", bad),
        (domain, "-", "b.bad.example.com"),
        (domain, "fallback", bad),
        (domain, "later", bad),
        (domain, "paused", bad),
        (domain, "plain", bad),
        (domain, "rule", bad),
        (domain, "twice", "93.184.215.14"),
        (domain, "twice", bad),
    ];
    all.map(|(domain, code, host)| (domain.to_owned(), code.to_owned(), host.to_owned()))
        .to_vec()
}

#[tokio::test]
async fn a_host_that_joins_a_list_is_reported_once_for_each_that_leads_there() {
    let server = Server::start().await;
    let other = with_tags(&server).await;
    let owner = server.owner();
    let registry = Registry::new();
    server.admin.register_metrics(&registry).unwrap();
    let raised = || {
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather());
        let text = text.unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with("tagwire_admin_alerts_total"));
        line.unwrap().to_owned()
    };
    assert_eq!(raised(), "tagwire_admin_alerts_total{kind=\"blocklist\"} 0");
    let before = owner.get("/tags/plain").await.ok();
    server.block("phishing.txt", &LIST);
    let told = alerts(&owner, ALERTS).await;
    assert_eq!(subjects(&told), expected());
    let plain = told.iter().find(|alert| alert["code"] == "plain").unwrap();
    assert_eq!(plain["kind"], "blocklist");
    assert_eq!(plain["list"], "phishing.txt");
    assert_eq!(plain["entry"], "bad.example.com");
    assert!(plain["id"].as_str().unwrap().starts_with("al_"));
    assert_eq!(subjects(&alerts(&other, 1).await)[0].1, "theirs");
    assert_eq!(
        raised(),
        "tagwire_admin_alerts_total{kind=\"blocklist\"} 11"
    );
    assert_eq!(
        owner.get("/tags/plain").await.ok(),
        before,
        "it is reported alone"
    );

    // Another host on another state of the list; of the first, nothing is said again.
    let tag = json!({"code": "new", "destination": "https://worse.example.com/"});
    owner.post("/tags", tag).await.created();
    server.block(
        "phishing.txt",
        &[&LIST[..], &["worse.example.com"]].concat(),
    );
    let told = alerts(&owner, ALERTS + 1).await;
    assert_eq!(told[0]["host"], "worse.example.com");
    assert_eq!(
        raised(),
        "tagwire_admin_alerts_total{kind=\"blocklist\"} 12"
    );

    // They outlive the process, and its index.
    let server = server.restart(crate::support::PUBLIC_URL).await;
    assert_eq!(alerts(&server.owner(), ALERTS + 1).await, told);
}

#[tokio::test]
async fn alerts_come_in_pages_and_narrowed_and_each_wrong_parameter_is_named() {
    let server = Server::start().await;
    with_tags(&server).await;
    let owner = server.owner();
    server.block("phishing.txt", &LIST);
    let told = alerts(&owner, ALERTS).await;
    let mut paged = Vec::new();
    let mut path = "/alerts?limit=3".to_owned();
    loop {
        let page = owner.get(&path).await.ok();
        paged.extend(page["items"].as_array().unwrap().clone());
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/alerts?limit=3&cursor={cursor}");
    }
    assert_eq!(paged, told);
    let of_tag = owner.get("/alerts?code=twice&kind=blocklist").await.ok();
    assert_eq!(of_tag["items"].as_array().unwrap().len(), 2);
    let none = owner.get("/alerts?code=good").await.ok();
    assert_eq!(none, json!({"items": [], "next_cursor": null}));
    owner.get("/alerts?code=theirs").await.problem(404);
    for (query, parameter) in [
        ("kind=weather", "kind"),
        ("cursor=x", "cursor"),
        ("limit=0", "limit"),
        ("domain=go.example.net", "domain"),
        ("since=1", "since"),
    ] {
        let answer = owner.get(&format!("/alerts?{query}")).await;
        assert_eq!(answer.parameter(), parameter, "{query}");
    }
}

#[tokio::test]
async fn where_the_operator_has_it_so_nobody_is_sent_to_a_listed_host_any_more() {
    let server = Server::start_pausing().await;
    let other = with_tags(&server).await;
    let owner = server.owner();
    let good = owner.get("/tags/good").await.ok();
    server.block("phishing.txt", &LIST);
    assert_eq!(subjects(&alerts(&owner, ALERTS).await), expected());
    alerts(&other, 1).await;

    let tag = async |code: &str| owner.get(&format!("/tags/{code}")).await.ok();
    for code in ["plain", "rule", "twice", "paused"] {
        assert_eq!(tag(code).await["status"], "paused", "{code}");
    }
    let plain = tag("plain").await;
    assert_eq!(
        (&plain["version"], &plain["updated_by"]),
        (&json!(3), &json!("blocklist"))
    );
    assert_eq!(plain["destination"], LISTED, "it is where it would lead");
    assert_eq!(plain["scheduled"]["set"], json!({"name": "Plain"}));
    assert_eq!(tag("twice").await["fallback_url"], Value::Null);
    let fallback = tag("fallback").await;
    assert_eq!(
        (&fallback["status"], &fallback["fallback_url"]),
        (&json!("active"), &Value::Null)
    );
    let later = tag("later").await;
    assert_eq!(
        (&later["status"], &later["scheduled"]),
        (&json!("active"), &Value::Null)
    );
    assert_eq!(
        tag("paused").await["scheduled"],
        Value::Null,
        "it would be on the air again"
    );
    assert_eq!(tag("good").await, good);
    assert_eq!(other.get("/tags/theirs").await.ok()["status"], "paused");
    let workspace = owner.get("/workspaces/default").await.ok();
    assert_eq!(workspace["fallback_url"], Value::Null);
    let domain = owner.get("/domains").await.ok()["items"][0].clone();
    assert_eq!(
        (&domain["home_url"], &domain["fallback_url"]),
        (&Value::Null, &json!(GOOD))
    );
    assert_eq!(
        domain["upstream_url"], "https://b.bad.example.com/",
        "nobody is sent there"
    );

    let audit = owner.get("/audit?actor=blocklist").await.ok();
    let entries = audit["items"].as_array().unwrap();
    let of_plain = entries
        .iter()
        .find(|entry| entry["code"] == "plain")
        .unwrap();
    assert_eq!(
        (&of_plain["action"], &of_plain["remote"]),
        (&json!("update"), &json!(""))
    );
    assert_eq!(entries.len(), 8, "{audit}");

    // A host that was taken off the list again: people put their tags on the air themselves.
    server.block("phishing.txt", &[]);
    assert_eq!(tag("plain").await["status"], "paused");
    let active = json!({"status": "active"});
    assert_eq!(
        owner.patch("/tags/plain", active).await.ok()["status"],
        "active"
    );
}
