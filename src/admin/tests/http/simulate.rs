//! Simulations: what a visitor who is described would get, and what becomes of each rule.

use std::sync::Arc;

use facts::CrawlerNetworks;
use serde_json::{Value, json};

use crate::support::{Api, Server};

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 \
                      Mobile/15E148 Safari/604.1";

fn rules() -> Value {
    json!([
        {"name": "bots", "when": {"bot": true}, "to": "https://example.com/bots"},
        {"name": "mornings", "when": {"os": ["ios"], "hours": {"from": "06:00", "to": "09:30", "zone": "Europe/Berlin"}}, "to": "https://example.com/mornings"},
        {"name": "german", "when": {"device": ["mobile"], "language": ["de"], "query": {"ref": ["tv"]}}, "to": "https://example.com/german"},
        {"name": "first", "when": {"scan_number": {"to": 1001}, "network": ["203.0.113.0/24"]}, "to": "https://example.com/first"},
        {"name": "placed", "when": {"country": ["DE"], "share": 100}, "to": "https://example.com/placed"}
    ])
}

async fn with_rules(server: &Server) -> Api {
    let owner = server.owner();
    let tag =
        json!({"code": "spring", "destination": "https://example.com/else", "rules": rules()});
    owner.post("/tags", tag).await.created();
    owner
}

/// The outcome, the path of the location, the rule, and of each rule the condition that fails.
fn brief(answer: &Value) -> (String, String, Value, Vec<Value>) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let judged = answer["rules"].as_array().unwrap();
    for rule in judged {
        assert_eq!(
            rule["matched"].as_bool(),
            Some(rule["failed"].is_null()),
            "{rule}"
        );
    }
    let path = text(&answer["location"]).replace("https://example.com/", "");
    let failed = judged.iter().map(|rule| rule["failed"].clone()).collect();
    (
        text(&answer["outcome"]),
        path,
        answer["rule"].clone(),
        failed,
    )
}

