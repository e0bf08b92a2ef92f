//! What is answered, and how much at once.

use super::{NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, headers, open, start};
use crate::fixture::{Edge, HOST};
use crate::http2_frames::*;

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
