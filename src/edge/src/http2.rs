//! HTTP/2 connections: the same requests and answers as in `conversation`, many at a time. Frames, streams and flow control are the h2
//! library's; what it lets a client do, for how long, and how the connection ends, is decided here.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use http::header::ACCEPT;
use jiff::Timestamp;
use pingora_core::protocols::Stream;
use pingora_core::server::ShutdownWatch;
use scans::HttpVersion;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::answer::Answer;
use crate::conversation::{AnsweredScan, Moment, Origin, Worker, for_site, judge};
use crate::head::{Head, Reading};
use crate::http2_answer;
use crate::http2_request::transcribe;
use crate::http2_watch::{Watch, Watched};
use crate::lane::{Lane, passed, until_stopped};
use crate::options::Limits;
use crate::pages::Page;
use crate::request::Method;
use crate::upstream::{ContentFraming, ForSite, StreamEnd};

/// What a client opens its connection with (RFC 9113 §3.4).
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How many requests a client may have open at once: RFC 9113 §6.5.2 recommends no fewer than 100.
const STREAMS: u32 = 128;
/// Rapid reset (CVE-2023-44487): how many streams may have been reset before they were looked at.
const PENDING_RESETS: usize = 20;
/// How many requests for sites a connection may take back before any of their answers are there, beyond half of all that it makes: a
/// site works for each until it is done. A visitor who leaves a page takes back what it still loads.
const CANCELLED: u64 = 100;
/// How long a client has to say that it knows of the end (RFC 9113 §6.8: a round trip), when nothing else is waited for.
const FAREWELL: Duration = Duration::from_secs(1);
/// What a field counts for beyond its bytes (RFC 9113 §6.5.2).
const FIELD_OVERHEAD: usize = 32;

/// A request and where its answer goes.
type Exchange = (Request<RecvStream>, SendResponse<Bytes>);

/// Why a connection is looked at.
enum Event {
    /// Requests have come.
    Requests,
    /// It is to end when what is asked has been answered.
    Ending,
    /// It is to end now.
    Over,
    /// It has ended.
    Closed(Result<(), h2::Error>),
}

impl Lane {
    /// Serves a connection to its end. `read` is what has been received of it.
    pub(crate) async fn serve_http2(
        &self,
        stream: Stream,
        read: Vec<u8>,
        origin: Origin,
        mut shutdown: ShutdownWatch,
    ) -> io::Result<()> {
        let limits = &self.rules.limits;
        let (stream, watch) = Watched::new(stream, read);
        let handshake = timeout(limits.head, settings(limits).handshake(stream));
        let Some(connection) = until_stopped(handshake, &shutdown).await else {
            return Ok(());
        };
        let asked_at = Instant::now();
        let mut streams = Streams {
            lane: self,
            connection: connection?.map_err(io::Error::other)?,
            watch,
            origin,
            requests: Vec::new(),
            unsent: Vec::new(),
            asked_at,
            ending: None,
            sites: JoinSet::new(),
            for_sites: 0,
            cancelled: 0,
            shutdown: shutdown.clone(),
        };
        let mut shut_down = pin!(async move {
            let _ = shutdown.wait_for(|stop| *stop).await;
        });
        let mut timer = pin!(sleep_until(asked_at + limits.idle));
        loop {
            let event = poll_fn(|cx| streams.poll(cx, timer.as_mut(), shut_down.as_mut())).await;
            match event {
                Event::Requests => streams.answer(),
                Event::Ending => streams.end(),
                Event::Over => return Ok(()),
                Event::Closed(result) => return result.map_err(io::Error::other),
            }
        }
    }
}

/// One connection's streams.
struct Streams<'a> {
    lane: &'a Lane,
    connection: Connection<Watched<Stream>, Bytes>,
    watch: Watch,
    origin: Origin,
    /// What has come and not been answered.
    requests: Vec<Exchange>,
    /// The scans whose answers have not been sent.
    unsent: Vec<AnsweredScan>,
    /// When the last requests came.
    asked_at: Instant,
    /// Since when the connection is coming to its end.
    ending: Option<Instant>,
    /// The streams that sites are answering.
    sites: JoinSet<StreamEnd>,
    /// How many of those there have been, and how many of them the client took back.
    for_sites: u64,
    cancelled: u64,
    shutdown: ShutdownWatch,
}

