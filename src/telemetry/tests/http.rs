//! Slow clients, peers and the drain, over real connections.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use telemetry::http;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

struct Running {
    address: SocketAddr,
    shutdown: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Running {
    async fn start(router: Router, head_timeout: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, asked) = oneshot::channel();
        let asked = async move { drop(asked.await) };
        let server = tokio::spawn(http::serve(listener, router, head_timeout, asked));
        Self {
            address,
            shutdown,
            server,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The body of an answer, over a connection of its own.
    async fn answer(&self) -> String {
        let answer = reqwest::get(format!("http://{}/", self.address)).await;
        answer.unwrap().text().await.unwrap()
    }
}

/// All that comes until the connection is closed; one that is closed while bytes are still coming is reset.
async fn until_closed(mut connection: impl AsyncReadExt + Unpin) -> Vec<u8> {
    let mut came = Vec::new();
    let _ = connection.read_to_end(&mut came).await;
    came
}

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_cut_off_while_others_are_served() {
    let running = Running::start(hello(), Duration::from_secs(1)).await;
    let (reads, mut writes) = running.connect().await.into_split();
    writes.write_all(&ASK[..ASK.len() - 2]).await.unwrap();
    let drip = tokio::spawn(async move {
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        while writes.write_all(b"x").await.is_ok() {
            pace.tick().await;
        }
    });
    assert_eq!(running.answer().await, "hello");
    assert_eq!(until_closed(reads).await, b"");
    drip.await.unwrap();
    assert_eq!(running.answer().await, "hello");
}

#[tokio::test]
async fn connections_that_say_nothing_at_first_or_any_more_are_closed() {
    let running = Running::start(hello(), Duration::from_secs(1)).await;
    let silent = running.connect().await;
    let mut idle = running.connect().await;
    idle.write_all(ASK).await.unwrap();
    assert_eq!(until_closed(silent).await, b"");
    let answer = String::from_utf8(until_closed(idle).await).unwrap();
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
}

#[tokio::test]
async fn handlers_are_told_the_peer() {
    let peer = get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string());
    let running = Running::start(Router::new().route("/", peer), http::HEAD_TIMEOUT).await;
    let mut connection = running.connect().await;
    let own = connection.local_addr().unwrap().to_string();
    let ask = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    connection.write_all(ask).await.unwrap();
    let answer = String::from_utf8(until_closed(connection).await).unwrap();
    assert!(answer.ends_with(&format!("\r\n\r\n{own}")), "{answer}");
}

#[tokio::test]
async fn a_shutdown_closes_what_is_idle_at_once_and_answers_what_was_asked() {
    let (asked, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (say_asked, wait) = (Arc::clone(&asked), Arc::clone(&go_on));
    let slow = get(async move || {
        say_asked.notify_one();
        wait.notified().await;
        "at last"
    });
    let router = hello().route("/slow", slow);
    // So long that nothing of this can be its doing.
    let running = Running::start(router, Duration::from_secs(86_400)).await;
    let silent = running.connect().await;
    let mut idle = running.connect().await;
    idle.write_all(ASK).await.unwrap();
    idle.read_exact(&mut [0; 15]).await.unwrap();
    let mut under_way = running.connect().await;
    let ask = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n";
    under_way.write_all(ask).await.unwrap();
    asked.notified().await;

    running.shutdown.send(()).unwrap();
    assert_eq!(until_closed(silent).await, b"");
    until_closed(idle).await;
    assert!(TcpStream::connect(running.address).await.is_err());
    assert!(!running.server.is_finished());
    go_on.notify_one();
    let answer = String::from_utf8(until_closed(under_way).await).unwrap();
    assert!(answer.ends_with("\r\n\r\nat last"), "{answer}");
    running.server.await.unwrap();
}
