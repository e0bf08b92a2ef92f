//! What is recorded as a scan, and with what; read back from the scan log.

use std::time::{Duration, Instant};

use scans::{HttpVersion, Method, Purpose};
use tags::Outcome;

use crate::fixture::{Edge, table};

#[test]
fn a_scan_is_recorded_with_what_the_request_tells() {
    let edge = Edge::start();
    edge.get(
        "GET /q/abc?x=1 HTTP/1.1\r\nHost: QR.example.com:80\r\nUser-Agent: Phone/1.0\r\nAccept-Language: de-AT,de;q=0.9\r\n\
         Referer: https://www.example.net:8443/page?q\r\nSec-Purpose: prefetch;prerender\r\n\r\n",
    );
    let scans = edge.scans.all();
    let [scan] = &scans[..] else {
        panic!("{scans:?}")
    };
    assert_eq!(
        (
            &*scan.workspace,
            &*scan.domain,
            &*scan.code,
            &*scan.campaign,
            scan.tag_version,
            scan.outcome
        ),
        (
            "default",
            "qr.example.com",
            "abc",
            "spring",
            1,
            Outcome::Redirected
        )
    );
    assert_eq!(
        (&*scan.user_agent, &*scan.language, &*scan.referrer_host),
        ("Phone/1.0", "de-AT,de;q=0.9", "www.example.net")
    );
    assert_eq!(
        (scan.method, scan.purpose, scan.http_version),
        (Method::Get, Purpose::Prefetch, HttpVersion::Http11)
    );
    assert_eq!(scan.ip_prefix.to_string(), "127.0.0.0/24");
}

#[test]
fn requests_for_well_formed_codes_of_known_domains_are_scans_and_nothing_else_is() {
    let edge = Edge::start();
    let scans = [
        ("GET /abc", "qr.example.com", Outcome::Redirected),
        ("HEAD /abc", "qr.example.com", Outcome::Redirected),
        ("GET /nowhere", "qr.example.com", Outcome::Unknown),
        ("GET /nowhere", "go.example.org", Outcome::Fallback),
        ("GET /paused", "qr.example.com", Outcome::Paused),
        ("GET /soon", "qr.example.com", Outcome::Scheduled),
        ("GET /ended", "qr.example.com", Outcome::Expired),
        ("GET /revoked", "qr.example.com", Outcome::Revoked),
        ("GET /instead", "qr.example.com", Outcome::Fallback),
    ];
    let others = [
        ("GET /", "qr.example.com"),
        ("GET /robots.txt", "qr.example.com"),
        ("GET /favicon.ico", "qr.example.com"),
        ("GET /healthz", "qr.example.com"),
        ("GET /a.b", "qr.example.com"),
        ("GET /q/", "qr.example.com"),
        ("GET /abc", "unknown.example"),
        ("POST /abc", "qr.example.com"),
        ("BREW /abc", "qr.example.com"),
        ("GET /abc<x", "qr.example.com"),
        ("GET /abc", ""),
    ];
    let request = |line: &str, host: &str| format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    for (line, host, _) in scans {
        edge.get(&request(line, host));
    }
    for (line, host) in others {
        edge.get(&request(line, host));
    }
    let mut recorded: Vec<_> = edge
        .scans
        .all()
        .into_iter()
        .map(|scan| {
            (
                scan.code,
                scan.domain,
                scan.outcome.as_str(),
                scan.method.as_str(),
            )
        })
        .collect();
    let mut expected: Vec<_> = scans
        .map(|(line, host, outcome)| {
            let (method, path) = line.split_once(" /").unwrap();
            (
                path.to_owned(),
                host.to_owned(),
                outcome.as_str(),
                if method == "HEAD" { "head" } else { "get" },
            )
        })
        .into();
    recorded.sort();
    expected.sort();
    assert_eq!(recorded, expected);
}

#[test]
fn nothing_is_a_scan_before_the_table_is_complete() {
    let edge = Edge::with(crate::fixture::filling_table(), |_| {});
    assert_eq!(
        edge.get("GET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n")
            .field("Retry-After"),
        Some("1")
    );
    assert_eq!(edge.scans.all(), []);
}

#[test]
fn every_request_of_a_pipeline_is_a_scan_of_its_own() {
    let edge = Edge::start();
    let mut client = edge.connect();
    client.send(&b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n".repeat(100));
    // Each is recorded before the first byte of its answer is sent.
    for answered in 1..=100 {
        client.response(false).unwrap();
        assert!(edge.scans.log.ledger().accepted >= answered);
    }
    assert_eq!(edge.scans.all().len(), 100);
}

#[test]
fn unknown_codes_are_recorded_up_to_their_cap_and_counted_beyond() {
    let edge = Edge::with(table(), |options| options.unknown_codes_per_second = 0);
    for _ in 0..5 {
        assert_eq!(
            edge.get("GET /nowhere HTTP/1.1\r\nHost: qr.example.com\r\n\r\n")
                .status,
            404
        );
    }
    edge.get("GET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n");
    assert_eq!(edge.scans.all().len(), 1, "known codes have no cap");
    assert_eq!(edge.scans.unknown_dropped(), 5);
}

#[test]
fn the_scanners_address_is_the_forwarded_one_where_the_proxy_is_trusted() {
    let request = "GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nX-Forwarded-For: 198.51.100.7, 203.0.113.9\r\n\r\n";
    for (trusted, prefix) in [
        ("127.0.0.0/8", "203.0.113.0/24"),
        ("10.0.0.0/8", "127.0.0.0/24"),
    ] {
        let edge = Edge::with(table(), |options| {
            options.trust.proxies = facts::TrustedProxies::new(vec![trusted.parse().unwrap()])
        });
        edge.get(request);
        assert_eq!(
            edge.scans.all()[0].ip_prefix.to_string(),
            prefix,
            "{trusted} is trusted"
        );
    }
}

#[test]
fn the_numbers_show_in_the_registry_even_when_nothing_more_comes() {
    let edge = Edge::start();
    edge.get("GET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n");
    edge.get("GET /abc HTTP/1.0\r\n\r\n");
    edge.get("GET /ended HTTP/1.1\r\nHost: qr.example.com\r\n\r\n");
    let shown = || {
        prometheus::TextEncoder::new()
            .encode_to_string(&edge.registry.gather())
            .unwrap()
    };
    let expected = [
        "tagwire_edge_redirect_duration_seconds_count{http=\"1.1\",lane=\"express\",outcome=\"redirected\"} 1",
        "tagwire_edge_redirect_duration_seconds_count{http=\"1.0\",lane=\"express\",outcome=\"redirected\"} 1",
        "tagwire_edge_redirect_duration_seconds_count{http=\"1.1\",lane=\"express\",outcome=\"expired\"} 1",
        "tagwire_edge_responses_total{status=\"302\"} 2",
        "tagwire_edge_responses_total{status=\"410\"} 1",
    ];
    let deadline = Instant::now() + Duration::from_secs(20);
    while !expected.iter().all(|line| shown().contains(line)) {
        assert!(Instant::now() < deadline, "{}", shown());
        std::thread::yield_now();
    }
}
