//! The program calls webhooks over TLS, whom the machine's certificate authorities vouch for, and a kill makes it forget none.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::Method;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::support::{Process, Start, client, data_dir};

/// Where the receiver is, which is not public.
const HOST: &str = "127.0.0.2";

/// An authority, in PEM, and a server's configuration with a certificate of it.
fn authority() -> (String, Arc<ServerConfig>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let params = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap().der().clone();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into());
    (authority, Arc::new(config.unwrap()))
}

/// Answers every call on the listener with 204; the calls come to the other side.
fn receive(listener: TcpListener, config: Arc<ServerConfig>) -> Receiver<String> {
    let (sender, calls) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(session, stream.unwrap());
            let mut call = Vec::new();
            let mut bytes = [0; 4096];
            // A client that does not believe who it speaks with says so, and nothing else.
            while let Ok(length @ 1..) = stream.read(&mut bytes) {
                call.extend_from_slice(&bytes[..length]);
                if call.ends_with(b"}}") {
                    let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
                    stream.write_all(answer).unwrap();
                    let call = String::from_utf8(call).unwrap();
                    if sender.send(call).is_err() {
                        return;
                    }
                    break;
                }
            }
        }
    });
    calls
}

async fn ask(process: &Process, method: Method, path: &str, body: Value) -> Value {
    let url = process.api_url(&format!("/workspaces/default/webhook{path}"));
    let request = client().request(method, url).bearer_auth(process.key());
    let answer = request.json(&body).send().await.unwrap();
    assert!(
        answer.status().is_success(),
        "{}",
        answer.text().await.unwrap()
    );
    answer.json().await.unwrap()
}

#[tokio::test]
async fn a_webhook_is_called_over_tls_once_it_can_be_believed_also_after_a_kill() {
    let data = data_dir();
    let (authority, trusted) = authority();
    let (_, untrusted) = self::authority();
    let authorities = data.path().join("authorities.pem");
    std::fs::write(&authorities, authority).unwrap();
    let start = Start::standalone(&data.path().join("data"))
        .env("SSL_CERT_FILE", authorities.to_str().unwrap())
        .env("TAGWIRE_ADMIN__WEBHOOK_NETWORKS", format!("{HOST}/32"));
    let process = start.run().await;
    let bind = || TcpListener::bind((HOST, 0)).unwrap();
    let [impostor, receiver] = [bind(), bind()];
    let url = |listener: &TcpListener| format!("https://{}/hook", listener.local_addr().unwrap());
    let impostor_url = url(&impostor);
    let receiver_url = url(&receiver);
    let calls = [receive(impostor, untrusted), receive(receiver, trusted)];
    ask(&process, Method::PUT, "", json!({"url": impostor_url})).await;
    let sent = ask(&process, Method::POST, "/test", json!({})).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    let failed = loop {
        let state = ask(&process, Method::GET, "", json!({})).await;
        if !state["last_failure"].is_null() {
            break state;
        }
        assert!(Instant::now() < deadline, "{state}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let detail = failed["last_failure"]["detail"].as_str().unwrap();
    assert!(
        detail.contains("no TLS connection") && detail.contains("certificate"),
        "{detail}"
    );
    process.kill().await;

    let process = start.run().await;
    ask(&process, Method::PUT, "", json!({"url": receiver_url})).await;
    let [from_impostor, from_receiver] = calls;
    let call =
        tokio::task::spawn_blocking(move || from_receiver.recv_timeout(Duration::from_secs(60)));
    let call = call.await.unwrap().unwrap();
    let head = call.to_ascii_lowercase();
    assert!(head.starts_with("post /hook http/1.1\r\n"), "{call}");
    let id = format!("\r\nwebhook-id: {}\r\n", sent["id"].as_str().unwrap());
    assert!(head.contains(&id), "{call}");
    assert!(from_impostor.try_recv().is_err());
    process.terminate().await;
}
