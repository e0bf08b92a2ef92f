//! HTTP/1.x without its input and output: bytes come in, answers go out. A request's whole road can be read here.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use facts::{AgentCache, CrawlerNetworks, LazyAgents, PlacesFile};
use jiff::Timestamp;
use scans::{HttpVersion, Writer};
use table::View;
use tags::{DomainSettings, Outcome, UpstreamUrl};
use tokio::time::Instant;

use crate::answer::{Answer, answer};
use crate::counting::Tallies;
use crate::fields::{Fields, accept_lines};
use crate::head::{Head, Reading};
use crate::http1::{self, Connection, Date};
use crate::metrics::WorkerMetrics;
use crate::options::{Limits, Site};
use crate::pages::Page;
use crate::rate_limits::{RateLimiter, Wanted};
use crate::record::Recording;
use crate::request::Method;
use crate::request_facts::{FactSources, RequestFacts};
use crate::upstream::{Forward, Visit};
use facts::TrustedProxies;

/// What all connections share.
pub(crate) struct Rules {
    pub(crate) site: Site,
    pub(crate) limits: Limits,
    /// Whether HTTP/2 is spoken in the clear.
    pub(crate) h2c: bool,
    /// Where addresses are.
    pub(crate) places: Arc<PlacesFile>,
    pub(crate) crawlers: Arc<CrawlerNetworks>,
    /// What browsers say of themselves.
    pub(crate) agents: Arc<LazyAgents>,
    /// How often tags have been scanned.
    pub(crate) tallies: Arc<Tallies>,
    pub(crate) recording: Recording,
    pub(crate) rate_limiter: RateLimiter,
    /// Set when another process listens in the place of this one: that this one ends is nothing that load balancers have to know of, and
    /// idle connections are kept until then, for one more request.
    pub(crate) replaced: OnceLock<Instant>,
}

/// What the connections of one worker thread share. Its lock is never held across an await, and no other thread's request wants it.
pub(crate) struct Worker {
    pub(crate) writer: Writer,
    pub(crate) metrics: WorkerMetrics,
    pub(crate) date: Date,
    /// The answers that are being made, until they are sent or the connection keeps what its client does not take.
    pub(crate) output: Vec<u8>,
    /// The scans that `output` answers.
    pub(crate) answered: Vec<AnsweredScan>,
    /// A request that is for a site, until its connection takes it.
    pub(crate) forward: Option<Box<Forward>>,
    /// What this thread remembers of browsers.
    pub(crate) agents: AgentCache,
    /// Where bytes are received. Connections that wait for more have no buffer of their own.
    pub(crate) received: Box<[u8]>,
}

/// A scan that has been recorded, and whose answer is on its way.
pub(crate) type AnsweredScan = (Outcome, HttpVersion);

impl Worker {
    pub(crate) fn new(writer: Writer, metrics: WorkerMetrics) -> Self {
        Self {
            writer,
            metrics,
            date: Date::new(),
            output: Vec::with_capacity(OUTPUT),
            answered: Vec::new(),
            forward: None,
            agents: AgentCache::new(),
            received: Box::default(),
        }
    }

    /// Notes that answers have been handed over, so long after their requests were received.
    pub(crate) fn sent(&self, answered: &[AnsweredScan], took: Duration) {
        for (outcome, version) in answered {
            self.metrics.observe_redirect(*outcome, *version, took);
        }
    }
}

/// What requests that are answered together are answered by.
#[derive(Clone, Copy)]
pub(crate) struct Moment<'a> {
    pub(crate) view: &'a View<'a>,
    pub(crate) rules: &'a Rules,
    /// Whose forwarding headers count.
    pub(crate) trusted: &'a TrustedProxies,
    pub(crate) now: Timestamp,
    pub(crate) draining: bool,
    /// Whether others need the connection's place.
    pub(crate) crowded: bool,
}

impl Moment<'_> {
    /// Whether connections end with their answers, whatever their clients want.
    fn closes(&self) -> bool {
        self.draining || self.crowded
    }

    /// Whether the connection ends with this request's answer.
    fn closes_after(&self, head: &Head<'_>) -> bool {
        self.closes() || head.has_body || !head.keep_alive
    }
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) peer: IpAddr,
    /// Whether it goes over TLS.
    pub(crate) tls: bool,
}

/// What is to be done after the answers have been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Receive more.
    Receive,
    /// Go on answering: there was too much to be sent at once.
    Answer,
    /// Let the general lane answer the worker's `forward`.
    Forward,
    /// Close. Where the client may still be sending, what it sends is to be read, or it loses the answer.
    Close { may_be_sending: bool },
}

/// Answers are sent when there is so much of them: enough for a hundred pipelined redirects.
const OUTPUT: usize = 32 * 1024;

/// Answers every request that is complete, in order, into the worker's output. Each scan has been recorded when this returns, so
/// before anything is sent. Says how much of the input has been answered.
pub(crate) fn converse(
    input: &[u8],
    origin: Origin,
    moment: &Moment<'_>,
    worker: &mut Worker,
) -> (usize, Next) {
    let mut start = 0;
    let next = loop {
        let rest = &input[start..];
        if rest.is_empty() {
            break Next::Receive;
        }
        if worker.output.len() >= OUTPUT {
            break Next::Answer;
        }
        let closes = match Head::read(rest, &moment.rules.limits) {
            Reading::Partial => break Next::Receive,
            Reading::Complete(mut head) => {
                start += head.len;
                respond(&mut head, origin, moment, worker);
                if worker.forward.is_some() {
                    break Next::Forward;
                }
                moment
                    .closes_after(&head)
                    .then_some(moment.closes() || head.has_body || start < input.len())
            }
            Reading::Refused(page) => {
                refuse(page, rest, moment, worker);
                Some(true)
            }
        };
        if let Some(may_be_sending) = closes {
            break Next::Close { may_be_sending };
        }
    };
    (start, next)
}

