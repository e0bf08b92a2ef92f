//! A brand's own site behind its domain: what goes there, how it comes back, and that codes do not mind what becomes of it.

use std::num::NonZeroUsize;
use std::sync::Arc;

use edge::EdgeOptions;
use table::Table;
use tags::{Change, DomainSettings, Status, Tag, UpstreamHost, UpstreamUrl};

use crate::fixture::{Client, Edge, Response, destination, domain, filling_table, tag};
use crate::http2_frames::*;
use crate::site::{Got, Reply, Site, ok};

/// A domain with a site behind it.
pub const BRAND: &str = "brand.example.org";
/// Another, with the same site.
const SECOND: &str = "second.example.org";

pub fn settings(name: &str, url: &str) -> DomainSettings {
    DomainSettings {
        upstream_url: Some(UpstreamUrl::from_stored(url).unwrap()),
        ..domain(name)
    }
}

pub fn table_with(settings: impl IntoIterator<Item = DomainSettings>) -> Arc<Table> {
    let table = filling_table();
    for settings in settings {
        let name = settings.name.to_string();
        table.apply(Change::Domain(settings));
        table.apply(Change::Tag(tag(&name, "abc")));
        table.apply(Change::Tag(Tag {
            status: Status::Revoked,
            ..tag(&name, "revoked")
        }));
    }
    table.complete();
    table
}

pub fn opened(options: &mut EdgeOptions) {
    options.upstream.networks = vec!["127.0.0.0/8".parse().unwrap()];
    options.threads = NonZeroUsize::new(1);
}

pub fn edge_with(
    settings: impl IntoIterator<Item = DomainSettings>,
    adjust: impl FnOnce(&mut EdgeOptions),
) -> Edge {
    Edge::with(table_with(settings), |options| {
        opened(options);
        adjust(options);
    })
}

pub fn edge(site: &Site) -> Edge {
    edge_with(
        [settings(BRAND, &site.url()), settings(SECOND, &site.url())],
        |_| {},
    )
}

pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {BRAND}\r\n\r\n")
}

pub fn asked(client: &mut Client, request: &str) -> Response {
    client.send(request.as_bytes());
    client.response(request.starts_with("HEAD")).unwrap()
}

/// What the metric says of requests that ended so.
pub fn counted(edge: &Edge, outcome: &str) -> u64 {
    let families = edge.registry.gather();
    let family = families
        .iter()
        .find(|family| family.name() == "tagwire_edge_upstream_requests_total")
        .unwrap();
    let of = |metric: &&prometheus::proto::Metric| metric.get_label()[0].value() == outcome;
    let metric = family.get_metric().iter().find(of).unwrap();
    metric.get_counter().get_value() as u64
}

#[test]
fn what_is_no_tag_s_goes_to_the_site_and_tags_stay_tags() {
    let site = Site::start(|got| ok(got.path()));
    let edge = edge(&site);
    let mut client = edge.connect();
    let pages = [
        "/",
        "/about",
        "/about/",
        "/q/about",
        "/q/",
        "/shop/shoes.html?size=42&x",
        "/robots.txt",
        "/favicon.ico",
        "//double/../dots",
        "/%zz",
        "/ABC",
    ];
    for path in pages {
        let response = asked(&mut client, &get(path));
        assert_eq!(
            (response.status, response.body.as_str()),
            (200, path),
            "{path}"
        );
    }
    for (path, status) in [
        ("/abc", 302),
        ("/q/abc", 302),
        ("/%61bc/", 302),
        ("/revoked", 410),
        ("/healthz", 200),
    ] {
        assert_eq!(asked(&mut client, &get(path)).status, status, "{path}");
    }
    assert_eq!(site.paths(), pages);
    let codes: Vec<String> = edge.scans.all().into_iter().map(|scan| scan.code).collect();
    assert_eq!(
        codes,
        ["abc", "abc", "abc", "revoked"],
        "pages are no scans"
    );
    assert_eq!(counted(&edge, "answered"), pages.len() as u64);
}

#[test]
fn a_connection_that_is_kept_is_probed_for_whether_its_site_is_still_there() {
    let site = Site::start(|_| ok("site"));
    let edge = edge(&site);
    for _ in 0..2 {
        assert_eq!(edge.get(&get("/about")).status, 200);
    }
    assert_eq!(site.connections(), 1, "it was kept");
    // The kernel's list: number, local address, remote address, state, queues, timer and when it goes off.
    let remote = format!("0100007F:{:04X}", site.address.port());
    let list = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let line = list
        .lines()
        .find(|line| line.split_whitespace().nth(2) == Some(&remote));
    let fields: Vec<_> = line.unwrap().split_whitespace().collect();
    assert_eq!(fields[3], "01", "established: {fields:?}");
    assert!(fields[5].starts_with("02:"), "no probes: {fields:?}");
}

