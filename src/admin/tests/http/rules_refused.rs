//! Rules that are refused: each at its place, with what is allowed.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Server};

async fn given(api: &Api, rules: Value) -> Answer {
    api.post(
        "/tags",
        json!({"destination": "https://example.com/", "rules": rules}),
    )
    .await
}

fn rule(when: Value) -> Value {
    json!([{"name": "a", "when": when, "to": "https://example.com/"}])
}

fn to(to: Value) -> Value {
    json!([{"name": "a", "when": {}, "to": to}])
}

/// What is refused, where (below `/rules`), and what of the reason has to be said.
fn cases() -> Vec<(Value, &'static str, &'static str)> {
    let many = |count: usize, item: fn(usize) -> Value| (0..count).map(item).collect::<Vec<_>>();
    let long = "x".repeat(257);
    let loopback = "http://127.0.0.1/";
    vec![
        // The list.
        (json!({}), "", "a list"),
        (json!("x"), "", "a list"),
        (
            json!(many(
                33,
                |n| json!({"name": format!("{n}"), "when": {}, "to": "https://example.com/"})
            )),
            "",
            "at most 32",
        ),
        (json!([1]), "/0", "an object with name, when, to"),
        // A rule.
        (
            json!([{"when": {}, "to": "https://example.com/"}]),
            "/0/name",
            "is required",
        ),
        (
            json!([{"name": "", "when": {}, "to": "https://example.com/"}]),
            "/0/name",
            "1 to 64 characters",
        ),
        (
            json!([{"name": 1, "when": {}, "to": "https://example.com/"}]),
            "/0/name",
            "a string",
        ),
        (
            json!([{"name": "x".repeat(65), "when": {}, "to": "https://example.com/"}]),
            "/0/name",
            "at most 64",
        ),
        (
            json!([{"name": "a\nb", "when": {}, "to": "https://example.com/"}]),
            "/0/name",
            "control characters",
        ),
        (
            json!([{"name": " a", "when": {}, "to": "https://example.com/"}]),
            "/0/name",
            "white space",
        ),
        (
            json!([rule(json!({}))[0], rule(json!({}))[0]]),
            "/1/name",
            "unique",
        ),
        (
            json!([{"name": "a", "to": "https://example.com/"}]),
            "/0/when",
            "is required",
        ),
        (
            json!([{"name": "a", "when": [], "to": "https://example.com/"}]),
            "/0/when",
            "an object",
        ),
        (
            json!([{"name": "a", "when": {}, "to": "https://example.com/", "priority": 1}]),
            "/0/priority",
            "allowed are name, when, to",
        ),
        (
            rule(json!({"colour": ["red"]})),
            "/0/when/colour",
            "allowed are device, os",
        ),
        (rule(json!({"a/b~c": 1})), "/0/when/a~1b~0c", "allowed are"),
        // Where it leads.
        (json!([{"name": "a", "when": {}}]), "/0/to", "is required"),
        (to(json!(1)), "/0/to", "a destination, or a list"),
        (to(json!([])), "/0/to", "must not be empty"),
        (
            to(json!("javascript:alert(1)")),
            "/0/to",
            "is not allowed: begin with",
        ),
        (
            to(json!(loopback)),
            "/0/to",
            "not an address on the public internet",
        ),
        (to(json!("http://go.example.net/abc")), "/0/to", "loop"),
        (
            to(json!([{"url": loopback, "weight": 1}])),
            "/0/to/0/url",
            "public internet",
        ),
        (
            to(json!([{"url": "https://go.example.net/q/abc", "weight": 1}])),
            "/0/to/0/url",
            "loop",
        ),
        (
            to(json!([{"url": 5, "weight": 1}])),
            "/0/to/0/url",
            "a string",
        ),
        (to(json!([{"weight": 1}])), "/0/to/0/url", "is required"),
        (
            to(json!([{"url": "https://example.com/"}])),
            "/0/to/0/weight",
            "is required",
        ),
        (
            to(json!([{"url": "https://example.com/", "weight": 0}])),
            "/0/to/0/weight",
            "from 1 to 1000",
        ),
        (
            to(json!([{"url": "https://example.com/", "weight": 1001}])),
            "/0/to/0/weight",
            "from 1 to 1000",
        ),
        (
            to(json!([{"url": "https://example.com/", "weight": 1.5}])),
            "/0/to/0/weight",
            "a whole number",
        ),
        (
            to(json!([{"url": "https://example.com/", "weight": "3"}])),
            "/0/to/0/weight",
            "a whole number",
        ),
        (
            to(json!([{"url": "https://example.com/", "weight": 1, "name": "x"}])),
            "/0/to/0/name",
            "allowed are url, weight",
        ),
        (
            to(json!(["https://example.com/"])),
            "/0/to/0",
            "an object with url, weight",
        ),
        (
            to(json!(many(
                17,
                |n| json!({"url": format!("https://example.com/{n}"), "weight": 1})
            ))),
            "/0/to",
            "at most 16",
        ),
        // Words.
        (
            rule(json!({"device": []})),
            "/0/when/device",
            "must not be empty",
        ),
        (
            rule(json!({"device": "mobile"})),
            "/0/when/device",
            "a list of strings",
        ),
        (
            rule(json!({"device": ["phone"]})),
            "/0/when/device/0",
            "one of mobile, tablet, desktop, tv, other",
        ),
        (
            rule(json!({"device": ["mobile", 1]})),
            "/0/when/device/1",
            "a string",
        ),
        (
            rule(json!({"device": ["mobile", "mobile"]})),
            "/0/when/device/1",
            "twice",
        ),
        (
            rule(json!({"os": ["iOS"]})),
            "/0/when/os/0",
            "one of ios, android",
        ),
        (
            rule(json!({"browser": ["in-app"]})),
            "/0/when/browser/0",
            "in_app",
        ),
        // Places.
        (
            rule(json!({"country": ["de"]})),
            "/0/when/country/0",
            "did you mean DE?",
        ),
        (
            rule(json!({"country": ["UK"]})),
            "/0/when/country/0",
            "did you mean GB?",
        ),
        (
            rule(json!({"country": ["Germany"]})),
            "/0/when/country/0",
            "did you mean DE?",
        ),
        (
            rule(json!({"country": ["AUT"]})),
            "/0/when/country/0",
            "did you mean AT?",
        ),
        (
            rule(json!({"country": ["ZZ"]})),
            "/0/when/country/0",
            "did you mean",
        ),
        (
            rule(json!({"country": many(17, |_| json!("DE"))})),
            "/0/when/country",
            "at most 16",
        ),
        (
            rule(json!({"region": ["DE-BX"]})),
            "/0/when/region/0",
            "did you mean DE-B",
        ),
        (
            rule(json!({"region": ["de-by"]})),
            "/0/when/region/0",
            "did you mean DE-BY?",
        ),
        (rule(json!({"region": ["BY"]})), "/0/when/region/0", "-BY?"),
        // Languages.
        (
            rule(json!({"language": ["de_AT"]})),
            "/0/when/language/0",
            "did you mean de-AT?",
        ),
        (
            rule(json!({"language": ["german"]})),
            "/0/when/language/0",
            "did you mean de?",
        ),
        (
            rule(json!({"language": ["en-UK"]})),
            "/0/when/language/0",
            "did you mean GB?",
        ),
        (
            rule(json!({"language": ["*"]})),
            "/0/when/language/0",
            "language tag",
        ),
        (
            rule(json!({"language": ["de", "DE"]})),
            "/0/when/language/1",
            "twice",
        ),
        // Ranges.
        (
            rule(json!({"dates": {}})),
            "/0/when/dates",
            "from, to, or both",
        ),
        (
            rule(json!({"dates": "2026-12-01"})),
            "/0/when/dates",
            "an object with from, to",
        ),
        (
            rule(json!({"dates": {"from": "2026-12-01"}})),
            "/0/when/dates/from",
            "RFC 3339",
        ),
        (
            rule(json!({"dates": {"from": 1}})),
            "/0/when/dates/from",
            "a string",
        ),
        (
            rule(json!({"dates": {"from": "2026-12-02T00:00:00Z", "to": "2026-12-01T00:00:00Z"}})),
            "/0/when/dates/to",
            "after from",
        ),
        (
            rule(
                json!({"dates": {"from": "2026-12-02T00:00:00Z", "to": "2026-12-02T01:00:00+01:00"}}),
            ),
            "/0/when/dates/to",
            "after from",
        ),
        (
            rule(json!({"dates": {"from": "2026-12-02T00:00:00Z", "until": 1}})),
            "/0/when/dates/until",
            "allowed are from, to",
        ),
        (
            rule(json!({"scan_number": {}})),
            "/0/when/scan_number",
            "from, to, or both",
        ),
        (
            rule(json!({"scan_number": {"from": 0}})),
            "/0/when/scan_number/from",
            "from 1 to",
        ),
        (
            rule(json!({"scan_number": {"from": 5, "to": 5}})),
            "/0/when/scan_number/to",
            "after from",
        ),
        (
            rule(json!({"scan_number": {"to": 1}})),
            "/0/when/scan_number/to",
            "after from",
        ),
        // Hours.
        (
            rule(json!({"hours": {"from": "06:00", "to": "09:30"}})),
            "/0/when/hours/zone",
            "is required",
        ),
        (
            rule(json!({"hours": {"to": "09:30", "zone": "Europe/Berlin"}})),
            "/0/when/hours/from",
            "is required",
        ),
        (
            rule(json!({"hours": {"from": "06:00", "zone": "Europe/Berlin"}})),
            "/0/when/hours/to",
            "is required",
        ),
        (
            rule(json!({"hours": {"from": "6:00", "to": "09:30", "zone": "Europe/Berlin"}})),
            "/0/when/hours/from",
            "00:00 to 23:59",
        ),
        (
            rule(json!({"hours": {"from": "06:00", "to": "24:00", "zone": "Europe/Berlin"}})),
            "/0/when/hours/to",
            "00:00 to 23:59",
        ),
        (
            rule(json!({"hours": {"from": "06:00", "to": "06:00", "zone": "Europe/Berlin"}})),
            "/0/when/hours/to",
            "differ",
        ),
        (
            rule(json!({"hours": {"from": "06:00", "to": "09:30", "zone": "Europe/Berlim"}})),
            "/0/when/hours/zone",
            "did you mean Europe/Berlin?",
        ),
        (
            rule(json!({"hours": {"from": "06:00", "to": "09:30", "zone": "+01:00"}})),
            "/0/when/hours/zone",
            "IANA",
        ),
        (
            rule(
                json!({"hours": {"days": [], "from": "06:00", "to": "09:30", "zone": "Europe/Berlin"}}),
            ),
            "/0/when/hours/days",
            "must not be empty",
        ),
        (
            rule(
                json!({"hours": {"days": ["Mon"], "from": "06:00", "to": "09:30", "zone": "Europe/Berlin"}}),
            ),
            "/0/when/hours/days/0",
            "one of mon, tue",
        ),
        // Query.
        (
            rule(json!({"query": {}})),
            "/0/when/query",
            "must not be empty",
        ),
        (
            rule(json!({"query": ["ref"]})),
            "/0/when/query",
            "an object",
        ),
        (
            rule(json!({"query": {"ref": []}})),
            "/0/when/query/ref",
            "must not be empty",
        ),
        (
            rule(json!({"query": {"ref": "tv"}})),
            "/0/when/query/ref",
            "a list of strings",
        ),
        (
            rule(json!({"query": {"a/b": [1]}})),
            "/0/when/query/a~1b/0",
            "a string",
        ),
        (
            rule(json!({"query": {"": ["x"]}})),
            "/0/when/query/",
            "name must not be empty",
        ),
        (
            rule(json!({"query": {"ref": [long]}})),
            "/0/when/query/ref/0",
            "at most 256",
        ),
        (
            rule(json!({"query": {"ref": many(17, |n| json!(format!("{n}")))}})),
            "/0/when/query/ref",
            "at most 16",
        ),
        (
            rule(
                json!({"query": (0..17).map(|n| (format!("{n:02}"), Value::Null)).collect::<serde_json::Map<_, _>>()}),
            ),
            "/0/when/query",
            "at most 16",
        ),
        // The rest.
        (
            rule(json!({"bot": "false"})),
            "/0/when/bot",
            "true or false",
        ),
        (
            rule(json!({"network": ["203.0.113.7/24"]})),
            "/0/when/network/0",
            "write 203.0.113.0/24",
        ),
        (
            rule(json!({"network": ["203.0.113.7"]})),
            "/0/when/network/0",
            "203.0.113.7/32",
        ),
        (
            rule(json!({"network": ["203.0.113.0/33"]})),
            "/0/when/network/0",
            "not a network",
        ),
        (
            rule(json!({"network": ["::ffff:203.0.113.1/120"]})),
            "/0/when/network/0",
            "bits below its mask",
        ),
        (rule(json!({"share": 0})), "/0/when/share", "from 1 to 100"),
        (
            rule(json!({"share": 101})),
            "/0/when/share",
            "from 1 to 100",
        ),
        (
            rule(json!({"share": 12.5})),
            "/0/when/share",
            "whole number",
        ),
        (rule(json!({"share": -1})), "/0/when/share", "from 1 to 100"),
    ]
}

