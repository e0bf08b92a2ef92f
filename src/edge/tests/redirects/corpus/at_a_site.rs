//! The same cases on the general lane: behind the domain is a site, which has every path. What is refused is refused before it, what
//! is for it arrives once, and in one way to be read.

use std::sync::Arc;

use rustls::version::TLS13;

use super::cases::After::{self, Open};
use super::cases::{CORPUS, CUT_SHORT};
use super::smuggling::{CUT_SHORT_CONTENT, SMUGGLING};
use super::{Wire, answers_nothing_that_is_cut_short, exchange, refuses_what_is_too_large};
use crate::certificates::Secure;
use crate::fixture::{Edge, HOST};
use crate::http2_frames::*;
use crate::site::{Got, Reply, Site};
use crate::tls_client::TlsClient;
use crate::upstream::{opened, settings};

/// The name of this host has an address, too.
const ADDRESS: &str = "2001:db8::1";

fn site() -> Site {
    Site::start(|_| {
        let reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Site: 1\r\n\r\nok";
        Reply::Send(reply.into())
    })
}

/// Without tags, so that all paths are the site's.
fn edge(site: &Site) -> Edge {
    Edge::with(table(site), opened)
}

fn secure(site: &Site) -> Secure {
    let table = table(site);
    Secure::over(
        table,
        |_| {},
        |options| {
            opened(options);
            options.h2c = true;
        },
    )
}

fn table(site: &Site) -> Arc<table::Table> {
    let table = table::Table::new();
    for name in [HOST, ADDRESS] {
        table.apply(tags::Change::Domain(settings(name, &site.url())));
    }
    table.complete();
    Arc::new(table)
}

/// What is different here: content is read as such, and the connection stays.
const OTHERWISE: &[(&str, &[u16])] = &[
    ("RFC 9112 9.3 content is not read", &[200]),
    ("RFC 9110 9.3.1 GET with content", &[200]),
    ("RFC 9110 9.3.2 HEAD with content", &[200]),
    ("RFC 9112 7.1 chunked", &[200, 200]),
    ("RFC 9112 7 any case", &[200]),
];

/// A tag's answers, and the answers to what is no tag's, are the site's here.
fn at_a_site(rule: &str, bytes: &[u8], statuses: &[u16], after: After) -> (Vec<u16>, After) {
    if let Some((_, statuses)) = OTHERWISE.iter().find(|(other, _)| *other == rule) {
        return (statuses.to_vec(), Open);
    }
    // Two methods are nobody's (RFC 9110 §9.3.6, RFC 9112 §3.2.4).
    let nobodys = bytes.starts_with(b"CONNECT") || bytes.starts_with(b"OPTIONS *");
    let status = |status: &u16| match status {
        302 | 404 | 410 => 200,
        405 if !nobodys => 200,
        refused => *refused,
    };
    (statuses.iter().map(status).collect(), after)
}

fn every_case<W: Wire>(site: &Site, connect: impl Fn() -> W) {
    for (about, cases) in CORPUS {
        for (rule, bytes, statuses, after) in cases {
            let before = site.requests().len();
            let (statuses, after) = at_a_site(rule, bytes, statuses, *after);
            let case = (&*format!("{about}, {rule}"), *bytes, &*statuses, after);
            let heads = exchange(connect(), case, 200);
            let answered = heads.iter().filter(|head| is_the_sites(head)).count();
            let health = bytes.starts_with(b"GET /healthz");
            let accepted = statuses.iter().filter(|status| **status == 200).count();
            assert_eq!(answered, accepted - usize::from(health), "{rule}");
            // And the one that shows that the connection is open.
            let got = site.requests().split_off(before);
            assert_eq!(got.len(), answered + usize::from(after == Open), "{rule}");
            got.iter().for_each(is_strict);
            if let Some(first) = got.first().filter(|_| answered > 0) {
                says_the_same(first, bytes);
            }
        }
    }
}

fn is_the_sites(head: &str) -> bool {
    head.to_ascii_lowercase().contains("\r\nx-site: 1\r\n")
}

