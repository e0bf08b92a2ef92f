//! The examples of docs/api.md are true: each list of rules is given to a tag, and each visitor is simulated.

use serde_json::{Value, json};

use crate::support::Server;

const PAGE: &str = include_str!("../../../../docs/api.md");

struct Example {
    title: &'static str,
    rules: Value,
    /// What is told of a visitor, and the name of the rule that decides; `-`: none.
    visitors: Vec<(Value, &'static str)>,
}

fn examples() -> Vec<Example> {
    let (_, examples) = PAGE.split_once("\n## Ten examples\n").unwrap();
    let (examples, _) = examples.split_once("\n## ").unwrap();
    examples.split("\n### ").skip(1).map(example).collect()
}

fn example(text: &'static str) -> Example {
    let title = text.lines().next().unwrap();
    let (_, rest) = text.split_once("```json\n").unwrap();
    let (rules, rest) = rest.split_once("```\n").unwrap();
    let rows = rest.lines().filter_map(|line| line.strip_prefix("| `"));
    let visitor = |row: &'static str| {
        let (visitor, rule) = row.split_once("` | ").unwrap();
        let rule = rule.strip_suffix(" |").unwrap();
        (serde_json::from_str(visitor).unwrap(), rule)
    };
    Example {
        title,
        rules: serde_json::from_str(rules).unwrap_or_else(|error| panic!("{title}: {error}")),
        visitors: rows.map(visitor).collect(),
    }
}

#[tokio::test]
async fn the_ten_examples_of_the_page_are_true() {
    let server = Server::start().await;
    let owner = server.owner();
    let examples = examples();
    assert_eq!(examples.len(), 10);
    for Example {
        title,
        rules,
        visitors,
    } in examples
    {
        let (number, _) = title.split_once('.').unwrap();
        let code = format!("example-{number}"); // on which who is in a share depends
        let fields = json!({"code": code, "destination": "https://example.com/", "rules": rules});
        let tag = owner.post("/tags", fields).await.created();
        assert_eq!(tag["rules"], rules, "{title}");
        assert_eq!(tag["warnings"], json!([]), "{title}");
        let path = format!("/tags/{code}/simulate");
        assert!(visitors.len() >= 3, "{title}");
        for (visitor, rule) in visitors {
            let answer = owner.post(&path, visitor.clone()).await.ok();
            assert_eq!(
                answer["rule"].as_str().unwrap_or("-"),
                rule,
                "{title}: {visitor}: {answer}"
            );
        }
    }
}

#[tokio::test]
async fn the_refusal_that_the_page_shows_is_the_one_that_is_given() {
    let (_, shown) = PAGE.rsplit_once("```json\n").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    let shown: Value = serde_json::from_str(shown).unwrap();
    let hours = json!({"from": "06:00", "to": "09:30", "zone": "Europe/Berlim"});
    let rules = json!([{"name": "a", "when": {"hours": hours}, "to": "https://example.com/"}]);
    let server = Server::start().await;
    let answer = server
        .owner()
        .post(
            "/tags",
            json!({"destination": "https://example.com/", "rules": rules}),
        )
        .await;
    assert_eq!(answer.problem(422)["errors"], json!([shown]));
}
