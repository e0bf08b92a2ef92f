//! Lists of tags: what narrows them, and pages.

use serde_json::{Value, json};

use crate::support::{Server, codes};

#[tokio::test]
async fn a_list_is_narrowed_by_text_campaign_label_and_status() {
    let server = Server::start().await;
    let owner = server.owner();
    for fields in [
        json!({"code": "one", "destination": "https://example.com/a_b", "campaign": "summer", "labels": ["print", "de"]}),
        json!({"code": "two", "destination": "https://example.com/acb", "campaign": "summer", "name": "On the Can", "status": "paused"}),
        json!({"code": "three", "destination": "https://example.com/100%25", "campaign": "summer2", "labels": ["print"]}),
    ] {
        owner.post("/tags", fields).await.created();
    }
    owner.tag("gone").await;
    owner.delete("/tags/gone").await.no_content();
    for (query, expected) in [
        ("", vec!["gone", "three", "two", "one"]),
        ("?q=ON%20THE", vec!["two"]),
        ("?q=a_b", vec!["one"]),
        ("?q=%25", vec!["three"]),
        ("?q=%5C", vec![]),
        ("?q=thre", vec!["three"]),
        ("?campaign=summer", vec!["two", "one"]),
        ("?label=print", vec!["three", "one"]),
        ("?label=print&campaign=summer&q=one", vec!["one"]),
        ("?label=prin", vec![]),
        ("?status=revoked", vec!["gone"]),
        ("?status=paused", vec!["two"]),
        ("?status=active&limit=500", vec!["three", "one"]),
    ] {
        let list = owner.get(&format!("/tags{query}")).await.ok();
        assert_eq!(codes(&list), expected, "{query}");
        assert_eq!(list["next_cursor"], Value::Null);
    }
    // A label that was taken away is no longer found.
    owner.patch("/tags/one", json!({"labels": null})).await.ok();
    assert_eq!(codes(&owner.get("/tags?label=print").await.ok()), ["three"]);
}

#[tokio::test]
async fn pages_neither_repeat_nor_leave_out_a_tag_while_others_are_added() {
    let server = Server::start().await;
    let owner = server.owner();
    for number in 0..7 {
        owner.tag(&format!("t{number}")).await;
    }
    let mut seen = Vec::new();
    let mut path = "/tags?limit=3".to_owned();
    loop {
        let page = owner.get(&path).await.ok();
        assert!(codes(&page).len() <= 3);
        seen.extend(codes(&page));
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/tags?limit=3&cursor={cursor}");
        owner.tag(&format!("later{}", seen.len())).await;
    }
    assert_eq!(seen, ["t6", "t5", "t4", "t3", "t2", "t1", "t0"]);
}

#[tokio::test]
async fn a_parameter_that_is_wrong_unknown_or_given_twice_is_named() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    let long = format!("/tags?q={}", "x".repeat(60_000));
    for (path, parameter) in [
        ("/tags?limit=0", "limit"),
        ("/tags?limit=501", "limit"),
        ("/tags?limit=", "limit"),
        ("/tags?limit=ten", "limit"),
        ("/tags?q=a%00", "q"),
        ("/tags?cursor=", "cursor"),
        ("/tags?cursor=AAAA", "cursor"),
        ("/tags?cursor=%00", "cursor"),
        ("/tags?status=Active", "status"),
        ("/tags?page=2", "page"),
        ("/tags?q=a&q=b", "q"),
        (&long, "q"),
        ("/tags/spring?x=1", "x"),
        ("/tags/spring?domain=a%20b", "domain"),
        ("/tags/spring/versions?limit=0", "limit"),
        ("/workspaces?x", "x"),
        ("/workspaces/default?x", "x"),
        ("/keys?x", "x"),
        ("/domains?x", "x"),
    ] {
        assert_eq!(owner.get(path).await.parameter(), parameter, "{path:.60}");
    }
    for path in [
        "/tags?x=1",
        "/tags/spring/rollback?x=1",
        "/keys?x=1",
        "/domains?x=1",
        "/workspaces?x=1",
    ] {
        assert_eq!(owner.post(path, json!({})).await.parameter(), "x", "{path}");
    }
    assert_eq!(
        owner.patch("/tags/spring?x=1", json!({})).await.parameter(),
        "x"
    );
    assert_eq!(owner.delete("/tags/spring?x=1").await.parameter(), "x");
}