/// What no two servers read differently.
fn is_strict(got: &Got) {
    let Got { head, body, .. } = got;
    let lines: Vec<&str> = head
        .strip_suffix("\r\n\r\n")
        .unwrap()
        .split("\r\n")
        .collect();
    assert!(
        !lines.iter().any(|line| line.contains(['\r', '\n', '\0'])),
        "{head:?}"
    );
    let words: Vec<&str> = lines[0].split(' ').collect();
    let [_, target, "HTTP/1.1"] = words[..] else {
        panic!("{head:?}");
    };
    assert!(target.starts_with('/'), "{head:?}");
    let names = lines[1..].iter().map(|line| {
        let (name, _) = line.split_once(':').unwrap();
        assert!(
            !name.is_empty() && !name.contains([' ', '\t', '_']),
            "{head:?}"
        );
        name.to_ascii_lowercase()
    });
    let names: Vec<String> = names.collect();
    let count = |wanted: &str| names.iter().filter(|name| *name == wanted).count();
    assert_eq!(count("host"), 1, "{head:?}");
    let (codings, lengths) = (count("transfer-encoding"), count("content-length"));
    assert!(codings + lengths <= 1, "{head:?}");
    assert!(body.is_empty() || codings + lengths == 1, "{head:?}");
    assert!(
        codings == 0 || got.field("transfer-encoding") == Some("chunked"),
        "{head:?}"
    );
    for hop_by_hop in [
        "expect",
        "upgrade",
        "te",
        "trailer",
        "http2-settings",
        "keep-alive",
        "x-evil",
    ] {
        assert_eq!(count(hop_by_hop), 0, "{hop_by_hop}: {head:?}");
    }
}

/// The request as another parser reads what the client sent.
fn says_the_same(got: &Got, sent: &[u8]) {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut fields);
    let read = request.parse(sent);
    if read == Err(httparse::Error::Version) {
        return; // 1.2, which it does not know
    }
    assert!(read.unwrap().is_complete());
    let target = request.path.unwrap();
    let origin = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => {
            &rest[rest.find(['/', '?']).unwrap_or(rest.len())..]
        }
        _ => target,
    };
    let origin = origin.split('#').next().unwrap();
    let slash = if origin.starts_with('/') { "" } else { "/" };
    let line = format!("{} {slash}{origin} HTTP/1.1", request.method.unwrap());
    assert_eq!(got.line(), line);
}

#[test]
fn every_case_is_judged_before_the_site_on_a_plain_connection() {
    let site = site();
    let edge = edge(&site);
    every_case(&site, || edge.connect());
}

#[test]
fn every_case_is_judged_before_the_site_over_tls() {
    let site = site();
    let secure = secure(&site);
    let config = Arc::new(secure.authority.client(&[&TLS13]));
    let address = secure.edge.server.tls_addresses()[0];
    every_case(&site, || TlsClient::with(address, &config, HOST).unwrap());
}

fn every_smuggler<W: Wire>(site: &Site, connect: impl Fn() -> W) {
    for (rule, bytes, statuses, after, expected) in SMUGGLING {
        let before = site.requests().len();
        exchange(connect(), (rule, bytes, statuses, *after), 200);
        let mut got = site.requests().split_off(before);
        got.iter().for_each(is_strict);
        if *after == Open {
            assert_eq!(got.pop().unwrap().line(), "GET /abc HTTP/1.1", "{rule}");
        }
        let got = got.iter().map(|got| (got.line(), &*got.body));
        let expected = expected.iter().map(|(line, body)| (*line, body.as_bytes()));
        assert_eq!(
            got.collect::<Vec<_>>(),
            expected.collect::<Vec<_>>(),
            "{rule}"
        );
    }
}

#[test]
fn nothing_is_smuggled_to_a_site_on_a_plain_connection() {
    let site = site();
    let edge = edge(&site);
    every_smuggler(&site, || edge.connect());
}

#[test]
fn nothing_is_smuggled_to_a_site_over_tls() {
    let site = site();
    let secure = secure(&site);
    let config = Arc::new(secure.authority.client(&[&TLS13]));
    let address = secure.edge.server.tls_addresses()[0];
    every_smuggler(&site, || TlsClient::with(address, &config, HOST).unwrap());
}

#[test]
fn what_is_too_large_or_cut_short_reaches_no_site_whole() {
    let site = site();
    let edge = edge(&site);
    refuses_what_is_too_large(|| edge.connect());
    for cases in [CUT_SHORT, CUT_SHORT_CONTENT] {
        answers_nothing_that_is_cut_short(cases, || edge.connect());
    }
    let last = edge.get("GET /last HTTP/1.1\r\nHost: qr.example.com\r\n\r\n");
    assert_eq!((last.status, site.paths()), (200, vec!["/last".to_owned()]));
}

