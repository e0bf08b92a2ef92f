//! One HTTP/1.x connection without its input and output: bytes come in, answers go out. A request's whole road can be read here.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use scans::{HttpVersion, Writer};
use table::View;
use tags::Outcome;

use crate::answer::{Answer, answer};
use crate::client::TrustedProxies;
use crate::head::{self, Head, Scan, Scanner, accept_lines};
use crate::http1::{self, Connection, Date};
use crate::metrics::WorkerMetrics;
use crate::options::{Limits, Site};
use crate::pages::Page;
use crate::record::Recording;
use crate::request::Method;

/// What all connections share.
pub(crate) struct Rules {
    pub(crate) site: Site,
    pub(crate) limits: Limits,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) recording: Recording,
}

/// What the connections of one worker thread share. Its lock is never held across an await, and no other thread's request wants it.
pub(crate) struct Worker {
    pub(crate) writer: Writer,
    pub(crate) metrics: WorkerMetrics,
    pub(crate) date: Date,
}

/// What requests that are answered together are answered by.
#[derive(Clone, Copy)]
pub(crate) struct Moment<'a> {
    pub(crate) view: &'a View<'a>,
    pub(crate) rules: &'a Rules,
    pub(crate) now: Timestamp,
    pub(crate) draining: bool,
}

impl Moment<'_> {
    /// Whether the connection ends with this request's answer.
    fn closes_after(&self, head: &Head<'_, '_>) -> bool {
        self.draining || head.has_body || !head.keep_alive
    }
}

/// What is to be done after the answers have been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Receive more.
    Receive,
    /// Go on answering: there was too much to be sent at once.
    Answer,
    /// Close. Where the client may still be sending, what it sends is to be read, or it loses the answer.
    Close { may_be_sending: bool },
}

/// A connection's state between its bytes.
pub(crate) struct Conversation {
    peer: IpAddr,
    /// What was received and not yet answered.
    pub(crate) input: Vec<u8>,
    /// Answers that are to be sent.
    pub(crate) output: Vec<u8>,
    scanner: Scanner,
    /// The scans that `output` answers.
    scans: Vec<(Outcome, HttpVersion)>,
}

/// Answers are sent when there is so much of them: enough for a hundred pipelined redirects.
const OUTPUT: usize = 32 * 1024;
/// A buffer that has grown beyond this is given back when it is empty.
const KEPT: usize = 8 * 1024;

impl Conversation {
    pub(crate) fn new(peer: IpAddr) -> Self {
        Self {
            peer,
            input: Vec::new(),
            output: Vec::new(),
            scanner: Scanner::default(),
            scans: Vec::new(),
        }
    }

    /// Answers every request that is complete, in order. Each scan has been recorded when this returns, so before anything is sent.
    pub(crate) fn answer(&mut self, moment: &Moment<'_>, worker: &mut Worker) -> Next {
        let mut start = 0;
        let next = loop {
            let rest = &self.input[start..];
            if rest.is_empty() {
                break Next::Receive;
            }
            if self.output.len() >= OUTPUT {
                break Next::Answer;
            }
            let mut places = head::places();
            let head = match self.scanner.scan(rest, &moment.rules.limits) {
                Scan::Partial => break Next::Receive,
                Scan::Refused(page) => Err(page),
                Scan::Complete(len) => {
                    start += len;
                    self.scanner = Scanner::default();
                    head::parse(&rest[..len], &mut places, &moment.rules.limits)
                }
            };
            let closes = match head {
                Ok(head) => {
                    self.scans
                        .extend(respond(&mut self.output, &head, self.peer, moment, worker));
                    moment
                        .closes_after(&head)
                        .then_some(moment.draining || head.has_body || start < self.input.len())
                }
                Err(page) => {
                    refuse(&mut self.output, page, rest, moment, worker);
                    Some(true)
                }
            };
            if let Some(may_be_sending) = closes {
                break Next::Close { may_be_sending };
            }
        };
        self.discard(start);
        next
    }

    /// Notes that the answers have been handed over, so long after their requests were received.
    pub(crate) fn sent(&mut self, worker: &Worker, took: Duration) {
        for (outcome, version) in self.scans.drain(..) {
            worker.metrics.observe_redirect(outcome, version, took);
        }
        self.output.clear();
        if self.output.capacity() > KEPT {
            self.output = Vec::new();
        }
    }

    fn discard(&mut self, answered: usize) {
        self.input.drain(..answered);
        if self.input.is_empty() && self.input.capacity() > KEPT {
            self.input = Vec::new();
        }
    }
}

/// Answers one request: decides, records, and writes, in this order. Returns the scan that it was.
fn respond(
    output: &mut Vec<u8>,
    head: &Head<'_, '_>,
    peer: IpAddr,
    moment: &Moment<'_>,
    worker: &mut Worker,
) -> Option<(Outcome, HttpVersion)> {
    let Moment {
        view,
        rules,
        now,
        draining,
    } = *moment;
    let answer = answer(&head.request, view, now, &rules.site, draining);
    if let Some(scan) = &answer.scan {
        let client = client(head, peer, &rules.trusted_proxies);
        rules
            .recording
            .record(&mut worker.writer, scan, head, client, now);
    }
    worker.metrics.count_response(answer.status);
    let connection = Connection {
        version: head.version,
        close: moment.closes_after(head),
    };
    let is_head = head.request.method == Method::Head;
    http1::write(
        output,
        &answer,
        is_head,
        connection,
        worker.date.at(now),
        head.lines("accept"),
    );
    answer.scan.map(|scan| (scan.outcome, head.version))
}

/// Answers what is no request.
fn refuse(
    output: &mut Vec<u8>,
    page: Page,
    received: &[u8],
    moment: &Moment<'_>,
    worker: &mut Worker,
) {
    let answer = Answer::page(page);
    worker.metrics.count_response(answer.status);
    let connection = Connection {
        version: HttpVersion::Http11,
        close: true,
    };
    http1::write(
        output,
        &answer,
        false,
        connection,
        worker.date.at(moment.now),
        accept_lines(received),
    );
}

fn client(head: &Head<'_, '_>, peer: IpAddr, trusted: &TrustedProxies) -> IpAddr {
    if trusted.is_empty() {
        return peer;
    }
    trusted.client(peer, head.lines("x-forwarded-for"), head.lines("forwarded"))
}
