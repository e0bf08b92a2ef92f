//! Rules as a tag's field: given, kept, changed, gone back to, and what is said of those that are hardly meant.

use serde_json::{Value, json};

use crate::support::Server;

/// Every condition, and both forms of destinations.
fn full() -> Value {
    json!([
        {
            "name": "Commuters on iPhones",
            "when": {
                "device": ["mobile"], "os": ["ios"], "browser": ["safari"],
                "country": ["DE", "AT"], "region": ["DE-BY"], "language": ["de", "de-AT"],
                "dates": {"from": "2090-12-01T00:00:00Z", "to": "2090-12-25T00:00:00Z"},
                "hours": {"days": ["mon", "fri"], "from": "06:00", "to": "09:30", "zone": "Europe/Berlin"},
                "query": {"ref": ["tv"], "beta": null}, "bot": false,
                "network": ["203.0.113.0/24"], "share": 25, "scan_number": {"from": 1, "to": 1001}
            },
            "to": "https://example.com/a"
        },
        {
            "name": "Half and half",
            "when": {"share": 50, "scan_number": {"from": 1}, "dates": {"to": "2090-12-25T00:00:00Z"}},
            "to": [{"url": "https://example.com/b", "weight": 1}, {"url": "https://example.com/c", "weight": 1000}]
        },
        {"name": "Alle", "when": {}, "to": "tel:+493012345"}
    ])
}

fn with_rules(code: &str, rules: Value) -> Value {
    json!({"code": code, "destination": "https://example.com/", "rules": rules})
}

#[tokio::test]
async fn rules_are_kept_as_they_were_given() {
    let server = Server::start().await;
    let owner = server.owner();
    let tag = owner
        .post("/tags", with_rules("spring", full()))
        .await
        .created();
    assert_eq!(tag["rules"], full());
    assert_eq!(tag["warnings"], json!([]));
    assert_eq!(owner.get("/tags/spring").await.ok(), tag);
    let list = owner.get("/tags").await.ok();
    assert_eq!(list["items"][0]["rules"], full());
    // What they were read from is kept too: over a restart, which reads the journal again.
    let again = server.restart(crate::support::PUBLIC_URL).await;
    assert_eq!(again.owner().get("/tags/spring").await.ok(), tag);
}

#[tokio::test]
async fn what_is_written_in_another_way_is_answered_in_one() {
    let server = Server::start().await;
    let rules = json!([{
        "name": "a",
        "when": {
            "dates": {"from": "2090-12-01T01:00:00.1234567+01:00", "to": null}, "network": ["::ffff:203.0.113.0/120"],
            "language": ["DE-at"], "bot": null, "device": null
        },
        "to": "HTTPS://Müller.example.com/ä"
    }]);
    let tag = server
        .owner()
        .post("/tags", with_rules("spring", rules))
        .await
        .created();
    assert_eq!(
        tag["rules"],
        json!([{
            "name": "a",
            "when": {"dates": {"from": "2090-12-01T00:00:00.123456Z"}, "network": ["203.0.113.0/24"], "language": ["DE-at"]},
            "to": "https://xn--mller-kva.example.com/%C3%A4"
        }])
    );
}