#[tokio::test]
async fn every_rule_is_judged_and_the_first_that_holds_decides() {
    let server = Server::start().await;
    let owner = with_rules(&server).await;
    let null = Value::Null;
    let morning = "2026-12-01T07:00:00+01:00";
    let noon = "2026-12-01T11:00:00Z";
    for (visitor, path, rule, failed) in [
        (
            json!({}),
            "else",
            null.clone(),
            ["bot", "os", "device", "network", "country"],
        ),
        (
            json!({"user_agent": ""}),
            "else",
            null.clone(),
            ["bot", "os", "device", "network", "country"],
        ),
        (
            json!({"user_agent": IPHONE, "time": morning}),
            "mornings",
            json!("mornings"),
            ["bot", "", "language", "network", "country"],
        ),
        (
            json!({"user_agent": IPHONE, "time": noon, "language": "de-AT,en;q=0.5"}),
            "else",
            null.clone(),
            ["bot", "hours", "query", "network", "country"],
        ),
        (
            json!({"user_agent": IPHONE, "time": noon, "language": "de-AT", "query": "ref=tv&x=1"}),
            "german?ref=tv&x=1",
            json!("german"),
            ["bot", "hours", "", "network", "country"],
        ),
        (
            json!({"user_agent": IPHONE, "time": noon, "language": "de", "query": "?ref=tv"}),
            "german?ref=tv",
            json!("german"),
            ["bot", "hours", "", "network", "country"],
        ),
        (
            json!({"user_agent": IPHONE, "time": noon, "address": "203.0.113.7"}),
            "else",
            null.clone(),
            ["bot", "hours", "language", "scan_number", "country"],
        ),
        (
            json!({"time": noon, "address": "::ffff:203.0.113.7", "scan_number": 1000}),
            "first",
            json!("first"),
            ["bot", "os", "device", "", "country"],
        ),
        (
            json!({"time": noon, "address": "203.0.113.7", "scan_number": 1001}),
            "else",
            null.clone(),
            ["bot", "os", "device", "scan_number", "country"],
        ),
        (
            json!({"user_agent": "curl/8.0", "time": morning}),
            "bots",
            json!("bots"),
            ["", "os", "device", "network", "country"],
        ),
    ] {
        let answer = owner
            .post("/tags/spring/simulate", visitor.clone())
            .await
            .ok();
        let failed: Vec<Value> = failed
            .iter()
            .map(|word| {
                if word.is_empty() {
                    json!(null)
                } else {
                    json!(word)
                }
            })
            .collect();
        assert_eq!(
            brief(&answer),
            ("redirected".to_owned(), path.to_owned(), rule, failed),
            "{visitor}: {answer}"
        );
        let names: Vec<&str> = answer["rules"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| rule["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["bots", "mornings", "german", "first", "placed"]);
    }
}

#[tokio::test]
async fn rules_that_are_given_stand_for_the_tags_own_and_are_not_kept() {
    let server = Server::start().await;
    let owner = with_rules(&server).await;
    let draft = json!([{"name": "draft", "when": {"query": {"x": null}}, "to": "https://example.com/draft"}]);
    let answer = owner
        .post("/tags/spring/simulate", json!({"rules": draft}))
        .await
        .ok();
    assert_eq!(
        answer,
        json!({
            "outcome": "redirected", "location": "https://example.com/draft", "rule": "draft", "bot_reason": null,
            "rules": [{"name": "draft", "matched": true, "failed": null}]
        })
    );
    let none = owner
        .post("/tags/spring/simulate", json!({"rules": []}))
        .await
        .ok();
    assert_eq!(
        none,
        json!({"outcome": "redirected", "location": "https://example.com/else", "rule": null, "bot_reason": null, "rules": []})
    );
    let tag = owner.get("/tags/spring").await.ok();
    assert_eq!((&tag["rules"], &tag["version"]), (&rules(), &json!(1)));
    let refused = json!([{"name": "draft", "when": {"share": 0}, "to": "http://10.0.0.1/"}]);
    let answer = owner
        .post(
            "/tags/spring/simulate",
            json!({"rules": refused, "address": "nowhere", "time": "now", "scan_number": 0}),
        )
        .await;
    assert_eq!(
        answer.pointers(422),
        [
            "/address",
            "/time",
            "/scan_number",
            "/rules/0/when/share",
            "/rules/0/to"
        ]
    );
}

#[tokio::test]
async fn a_scan_s_number_goes_as_far_as_a_rule_s_and_a_user_agent_is_trimmed_as_at_an_edge() {
    let server = Server::start().await;
    let owner = with_rules(&server).await;
    let highest = (1_u64 << 53) - 1;
    let rules = json!([{"name": "last", "when": {"scan_number": {"from": highest}}, "to": "https://example.com/last"}]);
    let simulate = async |request: Value| owner.post("/tags/spring/simulate", request).await;
    let answer = simulate(json!({"rules": rules, "scan_number": highest})).await;
    assert_eq!(answer.ok()["rule"], "last");
    let answer = simulate(json!({"scan_number": highest + 1})).await;
    assert_eq!(answer.pointers(422), ["/scan_number"]);
    let rules = json!([{"name": "half", "when": {"share": 50}, "to": "https://example.com/half"}]);
    for visitor in 0..16 {
        let decide = async |user_agent: String| {
            let visitor = json!({"rules": rules, "address": format!("203.0.113.{visitor}"), "user_agent": user_agent});
            simulate(visitor).await.ok()
        };
        assert_eq!(
            decide(format!("  {IPHONE} ")).await,
            decide(IPHONE.to_owned()).await
        );
    }
}

#[tokio::test]
async fn a_tag_that_does_not_redirect_says_why_and_its_rules_are_judged_all_the_same() {
    let server = Server::start().await;
    let owner = with_rules(&server).await;
    let bot = json!({"user_agent": "curl/8.0"});
    owner
        .patch("/tags/spring", json!({"status": "paused"}))
        .await
        .ok();
    let answer = owner.post("/tags/spring/simulate", bot.clone()).await.ok();
    assert_eq!(
        (&answer["outcome"], &answer["location"], &answer["rule"]),
        (&json!("paused"), &json!(null), &json!(null))
    );
    assert_eq!(
        answer["rules"][0],
        json!({"name": "bots", "matched": true, "failed": null})
    );
    owner
        .patch(
            "/workspaces/default",
            json!({"fallback_url": "https://example.com/fallback"}),
        )
        .await
        .ok();
    let answer = owner.post("/tags/spring/simulate", bot.clone()).await.ok();
    assert_eq!(
        (&answer["outcome"], &answer["location"]),
        (&json!("fallback"), &json!("https://example.com/fallback"))
    );
    owner.patch("/tags/spring", json!({"status": "active", "starts_at": "2090-01-01T00:00:00Z", "fallback_url": "https://example.com/own"})).await.ok();
    let early = owner
        .post(
            "/tags/spring/simulate",
            json!({"time": "2089-12-31T23:59:59Z"}),
        )
        .await
        .ok();
    assert_eq!(
        (&early["outcome"], &early["location"]),
        (&json!("fallback"), &json!("https://example.com/own"))
    );
    let in_time = owner
        .post(
            "/tags/spring/simulate",
            json!({"time": "2090-01-01T00:00:00Z"}),
        )
        .await
        .ok();
    assert_eq!(in_time["outcome"], "redirected");
}

#[tokio::test]
async fn a_visitor_is_in_the_same_part_each_time() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    let rules = |share: u64| {
        json!([{"name": "part", "when": {"share": share}, "to": [
            {"url": "https://example.com/0", "weight": 1}, {"url": "https://example.com/1", "weight": 1}
        ]}])
    };
    let mut parts = Vec::new();
    for visitor in 0..40 {
        let mut seen = Vec::new();
        for share in [30, 30, 60] {
            let body = json!({"address": format!("203.0.113.{visitor}"), "user_agent": IPHONE, "rules": rules(share)});
            let answer = owner.post("/tags/spring/simulate", body).await.ok();
            seen.push((answer["rule"] == "part", answer["location"].clone()));
        }
        assert_eq!(seen[0], seen[1]);
        // A part that grows keeps its visitors, and each of them their destination.
        assert!(!seen[0].0 || seen[0] == seen[2], "{seen:?}");
        parts.push((seen[0].0, seen[2].0));
    }
    let (small, large) = (
        parts.iter().filter(|part| part.0).count(),
        parts.iter().filter(|part| part.1).count(),
    );
    assert!(
        (3..=22).contains(&small) && (14..=34).contains(&large) && small < large,
        "{small} and {large} of 40"
    );
}

#[tokio::test]
async fn what_is_not_there_or_anothers_is_not_simulated() {
    let server = Server::start().await;
    with_rules(&server).await;
    let other = server.other_tenant().await;
    other
        .post("/tags/spring/simulate", json!({}))
        .await
        .problem(404);
    server
        .owner()
        .post("/tags/summer/simulate", json!({}))
        .await
        .problem(404);
    server
        .without_key()
        .post("/tags/spring/simulate", json!({}))
        .await
        .problem(401);
}

#[tokio::test]
async fn a_bot_is_said_to_be_one_by_its_network_before_its_user_agent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Searchbot.txt");
    std::fs::write(&file, "198.51.100.0/24\n").unwrap();
    let crawlers = CrawlerNetworks::default();
    crawlers.follow(crawlers.prepare(&[file]).unwrap());
    let server = Server::start_configured(|options| options.crawlers = Arc::new(crawlers)).await;
    let owner = with_rules(&server).await;
    let network = json!("network:searchbot");
    for (visitor, reason) in [
        (json!({}), json!(null)),
        (json!({"user_agent": IPHONE}), json!(null)),
        (json!({"user_agent": "curl/8.0"}), json!("user_agent")),
        (json!({"address": "198.51.100.7"}), network.clone()),
        (
            json!({"address": "::ffff:198.51.100.7", "user_agent": IPHONE}),
            network.clone(),
        ),
        (
            json!({"address": "198.51.100.7", "user_agent": "curl/8.0"}),
            network,
        ),
        (
            json!({"address": "198.51.101.7", "user_agent": "curl/8.0"}),
            json!("user_agent"),
        ),
    ] {
        let answer = owner
            .post("/tags/spring/simulate", visitor.clone())
            .await
            .ok();
        assert_eq!(answer["bot_reason"], reason, "{visitor}");
        let rule = &answer["rules"][0];
        assert_eq!(rule["matched"], !reason.is_null(), "{visitor}: {rule}");
    }
}