#[tokio::test]
async fn each_refusal_is_at_its_place_and_says_what_is_allowed() {
    let server = Server::start().await;
    let owner = server.owner();
    for (rules, pointer, reason) in cases() {
        let answer = given(&owner, rules.clone()).await;
        assert_eq!(
            answer.pointers(422),
            [format!("/rules{pointer}")],
            "{rules}"
        );
        let problem = answer.problem(422);
        let detail = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(reason), "{rules}: {detail}");
    }
    assert_eq!(owner.get("/tags").await.ok()["items"], json!([]));
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once_in_an_edit_too() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    let rules = json!([
        {"name": "a", "when": {"country": ["DE", "XX"], "share": 0}, "to": "http://10.0.0.1/"},
        {"name": "a", "when": {"hours": {"days": ["someday"], "from": "1", "to": "2", "zone": "Nowhere"}}, "to": "https://example.com/"}
    ]);
    let answer = owner.patch("/tags/spring", json!({"rules": rules})).await;
    let mut pointers = answer.pointers(422);
    pointers.sort();
    assert_eq!(
        pointers,
        [
            "/rules/0/to",
            "/rules/0/when/country/1",
            "/rules/0/when/share",
            "/rules/1/name",
            "/rules/1/when/hours/days/0",
            "/rules/1/when/hours/from",
            "/rules/1/when/hours/to",
            "/rules/1/when/hours/zone",
        ]
    );
    assert_eq!(owner.get("/tags/spring").await.ok()["version"], 1);
}

