//! Sites that are down, slow, broken, in the wrong place, or attacked through us: what visitors see, and that codes do not mind.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tags::DomainSettings;

use crate::fixture::{Edge, destination};
use crate::site::{Connection, Reply, Site, ok};
use crate::upstream::{BRAND, asked, counted, edge, edge_with, get, opened, settings, table_with};

const FALLBACK: &str = "https://example.com/instead";

fn with_fallback(url: &str) -> DomainSettings {
    DomainSettings {
        fallback_url: Some(destination(FALLBACK)),
        ..settings(BRAND, url)
    }
}

/// An address where nobody listens.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn requests_that_could_be_read_in_two_ways_never_reach_a_site() {
    let site = Site::start(|got| ok(got.path()));
    let edge = edge(&site);
    let smuggled = "0\r\n\r\nGET /evil HTTP/1.1\r\nHost: brand.example.org\r\n\r\n";
    let requests: [(&str, String, u16); 22] = [
        (
            "RFC 9112 6.1 both",
            format!(
                "POST /f HTTP/1.1\r\nHost: {BRAND}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n{smuggled}"
            ),
            400,
        ),
        (
            "RFC 9112 6.1 both, the other way round",
            format!(
                "POST /f HTTP/1.1\r\nHost: {BRAND}\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{smuggled}"
            ),
            400,
        ),
        (
            "RFC 9112 6.3 two lengths",
            format!(
                "POST /f HTTP/1.1\r\nHost: {BRAND}\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n{smuggled}"
            ),
            400,
        ),
        (
            "RFC 9110 8.6 a list",
            format!("POST /f HTTP/1.1\r\nHost: {BRAND}\r\nContent-Length: 4, 4\r\n\r\n{smuggled}"),
            400,
        ),
        (
            "RFC 9110 8.6 a sign",
            format!("POST /f HTTP/1.1\r\nHost: {BRAND}\r\nContent-Length: +4\r\n\r\n{smuggled}"),
            400,
        ),
        (
            "RFC 9110 8.6 hexadecimal",
            format!("POST /f HTTP/1.1\r\nHost: {BRAND}\r\nContent-Length: 0x4\r\n\r\n{smuggled}"),
            400,
        ),
        (
            "RFC 9110 8.6 too long",
            format!(
                "POST /f HTTP/1.1\r\nHost: {BRAND}\r\nContent-Length: 99999999999999999999\r\n\r\n{smuggled}"
            ),
            400,
        ),
        (
            "RFC 9112 6.1 an unknown coding",
            format!(
                "POST /f HTTP/1.1\r\nHost: {BRAND}\r\nTransfer-Encoding: xchunked\r\n\r\n{smuggled}"
            ),
            501,
        ),
        (
            "RFC 9112 6.1 two codings",
            format!(
                "POST /f HTTP/1.1\r\nHost: {BRAND}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n{smuggled}"
            ),
            501,
        ),
        (
            "RFC 9112 6.1 twice",
            format!(
                "POST /f HTTP/1.1\r\nHost: {BRAND}\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n{smuggled}"
            ),
            501,
        ),
        (
            "RFC 9112 6.1 HTTP/1.0",
            format!(
                "POST /f HTTP/1.0\r\nHost: {BRAND}\r\nTransfer-Encoding: chunked\r\n\r\n{smuggled}"
            ),
            400,
        ),
        (
            "RFC 9112 5.1 a space before the colon",
            format!(
                "POST /f HTTP/1.1\r\nHost: {BRAND}\r\nTransfer-Encoding : chunked\r\n\r\n{smuggled}"
            ),
            400,
        ),
        (
            "RFC 9112 5.2 folded",
            format!(
                "POST /f HTTP/1.1\r\nHost: {BRAND}\r\nTransfer-Encoding:\r\n chunked\r\n\r\n{smuggled}"
            ),
            400,
        ),
        (
            "RFC 9112 2.2 a bare LF",
            format!(
                "POST /f HTTP/1.1\r\nHost: {BRAND}\nTransfer-Encoding: chunked\r\n\r\n{smuggled}"
            ),
            400,
        ),
        (
            "RFC 9112 2.2 a bare CR",
            format!(
                "POST /f HTTP/1.1\r\nHost: {BRAND}\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n{smuggled}"
            ),
            400,
        ),
        (
            "RFC 9110 5.5 NUL",
            format!("POST /f HTTP/1.1\r\nHost: {BRAND}\r\nX: a\0b\r\n\r\n{smuggled}"),
            400,
        ),
        (
            "RFC 9112 3.2 two hosts",
            format!("POST /f HTTP/1.1\r\nHost: {BRAND}\r\nHost: evil.example\r\n\r\n{smuggled}"),
            400,
        ),
        (
            "RFC 9112 3 white space in the target",
            format!("GET /f HTTP/1.1\r\nX: y HTTP/1.1\r\nHost: {BRAND} \r\n \r\n\r\n{smuggled}"),
            400,
        ),
        (
            "RFC 9112 7.1 a bare LF after a chunk's size",
            format!(
                "POST /f HTTP/1.1\r\nHost: {BRAND}\r\nTransfer-Encoding: chunked\r\n\r\n1\nZ\r\n{smuggled}"
            ),
            400,
        ),
        (
            "RFC 9112 7.1 white space after a chunk's size",
            format!(
                "POST /f HTTP/1.1\r\nHost: {BRAND}\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\nZ\r\n{smuggled}"
            ),
            400,
        ),
        (
            "RFC 9112 7.1 a chunk that is longer than its size",
            format!(
                "POST /f HTTP/1.1\r\nHost: {BRAND}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nZZ\r\n{smuggled}"
            ),
            400,
        ),
        (
            "RFC 9112 7.1 a size that overflows",
            format!(
                "POST /f HTTP/1.1\r\nHost: {BRAND}\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000001\r\nZ\r\n{smuggled}"
            ),
            400,
        ),
    ];
    for (rule, request, status) in &requests {
        let mut client = edge.connect();
        client.send(request.as_bytes());
        let response = client
            .response(false)
            .unwrap_or_else(|| panic!("closed without an answer: {rule}"));
        assert_eq!(response.status, *status, "{rule}");
        assert!(client.is_closed(), "should be closed: {rule}");
    }
    assert_eq!(site.paths(), [""; 0], "nothing that is whole");
}

