//! A port before ClickHouse that makes of its connections what broken networks and servers make of them, and that stops at a step of the
//! sink's which it sees by the requests that pass.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::DEADLINE;

/// What is made of what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Nothing.
    Pass,
    /// Every piece of an answer comes so much later.
    Slow(Duration),
    /// Of an answer half its first piece comes, and then the end: the server has done it, and the client cannot know.
    HalfClose,
    /// Requests are answered with 500 and do not reach the server.
    Error500,
}

/// A moment at which everything stands still, until [`Proxy::go_on`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The first request for a block, before it reaches the server: the intent is committed by then.
    BeforeInsert,
    /// Half of the rows have reached the server.
    DuringInsert,
    /// The server has inserted them; its answer has not come through.
    AfterInsert,
    /// They have been counted; the answer has come through, so that what comes next is the commit.
    BeforeCommit,
}

/// What goes through it.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

struct State {
    behind: SocketAddr,
    manner: Mutex<Manner>,
    /// Where to stop next.
    step: Mutex<Option<Step>>,
    flow: watch::Sender<Flow>,
}

#[derive(Clone, Copy, Default)]
struct Flow {
    stands_still: bool,
    /// How often all connections were cut.
    cuts: u64,
}

/// What a client asked for last on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Headers,
    Rows,
    Count,
    Other,
}

