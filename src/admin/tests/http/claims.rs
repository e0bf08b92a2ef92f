//! Domains that have to be proven to be a workspace's before they are used.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{Api, PUBLIC_URL, Server};

const NAME: &str = "qr.example.org";
const PATH: &str = "/domains/qr.example.org";
const VERIFY: &str = "/domains/qr.example.org/verify";

async fn claim(tenant: &Api) -> Value {
    let made = tenant.post("/domains", json!({"name": NAME})).await;
    made.created()
}

async fn refused(tenant: &Api) -> String {
    let refusal = tenant.post(VERIFY, Value::Null).await.problem(409);
    refusal["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_tenant_s_domain_has_no_tags_before_it_is_proven() {
    let server = Server::start().await;
    let tenant = server.other_tenant().await;
    let made = claim(&tenant).await;
    assert_eq!(made["status"], "pending");
    let challenge = &made["challenge"];
    let record = "_tagwire-challenge.qr.example.org";
    assert_eq!(challenge["txt_record"], record);
    let file = "http://qr.example.org/.well-known/tagwire-challenge";
    assert_eq!(challenge["file_url"], file);

    let tag = json!({"destination": "https://example.com/", "domain": NAME});
    let answer = tenant.post("/tags", tag.clone()).await;
    assert_eq!(answer.pointers(422), ["/domain"]);
    assert!(answer.text().contains(VERIFY), "{}", answer.text());
    // Without being asked for it, a tag does not go there either.
    assert_eq!(tenant.tag("spring").await["domain"], "go.example.net");
    let detail = refused(&tenant).await;
    for part in [record, file] {
        assert!(detail.contains(part), "{detail}");
    }

    server.dns.publish(challenge);
    let verified = tenant.post(VERIFY, Value::Null).await.ok();
    assert_eq!(
        (&verified["status"], &verified["challenge"]),
        (&json!("verified"), &Value::Null)
    );
    let made = tenant.post("/tags", tag).await.created();
    assert_eq!(made["domain"], NAME);
    // Again is the same as once.
    tenant.post(VERIFY, Value::Null).await.ok();
    let listed = tenant.get("/domains").await.ok();
    let statuses = listed["items"].as_array().unwrap().iter();
    let statuses: Vec<_> = statuses.map(|domain| &domain["status"]).collect();
    assert_eq!(statuses, ["verified", "verified"]);
}

#[tokio::test]
async fn the_operator_s_own_workspace_proves_nothing() {
    let server = Server::start().await;
    let made = claim(&server.owner()).await;
    assert_eq!(made["status"], "verified");
}

#[tokio::test]
async fn a_record_with_another_text_is_no_proof_and_is_told_of() {
    let server = Server::start().await;
    let tenant = server.other_tenant().await;
    let token = claim(&tenant).await["challenge"]["token"].clone();
    let token = token.as_str().unwrap();
    let record = "_tagwire-challenge.qr.example.org";
    server.dns.txt(record, "v=spf1 -all");
    server.dns.txt(record, &token[1..]);
    server.dns.txt(record, &format!("{token}{token}"));
    server.dns.txt(NAME, token);
    let detail = refused(&tenant).await;
    assert!(detail.contains("'v=spf1 -all'"), "{detail}");
    server.dns.txt(record, &format!(" {token} "));
    tenant.post(VERIFY, Value::Null).await.ok();
}

#[tokio::test]
async fn a_dns_that_does_not_answer_is_said_to_be_so() {
    let server = Server::start().await;
    let tenant = server.other_tenant().await;
    server.dns.publish(&claim(&tenant).await["challenge"]);
    server.dns.go_down();
    let detail = refused(&tenant).await;
    assert!(detail.contains("no server answers"), "{detail}");
}

/// A site that answers each connection with these bytes, and where it is.
async fn site(address: &str, answer: String) -> SocketAddr {
    let listener = TcpListener::bind(address).await.unwrap();
    let bound = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    bound
}

fn file(content: &str) -> String {
    let length = content.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{content}")
}

#[tokio::test]
async fn a_file_on_the_site_is_a_proof_too() {
    let server = Server::start().await;
    let tenant = server.other_tenant().await;
    let token = claim(&tenant).await["challenge"]["token"].clone();
    let content = format!("another\r\n{}\r\n", token.as_str().unwrap());
    let address = site("127.0.0.2:0", file(&content)).await;
    server.dns.host(NAME, &[address]);
    let verified = tenant.post(VERIFY, Value::Null).await.ok();
    assert_eq!(verified["status"], "verified");
}

#[tokio::test]
async fn no_address_inside_is_asked_for_a_file() {
    let server = Server::start().await;
    let tenant = server.other_tenant().await;
    let token = claim(&tenant).await["challenge"]["token"].clone();
    // The proof is there, and may not be looked for there.
    let inside = site("127.0.0.1:0", file(token.as_str().unwrap())).await;
    let others = ["[::1]:80", "169.254.169.254:80", "10.2.0.1:80"];
    let others = others.map(|address| address.parse().unwrap());
    let all = [&[inside], others.as_slice()].concat();
    server.dns.host(NAME, &all);
    let from_inside = refused(&tenant).await;
    // And is told of as if there were nothing at all.
    server.dns.host(NAME, &[]);
    assert_eq!(refused(&tenant).await, from_inside);
}

#[tokio::test]
async fn what_a_site_answers_beside_the_token_is_no_proof() {
    let server = Server::start().await;
    let tenant = server.other_tenant().await;
    let token = claim(&tenant).await["challenge"]["token"].clone();
    let token = token.as_str().unwrap();
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1_000_000));
    let missing = format!("HTTP/1.1 404 Not Found\r\nContent-Length: 43\r\n\r\n{token}");
    let elsewhere =
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n";
    // What is met there is not told: the name's owner has it looked for from inside.
    let nothing = refused(&tenant).await;
    assert!(nothing.contains("without a redirect"), "{nothing}");
    for answer in [
        file(&format!("<p>{token}</p>")),
        file(""),
        endless,
        missing,
        elsewhere.to_owned(),
        "220 mail ready\r\n".to_owned(),
        String::new(),
    ] {
        let address = site("127.0.0.2:0", answer.clone()).await;
        server.dns.host(NAME, &[address]);
        assert_eq!(refused(&tenant).await, nothing, "{answer:.60}");
    }
    let listed = tenant.get("/domains").await.ok();
    assert_eq!(listed["items"][1]["status"], "pending");
}

