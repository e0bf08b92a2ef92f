//! The sizes and times that a request may take: at the limit, and beyond it.

use std::time::Duration;

use edge::Limits;

use crate::fixture::Edge;

const GET: &[u8] = b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n";

fn with_target(len: usize) -> String {
    let path = format!("/abc?{}", "x".repeat(len - 5));
    format!("GET {path} HTTP/1.1\r\nHost: qr.example.com\r\n\r\n")
}

fn with_fields(count: usize, bytes: usize) -> String {
    let mut fields = "Host: qr.example.com\r\n".to_owned();
    for number in 1..count {
        fields += &format!("X-{number}: y\r\n");
    }
    if let Some(rest) = bytes.checked_sub(fields.len() + "Z: \r\n".len()) {
        fields += &format!("Z: {}\r\n", "z".repeat(rest));
    }
    format!("GET /abc HTTP/1.1\r\n{fields}\r\n")
}

#[test]
fn a_target_of_8_kib_is_answered_and_a_longer_one_is_too_long() {
    let edge = Edge::start();
    for (len, status) in [(8 * 1024, 302), (8 * 1024 + 1, 414), (200_000, 414)] {
        let mut client = edge.connect();
        client.try_send(with_target(len).as_bytes());
        let response = client.response(false).unwrap();
        assert_eq!(response.status, status, "{len}");
        assert_eq!(
            status == 414,
            response.field("Connection") == Some("close") && client.is_closed(),
            "{len}"
        );
    }
}

#[test]
fn a_method_without_end_is_not_implemented() {
    let edge = Edge::start();
    let mut client = edge.connect();
    client.try_send("A".repeat(20_000).as_bytes());
    assert_eq!(client.response(false).unwrap().status, 501, "RFC 9112 3");
    assert!(client.is_closed());
}

#[test]
fn fields_of_32_kib_or_a_hundred_are_answered_and_more_are_too_large() {
    let edge = Edge::start();
    for (count, bytes, status) in [
        (1, 32 * 1024, 302),
        (1, 32 * 1024 + 1, 431),
        (100, 0, 302),
        (101, 0, 431),
        (1, 1024 * 1024, 431),
    ] {
        let mut client = edge.connect();
        client.try_send(with_fields(count, bytes).as_bytes());
        let response = client.response(false).unwrap();
        assert_eq!(response.status, status, "{count} fields, {bytes} bytes");
        assert_eq!(
            status == 431,
            response.field("Connection") == Some("close") && client.is_closed(),
            "{count} fields, {bytes} bytes"
        );
    }
}

#[test]
fn a_client_that_goes_on_sending_after_a_refusal_gets_its_answer() {
    let edge = Edge::start();
    let mut client = edge.connect();
    client.send(b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: 2000000\r\n\r\n");
    for _ in 0..20 {
        client.send(&[b'x'; 100_000]);
    }
    assert_eq!(
        client.response(false).unwrap().status,
        302,
        "a reset would have lost it, RFC 9112 9.6"
    );
    assert!(client.is_closed());
}

#[test]
fn a_head_that_is_not_complete_in_time_is_closed_however_busily_it_trickles() {
    let edge = Edge::with(crate::fixture::table(), |options| {
        options.limits = Limits {
            head: Duration::from_millis(300),
            ..Limits::default()
        };
    });
    let mut idle = edge.connect();
    idle.send(GET);
    assert_eq!(idle.response(false).unwrap().status, 302);
    let mut slow = edge.connect();
    slow.send(b"GET /abc HTTP/1.1\r\nX: ");
    let sent = slow.trickle(b'x', Duration::from_millis(20));
    assert!(sent > 1, "it had some time");
    idle.send(GET);
    assert_eq!(
        idle.response(false).unwrap().status,
        302,
        "an idle connection has longer"
    );
}

#[test]
fn an_idle_connection_is_closed_in_its_time() {
    let edge = Edge::with(crate::fixture::table(), |options| {
        options.sockets.defer_accept = false;
        options.limits = Limits {
            idle: Duration::from_millis(300),
            ..Limits::default()
        };
    });
    let mut never_used = edge.connect();
    let mut used = edge.connect();
    used.send(b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n");
    assert_eq!(used.response(false).unwrap().status, 302);
    assert!(used.is_closed() && never_used.is_closed());
}