#[test]
fn a_site_that_is_down_costs_its_own_paths_and_no_others() {
    let edge = edge_with([settings(BRAND, &nowhere())], |_| {});
    let mut client = edge.connect();
    let response = asked(&mut client, &get("/page/1"));
    assert_eq!(
        (response.status, response.field("Cache-Control")),
        (502, Some("no-store"))
    );
    assert!(response.body.contains("Site unavailable"));
    let json = get("/page/1").replace("\r\n\r\n", "\r\nAccept: application/json\r\n\r\n");
    let response = asked(&mut client, &json);
    assert_eq!(
        response.field("Content-Type"),
        Some("application/problem+json")
    );
    assert_eq!(asked(&mut client, &get("/abc")).status, 302);
    assert_eq!(counted(&edge, "unreachable"), 2);
}

#[test]
fn a_fallback_stands_in_for_pages_and_not_for_what_was_to_be_done() {
    let edge = edge_with([with_fallback(&nowhere())], |_| {});
    let mut client = edge.connect();
    let response = asked(&mut client, &get("/page/1"));
    assert_eq!(
        (response.status, response.field("Location")),
        (302, Some(FALLBACK))
    );
    let response = asked(&mut client, &get("/page/1").replace("GET", "HEAD"));
    assert_eq!(response.status, 302);
    let post = format!("POST /form HTTP/1.1\r\nHost: {BRAND}\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(asked(&mut client, &post).status, 502);
}

#[test]
fn a_name_without_addresses_and_an_address_that_is_not_public_are_gone_to_by_nobody() {
    let site = Site::start(|got| ok(got.path()));
    let unresolved = "http://no-such-site.invalid";
    let edge = edge_with([settings(BRAND, unresolved)], |_| {});
    assert_eq!(edge.get(&get("/page/1")).status, 502);
    assert_eq!(counted(&edge, "unresolved"), 1);
    let port = site.address.port();
    for url in [site.url(), format!("http://localhost:{port}")] {
        let table = table_with([settings(BRAND, &url)]);
        let edge = Edge::with(table, |_| {});
        assert_eq!(edge.get(&get("/page/1")).status, 502, "{url}");
        assert_eq!(counted(&edge, "address_refused"), 1, "{url}");
    }
    assert_eq!(site.connections(), 0);
    let table = table_with([settings(BRAND, &format!("http://localhost:{port}"))]);
    let edge = Edge::with(table, opened);
    assert_eq!(edge.get(&get("/page/1")).status, 200, "by its name");
}

#[test]
fn what_is_no_answer_is_not_passed_on() {
    let site = Site::start(|got| {
        let number: usize = got.path()["/answer/".len()..].parse().unwrap();
        Reply::SendAndClose(BROKEN[number].as_bytes().to_vec())
    });
    let edge = edge(&site);
    for (number, broken) in BROKEN.iter().enumerate() {
        let mut client = edge.connect();
        let response = asked(&mut client, &get(&format!("/answer/{number}")));
        assert_eq!(response.status, 502, "{broken:?}");
        assert_eq!(asked(&mut client, &get("/abc")).status, 302, "{broken:?}");
    }
    assert_eq!(counted(&edge, "bad_answer"), BROKEN.len() as u64);
    assert_eq!(site.requests().len(), BROKEN.len(), "each was asked once");
}

const BROKEN: [&str; 13] = [
    "",
    "hello",
    "HTTP/1.1 200 OK\r\nContent-Le",
    "HTTP/1.1 two hundred\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhello",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX Bad: a\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
];

#[test]
fn a_field_that_a_site_folds_comes_as_one_line() {
    // RFC 9112 §5.2: the one thing besides refusing that a proxy may do.
    let reply = "HTTP/1.1 200 OK\r\nX-Fold: a\r\n b: c\r\nContent-Length: 0\r\n\r\n";
    let site = Site::start(move |_| Reply::Send(reply.into()));
    let edge = edge(&site);
    let response = edge.get(&get("/page/1"));
    assert_eq!(response.field("X-Fold"), Some("a b: c"));
}

#[test]
fn an_answer_that_ends_in_the_middle_ends_the_client_s_connection_too() {
    for reply in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let site = Site::start(move |_| Reply::SendAndClose(reply.into()));
        let edge = edge(&site);
        let mut client = edge.connect();
        client.send(format!("{}{}", get("/page/1"), get("/abc")).as_bytes());
        let all = client.rest();
        assert!(all.starts_with("HTTP/1.1 200 OK\r\n"), "{all}");
        assert!(!all.contains("\r\n0\r\n\r\n"), "no end is made up: {all}");
        assert!(
            !all.contains("302"),
            "nothing stands behind half an answer: {all}"
        );
        assert_eq!(counted(&edge, "cut_off"), 1);
    }
}