impl Streams<'_> {
    /// The first look at the library sends what has been answered. All that has come is taken before any of it is answered, so that
    /// the answers go out together.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        timer: Pin<&mut Sleep>,
        shut_down: Pin<&mut impl Future<Output = ()>>,
    ) -> Poll<Event> {
        loop {
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok(exchange))) => self.requests.push(exchange),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Event::Closed(Err(error))),
                Poll::Ready(None) => return Poll::Ready(Event::Closed(Ok(()))),
                Poll::Pending => break,
            }
        }
        while let Poll::Ready(Some(ended)) = self.sites.poll_join_next(cx) {
            self.cancelled += u64::from(matches!(ended, Ok(StreamEnd::Cancelled)));
            // What they have said is still to be sent.
            self.asked_at = Instant::now();
            self.ending = self.ending.map(|_| self.asked_at);
        }
        self.sent();
        if !self.requests.is_empty() {
            return Poll::Ready(Event::Requests);
        }
        if self.ending.is_none() {
            if self.watch.seen().is_flood() || self.cancels_too_much() {
                self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                self.ending = Some(Instant::now());
                cx.waker().wake_by_ref();
            } else if self.watch.seen().is_mostly_malformed() || shut_down.poll(cx).is_ready() {
                return Poll::Ready(Event::Ending);
            }
        }
        let (deadline, then) = self.deadline();
        if passed(deadline, timer, cx) {
            return Poll::Ready(then);
        }
        Poll::Pending
    }

    /// When it has taken too long, and what then.
    fn deadline(&self) -> (Instant, Event) {
        let limits = &self.lane.rules.limits;
        let seen = self.watch.seen();
        let over = [
            seen.incomplete.map(|since| since + limits.head),
            seen.stuck.map(|since| since + limits.send),
            // A site may take its time, and so may a client that is being sent something.
            self.ending
                .filter(|_| self.sites.is_empty())
                .map(|since| match seen.stuck {
                    Some(_) => since + limits.send,
                    None => (self.asked_at.max(since) + FAREWELL).min(since + limits.send),
                }),
        ];
        let since = match self.sites.is_empty() {
            true => self.asked_at,
            false => Instant::now(),
        };
        let idle = since + self.lane.idle();
        match over.into_iter().flatten().min() {
            Some(over) if over < idle || self.ending.is_some() => (over, Event::Over),
            _ => (idle, Event::Ending),
        }
    }

    /// Answers every request that has come, from one state of the table. Each scan has been recorded when this returns, and nothing has
    /// been sent.
    fn answer(&mut self) {
        self.asked_at = Instant::now();
        let lane = self.lane;
        let (state, trust) = (lane.table.load(), lane.admission.trust());
        let moment = Moment {
            view: &state.pin(),
            rules: &lane.rules,
            trusted: &trust.proxies,
            now: Timestamp::now(),
            draining: lane.is_draining(),
            crowded: lane.admission.is_crowded(),
        };
        let mut worker = lane.lock_worker();
        worker.answered.clear();
        let mut text = Vec::new();
        for exchange in self.requests.drain(..) {
            let for_site = respond(exchange, &mut text, self.origin, &moment, &mut worker);
            if let Some(for_site) = for_site {
                let answering = lane.clone().answer_stream(for_site, self.shutdown.clone());
                self.sites.spawn(answering);
                self.for_sites += 1;
            }
        }
        self.unsent.append(&mut worker.answered);
        drop(worker);
        if moment.draining && self.ending.is_none() {
            self.end();
        }
    }

    /// Whether the client makes sites work for nobody (rapid reset, one hop further).
    fn cancels_too_much(&self) -> bool {
        self.cancelled > CANCELLED && self.cancelled * 2 > self.for_sites
    }

    /// Notes that the answers have been handed over.
    fn sent(&mut self) {
        if !self.unsent.is_empty() {
            let took = self.asked_at.elapsed();
            self.lane.lock_worker().sent(&self.unsent, took);
            self.unsent.clear();
        }
    }

    /// Says that no new streams are answered (RFC 9113 §6.8), and waits for those that are.
    fn end(&mut self) {
        self.connection.graceful_shutdown();
        self.ending = Some(Instant::now());
    }
}

/// Answers one request, or leaves it to its site. Content is a site's business; of other requests it is not read, and the library tells
/// the client so (RFC 9113 §8.1).
fn respond(
    (request, mut stream): Exchange,
    text: &mut Vec<u8>,
    origin: Origin,
    moment: &Moment<'_>,
    worker: &mut Worker,
) -> Option<ForSite> {
    let (parts, content) = request.into_parts();
    let read = transcribe(&parts, text).and_then(|()| read(text, &moment.rules.limits));
    let (answer, is_head) = match read {
        Ok(mut head) => {
            let answer = judge(&mut head, origin, moment, worker);
            if let Some((url, domain)) = answer.upstream {
                // What has no length is framed anew.
                head.content = match head.content {
                    _ if content.is_end_stream() => ContentFraming::None,
                    ContentFraming::None => ContentFraming::Chunked,
                    known => known,
                };
                return Some(ForSite {
                    request: for_site(&head, domain, url, origin, moment),
                    content,
                    stream,
                });
            }
            (answer, head.request.method == Method::Head)
        }
        Err(page) => {
            let answer = Answer::page(page);
            worker.metrics.count_response(answer.status);
            (answer, parts.method == http::Method::HEAD)
        }
    };
    let accept = parts.headers.get_all(ACCEPT).iter();
    let accept = accept.map(|value| value.as_bytes());
    let date = worker.date.at(moment.now).as_bytes();
    // Who has taken the request back has asked all the same, and misses the answer only.
    let _ = http2_answer::send(&mut stream, &answer, is_head, date, accept);
    None
}

fn read<'b>(text: &'b [u8], limits: &Limits) -> Result<Head<'b>, Page> {
    match Head::read(text, limits) {
        Reading::Complete(head) if head.len == text.len() => Ok(Head {
            version: HttpVersion::Http2,
            ..head
        }),
        Reading::Refused(page) => Err(page),
        // More than one head, or half of one, is not what was transcribed.
        Reading::Complete(_) | Reading::Partial => Err(Page::BadRequest),
    }
}

fn settings(limits: &Limits) -> Builder {
    let mut builder = Builder::new();
    // What is beyond our own limits, but not by much, gets an answer of ours; what is far beyond, one of the library's.
    let fields = 2 * limits.headers + limits.target + Limits::FIELDS * FIELD_OVERHEAD;
    builder
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(fields).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(PENDING_RESETS)
        // It would count for as long as the connection lasts; see `Seen::is_mostly_malformed`.
        .max_local_error_reset_streams(None);
    builder
}
