//! Clients that take their HTTP/2 requests for a site back: what they have begun there stays counted until the site is done with it.

use std::time::{Duration, Instant};

use edge::Drained;
use tags::Change;

use crate::fixture::Edge;
use crate::http2_frames::*;
use crate::site::{Reply, Site, ok};
use crate::upstream::{BRAND, counted, edge_with, settings};

const CANCEL: [u8; 4] = [0, 0, 0, 8];
const ENHANCE_YOUR_CALM: u32 = 11;

fn edge(site: &Site, max_requests: u32) -> Edge {
    edge_with([settings(BRAND, &site.url())], |options| {
        options.h2c = true;
        options.upstream.max_requests = max_requests;
    })
}

fn of(domain: &str) -> [(&'static str, &str); 4] {
    [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", domain),
        (":path", "/page/1"),
    ]
}

fn page(stream: u32) -> Vec<u8> {
    request(stream, &of(BRAND))
}

fn cancel(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &CANCEL)
}

fn at_sites(edge: &Edge) -> f64 {
    edge.shown("tagwire_edge_upstream_requests ")
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn who_takes_requests_back_gets_its_places_back_when_the_site_is_done_with_them() {
    let site = Site::start(|_| Reply::Hang);
    let edge = edge(&site, 2);
    let address = edge.server.addresses()[0];
    let mut client = Http2::open(address, b"");
    client.send(&page(1));
    let mut leaving = Http2::open(address, b"");
    leaving.send(&page(1));
    site.wait_for(2);
    client.send(&cancel(1));
    drop(leaving);
    for stream in (3..43).step_by(2) {
        client.send(&page(stream));
        client.answer(stream);
    }
    assert_eq!(counted(&edge, "limited"), 20);
    assert_eq!((site.requests().len(), site.connections()), (2, 2));
    assert_eq!(at_sites(&edge) as u64, 2);
    site.release();
    until("the places are given back", || at_sites(&edge) == 0.0);
    client.send(&page(43));
    client.answer(43);
    assert_eq!(site.requests().len(), 3);
}

#[test]
fn who_makes_a_site_work_for_nobody_is_sent_away_and_who_leaves_a_page_is_not() {
    let site = Site::start(|_| Reply::Hang);
    let edge = edge(&site, 1_000);
    let other = Site::start(|got| ok(got.path()));
    let quick = "quick.example.org";
    edge.table
        .apply(Change::Domain(settings(quick, &other.url())));
    let mut came = 0;
    // A hundred, and beyond them half of all.
    for (answered, allowed) in [(0, 100), (110, 110)] {
        let mut client = Http2::open(edge.server.addresses()[0], b"");
        let mut streams = (1..).step_by(2);
        for stream in streams.by_ref().take(answered) {
            client.send(&request(stream, &of(quick)));
            client.answer(stream);
        }
        let mut cancel_next = |client: &mut Http2| {
            let stream = streams.next().unwrap();
            client.send(&page(stream));
            came += 1;
            site.wait_for(came);
            client.send(&[cancel(stream), frame(PING, 0, 0, &[0; 8])].concat());
        };
        for number in 1..=allowed {
            cancel_next(&mut client);
            let alive = client.until(|frame| matches!(frame.kind, PING | GOAWAY));
            assert_eq!(alive.map(|frame| frame.kind), Some(PING), "{number}");
        }
        cancel_next(&mut client);
        let over = client.until(|frame| frame.kind == GOAWAY);
        assert_eq!(over.map(|frame| frame.code()), Some(ENHANCE_YOUR_CALM));
    }
}

#[test]
fn nobody_waits_at_the_end_for_what_was_taken_back() {
    let site = Site::start(|_| Reply::Hang);
    let edge = edge(&site, 2);
    let mut client = Http2::open(edge.server.addresses()[0], b"");
    client.send(&page(1));
    site.wait_for(1);
    client.send(&cancel(1));
    assert!(client.is_alive(3), "what comes behind has been seen");
    drop(client);
    let drained = edge.server.shutdown(Duration::from_secs(20));
    assert_eq!(drained, Drained::Finished);
}

#[test]
fn an_answer_that_nobody_takes_any_more_ends_its_request() {
    let long = "x".repeat(1 << 20);
    let site = Site::start(move |_| ok(&long));
    let edge = edge(&site, 2);
    let mut client = Http2::open(edge.server.addresses()[0], b"");
    client.send(&page(1));
    client.answer(1);
    client.send(&cancel(1));
    until("the place is given back", || at_sites(&edge) == 0.0);
    assert_eq!(counted(&edge, "cut_off"), 1);
}
