//! Alerts come to a workspace's webhook: signed, at least once, at public addresses alone, whatever becomes of other receivers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use prometheus::Registry;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::receiver::{ALLOWED, Receiver, put, test, webhook};
use crate::support::{PUBLIC_URL, Server};

const LISTED: &str = "https://bad.example.com/prize";

#[tokio::test]
async fn an_alert_is_sent_signed_as_the_api_shows_it() {
    let server = Server::start().await;
    let owner = server.owner();
    let receiver = Receiver::start().await;
    let made = put(&owner, "default", &receiver.url()).await.created();
    let secret = made["secret"].as_str().unwrap();
    let tag = json!({"code": "prize", "destination": LISTED});
    owner.post("/tags", tag).await.created();
    server.block("phishing.txt", &["bad.example.com"]);
    let call = receiver.called(1).await.remove(0);
    assert_eq!(
        (call.method.as_str(), &call.target[..]),
        ("POST", "/hook?of=tagwire")
    );
    assert_eq!(call.header("content-type"), "application/json");
    assert_eq!(call.header("host"), receiver.address.to_string());
    assert_eq!(call.signatures(secret), (1, 1));

    let alert = owner.get("/alerts").await.ok()["items"][0].clone();
    assert_eq!(alert["id"], call.id());
    let mut data = alert.clone();
    data["workspace"] = json!("default");
    let expected =
        json!({"type": "alert.blocklist", "timestamp": alert["created_at"], "data": data});
    assert_eq!(call.json(), expected);

    let state = webhook(&owner, "default", |it| it["delivered"] == 1).await;
    assert_eq!(
        (&state["waiting"], &state["last_failure"]),
        (&json!(0), &Value::Null)
    );
    let shown = put(&owner, "default", &receiver.url()).await.ok();
    for answer in [state, shown] {
        assert_eq!(answer["secret"], Value::Null, "it is shown once");
    }
    let audit = owner.get("/audit").await.text();
    assert!(
        !audit.contains(secret) && audit.contains("webhook/default"),
        "{audit}"
    );
    assert!(
        !audit.contains("of=tagwire"),
        "what is behind the host may be secret"
    );
}

#[tokio::test]
async fn what_a_receiver_does_not_take_is_sent_again_under_the_same_id() {
    let server = Server::start().await;
    let owner = server.owner();
    let registry = Registry::new();
    server.admin.register_metrics(&registry).unwrap();
    let receiver = Receiver::start().await;
    receiver.answer(500);
    let made = put(&owner, "default", &receiver.url()).await.created();
    let id = test(&owner, "default").await;
    let failed = webhook(&owner, "default", |it| !it["last_failure"].is_null()).await;
    let detail = failed["last_failure"]["detail"].as_str().unwrap();
    assert!(detail.contains("500 Internal Server Error"), "{detail}");
    assert_eq!(failed["waiting"], 1);
    receiver.answer(200);
    webhook(&owner, "default", |it| it["delivered"] == 1).await;
    let calls = receiver.calls();
    assert_eq!(
        calls.iter().map(|call| call.id()).collect::<Vec<_>>(),
        [&id, &id]
    );
    assert_eq!(calls[0].body, calls[1].body);
    for call in calls {
        assert_eq!(call.signatures(made["secret"].as_str().unwrap()), (1, 1));
    }
    server
        .until("both attempts are counted", || {
            let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather());
            let text = text.unwrap();
            ["delivered", "failed"].iter().all(|outcome| {
                text.contains(&format!(
                    "tagwire_admin_webhook_deliveries_total{{outcome=\"{outcome}\"}} 1\n"
                ))
            }) && text.contains("tagwire_admin_webhook_waiting 0\n")
        })
        .await;
}

#[tokio::test]
async fn what_waits_for_a_receiver_that_is_down_outlives_the_admin() {
    let server = Server::start().await;
    let owner = server.owner();
    let address = TcpListener::bind(ALLOWED)
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    put(&owner, "default", &format!("http://{address}/"))
        .await
        .created();
    let ids = [test(&owner, "default").await, test(&owner, "default").await];
    let down = webhook(&owner, "default", |it| !it["last_failure"].is_null()).await;
    let detail = down["last_failure"]["detail"].as_str().unwrap();
    assert!(detail.contains("cannot be connected to"), "{detail}");
    let server = server.restart(PUBLIC_URL).await;
    let owner = server.owner();
    let state = owner.get("/workspaces/default/webhook").await.ok();
    assert_eq!(
        (&state["waiting"], &state["delivered"]),
        (&json!(2), &json!(0))
    );
    let receiver = Receiver::start_at(&address.to_string()).await;
    let mut called: Vec<_> = receiver
        .called(2)
        .await
        .iter()
        .map(|it| it.id().to_owned())
        .collect();
    called.sort();
    let mut expected = ids.to_vec();
    expected.sort();
    assert_eq!(called, expected);
    webhook(&owner, "default", |it| it["delivered"] == 2).await;
}

