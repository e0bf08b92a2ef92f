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

#[tokio::test]
async fn searches_find_parts_of_any_length_in_any_case_and_the_keys_own_alone() {
    let server = Server::start().await;
    let owner = server.owner();
    let other = server.other_tenant().await;
    for (code, name) in [
        ("Alpha", "Größe \"XL\""),
        ("beta", "100%_\\*"),
        ("g-_", "日本語のポスター"),
        ("d", ""),
    ] {
        let tag = json!({"code": code, "name": name, "destination": format!("https://example.com/{code}?a=b&c=(d)")});
        owner.post("/tags", tag).await.created();
    }
    other.tag("alphabet").await;
    for (text, expected) in [
        ("a", vec!["d", "g-_", "beta", "Alpha"]),
        ("al", vec!["Alpha"]),
        ("ALPHA", vec!["Alpha"]),
        ("lph", vec!["Alpha"]),
        ("öße \"x", vec!["Alpha"]),
        ("\"", vec!["Alpha"]),
        ("\"\"\"", vec![]),
        ("0%_\\*", vec!["beta"]),
        ("%_\\", vec!["beta"]),
        ("本語の", vec!["g-_"]),
        ("本", vec!["g-_"]),
        ("g-_", vec!["g-_"]),
        ("(D)", vec!["d", "g-_", "beta", "Alpha"]),
        ("OR ", vec![]),
        ("alpha AND", vec![]),
        ("com/g-_?a", vec!["g-_"]),
        ("alpha\" OR \"beta", vec![]),
    ] {
        let request = owner
            .request(reqwest::Method::GET, "/tags")
            .query(&[("q", text)]);
        assert_eq!(codes(&owner.send(request).await.ok()), expected, "{text}");
    }
    assert_eq!(codes(&other.get("/tags?q=alpha").await.ok()), ["alphabet"]);
    // What a text was is not found any more, and what it has become is.
    owner
        .patch(
            "/tags/Alpha",
            json!({"name": "Omega", "destination": "https://example.com/x"}),
        )
        .await
        .ok();
    assert_eq!(
        codes(&owner.get("/tags?q=XL").await.ok()),
        Vec::<String>::new()
    );
    assert_eq!(codes(&owner.get("/tags?q=mega").await.ok()), ["Alpha"]);
    owner
        .post("/tags/Alpha/rollback", json!({"version": 1}))
        .await
        .ok();
    assert_eq!(codes(&owner.get("/tags?q=%22XL").await.ok()), ["Alpha"]);
}

#[tokio::test]
async fn a_cursor_outlives_a_restart_and_what_is_changed_meanwhile() {
    let server = Server::start().await;
    let owner = server.owner();
    let line = |number| {
        json!({"code": format!("t{number}"), "destination": "https://example.com/", "campaign": "c"}).to_string() + "\n"
    };
    let file: String = (0..30).map(line).collect();
    owner
        .upload("/tags/import", "application/x-ndjson", file)
        .await
        .accepted();
    let first = owner.get("/tags?campaign=c&limit=10").await.ok();
    let key = server.first_key();
    let server = server.restart(crate::support::PUBLIC_URL).await;
    let owner = server.with_key(&key);
    owner
        .patch("/tags/t25", json!({"name": "changed"}))
        .await
        .ok();
    owner
        .patch("/tags/t15", json!({"name": "changed"}))
        .await
        .ok();
    owner.tag("new").await;
    let mut seen = codes(&first);
    let mut next = first["next_cursor"].clone();
    while let Some(cursor) = next.as_str() {
        let page = owner
            .get(&format!("/tags?campaign=c&limit=10&cursor={cursor}"))
            .await
            .ok();
        seen.extend(codes(&page));
        next = page["next_cursor"].clone();
    }
    let expected: Vec<String> = (0..30).rev().map(|number| format!("t{number}")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_page_looks_at_so_many_tags_and_goes_on_in_the_next() {
    let server = Server::start().await;
    let owner = server.owner();
    let line = |number| {
        let name = if number % 15_000 == 7 { "zq" } else { "ab" };
        json!({"code": format!("{number}"), "destination": "https://example.com/", "name": name})
            .to_string()
            + "\n"
    };
    let file: String = (0..45_001).map(line).collect();
    let job = owner
        .upload("/tags/import", "application/x-ndjson", file)
        .await
        .accepted();
    owner
        .job(&format!("/tags/import/{}", job["id"].as_str().unwrap()))
        .await;
    let (mut seen, mut pages, mut path) = (Vec::new(), 0, "/tags?q=zq".to_owned());
    loop {
        let page = owner.get(&path).await.ok();
        seen.extend(codes(&page));
        pages += 1;
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/tags?q=zq&cursor={cursor}");
    }
    assert_eq!(
        (seen, pages),
        (
            vec!["30007".to_owned(), "15007".to_owned(), "7".to_owned()],
            5
        )
    );
}
