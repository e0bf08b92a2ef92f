//! A receiver of webhooks for tests, which answers as it is told and keeps what it was sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::IntoResponse;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::{Answer, Api};

/// Where the tests' admins may call: see `SITE_NETWORK`.
pub const ALLOWED: &str = "127.0.0.2:0";

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    pub target: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Call {
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// How many signatures there are, and how many of them are by this secret.
    pub fn signatures(&self, secret: &str) -> (usize, usize) {
        let secret = STANDARD.decode(secret.strip_prefix("whsec_").unwrap());
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret.unwrap());
        let (id, at) = (self.id(), self.header("webhook-timestamp"));
        let signed = format!("{id}.{at}.{}", self.body);
        let signatures: Vec<_> = self.header("webhook-signature").split(' ').collect();
        let is_good = |text: &&&str| {
            let signature = STANDARD.decode(text.strip_prefix("v1,").unwrap()).unwrap();
            hmac::verify(&key, signed.as_bytes(), &signature).is_ok()
        };
        (signatures.len(), signatures.iter().filter(is_good).count())
    }
}

/// It listens until it is dropped.
pub struct Receiver {
    pub address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    answer: Arc<Mutex<(StatusCode, Option<HeaderValue>)>>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    pub async fn start() -> Self {
        Self::start_at(ALLOWED).await
    }

    pub async fn start_at(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::<Mutex<Vec<Call>>>::default();
        let answer = Arc::new(Mutex::new((StatusCode::NO_CONTENT, None)));
        let (kept, given) = (Arc::clone(&calls), Arc::clone(&answer));
        let app = Router::new().fallback(
            move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| async move {
                let body = String::from_utf8(body.to_vec()).unwrap();
                let target = uri.to_string();
                kept.lock().unwrap().push(Call {
                    method,
                    target,
                    headers,
                    body,
                });
                let (status, location) = given.lock().unwrap().clone();
                let mut headers = HeaderMap::new();
                if let Some(location) = location {
                    headers.insert(header::LOCATION, location);
                }
                (status, headers).into_response()
            },
        );
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            address,
            calls,
            answer,
            task,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook?of=tagwire", self.address)
    }

    pub fn answer(&self, status: u16) {
        *self.answer.lock().unwrap() = (StatusCode::from_u16(status).unwrap(), None);
    }

    pub fn redirect(&self, to: &str) {
        *self.answer.lock().unwrap() = (StatusCode::TEMPORARY_REDIRECT, Some(to.parse().unwrap()));
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// The calls as soon as there are so many.
    pub async fn called(&self, count: usize) -> Vec<Call> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let calls = self.calls();
            if calls.len() >= count {
                return calls;
            }
            assert!(Instant::now() < deadline, "only {calls:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

pub async fn put(api: &Api, workspace: &str, url: &str) -> Answer {
    let path = format!("/workspaces/{workspace}/webhook");
    let request = api.request(reqwest::Method::PUT, &path);
    api.send(request.json(&json!({"url": url}))).await
}

/// Has a test event sent, and says its id.
pub async fn test(api: &Api, workspace: &str) -> String {
    let path = format!("/workspaces/{workspace}/webhook/test");
    let sent = api.send(api.request(reqwest::Method::POST, &path)).await;
    sent.accepted()["id"].as_str().unwrap().to_owned()
}

/// The workspace's webhook as soon as it is as wanted.
pub async fn webhook(api: &Api, workspace: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let webhook = api
            .get(&format!("/workspaces/{workspace}/webhook"))
            .await
            .ok();
        if is_wanted(&webhook) {
            return webhook;
        }
        assert!(Instant::now() < deadline, "{webhook}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