#[test]
fn a_home_of_the_domain_s_own_comes_before_the_site_s() {
    let site = Site::start(|_| ok("site"));
    let with_home = DomainSettings {
        home_url: Some(destination("https://example.com/home")),
        ..settings(BRAND, &site.url())
    };
    let edge = edge_with([with_home], |_| {});
    let response = edge.get(&get("/"));
    assert_eq!(response.field("Location"), Some("https://example.com/home"));
    assert_eq!(edge.get(&get("/robots.txt")).body, "site");
}

#[test]
fn until_the_table_is_complete_a_path_that_may_be_a_code_is_nobody_s() {
    let site = Site::start(|_| ok("site"));
    let table = filling_table();
    table.apply(Change::Domain(settings(BRAND, &site.url())));
    let edge = Edge::with(table, opened);
    assert_eq!(edge.get(&get("/about")).status, 503);
    assert_eq!(edge.get(&get("/shop/shoes.html")).body, "site");
}

#[test]
fn methods_are_the_site_s_business_but_for_those_that_are_nobody_s() {
    let site = Site::start(|got| ok(got.line()));
    let edge = edge(&site);
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"] {
        let request = |path: &str| {
            format!("{method} {path} HTTP/1.1\r\nHost: {BRAND}\r\nContent-Length: 0\r\n\r\n")
        };
        let line = format!("{method} /form HTTP/1.1");
        assert_eq!(edge.get(&request("/form")).body, line);
        assert_eq!(edge.get(&request("/abc")).status, 405, "{method} of a tag");
    }
    for (request, status) in [
        (
            format!("TRACE /form HTTP/1.1\r\nHost: {BRAND}\r\n\r\n"),
            405,
        ),
        (
            format!("CONNECT {BRAND}:443 HTTP/1.1\r\nHost: {BRAND}\r\n\r\n"),
            405,
        ),
        (format!("OPTIONS * HTTP/1.1\r\nHost: {BRAND}\r\n\r\n"), 405),
        (
            format!("WHATEVER /form HTTP/1.1\r\nHost: {BRAND}\r\n\r\n"),
            501,
        ),
    ] {
        assert_eq!(edge.get(&request).status, status, "{request}");
    }
    assert_eq!(site.requests().len(), 6);
    let head = edge.get(&get("/x").replace("GET", "HEAD"));
    assert_eq!(
        (
            head.status,
            head.field("Content-Length"),
            head.body.as_str()
        ),
        (200, Some("16"), "")
    );
}