#[tokio::test]
async fn a_receiver_that_never_answers_delays_nobody_else() {
    let server = Server::start().await;
    let (owner, other) = (server.owner(), server.other_tenant().await);
    let theirs = other.get("/workspaces").await.ok()["items"][0]["id"].clone();
    let theirs = theirs.as_str().unwrap();
    // It takes connections, and says nothing.
    let silent = TcpListener::bind(ALLOWED).await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    put(&owner, "default", &url).await.created();
    for _ in 0..10 {
        test(&owner, "default").await;
    }
    let held = silent.accept().await.unwrap();
    let receiver = Receiver::start().await;
    put(&other, theirs, &receiver.url()).await.created();
    for _ in 0..10 {
        test(&other, theirs).await;
    }
    receiver.called(10).await;
    let state = owner.get("/workspaces/default/webhook").await.ok();
    assert_eq!(
        (&state["waiting"], &state["last_failure"]),
        (&json!(10), &Value::Null),
        "it still waits"
    );
    drop(held);
}

#[tokio::test]
async fn only_public_addresses_are_called_whatever_a_name_leads_to() {
    let server = Server::start().await;
    let owner = server.owner();
    for url in [
        "http://127.0.0.1:9/",
        "http://2130706433/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://192.168.0.1/",
        "https://user:password@example.com/",
        "ftp://example.com/",
        "http://go.example.net:8080/spring",
        "mailto:ada@example.com",
        "/hook",
    ] {
        let refused = put(&owner, "default", url).await;
        assert_eq!(refused.pointers(422), ["/url"], "{url}");
    }
    server.block("phishing.txt", &["bad.example.com"]);
    let refused = put(&owner, "default", LISTED).await;
    assert_eq!(refused.pointers(422), ["/url"]);
    owner.get("/workspaces/default/webhook").await.problem(404);

    // A name is judged by where it leads when it is called.
    let inside = Receiver::start_at("127.0.0.1:0").await;
    let name = "hooks.example.org";
    server.dns.host(name, &[inside.address]);
    let url = format!("http://{name}:{}/", inside.address.port());
    put(&owner, "default", &url).await.created();
    test(&owner, "default").await;
    let failed = webhook(&owner, "default", |it| !it["last_failure"].is_null()).await;
    assert_eq!(
        failed["last_failure"]["detail"],
        "its host has no public address"
    );
    // Of several addresses, the one that is allowed is called.
    let outside = Receiver::start().await;
    let mapped: SocketAddr = format!("[::ffff:127.0.0.1]:{}", inside.address.port())
        .parse()
        .unwrap();
    server
        .dns
        .host(name, &[inside.address, mapped, outside.address]);
    let call = outside.called(1).await.remove(0);
    assert_eq!(
        call.header("host"),
        format!("{name}:{}", inside.address.port())
    );
    assert!(inside.calls().is_empty());
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_says_so() {
    let server = Server::start().await;
    let owner = server.owner();
    let (receiver, elsewhere) = (Receiver::start().await, Receiver::start().await);
    receiver.redirect(&elsewhere.url());
    put(&owner, "default", &receiver.url()).await.created();
    test(&owner, "default").await;
    let failed = webhook(&owner, "default", |it| !it["last_failure"].is_null()).await;
    let detail = failed["last_failure"]["detail"].as_str().unwrap();
    assert!(detail.contains("307 Temporary Redirect"), "{detail}");
    assert!(elsewhere.calls().is_empty());
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_not_called_until_it_is_set_anew() {
    let server = Server::start().await;
    let owner = server.owner();
    let receiver = Receiver::start().await;
    receiver.answer(410);
    put(&owner, "default", &receiver.url()).await.created();
    test(&owner, "default").await;
    let gone = webhook(&owner, "default", |it| it["given_up"] == 1).await;
    assert!(gone["disabled_at"].is_string(), "{gone}");
    let path = "/workspaces/default/webhook/test";
    owner.post(path, Value::Null).await.problem(409);
    let audit = owner.get("/audit?actor=webhook").await.ok();
    assert_eq!(audit["items"][0]["subject"], "webhook/default");
    receiver.answer(200);
    let again = put(&owner, "default", &receiver.url()).await.ok();
    assert_eq!(again["disabled_at"], Value::Null);
    let id = test(&owner, "default").await;
    assert_eq!(receiver.called(2).await[1].id(), id);
}

#[tokio::test]
async fn an_earlier_receiver_that_is_gone_disables_none_that_was_set_since() {
    let server = Server::start().await;
    let owner = server.owner();
    let earlier = TcpListener::bind(ALLOWED).await.unwrap();
    let url = format!("http://{}/", earlier.local_addr().unwrap());
    put(&owner, "default", &url).await.created();
    let id = test(&owner, "default").await;
    let (mut called, _) = earlier.accept().await.unwrap();
    let receiver = Receiver::start().await;
    put(&owner, "default", &receiver.url()).await.ok();
    let gone = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n";
    called.write_all(gone).await.unwrap();
    assert_eq!(receiver.called(1).await[0].id(), id);
    let state = webhook(&owner, "default", |it| it["delivered"] == 1).await;
    assert_eq!(state["disabled_at"], Value::Null);
}

#[tokio::test]
async fn a_key_that_ends_is_given_no_signing_secret_which_would_outlast_it() {
    let server = Server::start().await;
    let owner = server.owner();
    let end = Timestamp::now() + SignedDuration::from_hours(1);
    let key = json!({"name": "k", "role": "owner", "expires_at": end.to_string()});
    let key = owner.post("/keys", key).await.created();
    let ending = server.with_key(key["secret"].as_str().unwrap());
    let receiver = Receiver::start().await;
    put(&ending, "default", &receiver.url()).await.problem(403);
    put(&owner, "default", &receiver.url()).await.created();
    // It keeps its secret.
    put(&ending, "default", &receiver.url()).await.ok();
    let path = "/workspaces/default/webhook";
    let rotate = format!("{path}/rotate");
    ending.post(&rotate, json!({})).await.problem(403);
    ending.delete(path).await.problem(403);
    owner.delete(path).await.no_content();
}

#[tokio::test]
async fn a_secret_is_rotated_with_an_overlap_in_which_both_sign() {
    let server = Server::start().await;
    let owner = server.owner();
    let receiver = Receiver::start().await;
    let first = put(&owner, "default", &receiver.url()).await.created()["secret"].clone();
    let rotate = async |body: Value| {
        let rotated = owner.post("/workspaces/default/webhook/rotate", body).await;
        rotated.ok()
    };
    let second = rotate(json!({})).await;
    assert!(second["previous_expires_at"].is_string());
    test(&owner, "default").await;
    let call = receiver.called(1).await.remove(0);
    for secret in [&first, &second["secret"]] {
        assert_eq!(call.signatures(secret.as_str().unwrap()), (2, 1));
    }
    let third = rotate(json!({"overlap_seconds": 0})).await;
    assert_eq!(third["previous_expires_at"], Value::Null);
    test(&owner, "default").await;
    let call = receiver.called(2).await.remove(1);
    assert_eq!(call.signatures(third["secret"].as_str().unwrap()), (1, 1));
    let refused = owner.post(
        "/workspaces/default/webhook/rotate",
        json!({"overlap_seconds": 604_801}),
    );
    assert_eq!(refused.await.pointers(422), ["/overlap_seconds"]);
}

#[tokio::test]
async fn a_webhook_that_is_deleted_takes_with_it_what_waits() {
    let server = Server::start().await;
    let owner = server.owner();
    let receiver = Receiver::start().await;
    receiver.answer(503);
    let first = put(&owner, "default", &receiver.url()).await.created();
    test(&owner, "default").await;
    webhook(&owner, "default", |it| !it["last_failure"].is_null()).await;
    owner
        .delete("/workspaces/default/webhook")
        .await
        .no_content();
    owner
        .delete("/workspaces/default/webhook")
        .await
        .problem(404);
    owner
        .post("/workspaces/default/webhook/test", Value::Null)
        .await
        .problem(404);
    let second = put(&owner, "default", &receiver.url()).await.created();
    assert_ne!(first["secret"], second["secret"]);
    let state = owner.get("/workspaces/default/webhook").await.ok();
    assert_eq!(
        (&state["waiting"], &state["last_failure"]),
        (&json!(0), &Value::Null)
    );
}

#[tokio::test]
async fn an_admin_whose_place_another_has_taken_sends_nothing_more() {
    let server = Server::start().await;
    let owner = server.owner();
    let receiver = Receiver::start().await;
    put(&owner, "default", &receiver.url()).await.created();
    let newer = Server::start_beside(&server, "newer").await;
    // The older one learns of it with its next write, if not from the webhook's.
    owner
        .patch("/workspaces/default", json!({"name": "n"}))
        .await
        .problem(503);
    let unsent = test(&owner, "default").await;
    let newer_owner = newer.with_key(&server.first_key());
    let deadline = Instant::now() + Duration::from_secs(3);
    while Instant::now() < deadline {
        let count = receiver.calls().len();
        let sent = test(&newer_owner, "default").await;
        let calls = receiver.called(count + 1).await;
        assert!(calls.iter().any(|call| call.id() == sent));
    }
    assert!(receiver.calls().iter().all(|call| call.id() != unsent));
    let state = owner.get("/workspaces/default/webhook").await.ok();
    assert_eq!(state["waiting"], 1);
}
