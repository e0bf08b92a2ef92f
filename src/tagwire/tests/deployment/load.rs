//! Many scans, each recognisable: which of them were answered is known here, so that it can be compared with what was stored.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What a load did: by the number that each scan carries in its User-Agent.
#[derive(Debug, Default)]
pub struct Sent {
    /// Answered with a redirect.
    pub answered: HashSet<u64>,
    /// Sent, and not known to be answered: the connection broke before.
    pub unanswered: HashSet<u64>,
    /// Answered with anything else.
    pub wrong: Vec<String>,
}

/// Scans under way. Each connection sends one scan at a time and connects again when it breaks, until the wanted number was answered or
/// the load is ended.
pub struct Load {
    connections: JoinSet<Sent>,
    ended: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
}

/// The mark in the User-Agent of scan `number`.
pub fn mark(number: u64) -> String {
    format!("scan-{number}-end")
}

/// The number in a User-Agent.
pub fn number(user_agent: &str) -> Option<u64> {
    user_agent
        .split("scan-")
        .nth(1)?
        .split("-end")
        .next()?
        .parse()
        .ok()
}

impl Load {
    pub fn start(edges: &[SocketAddr], code: &str, connections: usize, wanted: u64) -> Self {
        let (ended, answered, numbers) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicU64::new(0)),
        );
        let mut load = Self {
            connections: JoinSet::new(),
            ended,
            answered,
        };
        for connection in 0..connections {
            let phone = Phone {
                edge: edges[connection % edges.len()],
                code: code.to_owned(),
                wanted,
                ended: Arc::clone(&load.ended),
                answered: Arc::clone(&load.answered),
                numbers: Arc::clone(&numbers),
            };
            load.connections.spawn(phone.run());
        }
        load
    }

    /// Waits until so many scans have been answered.
    pub async fn reaches(&self, answered: u64) {
        while self.answered() < answered && !self.ended.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// How many scans have been answered.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Ends it before the wanted number, and tells what was sent.
    pub async fn end(self) -> Sent {
        self.ended.store(true, Ordering::Relaxed);
        self.finish().await
    }

    /// Waits for the wanted number, and tells what was sent.
    pub async fn finish(mut self) -> Sent {
        let mut sent = Sent::default();
        while let Some(connection) = self.connections.join_next().await {
            let connection = connection.unwrap();
            sent.answered.extend(connection.answered);
            sent.unanswered.extend(connection.unanswered);
            sent.wrong.extend(connection.wrong);
        }
        sent
    }
}

struct Phone {
    edge: SocketAddr,
    code: String,
    wanted: u64,
    ended: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    numbers: Arc<AtomicU64>,
}

impl Phone {
    async fn run(self) -> Sent {
        let mut sent = Sent::default();
        while !self.is_done() {
            // While the edge is away, connections are refused: try again.
            match TcpStream::connect(self.edge).await {
                Ok(stream) => self.converse(stream, &mut sent).await,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        self.ended.store(true, Ordering::Relaxed);
        sent
    }

    fn is_done(&self) -> bool {
        self.ended.load(Ordering::Relaxed) || self.answered.load(Ordering::Relaxed) >= self.wanted
    }

    async fn converse(&self, stream: TcpStream, sent: &mut Sent) {
        let host = self.edge.to_string().into();
        let mut connection = Some(Connection { stream, host });
        while let (Some(open), false) = (connection.take(), self.is_done()) {
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            match open.scan(&self.code, number).await {
                Attempt::Answered { again } => {
                    sent.answered.insert(number);
                    self.answered.fetch_add(1, Ordering::Relaxed);
                    connection = again;
                }
                Attempt::Wrong(head) if head.starts_with("HTTP/1.1 503 ") => {
                    // Started again, and still reading its journal: not a scan.
                    sent.unanswered.insert(number);
                    return tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Attempt::Wrong(head) => sent.wrong.push(head),
                Attempt::Limited { .. } => sent.wrong.push("429".to_owned()),
                Attempt::Closed | Attempt::BrokenOff => {
                    sent.unanswered.insert(number);
                }
            }
        }
    }
}

/// A connection to an edge, between two scans.
pub struct Connection {
    stream: TcpStream,
    host: Arc<str>,
}

/// How one scan went.
pub enum Attempt {
    /// With a redirect. The connection, unless the edge closes it.
    Answered { again: Option<Connection> },
    /// With 429.
    Limited { again: Option<Connection> },
    /// With anything else: its head.
    Wrong(String),
    /// The connection ended before any byte of an answer.
    Closed,
    /// The connection ended within an answer.
    BrokenOff,
}

impl Connection {
    /// To the default domain, which is the edge's address.
    pub async fn open(edge: SocketAddr) -> std::io::Result<Self> {
        Self::open_to(edge, &edge.to_string().into()).await
    }

    /// To this domain.
    pub async fn open_to(edge: SocketAddr, host: &Arc<str>) -> std::io::Result<Self> {
        let stream = TcpStream::connect(edge).await?;
        let host = Arc::clone(host);
        Ok(Self { stream, host })
    }

    /// Reads what there is still to come of an answer.
    async fn skip_content(&mut self, head: &str, received: usize) -> std::io::Result<()> {
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.parse::<usize>().ok())?
        });
        let mut rest = vec![0; length.unwrap_or_default().saturating_sub(received)];
        self.stream.read_exact(&mut rest).await.map(drop)
    }

    /// Scans once, with a number by which the scan is found again.
    pub async fn scan(mut self, code: &str, number: u64) -> Attempt {
        let request = format!(
            "GET /{code} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {}\r\n\r\n",
            self.host,
            mark(number)
        );
        if self.stream.write_all(request.as_bytes()).await.is_err() {
            return Attempt::Closed;
        }
        match read_head(&mut self.stream).await {
            Ok((head, _)) if head.starts_with("HTTP/1.1 302 ") => {
                let again = (!closes(&head)).then_some(self);
                Attempt::Answered { again }
            }
            Ok((head, content)) if head.starts_with("HTTP/1.1 429 ") => {
                match self.skip_content(&head, content).await {
                    Ok(()) => {
                        let again = (!closes(&head)).then_some(self);
                        Attempt::Limited { again }
                    }
                    Err(_) => Attempt::BrokenOff,
                }
            }
            Ok((head, _)) => Attempt::Wrong(head),
            Err(received) if received.is_empty() => Attempt::Closed,
            Err(_) => Attempt::BrokenOff,
        }
    }
}

fn closes(head: &str) -> bool {
    head.to_ascii_lowercase().contains("\r\nconnection: close")
}

/// The head of an answer, and how many bytes of its content have come; what there is of it, if the connection ends before its end.
async fn read_head(stream: &mut TcpStream) -> Result<(String, usize), Vec<u8>> {
    let mut received = Vec::new();
    let mut buffer = [0; 2048];
    loop {
        match stream.read(&mut buffer).await {
            Ok(read @ 1..) => received.extend_from_slice(&buffer[..read]),
            _ => return Err(received),
        }
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&received[..end + 4]).into_owned();
            return Ok((head, received.len() - end - 4));
        }
    }
}
