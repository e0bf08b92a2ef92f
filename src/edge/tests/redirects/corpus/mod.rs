//! Sends the cases, as bytes, by every way in that takes such bytes, to both lanes: what is said, what becomes of the connection, and
//! at a site, what has reached it.

mod at_a_site;
pub mod cases;
mod smuggling;

use std::sync::Arc;

use cases::{After, CORPUS, CUT_SHORT, oversized};
use rustls::version::TLS13;

use crate::certificates::Secure;
use crate::fixture::{Client, Edge, HOST};
use crate::site::field;
use crate::tls_client::TlsClient;

/// A way in: bytes go out and come back.
pub trait Wire {
    fn send(&mut self, bytes: &[u8]);
    /// What has come, at least a byte of it; nothing: the server has closed.
    fn receive(&mut self) -> Vec<u8>;
}

impl Wire for Client {
    fn send(&mut self, bytes: &[u8]) {
        Client::send(self, bytes);
    }

    fn receive(&mut self) -> Vec<u8> {
        self.some()
    }
}

impl Wire for TlsClient {
    fn send(&mut self, bytes: &[u8]) {
        TlsClient::send(self, bytes);
    }

    fn receive(&mut self) -> Vec<u8> {
        TlsClient::receive(self)
    }
}

/// Sends every case on a connection of its own.
pub fn run<W: Wire>(connect: impl Fn() -> W) {
    for (about, cases) in CORPUS {
        for (rule, bytes, statuses, after) in cases {
            let case = (&*format!("{about}, {rule}"), *bytes, *statuses, *after);
            for head in exchange(connect(), case, 302) {
                let kept = head.contains("\r\nCache-Control: no-store\r\n");
                assert!(kept, "{rule}\n{head}");
            }
        }
    }
}

/// Sends one case, and looks at what comes of it; the heads of its answers. `next` is what one more request gets where the connection
/// stays.
fn exchange(
    wire: impl Wire,
    (rule, bytes, statuses, after): (&str, &[u8], &[u16], After),
    next: u16,
) -> Vec<String> {
    let bytes_shown = String::from_utf8_lossy(bytes);
    let shown = format!("{rule}: {}", bytes_shown.escape_debug());
    let received = Vec::new();
    let mut answers = Answers { wire, received };
    answers.wire.send(bytes);
    let mut heads = Vec::new();
    for status in statuses {
        let head = answers.next(bytes.starts_with(b"HEAD"));
        let head = head.unwrap_or_else(|| panic!("closed without an answer: {shown}"));
        let line = format!("HTTP/1.1 {status} ");
        assert!(
            head.starts_with(&line),
            "{status} expected: {shown}\n{head}"
        );
        heads.push(head);
    }
    match after {
        After::Closed => assert_eq!(answers.next(false), None, "should be closed: {shown}"),
        After::Open => {
            answers.wire.send(NEXT);
            let head = answers.next(false);
            let head = head.unwrap_or_else(|| panic!("should be open: {shown}"));
            let line = format!("HTTP/1.1 {next} ");
            assert!(head.starts_with(&line), "{shown}\n{head}");
        }
    }
    heads
}

/// What shows that a connection is still open.
const NEXT: &[u8] = b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n";

/// Takes answers from a wire.
struct Answers<W> {
    wire: W,
    received: Vec<u8>,
}

impl<W: Wire> Answers<W> {
    /// The next answer's head; its content is passed over. None: the server has closed, having said nothing more.
    fn next(&mut self, to_head: bool) -> Option<String> {
        let end = loop {
            if let Some(end) = self.received.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            if !self.receive() {
                let rest = String::from_utf8_lossy(&self.received);
                assert!(rest.is_empty(), "cut off: {rest:?}");
                return None;
            }
        };
        let head = String::from_utf8(self.received.drain(..end).collect()).unwrap();
        let len = field(&head, "content-length").map_or(0, |len| len.parse().unwrap());
        let len = if to_head { 0 } else { len };
        while self.received.len() < len {
            assert!(self.receive(), "the body is cut off");
        }
        self.received.drain(..len);
        Some(head)
    }

    fn receive(&mut self) -> bool {
        let more = self.wire.receive();
        self.received.extend_from_slice(&more);
        !more.is_empty()
    }
}

#[test]
fn every_case_gets_its_answer_and_its_end_on_a_plain_connection() {
    let edge = Edge::start();
    run(|| edge.connect());
}

#[test]
fn every_case_gets_its_answer_and_its_end_over_tls() {
    let secure = Secure::start();
    let config = Arc::new(secure.authority.client(&[&TLS13]));
    run(|| TlsClient::with(secure.edge.server.tls_addresses()[0], &config, HOST).unwrap());
}

#[test]
fn what_is_too_large_is_refused_and_closed() {
    let edge = Edge::start();
    refuses_what_is_too_large(|| edge.connect());
}

fn refuses_what_is_too_large(connect: impl Fn() -> Client) {
    for (rule, bytes, status) in oversized() {
        let mut client = connect();
        // The server need not read all of it.
        client.try_send(&bytes);
        let response = client.response(false);
        let response = response.unwrap_or_else(|| panic!("closed without an answer: {rule}"));
        assert_eq!(response.status, status, "{rule}");
        assert!(client.is_closed(), "should be closed: {rule}");
    }
}

#[test]
fn what_is_cut_short_is_no_request() {
    let edge = Edge::start();
    answers_nothing_that_is_cut_short(CUT_SHORT, || edge.connect());
}

fn answers_nothing_that_is_cut_short(cases: &[(&str, &[u8])], connect: impl Fn() -> Client) {
    for (rule, bytes) in cases {
        let mut client = connect();
        client.send(bytes);
        client.half_close();
        assert_eq!(client.response(false), None, "{rule}");
    }
}