#[test]
fn pipelined_requests_are_answered_in_order_by_both_lanes() {
    let site = Site::start(|got| ok(got.path()));
    let edge = edge(&site);
    let mut client = edge.connect();
    let post = format!(
        "POST /form HTTP/1.1\r\nHost: {BRAND}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    );
    let all = [
        get("/abc"),
        get("/page/1"),
        get("/abc"),
        post,
        get("/page/2"),
        get("/revoked"),
    ];
    client.send(all.concat().as_bytes());
    let mut seen = Vec::new();
    for _ in 0..all.len() {
        let response = client.response(false).unwrap();
        seen.push((response.status, response.body.starts_with('/')));
    }
    let (tag, page) = ((302, false), (200, true));
    assert_eq!(seen, [tag, page, tag, page, page, (410, false)]);
    assert_eq!(site.paths(), ["/page/1", "/form", "/page/2"]);
    assert_eq!(asked(&mut client, &get("/abc")).status, 302, "still open");
}

#[test]
fn bodies_go_through_whole_in_both_directions_and_in_any_pieces() {
    let site = Site::start(|got| {
        let len = got.body.len();
        let mut reply = if got.path() == "/chunked" {
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()
        } else {
            format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n").into_bytes()
        };
        if got.path() == "/chunked" {
            for chunk in got.body.chunks(100_000) {
                reply.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                reply.extend(chunk);
                reply.extend(b"\r\n");
            }
            reply.extend(b"0\r\nTrailer: x\r\n\r\n");
        } else {
            reply.extend(&got.body);
        }
        Reply::Send(reply)
    });
    let edge = edge(&site);
    let mut client = edge.connect();
    let body: String = (0..400_000).map(|n| format!("{n:07}\n")).collect();
    for path in ["/length", "/chunked"] {
        let head = format!(
            "PUT {path} HTTP/1.1\r\nHost: {BRAND}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut sender = client.sender();
        let sent = [head.as_bytes(), body.as_bytes(), get("/abc").as_bytes()].concat();
        // Sending and receiving at once: neither lane keeps all of it.
        std::thread::scope(|scope| {
            scope.spawn(|| sender.send(&sent));
            assert!(client.response(false).unwrap().body == body, "{path}");
        });
        assert_eq!(client.response(false).unwrap().status, 302);
        let mut sent =
            format!("PUT {path} HTTP/1.1\r\nHost: {BRAND}\r\nTransfer-Encoding: Chunked\r\n\r\n")
                .into_bytes();
        for chunk in body.as_bytes().chunks(33_333) {
            sent.extend(format!("{:X};ext=1\r\n", chunk.len()).into_bytes());
            sent.extend(chunk);
            sent.extend(b"\r\n");
        }
        sent.extend(b"0\r\nX-Trailer: x\r\n\r\n");
        std::thread::scope(|scope| {
            scope.spawn(|| sender.send(&sent));
            assert!(client.response(false).unwrap().body == body, "{path}");
        });
    }
    assert!(
        site.requests()
            .iter()
            .all(|got| got.body == body.as_bytes())
    );
}

#[test]
fn connections_to_a_site_are_kept_and_shared_by_no_other_domain() {
    let site = Site::start(|got| ok(got.path()));
    let edge = edge(&site);
    for _ in 0..3 {
        assert_eq!(edge.get(&get("/page/1")).status, 200);
    }
    assert_eq!(site.connections(), 1);
    let second = get("/page/2").replace(BRAND, SECOND);
    assert_eq!(edge.get(&second).status, 200);
    assert_eq!(site.connections(), 2);
}

#[test]
fn the_site_learns_who_asked_and_answers_for_the_visitor_s_host() {
    let site = Site::start(|_| {
        let reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\n\
            Alt-Svc: h3=\":443\"\r\nX-Site: 1\r\n\r\nok";
        Reply::Send(reply.into())
    });
    let edge = edge(&site);
    let response = edge.get(&format!(
        "GET /page/1 HTTP/1.1\r\nHost: {BRAND}:81\r\nX-Forwarded-For: 192.0.2.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
    ));
    assert_eq!(response.field("X-Site"), Some("1"));
    for field in ["X-Hop", "Keep-Alive", "Alt-Svc"] {
        assert_eq!(response.field(field), None, "{field}");
    }
    let got = site.requests().remove(0);
    for (field, value) in [
        ("Host", Some(format!("{BRAND}:81"))),
        ("X-Forwarded-For", Some("127.0.0.1".to_owned())),
        ("X-Forwarded-Host", Some(format!("{BRAND}:81"))),
        ("X-Forwarded-Proto", Some("http".to_owned())),
        ("CDN-Loop", Some(format!("{BRAND}; by=tagwire"))),
        ("Via", None),
        ("Upgrade", None),
        ("Connection", None),
    ] {
        assert_eq!(got.field(field), value.as_deref(), "{field}");
    }
    let of_site = DomainSettings {
        upstream_host: UpstreamHost::Upstream,
        ..settings(BRAND, &site.url())
    };
    let edge = edge_with([of_site], |_| {});
    edge.get(&get("/page/2"));
    let host = site.address.to_string();
    assert_eq!(site.requests()[1].field("Host"), Some(host.as_str()));
}

#[test]
fn a_client_that_says_nothing_more_still_gets_its_answer() {
    let site = Site::start(|got| ok(got.path()));
    let edge = edge(&site);
    let mut client = edge.connect();
    client.send(get("/page/1").as_bytes());
    client.half_close();
    assert_eq!(client.response(false).unwrap().body, "/page/1");
    assert!(client.is_closed());
}

#[test]
fn who_waits_to_be_told_to_send_is_told_and_asked_once() {
    let site = Site::start(|got| ok(str::from_utf8(&got.body).unwrap()));
    let edge = edge(&site);
    let mut client = edge.connect();
    let head = format!(
        "POST /form HTTP/1.1\r\nHost: {BRAND}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    );
    assert_eq!(asked(&mut client, &head).status, 100);
    client.send(b"hello");
    assert_eq!(client.response(false).unwrap().body, "hello");
    assert_eq!(site.requests()[0].field("Expect"), None);
    let response = asked(&mut client, &format!("{head}hello"));
    assert_eq!(
        (response.status, response.body.as_str()),
        (200, "hello"),
        "who has sent already is not told"
    );
}

#[test]
fn an_http_1_0_client_gets_no_chunks() {
    let site = Site::start(|_| {
        Reply::Send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".into(),
        )
    });
    let edge = edge(&site);
    let mut client = edge.connect();
    let request = format!("GET /page HTTP/1.0\r\nHost: {BRAND}\r\nConnection: keep-alive\r\n\r\n");
    client.send(request.as_bytes());
    let all = client.rest();
    assert!(all.ends_with("\r\n\r\nhello"), "{all}");
    assert!(!all.to_lowercase().contains("transfer-encoding"), "{all}");
    assert_eq!(site.requests()[0].line(), "GET /page HTTP/1.1");
}

#[test]
fn answers_that_say_nothing_of_their_end_end_with_the_connection_to_the_site() {
    let site = Site::start(|_| Reply::SendAndClose(b"HTTP/1.0 200 OK\r\n\r\nhello".into()));
    let edge = edge(&site);
    let mut client = edge.connect();
    for _ in 0..2 {
        assert_eq!(asked(&mut client, &get("/page/1")).body, "hello");
    }
}

#[test]
fn a_draining_edge_answers_and_closes() {
    let site = Site::start(|got| ok(got.path()));
    let edge = edge(&site);
    let mut client = edge.connect();
    edge.server.begin_drain();
    let response = asked(&mut client, &get("/page/1"));
    assert_eq!(
        (response.status, response.field("Connection")),
        (200, Some("close"))
    );
    assert!(client.is_closed());
}

#[test]
fn the_next_request_is_never_taken_for_a_body_nor_a_body_for_a_request() {
    let site = Site::start(|got: &Got| ok(got.path()));
    let edge = edge(&site);
    let evil = "GET /evil HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    for framing in [
        format!("Content-Length: {}\r\n\r\n{evil}", evil.len()),
        format!(
            "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{evil}\r\n0\r\n\r\n",
            evil.len()
        ),
        format!(
            "Content-Length: {0}\r\nContent-Length: {0}\r\n\r\n{evil}",
            evil.len()
        ),
    ] {
        for method in ["POST", "GET"] {
            let before = site.requests().len();
            let mut client = edge.connect();
            let request = format!("{method} /form HTTP/1.1\r\nHost: {BRAND}\r\n{framing}");
            client.send(format!("{request}{}", get("/after/it")).as_bytes());
            assert_eq!(client.response(false).unwrap().body, "/form");
            assert_eq!(client.response(false).unwrap().body, "/after/it");
            let got = site.requests().split_off(before);
            assert_eq!(got[0].body, evil.as_bytes(), "{request}");
            assert_eq!(got.len(), 2, "{request}");
        }
    }
}

#[test]
fn http_2_streams_are_answered_by_the_site_too_with_content_both_ways_and_beside_codes() {
    let site = Site::start(|got| {
        let body = str::from_utf8(&got.body).unwrap();
        let reply = format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Site: 1\r\n\r\n{:x}\r\n{body}!\r\n0\r\n\r\n",
            body.len() + 1
        );
        Reply::Send(reply.into_bytes())
    });
    let edge = edge_with([settings(BRAND, &site.url())], |options| {
        options.h2c = true;
    });
    let mut client = Http2::open(edge.server.addresses()[0], b"");
    let of = |method, path| {
        let authority = (":authority", BRAND);
        [
            (":method", method),
            (":scheme", "http"),
            authority,
            (":path", path),
        ]
    };
    let form = frame(HEADERS, END_HEADERS, 1, &fields(&of("POST", "/form")));
    let content = frame(DATA, END_STREAM, 1, b"hello");
    let code = request(3, &of("GET", "/abc"));
    client.send(&[form, content, code].concat());
    let mut ended = Vec::new();
    let mut data = Vec::new();
    while ended.len() < 2 {
        let frame = client.next().unwrap();
        if frame.kind == DATA && frame.stream == 1 {
            data.extend_from_slice(&frame.payload);
        }
        if matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0 {
            ended.push(frame.stream);
        }
        assert_ne!(frame.kind, RST_STREAM, "{frame:?}");
    }
    ended.sort_unstable();
    assert_eq!((ended, data), (vec![1, 3], b"hello!".to_vec()));
    let got = site.requests().remove(0);
    assert_eq!(
        (got.body.as_slice(), got.field("Host")),
        (&b"hello"[..], Some(BRAND))
    );
}
