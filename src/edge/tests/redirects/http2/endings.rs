//! What ends a connection that is well-formed: floods, deadlines, limits, and the end of the server.

use std::time::Duration;

use super::{ENHANCE_YOUR_CALM, NO_ERROR, PROTOCOL_ERROR, headers, open, start, with};
use crate::fixture::Edge;
use crate::http2_frames::*;

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
