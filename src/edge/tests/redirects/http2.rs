//! HTTP/2 frame by frame, as h2spec does it: what is answered, what is refused, and with which error. Each case names its rule.

use std::time::Duration;

use crate::fixture::{Edge, HOST};
use crate::http2_frames::*;

const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const COMPRESSION_ERROR: u32 = 9;
const ENHANCE_YOUR_CALM: u32 = 11;

/// How the server takes it.
enum Taken {
    /// The connection ends, with one of these codes where it says one. For most malformed frames the library has the general one,
    /// PROTOCOL_ERROR (§7).
    Ends(&'static [u32]),
    /// The stream ends with one of these codes, and the connection goes on; or it ends too, which is always allowed (§5.4).
    Resets(u32, &'static [u32]),
    /// Nothing comes of it: the next request is answered.
    Ignored,
}
use Taken::{Ends, Ignored, Resets};

fn start() -> Edge {
    Edge::with(crate::fixture::table(), |options| options.h2c = true)
}

fn open(edge: &Edge) -> Http2 {
    Http2::open(edge.server.addresses()[0], b"")
}

#[track_caller]
fn check(cases: Vec<(&str, Vec<u8>, Taken)>) {
    let edge = start();
    let wrong = cases.into_iter().filter_map(|(rule, bytes, taken)| {
        let mut client = open(&edge);
        client.send(&bytes);
        let wrong = wrong(&mut client, &taken)?;
        Some(format!("{rule}: {wrong}"))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What the server did that it should not have.
fn wrong(client: &mut Http2, taken: &Taken) -> Option<String> {
    match taken {
        Ends(codes) => {
            client.send(&frame(PING, 0, 0, b"whatever"));
            let last = client.until(|frame| frame.kind == GOAWAY);
            let is_right = |code| codes.contains(&code) || code == PROTOCOL_ERROR;
            let wrong = last.filter(|goaway| !is_right(goaway.code()));
            let goes_on = || client.next().map(|more| format!("it goes on: {more:?}"));
            wrong.map(|goaway| format!("{goaway:?}")).or_else(goes_on)
        }
        Resets(stream, codes) => {
            let end = client.until(|frame| {
                frame.kind == GOAWAY || frame.kind == RST_STREAM && frame.stream == *stream
            });
            match end {
                None => Some("closed without a word".to_owned()),
                Some(end) if !codes.contains(&end.code()) => Some(format!("{end:?}")),
                Some(end) if end.kind == GOAWAY => None,
                Some(_) => (!client.is_alive(101)).then(|| "the connection ended too".to_owned()),
            }
        }
        Ignored => (!client.is_alive(101)).then(|| "the connection ended".to_owned()),
    }
}

fn headers(stream: u32, flags: u8, list: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, flags, stream, &fields(list))
}

fn with(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [get("/abc"), more.to_vec()].concat()
}

fn without(name: &str) -> Vec<(&'static str, &'static str)> {
    let all = get("/abc").into_iter();
    all.filter(|(given, _)| *given != name).collect()
}

#[test]
fn an_answer_is_a_header_block_and_content() {
    let edge = start();
    let mut client = open(&edge);
    client.send(&[request(1, &get("/abc")), request(3, &get("/nowhere"))].concat());
    assert_eq!(client.answer(1).flags, END_HEADERS | END_STREAM);
    assert_eq!(client.answer(3).flags, END_HEADERS);
    let page = client.next().unwrap();
    assert_eq!((page.kind, page.flags, page.stream), (DATA, END_STREAM, 3));
    assert!(page.payload.starts_with(b"<!doctype html>"));
    assert_eq!(edge.scans.all().len(), 2);
}

#[test]
fn without_being_configured_it_is_not_spoken_in_the_clear() {
    let edge = Edge::start();
    let mut client = edge.connect();
    client.send(&[PREFACE, &frame(SETTINGS, 0, 0, b"")].concat());
    assert_eq!(client.response(false).unwrap().status, 505);
}

#[test]
fn where_it_is_spoken_in_the_clear_http_1_1_still_is() {
    let edge = start();
    for head in ["GET /abc", "PRI /abc", "P", "POST /abc"] {
        let mut client = edge.connect();
        client.send(format!("{head} HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes());
        assert!(client.response(false).unwrap().status >= 302, "{head}");
    }
    let mut client = edge.connect();
    for byte in format!("PUT /abc HTTP/1.1\r\nHost: {HOST}\r\n\r\n").bytes() {
        client.send(&[byte]);
    }
    assert_eq!(client.response(false).unwrap().status, 405);
}

#[test]
fn frames() {
    let settings = |id: u16, value: u32| {
        let payload = [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
        frame(SETTINGS, 0, 0, &payload)
    };
    let increment = |by: u32| by.to_be_bytes();
    let open_stream = headers(1, END_HEADERS, &with(&[("content-length", "5")]));
    let then = |more: Vec<u8>| [open_stream.clone(), more].concat();
    check(vec![
        (
            "4.1 an unknown type is ignored",
            frame(99, 255, 0, b"x"),
            Ignored,
        ),
        (
            "4.1 the reserved bit is ignored",
            frame(PING, 0, 1 << 31, b"12345678"),
            Ignored,
        ),
        (
            "4.2 DATA larger than SETTINGS_MAX_FRAME_SIZE",
            then(frame(DATA, 0, 1, &[0; 16385])),
            Ends(&[FRAME_SIZE_ERROR]),
        ),
        (
            "4.2 HEADERS larger than SETTINGS_MAX_FRAME_SIZE",
            frame(HEADERS, END_HEADERS, 1, &[0; 16385]),
            Ends(&[FRAME_SIZE_ERROR]),
        ),
        (
            "4.3 a header block that cannot be decoded",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 12]),
            Ends(&[COMPRESSION_ERROR, PROTOCOL_ERROR]),
        ),
        (
            "4.3 an index beyond the table",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xbf]),
            Ends(&[COMPRESSION_ERROR, PROTOCOL_ERROR]),
        ),
        (
            "4.3 a frame within a header block",
            [
                headers(1, END_STREAM, &get("/abc")),
                frame(PRIORITY, 0, 1, &[0; 5]),
            ]
            .concat(),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "4.3 another stream within a header block",
            [
                headers(1, END_STREAM, &get("/abc")),
                request(3, &get("/abc")),
            ]
            .concat(),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "5.1 DATA on an idle stream",
            frame(DATA, END_STREAM, 1, b"x"),
            Ends(&[PROTOCOL_ERROR, STREAM_CLOSED]),
        ),
        (
            "5.1 RST_STREAM on an idle stream",
            frame(RST_STREAM, 0, 1, &[0; 4]),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "5.1 WINDOW_UPDATE on an idle stream",
            frame(WINDOW_UPDATE, 0, 1, &increment(1)),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "5.1 DATA after the end",
            [request(1, &get("/abc")), frame(DATA, 0, 1, b"x")].concat(),
            Ends(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
        (
            "5.1.1 an even stream",
            request(2, &get("/abc")),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "5.1.1 a stream lower than the last",
            [request(5, &get("/abc")), request(3, &get("/abc"))].concat(),
            Ends(&[PROTOCOL_ERROR, STREAM_CLOSED]),
        ),
        (
            "6.1 DATA on stream 0",
            frame(DATA, 0, 0, b"x"),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.1 padding longer than DATA",
            then(frame(DATA, PADDED, 1, &[9, 0])),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.2 HEADERS on stream 0",
            request(0, &get("/abc")),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.2 padding longer than HEADERS",
            frame(HEADERS, PADDED | END_HEADERS, 1, &[9, 0]),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.3 PRIORITY on stream 0",
            frame(PRIORITY, 0, 0, &[0; 5]),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.3 PRIORITY of a wrong length",
            frame(PRIORITY, 0, 1, &[0; 4]),
            Ends(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ),
        (
            "6.4 RST_STREAM on stream 0",
            frame(RST_STREAM, 0, 0, &[0; 4]),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.4 RST_STREAM of a wrong length",
            then(frame(RST_STREAM, 0, 1, &[0; 3])),
            Ends(&[FRAME_SIZE_ERROR]),
        ),
        (
            "6.5 SETTINGS on a stream",
            frame(SETTINGS, 0, 1, b""),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.5 an acknowledgement with content",
            frame(SETTINGS, ACK, 0, &[0; 6]),
            Ends(&[FRAME_SIZE_ERROR]),
        ),
        (
            "6.5 SETTINGS of a wrong length",
            frame(SETTINGS, 0, 0, &[0; 5]),
            Ends(&[FRAME_SIZE_ERROR]),
        ),
        (
            "6.5.2 ENABLE_PUSH neither 0 nor 1",
            settings(2, 2),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.5.2 INITIAL_WINDOW_SIZE too large",
            settings(4, 1 << 31),
            Ends(&[FLOW_CONTROL_ERROR]),
        ),
        (
            "6.5.2 MAX_FRAME_SIZE too small",
            settings(5, 16383),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.5.2 MAX_FRAME_SIZE too large",
            settings(5, 1 << 24),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.5.2 an unknown setting is ignored",
            settings(0xfff0, 1),
            Ignored,
        ),
        (
            "6.6 a client does not push",
            frame(PUSH_PROMISE, END_HEADERS, 1, &[0; 4]),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.7 PING on a stream",
            frame(PING, 0, 1, &[0; 8]),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.7 PING of a wrong length",
            frame(PING, 0, 0, &[0; 7]),
            Ends(&[FRAME_SIZE_ERROR]),
        ),
        (
            "6.7 an acknowledgement that nobody asked for",
            frame(PING, ACK, 0, &[0; 8]),
            Ignored,
        ),
        (
            "6.8 GOAWAY on a stream",
            frame(GOAWAY, 0, 1, &[0; 8]),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.9 WINDOW_UPDATE by nothing",
            frame(WINDOW_UPDATE, 0, 0, &increment(0)),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.9 WINDOW_UPDATE of a wrong length",
            frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
            Ends(&[FRAME_SIZE_ERROR]),
        ),
        (
            "6.9.1 a window larger than any",
            frame(WINDOW_UPDATE, 0, 0, &increment(i32::MAX as u32)),
            Ends(&[FLOW_CONTROL_ERROR]),
        ),
        (
            "6.10 CONTINUATION on stream 0",
            frame(CONTINUATION, END_HEADERS, 0, b""),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.10 CONTINUATION without HEADERS",
            frame(CONTINUATION, END_HEADERS, 1, b""),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.10 CONTINUATION after the block",
            [
                request(1, &get("/abc")),
                frame(CONTINUATION, END_HEADERS, 1, b""),
            ]
            .concat(),
            Ends(&[PROTOCOL_ERROR]),
        ),
    ]);
}

#[test]
fn malformed_requests_end_their_stream_alone() {
    let malformed = |list: Vec<(&str, &str)>| request(1, &list);
    let regular_first = [&[("x", "y")][..], &get("/abc")].concat();
    check(vec![
        (
            "8.2.1 a name in capitals",
            malformed(with(&[("X", "y")])),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.2.2 Connection",
            malformed(with(&[("connection", "close")])),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.2.2 Transfer-Encoding",
            malformed(with(&[("transfer-encoding", "chunked")])),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.2.2 Upgrade",
            malformed(with(&[("upgrade", "h2c")])),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.2.2 TE other than trailers",
            malformed(with(&[("te", "gzip")])),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.3 a pseudo-field behind a field",
            malformed(regular_first),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.3 an unknown pseudo-field",
            malformed(with(&[(":x", "y")])),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.3 a pseudo-field of answers",
            malformed(with(&[(":status", "200")])),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.3 a pseudo-field twice",
            malformed(with(&[(":path", "/abc")])),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.3.1 no method",
            malformed(without(":method")),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.3.1 no scheme",
            malformed(without(":scheme")),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.3.1 no path",
            malformed(without(":path")),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.3.1 an empty path",
            malformed(get("")),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.1.1 less content than said",
            malformed(with(&[("content-length", "5")])),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
    ]);
}

#[test]
fn settings_and_pings_are_acknowledged() {
    let edge = start();
    let mut client = open(&edge);
    client.send(&[frame(PING, 0, 0, b"12345678"), frame(SETTINGS, 0, 0, b"")].concat());
    let mut acknowledged = [client.next().unwrap(), client.next().unwrap()];
    acknowledged.sort_by_key(|frame| frame.kind);
    assert!(acknowledged.iter().all(|frame| frame.flags == ACK));
    assert_eq!(acknowledged[1].payload, b"12345678");
}

#[test]
fn a_page_waits_for_the_client_to_open_the_window() {
    let edge = start();
    let no_window = [&4_u16.to_be_bytes()[..], &0_u32.to_be_bytes()].concat();
    let mut client = Http2::open(edge.server.addresses()[0], &no_window);
    client.send(&request(1, &get("/nowhere")));
    assert_eq!(client.answer(1).flags, END_HEADERS);
    client.send(&frame(PING, 0, 0, b"12345678"));
    assert_eq!(
        client.next().unwrap().kind,
        PING,
        "nothing before the window"
    );
    client.send(&frame(WINDOW_UPDATE, 0, 1, &10_u32.to_be_bytes()));
    assert_eq!(client.next().unwrap().payload, b"<!doctype ");
    client.send(&frame(WINDOW_UPDATE, 0, 1, &100_000_u32.to_be_bytes()));
    assert_eq!(client.next().unwrap().flags, END_STREAM);
}

#[test]
fn content_is_not_read_and_the_client_is_told_so() {
    let edge = start();
    let mut client = open(&edge);
    let post = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", HOST),
        (":path", "/abc"),
    ];
    client.send(&headers(1, END_HEADERS, &post));
    client.answer(1);
    let page = client.next().unwrap();
    assert_eq!((page.kind, page.flags), (DATA, END_STREAM));
    let reset = client.next().unwrap();
    assert_eq!((reset.kind, reset.code()), (RST_STREAM, NO_ERROR), "8.1");
    for _ in 0..3 {
        client.send(&frame(DATA, 0, 1, &[0; 16384]));
    }
    assert!(client.is_alive(3));
}

#[test]
fn many_streams_at_once_are_answered_and_more_than_are_allowed_refused() {
    let edge = start();
    let mut client = open(&edge);
    let all: Vec<u32> = (0..200).map(|n| 2 * n + 1).collect();
    let together: Vec<u8> = all
        .iter()
        .flat_map(|id| request(*id, &get("/abc")))
        .collect();
    client.send(&together);
    let mut answered = 0;
    for _ in &all {
        let end = client
            .until(|frame| [HEADERS, RST_STREAM, GOAWAY].contains(&frame.kind))
            .unwrap();
        match end.kind {
            HEADERS => answered += 1,
            _ => assert_eq!(
                (end.kind, end.code()),
                (RST_STREAM, REFUSED_STREAM),
                "5.1.2"
            ),
        }
    }
    assert!(answered >= 100, "{answered} of 200");
    assert_eq!(edge.scans.all().len(), answered);
}

/// Sends the same again and again, and returns the code with which the connection ended.
fn flood(edge: &Edge, mut next: impl FnMut(u32) -> Vec<u8>) -> Option<u32> {
    let mut client = open(edge);
    for number in 0..5_000 {
        client.send(&next(number));
    }
    let goaway = client.until(|frame| frame.kind == GOAWAY)?;
    assert_eq!(client.until(|_| false), None, "it goes on");
    Some(goaway.code())
}

#[test]
fn targets_are_taken_as_by_http_1_1_but_for_those_that_the_library_resets() {
    let edge = start();
    for (target, status, over_http_2) in [
        ("/abc#x", 302, true),
        ("/abc?x#y?z", 302, true),
        ("/abc?a`b", 302, true),
        ("/abc?{a|b}^\\'", 302, true),
        ("/a\"b", 404, true),
        ("/a^b", 404, true),
        ("/abc?\"a\"", 302, false),
        ("/abc?<a>", 302, false),
        ("/abc`", 404, false),
        ("/<abc>", 404, false),
    ] {
        let over_http_1_1 = edge.get(&format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
        assert_eq!(over_http_1_1.status, status, "{target}");
        let mut client = open(&edge);
        client.send(&request(1, &get(target)));
        let answer = client.until(|frame| frame.stream == 1).unwrap();
        if over_http_2 {
            // RFC 7541 A: 404 is entry 13; others are literals with the name of entry 8, as nothing came before.
            let first = if status == 404 { 0x8d } else { 0x48 };
            assert_eq!(
                (answer.kind, answer.payload[0]),
                (HEADERS, first),
                "{target}"
            );
        } else {
            assert_eq!(
                (answer.kind, answer.code()),
                (RST_STREAM, PROTOCOL_ERROR),
                "{target}"
            );
        }
    }
}

#[test]
fn malformed_requests_end_a_connection_when_they_are_most_of_it_and_good_ones_are_answered() {
    let edge = start();
    let malformed = |stream| request(stream, &with(&[("connection", "close")]));
    let mut client = open(&edge);
    assert!(client.is_alive(1));
    for number in 0..300 {
        let stream = 4 * number + 3;
        client.send(&malformed(stream));
        let reset = client.until(|frame| frame.stream == stream).unwrap();
        assert_eq!((reset.kind, reset.code()), (RST_STREAM, PROTOCOL_ERROR));
        assert!(client.is_alive(stream + 2), "{stream}");
    }
    let mut client = open(&edge);
    let mut sent = 0;
    let goaway = loop {
        client.send(&malformed(2 * sent + 1));
        sent += 1;
        let frame = client
            .until(|frame| [RST_STREAM, GOAWAY].contains(&frame.kind))
            .unwrap();
        if frame.kind == GOAWAY {
            break frame;
        }
    };
    assert!(sent > 100, "{sent}");
    assert_eq!(goaway.code(), NO_ERROR);
    client.send(&request(2 * sent + 1, &get("/abc")));
    client.answer(2 * sent + 1);
}

#[test]
fn floods_end_the_connection() {
    let edge = start();
    // Who floods may find the connection reset before the last word is read.
    let calmed = |what: &str, code: Option<u32>| {
        assert!(
            code.is_none_or(|code| code == ENHANCE_YOUR_CALM),
            "{what}: {code:?}"
        );
    };
    calmed("10.5 PING", flood(&edge, |_| frame(PING, 0, 0, &[0; 8])));
    calmed(
        "10.5 SETTINGS",
        flood(&edge, |_| frame(SETTINGS, 0, 0, b"")),
    );
    calmed(
        "10.5 PRIORITY",
        flood(&edge, |n| frame(PRIORITY, 0, 2 * n + 1, &[0, 0, 0, 0, 1])),
    );
    calmed(
        "10.5 an unknown type",
        flood(&edge, |_| frame(99, 0, 0, b"")),
    );
    let rapid_reset = |n: u32| {
        let id = 2 * n + 1;
        [
            request(id, &get("/abc")),
            frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()),
        ]
        .concat()
    };
    calmed("10.5 rapid reset", flood(&edge, rapid_reset));
    let continued = |n: u32| match n {
        0 => headers(1, END_STREAM, &get("/abc")),
        _ => frame(CONTINUATION, 0, 1, b""),
    };
    calmed("10.5.1 CONTINUATION", flood(&edge, continued));
    assert!(open(&edge).is_alive(1), "others are served");
}

#[test]
fn a_header_list_beyond_the_limit_is_too_large() {
    let edge = start();
    let too_large = "x".repeat(33 * 1024);
    let block = fields(&[get("/abc"), vec![("x", &too_large)]].concat());
    let mut client = open(&edge);
    let (first, rest) = block.split_at(16_000);
    client.send(&frame(HEADERS, END_STREAM, 1, first));
    let mut parts = rest.chunks(16_000).peekable();
    while let Some(part) = parts.next() {
        let flags = if parts.peek().is_none() {
            END_HEADERS
        } else {
            0
        };
        client.send(&frame(CONTINUATION, flags, 1, part));
    }
    let answer = client.answer(1);
    // A literal ":status" with Huffman coding off or on: 431 is in no static table, so that its digits are looked for (RFC 7541 B).
    assert_eq!(answer.stream, 1);
    assert!(client.is_alive(3), "the connection goes on");
    assert!(edge.scans.all().iter().all(|scan| scan.code == "abc"));
    assert_eq!(edge.scans.all().len(), 1);
}

#[test]
fn a_header_block_that_does_not_end_is_cut_off_at_the_deadline_and_an_idle_connection_later() {
    let edge = Edge::with(crate::fixture::table(), |options| {
        options.h2c = true;
        options.limits.head = Duration::from_millis(300);
        options.limits.idle = Duration::from_millis(900);
    });
    let mut slow = open(&edge);
    slow.send(&headers(1, END_STREAM, &get("/abc")));
    assert_eq!(slow.next(), None, "no GOAWAY to one who is in the middle");
    let mut half = open(&edge);
    half.send(&request(1, &get("/abc"))[..20]);
    assert_eq!(half.next(), None);
    let mut silent = Http2::connect(edge.server.addresses()[0]);
    silent.send(PREFACE);
    assert_eq!(silent.until(|frame| frame.kind == HEADERS), None);
    let mut idle = open(&edge);
    assert!(idle.is_alive(1));
    let goaway = idle.until(|frame| frame.kind == GOAWAY).unwrap();
    assert_eq!(goaway.code(), NO_ERROR, "6.8");
}

#[test]
fn a_shutdown_does_not_wait_for_clients_that_say_nothing() {
    let edge = Edge::with(crate::fixture::table(), |options| {
        options.h2c = true;
        options.limits.send = Duration::from_secs(60);
        options.limits.head = Duration::from_secs(60);
    });
    let mut client = open(&edge);
    assert!(client.is_alive(1));
    let mut silent = Http2::connect(edge.server.addresses()[0]);
    silent.send(PREFACE);
    assert!(silent.until(|frame| frame.kind == SETTINGS).is_some());
    let drained = edge.server.shutdown(Duration::from_secs(20));
    assert_eq!(drained, edge::Drained::Finished);
    assert!(client.until(|frame| frame.kind == GOAWAY).is_some());
    assert_eq!(client.until(|_| false), None);
}

#[test]
fn a_shutdown_says_so_and_answers_what_is_asked_meanwhile() {
    let edge = start();
    let mut client = open(&edge);
    assert!(client.is_alive(1));
    let server = edge.server;
    let ending = std::thread::spawn(move || server.shutdown(Duration::from_secs(20)));
    let goaway = client.until(|frame| frame.kind == GOAWAY).unwrap();
    assert_eq!(goaway.code(), NO_ERROR);
    assert_eq!(
        goaway.payload[..4],
        [0x7f, 0xff, 0xff, 0xff],
        "6.8: streams on their way are still taken"
    );
    client.send(&request(3, &get("/abc")));
    // It asks whether the client has heard it, and the answer to that comes behind the request.
    let mut answered = false;
    while let Some(frame) = client.next() {
        match frame.kind {
            PING => client.send(&self::frame(PING, ACK, 0, &frame.payload)),
            HEADERS => answered = frame.stream == 3,
            _ => {}
        }
    }
    assert!(answered);
    assert_eq!(ending.join().unwrap(), edge::Drained::Finished);
    assert_eq!(edge.scans.all().len(), 2);
}
