//! Clients that send to a site, or take from it, as slowly as they can: they do not hold its requests for long.

use std::time::Duration;

use edge::EdgeOptions;

use crate::fixture::Edge;
use crate::http2_frames::*;
use crate::site::{Reply, Site, ok};
use crate::upstream::{BRAND, asked, counted, edge_with, get, settings};

fn edge(site: &Site, adjust: impl FnOnce(&mut EdgeOptions)) -> Edge {
    edge_with([settings(BRAND, &site.url())], |options| {
        options.limits.body = Duration::from_millis(200);
        options.limits.min_rate = 1_000_000;
        adjust(options);
    })
}

#[test]
fn a_body_that_trickles_is_given_up_and_the_client_told() {
    let site = Site::start(|got| ok(got.path()));
    let edge = edge(&site, |_| {});
    for framing in ["Content-Length: 100000", "Transfer-Encoding: chunked"] {
        let mut client = edge.connect();
        client
            .send(format!("POST /form HTTP/1.1\r\nHost: {BRAND}\r\n{framing}\r\n\r\n").as_bytes());
        let mut sender = client.sender();
        let trickle = std::thread::spawn(move || {
            for _ in 0..1_000 {
                sender.try_send(b"1\r\nx\r\n");
                std::thread::sleep(Duration::from_millis(10)); // that is what is slow
            }
        });
        let response = client.response(false).unwrap();
        assert_eq!(response.status, 408, "{framing}");
        assert_eq!(response.field("Connection"), Some("close"));
        drop(trickle);
    }
    assert_eq!(counted(&edge, "client_too_slow"), 2);
    assert_eq!(site.requests(), []);
}

#[test]
fn a_stream_whose_content_trickles_is_given_up_and_the_others_go_on() {
    let site = Site::start(|got| ok(got.path()));
    let edge = edge(&site, |options| options.h2c = true);
    let mut client = Http2::open(edge.server.addresses()[0], b"");
    let of = |method, path| {
        [
            (":method", method),
            (":scheme", "http"),
            (":authority", BRAND),
            (":path", path),
        ]
    };
    let form = frame(HEADERS, END_HEADERS, 1, &fields(&of("POST", "/form")));
    client.send(&form);
    client.send(&frame(DATA, 0, 1, b"x"));
    client.answer(1);
    assert_eq!(counted(&edge, "client_too_slow"), 1);
    client.send(&request(3, &of("GET", "/page/1")));
    client.answer(3);
    assert_eq!(site.paths(), ["/page/1"]);
}

#[test]
fn who_takes_an_answer_slowly_is_cut_off() {
    let long = vec![b'x'; 64 << 20];
    let site = Site::start(move |_| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", long.len());
        Reply::SendAndClose([head.as_bytes(), &long].concat())
    });
    // As much as it takes, no piece of it for so long as it may take for one.
    let edge = edge(&site, |options| {
        options.limits.send = Duration::from_secs(1);
        options.limits.min_rate = u32::MAX;
    });
    let mut client = edge.connect();
    client.send(get("/page/1").as_bytes());
    let mut taken = 0;
    loop {
        let some = client.some();
        taken += some.len();
        if some.is_empty() || counted(&edge, "cut_off") == 1 {
            break;
        }
        std::thread::sleep(Duration::from_millis(1)); // that is what is slow
    }
    assert!(taken < 64 << 20, "all of it came");
    assert_eq!(counted(&edge, "cut_off"), 1);
}

#[test]
fn a_client_that_waits_for_its_site_is_not_slow() {
    let site = Site::start(|got| match got.path() {
        "/form" => {
            std::thread::sleep(Duration::from_millis(400)); // longer than a client may take
            ok(&got.body.len().to_string())
        }
        path => ok(path),
    });
    let edge = edge(&site, |options| {
        options.limits.send = Duration::from_millis(100);
    });
    let mut client = edge.connect();
    let body = "x".repeat(1_000);
    let post =
        format!("POST /form HTTP/1.1\r\nHost: {BRAND}\r\nContent-Length: 1000\r\n\r\n{body}");
    for _ in 0..2 {
        assert_eq!(asked(&mut client, &post).body, "1000");
    }
}