#[tokio::test]
async fn a_member_that_is_given_twice_is_refused_at_any_depth() {
    let server = Server::start().await;
    let body = r#"{"destination": "https://example.com/", "rules":
        [{"name": "a", "when": {"query": {"ref": ["tv"], "ref": ["radio"]}}, "to": "https://example.com/", "to": "https://example.org/"}]}"#;
    let answer = server.owner().raw(Method::POST, "/tags", body).await;
    assert_eq!(
        answer.pointers(422),
        ["/rules/0/when/query/ref", "/rules/0/to"]
    );
}

#[tokio::test]
async fn rules_at_every_limit_are_taken_and_what_is_too_large_altogether_is_not() {
    let server = Server::start().await;
    let owner = server.owner();
    let targets = |length: usize| {
        let url =
            |n: usize| json!({"url": format!("https://example.com/{n:0length$}"), "weight": 1000});
        (0..16).map(url).collect::<Vec<_>>()
    };
    let rules = |length: usize| {
        let rule = |n: usize| {
            let query: serde_json::Map<_, _> = (0..16)
                .map(|name| (format!("{name}"), json!(["a"])))
                .collect();
            json!({"name": format!("{n:064}"), "when": {"query": query}, "to": targets(length)})
        };
        json!((0..32).map(rule).collect::<Vec<_>>())
    };
    let tag = given(&owner, rules(100)).await.created();
    assert_eq!(tag["rules"].as_array().unwrap().len(), 32);
    let answer = given(&owner, rules(300)).await;
    assert_eq!(answer.pointers(422), ["/rules"]);
}