/// Decides about one request, and records the scan if it is one: what every protocol does before it puts the answer into its words.
/// What is a site's is neither recorded nor counted.
pub(crate) fn judge<'a>(
    head: &mut Head<'a>,
    origin: Origin,
    moment: &Moment<'a>,
    worker: &mut Worker,
) -> Answer<'a> {
    let Moment {
        view,
        rules,
        trusted,
        now,
        draining,
        ..
    } = *moment;
    let peer = origin.peer;
    head.request.tls = origin.tls || said_to_be_https(head, peer, trusted);
    let client = client(head, peer, trusted);
    let sources = FactSources {
        places: &rules.places,
        crawlers: &rules.crawlers,
        agents: &rules.agents,
        known_agents: &worker.agents,
        tallies: &rules.tallies,
    };
    let (request, fields) = (&head.request, &head.fields);
    let facts = RequestFacts::new(request, fields, client, sources);
    let ends = draining && rules.replaced.get().is_none();
    let admission = |wanted: &Wanted<'_>| {
        // Where a trusted proxy names nobody, or another proxy, the client is nobody in particular. Where its headers contradict each other,
        // as whoever wants no limits could have them do, all for whom they do count as one.
        let client = || {
            let is_known = !trusted.contain(client) || trusted_are_disputed(fields, peer, trusted);
            is_known.then_some(client)
        };
        rules
            .rate_limiter
            .exceeded(wanted, client, view, std::time::Instant::now)
    };
    let answer = answer(request, &facts, view, now, &rules.site, ends, admission);
    if facts.looked_up() {
        worker.metrics.count_place_lookup();
    }
    if answer.upstream.is_some() {
        return answer;
    }
    if let Some(exceeded) = answer.exceeded {
        worker.metrics.count_limited(exceeded.limit);
    }
    if let Some(scan) = &answer.scan {
        rules
            .recording
            .record(&mut worker.writer, scan, head, &facts, now);
        worker.answered.push((scan.outcome, head.version));
    }
    worker.metrics.count_response(answer.status);
    answer
}

/// Answers one request: decides, records, and writes, in this order; or leaves it to its site.
fn respond<'a>(head: &mut Head<'a>, origin: Origin, moment: &Moment<'a>, worker: &mut Worker) {
    let answer = judge(head, origin, moment, worker);
    if let Some((url, domain)) = answer.upstream {
        worker.forward = Some(for_site(head, domain, url, origin, moment));
        return;
    }
    let connection = Connection {
        version: head.version,
        close: moment.closes_after(head),
    };
    let is_head = head.request.method == Method::Head;
    http1::write(
        &mut worker.output,
        &answer,
        is_head,
        connection,
        worker.date.at(moment.now),
        head.fields.lines("accept"),
    );
}

/// The request as its site gets it.
pub(crate) fn for_site(
    head: &Head<'_>,
    domain: &DomainSettings,
    url: &UpstreamUrl,
    origin: Origin,
    moment: &Moment<'_>,
) -> Box<Forward> {
    let (peer, trusted) = (origin.peer, moment.trusted);
    let visit = Visit {
        client: client(head, peer, trusted),
        peer: peer.to_canonical(),
        trusted: trusted.contain(peer),
        secure: origin.tls,
        keep_alive: head.keep_alive && !moment.closes(),
    };
    Box::new(Forward::new(head, domain, url, &visit))
}

/// Answers what is no request.
fn refuse(page: Page, received: &[u8], moment: &Moment<'_>, worker: &mut Worker) {
    let answer = Answer::page(page);
    worker.metrics.count_response(answer.status);
    let connection = Connection {
        version: HttpVersion::Http11,
        close: true,
    };
    http1::write(
        &mut worker.output,
        &answer,
        is_to_head(received),
        connection,
        worker.date.at(moment.now),
        accept_lines(received),
    );
}

/// Whether what is no request asks as HEAD does, whose answer has no content (RFC 9110 §9.3.2).
fn is_to_head(received: &[u8]) -> bool {
    let line = received.strip_prefix(b"\r\n").unwrap_or(received);
    line.starts_with(b"HEAD ")
}

fn said_to_be_https(head: &Head<'_>, peer: IpAddr, trusted: &TrustedProxies) -> bool {
    let (by_x, standard) = ("x-forwarded-proto", "forwarded");
    let fields = &head.fields;
    !trusted.is_empty() && trusted.say_https(peer, fields.lines(by_x), fields.lines(standard))
}

/// Whether a trusted proxy's headers contradict each other.
fn trusted_are_disputed(fields: &Fields<'_>, peer: IpAddr, trusted: &TrustedProxies) -> bool {
    let (x, standard) = (fields.lines("x-forwarded-for"), fields.lines("forwarded"));
    trusted.are_disputed(peer, x, standard)
}

fn client(head: &Head<'_>, peer: IpAddr, trusted: &TrustedProxies) -> IpAddr {
    if trusted.is_empty() {
        return peer;
    }
    let fields = &head.fields;
    trusted.client(
        peer,
        fields.lines("x-forwarded-for"),
        fields.lines("forwarded"),
    )
}