#[test]
fn a_site_that_hangs_is_given_up_and_has_a_limited_number_of_requests() {
    let site = Site::start(|_| Reply::Hang);
    let edge = edge_with([settings(BRAND, &site.url())], |options| {
        options.upstream.max_requests = 2;
    });
    let mut waiting = [edge.connect(), edge.connect()];
    for client in &mut waiting {
        client.send(get("/page/1").as_bytes());
    }
    site.wait_for(2);
    let mut client = edge.connect();
    let response = asked(&mut client, &get("/page/1"));
    assert_eq!(
        (response.status, response.field("Retry-After")),
        (503, Some("1"))
    );
    assert_eq!(asked(&mut client, &get("/abc")).status, 302);
    assert_eq!(counted(&edge, "limited"), 1);
    site.release();
    for client in &mut waiting {
        assert_eq!(client.response(false).unwrap().status, 502);
    }
    let slow = Site::start(|_| Reply::Hang);
    let edge = edge_with([settings(BRAND, &slow.url())], |options| {
        options.upstream.read = Duration::from_millis(50);
    });
    let mut client = edge.connect();
    assert_eq!(asked(&mut client, &get("/page/1")).status, 504);
    assert_eq!(asked(&mut client, &get("/abc")).status, 302);
    let slow = edge_with([with_fallback(&slow.url())], |options| {
        options.upstream.total = Duration::from_millis(50);
    });
    let response = slow.get(&get("/page/1"));
    assert_eq!(response.field("Location"), Some(FALLBACK));
    assert_eq!(counted(&slow, "timed_out"), 1);
}

