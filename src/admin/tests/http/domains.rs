//! Host names that answer short URLs.

use serde_json::{Value, json};

use crate::support::{Server, codes};

#[tokio::test]
async fn a_domain_is_added_once_and_takes_its_workspace_s_new_tags() {
    let server = Server::start().await;
    let owner = server.owner();
    let other = server.other_tenant().await;
    owner.tag("before").await;
    let made = owner
        .post("/domains", json!({"name": "QR.Example.org."}))
        .await
        .created();
    assert_eq!(
        (
            &made["name"],
            &made["is_default"],
            &made["case_insensitive"]
        ),
        (&json!("qr.example.org"), &json!(false), &json!(false))
    );
    for (api, name) in [
        (&owner, "qr.example.org"),
        (&owner, "go.example.net"),
        (&other, "go.example.net"),
    ] {
        let again = api.post("/domains", json!({"name": name})).await;
        assert_eq!(again.pointers(409), ["/name"], "{name}");
    }
    let tag = owner.tag("spring").await;
    assert_eq!(
        (&tag["domain"], &tag["short_url"]),
        (
            &json!("qr.example.org"),
            &json!("http://qr.example.org/spring")
        )
    );
    let shared = json!({"code": "spring", "domain": "go.example.net", "destination": "https://example.com/shared"});
    owner.post("/tags", shared).await.created();
    assert_eq!(other.tag("autumn").await["domain"], "go.example.net");
    let theirs = json!({"domain": "qr.example.org", "destination": "https://example.com/"});
    assert_eq!(other.post("/tags", theirs).await.pointers(422), ["/domain"]);
    // Without a domain, a code is looked for on the workspace's own first.
    assert_eq!(
        owner.get("/tags/spring").await.ok()["domain"],
        "qr.example.org"
    );
    assert_eq!(
        owner.get("/tags/spring?domain=go.example.net").await.ok()["destination"],
        "https://example.com/shared"
    );
    assert_eq!(
        owner.get("/tags/before").await.ok()["domain"],
        "go.example.net"
    );
    owner
        .get("/tags/before?domain=qr.example.org")
        .await
        .problem(404);
    let names = |list: Value| -> Vec<String> {
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|d| d["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        names(owner.get("/domains").await.ok()),
        ["qr.example.org", "go.example.net"]
    );
    assert_eq!(names(other.get("/domains").await.ok()), ["go.example.net"]);
}

#[tokio::test]
async fn a_domain_s_fields_are_checked() {
    let server = Server::start().await;
    let owner = server.owner();
    for name in [
        json!("a b"),
        json!("http://a.example.org"),
        json!("a.example.org:80"),
        json!(""),
        json!(1),
        json!(null),
    ] {
        assert_eq!(
            owner
                .post("/domains", json!({"name": name}))
                .await
                .pointers(422),
            ["/name"]
        );
    }
    let wrong =
        json!({"home_url": "x", "fallback_url": 1, "case_insensitive": "yes", "is_default": true});
    assert_eq!(
        owner.post("/domains", wrong).await.pointers(422),
        [
            "/name",
            "/home_url",
            "/fallback_url",
            "/case_insensitive",
            "/is_default"
        ]
    );
    assert_eq!(
        owner.get("/domains").await.ok()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_domain_is_changed_by_its_workspace_and_the_default_one_by_the_operator() {
    let server = Server::start().await;
    let owner = server.owner();
    let other = server.other_tenant().await;
    owner
        .post("/domains", json!({"name": "qr.example.org"}))
        .await
        .created();
    let home = json!({"home_url": "https://www.example.org/", "fallback_url": "https://www.example.org/lost"});
    for name in ["qr.example.org", "go.example.net"] {
        let path = format!("/domains/{name}");
        assert_eq!(
            owner.patch(&path, home.clone()).await.ok()["home_url"],
            "https://www.example.org/"
        );
        assert_eq!(
            owner.patch(&path, json!({"home_url": null})).await.ok()["home_url"],
            Value::Null
        );
        assert_eq!(
            owner
                .patch(&path, json!({"case_insensitive": true}))
                .await
                .pointers(422),
            ["/case_insensitive"]
        );
    }
    other
        .patch("/domains/qr.example.org", home.clone())
        .await
        .problem(404);
    other
        .patch("/domains/go.example.net", home)
        .await
        .problem(403);
}

#[tokio::test]
async fn on_a_case_insensitive_domain_codes_are_of_one_case() {
    let server = Server::start().await;
    let owner = server.owner();
    owner
        .post(
            "/domains",
            json!({"name": "qr.example.org", "case_insensitive": true}),
        )
        .await
        .created();
    let random = owner
        .post("/tags", json!({"destination": "https://example.com/"}))
        .await
        .created();
    let code = random["code"].as_str().unwrap();
    assert_eq!(
        (code.len(), code.contains('_'), code.to_lowercase()),
        (9, false, code.to_owned())
    );
    assert_eq!(owner.tag("Spring").await["code"], "spring");
    let again = json!({"code": "SPRING", "destination": "https://example.com/"});
    assert_eq!(owner.post("/tags", again).await.pointers(409), ["/code"]);
    assert_eq!(owner.get("/tags/sPRING").await.ok()["code"], "spring");
    assert_eq!(
        owner.patch("/tags/SPRING", json!({"name": "n"})).await.ok()["version"],
        2
    );
    // Reserved in one case is reserved in all.
    for reserved in ["Q", "HealthZ"] {
        let fields = json!({"code": reserved, "destination": "https://example.com/"});
        assert_eq!(owner.post("/tags", fields).await.pointers(422), ["/code"]);
        owner.get(&format!("/tags/{reserved}")).await.problem(404);
    }
    assert_eq!(codes(&owner.get("/tags?q=spring").await.ok()), ["spring"]);
}

#[tokio::test]
async fn another_public_url_makes_another_default_domain_and_printed_codes_stay() {
    let server = Server::start().await;
    let key = server.first_key();
    server.owner().tag("spring").await;
    server
        .owner()
        .post("/domains", json!({"name": "new.example.org"}))
        .await
        .created();
    let other = server.other_tenant().await;
    let theirs = other.tag("autumn").await;
    drop(other);
    let server = server.restart("https://new.example.org").await;
    let owner = server.with_key(&key);
    let tag = owner.get("/tags/spring?domain=go.example.net").await.ok();
    assert_eq!(tag["short_url"], "https://go.example.net/spring");
    assert_eq!(theirs["domain"], "go.example.net");
    assert_eq!(
        owner.tag("winter").await["short_url"],
        "https://new.example.org/winter"
    );
    // The default domain is for all who have none, also when one workspace had it before.
    assert_eq!(
        server.with_key(&key).get("/domains").await.ok()["items"][0]["is_default"],
        true
    );
    let third = owner
        .post("/workspaces", json!({"name": "Third"}))
        .await
        .created();
    let third = server.with_key(third["key"]["secret"].as_str().unwrap());
    assert_eq!(third.tag("third").await["domain"], "new.example.org");
}

#[tokio::test]
async fn a_domain_gets_a_site_of_the_brand_behind_it_and_loses_it_again() {
    let server = Server::start().await;
    let owner = server.owner();
    let made = owner
        .post(
            "/domains",
            json!({"name": "brand.example.org", "upstream_url": "HTTPS://www.example.com"}),
        )
        .await
        .created();
    let upstream = |domain: &Value| {
        (
            domain["upstream_url"].clone(),
            domain["upstream_host"].clone(),
        )
    };
    let expected = (json!("https://www.example.com/"), json!("visitor"));
    assert_eq!(upstream(&made), expected);
    let path = "/domains/brand.example.org";
    let inside = json!({"upstream_url": "http://10.1.2.3:8000", "upstream_host": "upstream"});
    let expected = (json!("http://10.1.2.3:8000/"), json!("upstream"));
    assert_eq!(upstream(&owner.patch(path, inside).await.ok()), expected);
    let untouched = owner.patch(path, json!({"home_url": null})).await.ok();
    assert_eq!(upstream(&untouched), expected);
    let none = json!({"upstream_url": null, "upstream_host": null});
    assert_eq!(
        upstream(&owner.patch(path, none).await.ok()),
        (Value::Null, json!("visitor"))
    );
}

#[tokio::test]
async fn an_upstream_is_a_public_origin_or_in_an_opened_network_and_never_one_of_our_own_domains() {
    let server = Server::start().await;
    let owner = server.owner();
    owner
        .post("/domains", json!({"name": "qr.example.org"}))
        .await
        .created();
    for url in [
        json!("https://www.example.com/shop"),
        json!("https://www.example.com/?x"),
        json!("https://user@www.example.com/"),
        json!("http://127.0.0.1:8081"),
        json!("http://169.254.169.254"),
        json!("http://10.2.0.1"),
        json!("http://0x0a020001"),
        json!("https://qr.example.org"),
        json!("https://QR.example.org.:8443"),
        json!("http://go.example.net:9999"),
        json!("mailto:a@example.com"),
        json!("www.example.com"),
        json!(1),
    ] {
        for answer in [
            owner
                .post(
                    "/domains",
                    json!({"name": "new.example.org", "upstream_url": url}),
                )
                .await,
            owner
                .patch("/domains/qr.example.org", json!({"upstream_url": url}))
                .await,
        ] {
            assert_eq!(answer.pointers(422), ["/upstream_url"], "{url}");
        }
    }
    let itself = json!({"name": "new.example.org", "upstream_url": "https://new.example.org"});
    assert_eq!(
        owner.post("/domains", itself).await.pointers(422),
        ["/upstream_url"]
    );
    let wrong = json!({"upstream_host": "www.example.com"});
    assert_eq!(
        owner
            .patch("/domains/qr.example.org", wrong)
            .await
            .pointers(422),
        ["/upstream_host"]
    );
}

#[tokio::test]
async fn a_domain_is_told_to_use_https_and_for_how_long() {
    let server = Server::start().await;
    let owner = server.owner();
    let made = owner
        .post(
            "/domains",
            json!({"name": "qr.example.org", "https_redirect": true, "hsts_max_age": 300}),
        )
        .await
        .created();
    let https = |domain: &Value| {
        ["https_redirect", "hsts_max_age", "hsts_include_subdomains"]
            .map(|field| domain[field].clone())
    };
    assert_eq!(https(&made), [json!(true), json!(300), json!(false)]);
    let path = "/domains/qr.example.org";
    for (patch, expected) in [
        (
            json!({"hsts_include_subdomains": true}),
            [json!(true), json!(300), json!(true)],
        ),
        (
            json!({"hsts_max_age": 0}),
            [json!(true), json!(0), json!(true)],
        ),
        (
            json!({"hsts_max_age": null, "https_redirect": null}),
            [json!(false), json!(null), json!(false)],
        ),
    ] {
        assert_eq!(https(&owner.patch(path, patch).await.ok()), expected);
    }
    let wrong =
        json!({"https_redirect": 1, "hsts_max_age": 63_072_001, "hsts_include_subdomains": true});
    assert_eq!(
        owner.patch(path, wrong).await.pointers(422),
        [
            "/https_redirect",
            "/hsts_max_age",
            "/hsts_include_subdomains"
        ]
    );
}