#[tokio::test]
async fn a_claim_keeps_nobody_from_a_domain_and_the_first_proof_gets_it() {
    let server = Server::start().await;
    let squatter = server.other_tenant().await;
    let owner = server.other_tenant().await;
    let squatted = claim(&squatter).await;
    let made = claim(&owner).await;
    assert_ne!(squatted["challenge"]["token"], made["challenge"]["token"]);
    server.dns.publish(&made["challenge"]);
    refused(&squatter).await;
    owner.post(VERIFY, Value::Null).await.ok();
    // That it is in use is told to nobody who has not proven it.
    assert!(!refused(&squatter).await.contains("in use"));
    squatter.delete(PATH).await.no_content();
    let squatted = claim(&squatter).await;
    assert_eq!(squatted["status"], "pending");
    // Whoever proves it later comes too late; one domain has one workspace.
    server.dns.publish(&squatted["challenge"]);
    assert!(refused(&squatter).await.contains("in use"));
    assert_eq!(owner.tag("spring").await["domain"], NAME);
    let own = owner.post("/domains", json!({"name": NAME})).await;
    assert_eq!(own.pointers(409), ["/name"]);
}

#[tokio::test]
async fn a_claim_is_changed_and_withdrawn_and_a_domain_in_use_stays() {
    let server = Server::start().await;
    let tenant = server.other_tenant().await;
    claim(&tenant).await;
    let again = tenant.post("/domains", json!({"name": NAME})).await;
    assert_eq!(again.pointers(409), ["/name"]);
    let home = json!({"home_url": "https://www.example.org/"});
    let changed = tenant.patch(PATH, home).await.ok();
    assert_eq!(
        (&changed["status"], &changed["home_url"]),
        (&json!("pending"), &json!("https://www.example.org/"))
    );
    let read_only = json!({"status": "verified", "challenge": null});
    let mut pointers = tenant.patch(PATH, read_only).await.pointers(422);
    pointers.sort();
    assert_eq!(pointers, ["/challenge", "/status"]);
    let other_spelling = "/domains/QR.example.org.";
    tenant.delete(other_spelling).await.no_content();
    tenant.delete(PATH).await.problem(404);
    tenant.post(VERIFY, Value::Null).await.problem(404);

    server.verified(&tenant, NAME).await;
    tenant.delete(PATH).await.problem(409);
    tenant.delete("/domains/go.example.net").await.problem(409);
    let kept = tenant.get("/domains").await.ok();
    assert_eq!(kept["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_workspace_has_so_many_domains_waiting_and_no_more() {
    let server = Server::start().await;
    let tenant = server.other_tenant().await;
    for number in 0..50 {
        let name = json!({"name": format!("d{number}.example.org")});
        tenant.post("/domains", name).await.created();
    }
    let one_more = json!({"name": "one-more.example.org"});
    let refused = tenant.post("/domains", one_more.clone()).await;
    refused.problem(409);
    tenant.delete("/domains/d7.example.org").await.no_content();
    tenant.post("/domains", one_more).await.created();
}

#[tokio::test]
async fn a_claim_outlives_a_restart() {
    let server = Server::start().await;
    let operator = server.first_key();
    let workspace = json!({"name": "Another"});
    let made = server.owner().post("/workspaces", workspace).await;
    let secret = made.created()["key"]["secret"].as_str().unwrap().to_owned();
    let challenge = claim(&server.with_key(&secret)).await["challenge"].clone();
    let server = server.restart(PUBLIC_URL).await;
    let tenant = server.with_key(&secret);
    let listed = tenant.get("/domains").await.ok();
    assert_eq!(listed["items"][1]["challenge"], challenge);
    server.dns.publish(&challenge);
    tenant.post(VERIFY, Value::Null).await.ok();
    let taken = json!({"name": NAME});
    let answer = server.with_key(&operator).post("/domains", taken).await;
    assert_eq!(answer.pointers(409), ["/name"]);
}