#[test]
fn all_sites_together_have_a_limited_number_of_requests_and_one_domain_leaves_room_for_others() {
    let site = Site::start(|_| Reply::Hang);
    let other = "other.example.org";
    let domains = [settings(BRAND, &site.url()), settings(other, &site.url())];
    let edge = edge_with(domains, |options| options.upstream.max_total_requests = 4);
    let mut waiting: Vec<_> = (0..2).map(|_| edge.connect()).collect();
    for client in &mut waiting {
        client.send(get("/page/1").as_bytes());
    }
    site.wait_for(2);
    let response = edge.get(&get("/page/1"));
    assert_eq!(
        (response.status, response.field("Retry-After")),
        (503, Some("1"))
    );
    waiting.push(edge.connect());
    waiting[2].send(format!("GET /page/1 HTTP/1.1\r\nHost: {other}\r\n\r\n").as_bytes());
    site.wait_for(3);
    assert_eq!(edge.get(&get("/abc")).status, 302, "codes do not mind");
    assert_eq!(counted(&edge, "overloaded"), 1);
    site.release();
    for client in &mut waiting {
        assert_eq!(client.response(false).unwrap().status, 502);
    }
}

#[test]
fn a_body_may_be_so_long_and_no_longer() {
    let site = Site::start(|got| ok(&got.body.len().to_string()));
    let edge = edge_with([with_fallback(&site.url())], |options| {
        options.upstream.max_body = 10;
    });
    let post = format!("POST /form HTTP/1.1\r\nHost: {BRAND}\r\n");
    for (framing, status) in [
        ("Content-Length: 10\r\n\r\n0123456789", 200),
        ("Content-Length: 11\r\n\r\n01234567890", 413),
        (
            "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n",
            200,
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n6\r\n567890\r\n0\r\n\r\n",
            413,
        ),
    ] {
        let mut client = edge.connect();
        let response = asked(&mut client, &format!("{post}{framing}"));
        assert_eq!(response.status, status, "{framing}");
        if status == 413 {
            assert!(client.is_closed(), "{framing}");
        }
    }
    assert_eq!(site.requests().len(), 2);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_body_is_not_taken_for_one_that_is_done() {
    let site = Site::start(|got| ok(got.path()));
    let edge = edge(&site);
    for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let mut client = edge.connect();
        let head = format!("POST /form HTTP/1.1\r\nHost: {BRAND}\r\n{framing}\r\n\r\n4\r\n");
        client.send(head.as_bytes());
        client.half_close();
        assert!(client.is_closed(), "{framing}");
    }
    assert_eq!(counted(&edge, "client_gone"), 2);
    assert_eq!(site.requests(), []);
}

#[test]
fn a_site_that_leads_back_to_its_domain_is_found_out() {
    let edge = edge_with([], |_| {});
    let own = format!("http://{}", edge.server.addresses()[0]);
    edge.table
        .apply(tags::Change::Domain(settings(BRAND, &own)));
    assert_eq!(edge.get(&get("/page/1")).status, 508);
    assert_eq!(counted(&edge, "loop"), 1);
}

/// A site over TLS with a certificate for this name, and the certificate as PEM.
fn secure_site(name: &str) -> (Site, String) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let site = Site::over(
        |got| ok(got.path()),
        move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            Box::new(Secure(StreamOwned::new(connection, stream)))
        },
    );
    (site, made.cert.pem())
}

struct Secure(StreamOwned<ServerConnection, TcpStream>);

impl Read for Secure {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Secure {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Connection for Secure {
    fn end(&mut self) {
        self.0.conn.send_close_notify();
        let _ = self.0.flush();
        self.0.sock.end();
    }
}

#[test]
fn a_site_on_https_is_who_its_certificate_says_or_is_not_asked() {
    let (site, certificate) = secure_site("localhost");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    fs::write(&file, certificate).unwrap();
    let by_name = format!("https://localhost:{}", site.address.port());
    let trusting = |url: &str| {
        edge_with([settings(BRAND, url)], |options| {
            options.upstream.ca_file = Some(file.clone());
        })
    };
    assert_eq!(trusting(&by_name).get(&get("/page/1")).body, "/page/1");
    for edge in [
        trusting(&format!("https://{}", site.address)),
        edge_with([settings(BRAND, &by_name)], |_| {}),
    ] {
        assert_eq!(edge.get(&get("/page/1")).status, 502);
        assert_eq!(counted(&edge, "unreachable"), 1);
    }
    assert_eq!(site.requests().len(), 1);
}