impl Proxy {
    /// In front of this server, on a port of its own.
    pub async fn before(url: &str) -> anyhow::Result<Self> {
        let behind = url.trim_start_matches("http://");
        let behind = behind.parse().context("the server's address")?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            behind,
            manner: Mutex::new(Manner::Pass),
            step: Mutex::default(),
            flow: watch::Sender::default(),
        });
        let of_connections = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&of_connections).connect(client));
            }
        });
        Ok(Self {
            address,
            state,
            accepting,
        })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on, also for connections that are open.
    pub fn treat(&self, manner: Manner) {
        *lock(&self.state.manner) = manner;
    }

    /// Waits until this step is reached, at which everything stands still.
    pub async fn stops_at(&self, step: Step) -> anyhow::Result<()> {
        *lock(&self.state.step) = Some(step);
        let mut flow = self.state.flow.subscribe();
        let reached = timeout(DEADLINE, flow.wait_for(|flow| flow.stands_still)).await;
        let reached = reached.with_context(|| format!("{step:?} is not reached"))?;
        reached.map(drop).context("the proxy has ended")
    }

    /// Everything passes again, what stood still first.
    pub fn go_on(&self) {
        self.state
            .flow
            .send_modify(|flow| flow.stands_still = false);
    }

    /// Ends all connections with what stood still on them; new ones pass.
    pub fn cut(&self) {
        self.state.flow.send_modify(|flow| {
            *flow = Flow {
                stands_still: false,
                cuts: flow.cuts + 1,
            };
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl State {
    async fn connect(self: Arc<Self>, mut client: TcpStream) {
        if *lock(&self.manner) == Manner::Error500 {
            let _ = refuse(&mut client).await; // who has gone hears nothing
            return;
        }
        // A server that is away looks so from here too.
        let Ok(server) = TcpStream::connect(self.behind).await else {
            return;
        };
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let asked = Mutex::new(Request::Other);
        let mut flow = self.flow.subscribe();
        let cuts = flow.borrow_and_update().cuts;
        tokio::select! {
            _ = self.pass_requests(from_client, to_server, &asked) => {}
            _ = self.pass_answers(from_server, to_client, &asked) => {}
            _ = flow.wait_for(|flow| flow.cuts != cuts) => {}
        }
    }

    async fn pass_requests(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        asked: &Mutex<Request>,
    ) -> io::Result<()> {
        let (mut buffer, mut seen) = (vec![0; 16 * 1024], Vec::new());
        loop {
            let read = from.read(&mut buffer).await?;
            if read == 0 || *lock(&self.manner) == Manner::Error500 {
                return Ok(());
            }
            let piece = &buffer[..read];
            seen.extend_from_slice(piece);
            let request = Request::last_in(&mut seen);
            if let Some(request) = request {
                *lock(asked) = request;
            }
            self.flows().await;
            let begins = |wanted| request == Some(wanted);
            let end = || piece.windows(4).position(|four| four == b"\r\n\r\n");
            let head = request.and_then(|_| end()).map(|end| end + 4);
            match head {
                _ if begins(Request::Headers) && self.reaches(Step::BeforeInsert) => {
                    self.flows().await;
                }
                // The head is in the piece, or was in the one before.
                _ if *lock(asked) == Request::Rows
                    && head.is_none_or(|head| head < read)
                    && self.reaches(Step::DuringInsert) =>
                {
                    let head = head.unwrap_or_default();
                    let half = head + (read - head) / 2;
                    to.write_all(&piece[..half]).await?;
                    self.flows().await;
                    to.write_all(&piece[half..]).await?;
                    continue;
                }
                _ => {}
            }
            to.write_all(piece).await?;
        }
    }

    async fn pass_answers(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        asked: &Mutex<Request>,
    ) -> io::Result<()> {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let read = from.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            let (piece, asked) = (&buffer[..read], *lock(asked));
            self.flows().await;
            if asked == Request::Rows && self.reaches(Step::AfterInsert) {
                self.flows().await;
            }
            let manner = *lock(&self.manner);
            match manner {
                Manner::Slow(later) => tokio::time::sleep(later).await,
                Manner::HalfClose => {
                    to.write_all(&piece[..read / 2]).await?;
                    to.shutdown().await?;
                    // The other direction stays open until the client ends it.
                    return pending().await;
                }
                Manner::Pass | Manner::Error500 => {}
            }
            to.write_all(piece).await?;
            if asked == Request::Count && self.reaches(Step::BeforeCommit) {
                self.flows().await;
            }
        }
    }

    /// Whether this is where to stop; if so, everything stands still from now on.
    fn reaches(&self, step: Step) -> bool {
        let mut wanted = lock(&self.step);
        let reached = *wanted == Some(step);
        if reached {
            *wanted = None;
            self.flow.send_modify(|flow| flow.stands_still = true);
        }
        reached
    }

    /// Waits until nothing stands still.
    async fn flows(&self) {
        let mut flow = self.flow.subscribe();
        // Its sender is this.
        let _ = flow.wait_for(|flow| !flow.stands_still).await;
    }
}

impl Request {
    /// The last that began in what was seen, of which only so much is kept as may be the beginning of a mark.
    fn last_in(seen: &mut Vec<u8>) -> Option<Self> {
        const MARKS: [(&[u8], Request); 4] = [
            (b"POST /", Request::Other),
            (b"query=INSERT+INTO+%60ledger%60", Request::Headers),
            (b"query_id=tagwire", Request::Rows),
            (b"uniqExact(edge, boot, writer, seq)", Request::Count),
        ];
        let places = MARKS.iter().filter_map(|(mark, request)| {
            let place = seen.windows(mark.len()).rposition(|bytes| bytes == *mark);
            Some((place?, *request))
        });
        let last = places.max_by_key(|(place, _)| *place);
        let kept = last
            .map_or(0, |(place, _)| place + 6)
            .max(seen.len().saturating_sub(40));
        seen.drain(..kept);
        last.map(|(_, request)| request)
    }
}

/// As a server does whose disk has failed.
async fn refuse(client: &mut TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    if client.read(&mut buffer).await? == 0 {
        return Ok(());
    }
    let reason =
        "Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)";
    let answer = format!(
        "HTTP/1.1 500 Internal Server Error\r\nX-ClickHouse-Exception-Code: 243\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{reason}",
        reason.len()
    );
    client.write_all(answer.as_bytes()).await?;
    // What it still sends is read, so that the answer is not lost to a reset.
    while client.read(&mut buffer).await? > 0 {}
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
