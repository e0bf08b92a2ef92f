//! The operators' listener, asked over real HTTP.

#![allow(clippy::unwrap_used)]

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use prometheus::IntCounter;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use telemetry::{Health, metrics, ops};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

struct Running {
    address: SocketAddr,
    health: Health,
    registry: prometheus::Registry,
    shutdown: oneshot::Sender<()>,
    server: JoinHandle<io::Result<()>>,
}

impl Running {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (health, registry) = (Health::new(), metrics::process_registry("1.2.3").unwrap());
        let (shutdown, asked) = oneshot::channel();
        let asked = async move { drop(asked.await) };
        let server = tokio::spawn(ops::serve(
            listener,
            registry.clone(),
            health.clone(),
            asked,
        ));
        Self {
            address,
            health,
            registry,
            shutdown,
            server,
        }
    }

    async fn ask(&self, method: Method, path: &str) -> Response {
        Client::new()
            .request(method, format!("http://{}{path}", self.address))
            .send()
            .await
            .unwrap()
    }

    async fn get(&self, path: &str) -> Response {
        self.ask(Method::GET, path).await
    }
}

fn header(response: &Response, name: &str) -> String {
    response.headers()[name].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn livez_says_ok_also_while_not_ready() {
    let running = Running::start().await;
    running.health.draining();
    let answer = running.get("/livez").await;
    assert_eq!(
        (answer.status().as_u16(), header(&answer, "cache-control")),
        (200, "no-store".to_owned())
    );
    assert_eq!(answer.text().await.unwrap(), "ok");
}

#[tokio::test]
async fn readyz_follows_the_checks_and_says_why() {
    let running = Running::start().await;
    assert_eq!(running.get("/readyz").await.status(), 503);
    let table = running.health.check("table");
    table.not_ready("loading tags: 12,000 so far");
    let answer = running.get("/readyz").await;
    assert_eq!(
        (answer.status().as_u16(), header(&answer, "content-type")),
        (503, "application/json".to_owned())
    );
    let reason = "loading tags: 12,000 so far";
    let expected =
        json!({"ready": false, "checks": [{"name": "table", "ready": false, "reason": reason}]});
    assert_eq!(answer.json::<Value>().await.unwrap(), expected);

    table.ready();
    let answer = running.get("/readyz").await;
    assert_eq!(answer.status(), 200);
    let expected =
        json!({"ready": true, "checks": [{"name": "table", "ready": true, "reason": null}]});
    assert_eq!(answer.json::<Value>().await.unwrap(), expected);

    running.health.draining();
    assert_eq!(running.get("/readyz").await.status(), 503);
}

#[tokio::test]
async fn metrics_show_the_build_the_process_and_what_roles_count() {
    let running = Running::start().await;
    let scans = IntCounter::new("tagwire_edge_scans_accepted_total", "Scans accepted.").unwrap();
    running.registry.register(Box::new(scans.clone())).unwrap();
    scans.inc_by(41);
    scans.inc();
    let answer = running.get("/metrics").await;
    assert_eq!(
        (answer.status().as_u16(), header(&answer, "content-type")),
        (200, prometheus::TEXT_FORMAT.to_owned())
    );
    let text = answer.text().await.unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(
        lines.contains(&"tagwire_build_info{version=\"1.2.3\"} 1"),
        "{text}"
    );
    assert!(
        lines.contains(&"tagwire_edge_scans_accepted_total 42"),
        "{text}"
    );
    assert!(
        lines.contains(&"# TYPE process_cpu_seconds_total counter"),
        "{text}"
    );
    let value = |name: &str| -> f64 {
        let found = lines
            .iter()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        found
            .unwrap_or_else(|| panic!("{name} in {text}"))
            .parse()
            .unwrap()
    };
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    assert!(value("process_cpu_seconds_total") < now - value("process_start_time_seconds") + 1.0);
    assert!(
        value("process_start_time_seconds") <= now && value("process_start_time_seconds") > 1.7e9
    );
    assert!((1e6..1e11).contains(&value("process_resident_memory_bytes")));
    assert!((4.0..=value("process_max_fds")).contains(&value("process_open_fds")));
    assert!(value("process_threads") >= 1.0);
}

#[tokio::test]
async fn open_files_are_counted_as_they_open() {
    let running = Running::start().await;
    let count = async || -> i64 {
        let text = running.get("/metrics").await.text().await.unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("process_open_fds "))
            .unwrap();
        line.parse().unwrap()
    };
    let before = count().await;
    let files: Vec<_> = (0..500)
        .map(|_| std::fs::File::open("/dev/null").unwrap())
        .collect();
    let during = count().await;
    // Other tests of this process open and close connections meanwhile.
    assert!((during - before - 500).abs() < 100, "{before}, {during}");
    drop(files);
}

#[tokio::test]
async fn head_is_answered_like_get_and_nothing_else_is() {
    let running = Running::start().await;
    for path in ["/livez", "/readyz", "/metrics"] {
        let (get, head) = (
            running.get(path).await,
            running.ask(Method::HEAD, path).await,
        );
        assert_eq!(
            (get.status(), header(&get, "content-type")),
            (head.status(), header(&head, "content-type"))
        );
        assert!(head.bytes().await.unwrap().is_empty());
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let answer = running.ask(method, path).await;
            assert_eq!(
                (answer.status().as_u16(), header(&answer, "allow")),
                (405, "GET,HEAD".to_owned())
            );
        }
    }
    for path in ["/", "/metrics/", "/livez/x", "/debug/pprof"] {
        assert_eq!(running.get(path).await.status(), 404);
    }
}

#[tokio::test]
async fn shutdown_ends_it_although_clients_are_idle_or_stuck() {
    let running = Running::start().await;
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut answer = [0; 15];
    idle.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    let mut stuck = TcpStream::connect(running.address).await.unwrap();
    stuck
        .write_all(b"GET /livez HTTP/1.1\r\nHos")
        .await
        .unwrap();
    running.shutdown.send(()).unwrap();
    running.server.await.unwrap().unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn shutdown_ends_it_although_a_client_does_not_read_its_answers() {
    let running = Running::start().await;
    let mut deaf = TcpStream::connect(running.address).await.unwrap();
    let asks = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
    // Once its answers fill the buffers between them, the server reads no further, and then the client cannot write any more.
    let patience = Duration::from_millis(500);
    while let Ok(written) = timeout(patience, deaf.write_all(&asks)).await {
        written.unwrap();
    }
    running.shutdown.send(()).unwrap();
    running.server.await.unwrap().unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}
