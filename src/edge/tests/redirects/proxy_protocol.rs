//! The PROXY protocol: whose header is believed, and what becomes of connections that should have one.

use std::io::Write as _;
use std::net::TcpStream;
use std::num::NonZeroUsize;
use std::time::Duration;

use edge::{Drained, EdgeOptions};
use facts::TrustedProxies;
use rustls::version::TLS13;
use tags::{Change, DomainSettings};

use crate::certificates::Secure;
use crate::fixture::{Client, Edge, HOST, domain, table};
use crate::tls_client::TlsClient;

const GET: &[u8] =
    b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n";
/// Version 2, PROXY, TCP over IPv4, from 203.0.113.7:4711, with a field that nobody knows.
const HEADER: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10\xcb\0\x71\x07\x0a\0\0\x01\x12\x67\0\x50\xee\0\x01\x2a";
/// Version 2, LOCAL.
const HEALTH_CHECK: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

fn announcing(options: &mut EdgeOptions) {
    options.trust.proxy_protocol_from = TrustedProxies::new(vec!["127.0.0.1/32".parse().unwrap()]);
}

fn refused(edge: &Edge) -> f64 {
    edge.shown("tagwire_edge_connections_refused_total{reason=\"proxy_protocol\"}")
}

#[test]
fn the_client_that_a_header_names_is_the_one_that_scans() {
    for (header, prefix) in [
        (HEADER, "203.0.113.0/24"),
        (
            b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 80\r\n",
            "203.0.113.0/24",
        ),
        (
            b"PROXY TCP6 2001:db8:1:2::9 2001:db8::1 4711 80\r\n",
            "2001:db8:1::/48",
        ),
        (HEALTH_CHECK, "127.0.0.0/24"),
    ] {
        let edge = Edge::with(table(), announcing);
        let mut client = edge.connect();
        // As slowly as can be, and the request behind it in the same breath.
        let (last, before) = header.split_last().unwrap();
        before.iter().for_each(|byte| client.send(&[*byte]));
        client.send(&[&[*last], GET, GET].concat());
        for _ in 0..2 {
            assert_eq!(client.response(false).unwrap().status, 302);
        }
        let scans = edge.scans.all();
        assert_eq!(scans.len(), 2);
        for scan in scans {
            assert_eq!(scan.ip_prefix.to_string(), prefix, "{header:?}");
        }
    }
}

#[test]
fn a_header_comes_before_tls() {
    let secure = Secure::with(|_| {}, announcing);
    let mut socket = TcpStream::connect(secure.edge.server.tls_addresses()[0]).unwrap();
    socket.write_all(HEADER).unwrap();
    let config = secure.authority.client(&[&TLS13]);
    let client = TlsClient::over(socket, &config.into(), HOST).unwrap();
    let answer = client.ask("/abc", HOST);
    assert!(answer.starts_with("HTTP/1.1 302"), "{answer}");
    assert_eq!(
        secure.edge.scans.all()[0].ip_prefix.to_string(),
        "203.0.113.0/24"
    );
}

#[test]
fn a_client_that_is_over_tls_at_the_proxy_is_not_sent_there() {
    let edge = Edge::with(table(), announcing);
    edge.table.apply(Change::Domain(DomainSettings {
        https_redirect: true,
        ..domain(HOST)
    }));
    let (addresses, ssl) = (&HEADER[16..28], b"\x20\0\x05\x01\0\0\0\0");
    let over_tls = [&HEADER[..14], b"\0\x14", addresses, ssl].concat();
    for (header, status) in [(HEADER, 301), (&over_tls, 302)] {
        let mut client = edge.connect();
        client.send(&[header, GET].concat());
        assert_eq!(client.response(false).unwrap().status, status);
    }
}

#[test]
fn a_shutdown_does_not_wait_for_half_a_header() {
    let edge = Edge::with(table(), |options| {
        announcing(options);
        options.limits.head = Duration::from_secs(60);
    });
    let mut client = edge.connect();
    client.send(b"P");
    let drained = edge.server.shutdown(Duration::from_secs(20));
    assert_eq!(drained, Drained::Finished);
}

#[test]
fn who_has_to_begin_with_a_header_and_does_not_is_closed() {
    let edge = Edge::with(table(), |options| {
        announcing(options);
        options.limits.head = Duration::from_millis(300);
    });
    let garbage: [&[u8]; 6] = [
        GET,
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\0",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c",
        b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 99999999999\r\n",
        &[b'P'; 300],
    ];
    for bytes in garbage {
        let mut client = edge.connect();
        client.try_send(bytes);
        assert_eq!(client.try_response(), None, "{bytes:?}");
    }
    assert_eq!(refused(&edge), 6.0);
    let mut slow = edge.connect();
    slow.send(&HEADER[..10]);
    assert_eq!(
        slow.try_response(),
        None,
        "the head's deadline is the header's"
    );
    assert_eq!(refused(&edge), 7.0);
    assert_eq!(edge.scans.all(), []);
}

#[test]
fn a_header_from_anyone_else_is_a_bad_request() {
    let edge = Edge::with(table(), announcing);
    let address = edge.server.addresses()[0];
    let stranger = || Client::connect_from("127.0.0.2".parse().unwrap(), address);
    for header in [HEADER, b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 80\r\n"] {
        let mut client = stranger();
        client.try_send(&[header, GET].concat());
        assert_eq!(client.response(false).unwrap().status, 400);
        assert!(client.is_closed());
    }
    let mut client = stranger();
    client.send(GET);
    assert_eq!(client.response(false).unwrap().status, 302);
    assert_eq!(edge.scans.all()[0].ip_prefix.to_string(), "127.0.0.0/24");
}

#[test]
fn the_limit_for_an_address_is_that_of_the_client_and_not_of_the_proxy() {
    let edge = Edge::with(table(), |options| {
        announcing(options);
        options.connections.per_address = NonZeroUsize::new(1);
    });
    let connect = |client: u8| {
        let mut connection = edge.connect();
        connection.try_send(
            &[
                format!("PROXY TCP4 203.0.113.{client} 10.0.0.1 4711 80\r\n").as_bytes(),
                GET,
            ]
            .concat(),
        );
        let response = connection.try_response();
        response.map(|response| (response.status, connection))
    };
    let held: Vec<_> = (1..4).map(connect).collect();
    assert!(
        held.iter().flatten().all(|(status, _)| *status == 302) && held.iter().all(Option::is_some)
    );
    assert!(connect(1).is_none());
    assert!(connect(4).is_some());
}