#[tokio::test]
async fn a_patch_replaces_the_list_whole_and_null_takes_it_away() {
    let server = Server::start().await;
    let owner = server.owner();
    owner
        .post("/tags", with_rules("spring", full()))
        .await
        .created();
    let same = owner
        .patch("/tags/spring", json!({"rules": full()}))
        .await
        .ok();
    assert_eq!(same["version"], 1);
    let untouched = owner
        .patch("/tags/spring", json!({"name": "Can"}))
        .await
        .ok();
    assert_eq!(
        (&untouched["rules"], &untouched["version"]),
        (&full(), &json!(2))
    );
    let last = json!([full()[2]]);
    let one = owner
        .patch("/tags/spring", json!({"rules": last}))
        .await
        .ok();
    assert_eq!((&one["rules"], &one["version"]), (&last, &json!(3)));
    // Values that are written in another order are another list.
    for (version, rules) in [(4, json!(null)), (5, full()), (6, json!([]))] {
        let tag = owner
            .patch("/tags/spring", json!({"rules": rules}))
            .await
            .ok();
        let expected = if rules.is_null() { json!([]) } else { rules };
        assert_eq!(
            (&tag["rules"], &tag["version"]),
            (&expected, &json!(version))
        );
    }
    let versions = owner.get("/tags/spring/versions").await.ok();
    let counts: Vec<usize> = versions["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["rules"].as_array().unwrap().len())
        .collect();
    assert_eq!(counts, [0, 3, 0, 1, 3, 3]);
    let back = owner
        .post("/tags/spring/rollback", json!({"version": 3}))
        .await
        .ok();
    assert_eq!((&back["rules"], &back["version"]), (&last, &json!(7)));
}

#[tokio::test]
async fn a_version_whose_rules_lead_where_no_tag_may_is_not_gone_back_to() {
    let server = Server::start().await;
    let owner = server.owner();
    let rules = json!([{
        "name": "Loop", "when": {},
        "to": [{"url": "https://example.com/", "weight": 1}, {"url": "https://qr.example.com/abc", "weight": 1}]
    }]);
    owner
        .post("/tags", with_rules("spring", rules))
        .await
        .created();
    owner
        .patch("/tags/spring", json!({"rules": null}))
        .await
        .ok();
    owner
        .post("/domains", json!({"name": "qr.example.com"}))
        .await
        .created();
    let answer = owner
        .post("/tags/spring/rollback", json!({"version": 1}))
        .await;
    assert_eq!(answer.pointers(422), ["/version"]);
    let detail = answer.problem(422)["errors"][0]["detail"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        detail.contains("its rule 'Loop' is no longer allowed"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_permanent_redirect_has_no_rules() {
    let server = Server::start().await;
    let owner = server.owner();
    let rules = json!([full()[2]]);
    for status in [301, 308] {
        let mut fields = with_rules("spring", rules.clone());
        fields["redirect_status"] = json!(status);
        assert_eq!(
            owner.post("/tags", fields).await.pointers(422),
            ["/redirect_status"]
        );
    }
    owner
        .post("/tags", with_rules("spring", rules.clone()))
        .await
        .created();
    let answer = owner
        .patch("/tags/spring", json!({"redirect_status": 301}))
        .await;
    assert_eq!(answer.pointers(422), ["/redirect_status"]);
    owner
        .patch(
            "/tags/spring",
            json!({"redirect_status": 308, "rules": null}),
        )
        .await
        .ok();
    let answer = owner.patch("/tags/spring", json!({"rules": rules})).await;
    assert_eq!(answer.pointers(422), ["/rules"]);
    owner
        .patch(
            "/tags/spring",
            json!({"redirect_status": 307, "rules": rules}),
        )
        .await
        .ok();
}

#[tokio::test]
async fn rules_that_are_hardly_meant_are_allowed_and_warned_of() {
    let server = Server::start().await;
    let owner = server.owner();
    let rule =
        |name: &str, when: Value| json!({"name": name, "when": when, "to": "https://example.com/"});
    for (rules, pointers) in [
        (
            vec![rule("a", json!({"country": ["DE"]})), rule("b", json!({}))],
            &[][..],
        ),
        (
            vec![rule("a", json!({})), rule("b", json!({"country": ["DE"]}))],
            &["/rules/0"],
        ),
        (
            vec![
                rule("a", json!({"share": 100})),
                rule("b", json!({"country": ["DE"]})),
            ],
            &["/rules/0"],
        ),
        (
            vec![
                rule("a", json!({"country": ["DE", "AT"]})),
                rule("b", json!({"country": ["AT"], "bot": true})),
            ],
            &["/rules/1"],
        ),
        (
            vec![rule("a", json!({"dates": {"to": "2020-01-01T00:00:00Z"}}))],
            &["/rules/0"],
        ),
        (
            vec![rule("a", json!({"country": ["AT"], "region": ["DE-BY"]}))],
            &["/rules/0"],
        ),
    ] {
        let fields = json!({"destination": "https://example.com/", "rules": rules});
        let tag = owner.post("/tags", fields).await.created();
        let warnings = tag["warnings"].as_array().unwrap();
        let warned: Vec<&str> = warnings
            .iter()
            .map(|warning| warning["pointer"].as_str().unwrap())
            .collect();
        assert_eq!(warned, pointers, "{warnings:?}");
        assert!(
            warnings
                .iter()
                .all(|warning| !warning["detail"].as_str().unwrap().is_empty())
        );
        let code = tag["code"].as_str().unwrap();
        assert_eq!(
            owner.get(&format!("/tags/{code}")).await.ok()["warnings"],
            tag["warnings"]
        );
    }
    let read_only = owner.patch("/tags/spring", json!({"warnings": []})).await;
    assert_eq!(read_only.status, 404);
    let tag = json!({"destination": "https://example.com/", "warnings": []});
    assert_eq!(owner.post("/tags", tag).await.pointers(422), ["/warnings"]);
}