#[test]
fn what_http_2_cannot_say_reaches_no_site() {
    let site = site();
    let secure = secure(&site);
    let address = secure.edge.server.addresses()[0];
    let with = |more: &[(&'static str, &'static str)]| [get("/form"), more.to_vec()].concat();
    let instead = |name: &'static str, value: &'static str| {
        let mut all = get("/form");
        all.retain(|(given, _)| *given != name);
        all.insert(0, (name, value));
        all
    };
    let cases: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("RFC 9113 8.2.1 NUL in a value", with(&[("x", "a\0b")])),
        ("RFC 9113 8.2.1 CR in a value", with(&[("x", "a\rb")])),
        (
            "RFC 9113 8.2.1 a line in a value",
            with(&[("x", "a\r\nx-evil: 1")]),
        ),
        (
            "RFC 9113 8.2.1 LF in a value",
            with(&[("x", "a\nx-evil: 1")]),
        ),
        ("RFC 9113 8.2.1 a colon in a name", with(&[("x:y", "1")])),
        (
            "RFC 9113 8.2.1 a line in a name",
            with(&[("x\r\nx-evil", "1")]),
        ),
        ("RFC 9113 8.2.1 a space in a name", with(&[("x y", "1")])),
        ("RFC 9113 8.2.1 capitals in a name", with(&[("X", "1")])),
        ("RFC 9113 8.2.1 an empty name", with(&[("", "1")])),
        (
            "RFC 9113 8.2.2 a coding",
            with(&[("transfer-encoding", "chunked")]),
        ),
        (
            "RFC 9113 8.2.2 the connection's",
            with(&[("connection", "x-forwarded-for")]),
        ),
        (
            "RFC 9113 8.2.2 an upgrade",
            with(&[("upgrade", "websocket")]),
        ),
        (
            "RFC 9113 8.1.1 a length and no content",
            with(&[("content-length", "5")]),
        ),
        (
            "RFC 9110 8.6 two lengths",
            with(&[("content-length", "0"), ("content-length", "5")]),
        ),
        ("RFC 9110 8.6 no number", with(&[("content-length", "+0")])),
        (
            "RFC 9113 8.3.1 a space in the path",
            instead(":path", "/form HTTP/1.1"),
        ),
        (
            "RFC 9113 8.3.1 a line in the path",
            instead(":path", "/form HTTP/1.1\r\nx-evil: 1"),
        ),
        ("RFC 9113 8.3.1 no slash", instead(":path", "form")),
        ("RFC 9113 8.3.1 an empty path", instead(":path", "")),
        ("RFC 9113 8.3.1 a star", instead(":path", "*")),
        (
            "RFC 9113 8.3.1 a line in the method",
            instead(":method", "GET /evil HTTP/1.1\r\nx"),
        ),
        ("RFC 9113 8.3.1 an empty method", instead(":method", "")),
        (
            "RFC 9113 8.3.1 user information",
            instead(":authority", "u@qr.example.com"),
        ),
        (
            "RFC 9113 8.3.1 a space in the host",
            instead(":authority", "qr.example.com x"),
        ),
        (
            "RFC 9113 8.3.1 a path in the host",
            instead(":authority", "qr.example.com/evil"),
        ),
        (
            "RFC 9113 8.3.1 another host",
            with(&[("host", "evil.example")]),
        ),
        (
            "RFC 9113 8.3.1 two hosts",
            with(&[("host", HOST), ("host", HOST)]),
        ),
        ("RFC 9113 8.3 a path twice", with(&[(":path", "/evil")])),
    ];
    for (rule, list) in &cases {
        let mut client = Http2::open(address, b"");
        client.send(&request(1, list));
        let end = client.until(|frame| {
            frame.kind == GOAWAY || frame.stream == 1 && matches!(frame.kind, HEADERS | RST_STREAM)
        });
        assert!(end.is_some(), "closed without a word: {rule}");
        assert_eq!(site.paths(), [""; 0], "{rule}");
    }
    let last = secure
        .edge
        .get("GET /last HTTP/1.1\r\nHost: qr.example.com\r\n\r\n");
    assert_eq!((last.status, site.paths()), (200, vec!["/last".to_owned()]));
}
