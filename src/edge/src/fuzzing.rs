//! What a fuzzer needs of what is private here: the code that serves, without sockets. Nothing that serves uses it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use http::request::Parts;
use jiff::Timestamp;
use scans::{ScanLog, Visitors};
use table::Table;

use crate::conversation::{Moment, Next, Origin, Rules, Worker, converse};
use crate::options::{Limits, Site};
use crate::rate_limits::{RateLimiter, RateLimits};
use crate::record::{Recording, UnknownCap};
use crate::server::StartError;
use crate::upstream::{ContentFraming, ContentReader};
use crate::{EdgeMetrics, http2_request, proxy_protocol};
use facts::TrustedProxies;

/// Reads a PROXY protocol header: the client that it names, and how many bytes it takes.
pub fn read_proxy_protocol(bytes: &[u8]) -> Result<(Option<SocketAddr>, usize), String> {
    let mut rest = bytes;
    let waker = &mut Context::from_waker(Waker::noop());
    let read = pin!(proxy_protocol::read(&mut rest)).poll(waker);
    match read {
        Poll::Ready(Ok(announced)) => Ok((announced.client, bytes.len() - rest.len())),
        Poll::Ready(Err(error)) => Err(error.to_string()),
        Poll::Pending => unreachable!("bytes in memory are all there"),
    }
}

/// The HTTP/1.1 head that says the same as a request of HTTP/2; none: it is refused.
pub fn transcribe(parts: &Parts) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    http2_request::transcribe(parts, &mut head).ok()?;
    Some(head)
}

/// What came of a connection.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// To the client.
    pub answers: Vec<u8>,
    /// To the site behind the domain: each head, and its content as far as it came.
    pub forwarded: Vec<(Vec<u8>, Vec<u8>)>,
    /// How many of the client's bytes were read, but for content that was refused.
    pub read: usize,
    /// Whether the connection is over.
    pub closed: bool,
}

/// Connections of one worker thread. A site answers nothing, and at once.
pub struct Conversations {
    table: Table,
    rules: Rules,
    worker: Worker,
    now: Timestamp,
}

/// A request's content that comes in.
struct Content {
    reader: ContentReader,
    /// Whether the connection stays when it is complete.
    keep_alive: bool,
    /// How much had been read before it; of content that is refused, nobody asks how much was.
    begins: usize,
}

/// The most content that a request may have.
const CONTENT: u64 = 1 << 20;

impl Conversations {
    /// Answers by this table, as of this moment, and records in this log.
    pub fn new(
        table: Table,
        log: &ScanLog,
        metrics: &EdgeMetrics,
        now: Timestamp,
    ) -> Result<Self, StartError> {
        let visitors = Visitors::new(metrics.local_salts());
        let visitors = visitors.map_err(|error| StartError::Random(error.to_string()))?;
        Ok(Self {
            table,
            rules: Rules {
                site: Site::default(),
                limits: Limits::default(),
                h2c: false,
                replaced: OnceLock::new(),
                places: Arc::default(),
                crawlers: Arc::default(),
                agents: Arc::default(),
                tallies: Arc::default(),
                recording: Recording {
                    visitors: Arc::new(visitors),
                    unknown_codes: UnknownCap::new(u32::MAX),
                },
                rate_limiter: RateLimiter::new(RateLimits::NONE),
            },
            worker: Worker::new(log.writer(), metrics.express_lane()),
            now,
        })
    }

    /// A connection on which these bytes come in, one piece after the other.
    pub fn converse<'p>(&mut self, pieces: impl IntoIterator<Item = &'p [u8]>) -> Said {
        let (mut said, mut input) = (Said::default(), Vec::new());
        let mut content = None;
        for piece in pieces {
            input.extend_from_slice(piece);
            while !said.closed && self.step(&mut input, &mut content, &mut said) {}
        }
        said
    }

    /// Does what there is to do. False: nothing, until more comes in.
    fn step(
        &mut self,
        input: &mut Vec<u8>,
        content: &mut Option<Content>,
        said: &mut Said,
    ) -> bool {
        if let Some(of) = content {
            let before = input.len();
            let (_, output) = said.forwarded.last_mut().expect("its head came before");
            let failed = of.reader.read(input, output).is_err();
            said.read += before - input.len();
            if failed {
                said.read = of.begins;
                said.closed = true;
            } else if of.reader.is_complete() {
                said.closed = !of.keep_alive;
            } else {
                return false;
            }
            *content = None;
            return true;
        }
        let state = self.table.load();
        let moment = Moment {
            view: &state.pin(),
            rules: &self.rules,
            trusted: &TrustedProxies::default(),
            now: self.now,
            draining: false,
            crowded: false,
        };
        let origin = Origin {
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            tls: false,
        };
        let (read, next) = converse(input, origin, &moment, &mut self.worker);
        said.answers.append(&mut self.worker.output);
        self.worker.answered.clear();
        input.drain(..read);
        said.read += read;
        match next {
            Next::Receive => false,
            Next::Answer => true,
            Next::Close { .. } => {
                said.closed = true;
                true
            }
            Next::Forward => {
                let forward = self.worker.forward.take().expect("it is what comes next");
                let reader = ContentReader::new(forward.content, CONTENT);
                said.forwarded.push((forward.head, Vec::new()));
                // What is too much is not read, and so the connection ends.
                said.closed = reader.is_err();
                *content = reader.ok().map(|reader| Content {
                    reader,
                    keep_alive: forward.keep_alive,
                    begins: said.read,
                });
                true
            }
        }
    }
}

/// Reads content that comes in in pieces of so many bytes: what is passed on, and how much of `bytes` it took; none: it is refused.
pub fn read_content(
    framing: ContentFraming,
    bytes: &[u8],
    piece: usize,
) -> Option<(Vec<u8>, usize, bool)> {
    let mut reader = ContentReader::new(framing, CONTENT).ok()?;
    let (mut input, mut output) = (Vec::new(), Vec::new());
    for bytes in bytes.chunks(piece.max(1)) {
        input.extend_from_slice(bytes);
        reader.read(&mut input, &mut output).ok()?;
    }
    Some((output, bytes.len() - input.len(), reader.is_complete()))
}
