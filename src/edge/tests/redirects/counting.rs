//! Limits and rules by the number of scans: each scan has one number, and there are as many redirects as a tag allows.

use edge::RateLimits;
use tags::{Change, MaxScans, Outcome, Rule, Rules, ScanNumbers, Tag, Targets, Version, When};

use crate::fixture::{Edge, HOST, Response, destination, tag};

const PERSON: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";
const BOT: &str = "Googlebot/2.1 (+http://www.google.com/bot.html)";

fn limited(scans: u64) -> Tag {
    Tag {
        max_scans: MaxScans::new(scans).ok(),
        ..tag(HOST, "few")
    }
}

/// The first three lead elsewhere.
fn winners() -> Tag {
    let first_three = Rule {
        name: "Winners".to_owned(),
        when: When {
            scan_number: ScanNumbers::new(Some(1), Some(4)).ok(),
            ..When::default()
        },
        to: Targets::One(destination("https://example.com/won")),
    };
    Tag {
        rules: Rules::new(vec![first_three]).unwrap(),
        ..tag(HOST, "win")
    }
}

fn get(edge: &Edge, code: &str) -> Response {
    edge.get(&request("GET", code, PERSON, ""))
}

fn request(method: &str, code: &str, agent: &str, more: &str) -> String {
    format!("{method} /{code} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: {agent}\r\n{more}\r\n")
}

#[test]
fn as_many_requests_are_redirected_as_the_limit_says_however_many_come_at_once() {
    const LIMIT: u64 = 500;
    let (edge, _exchange) = Edge::counting(vec![Change::Tag(limited(LIMIT))]);
    let ask = || {
        let mut client = edge.connect();
        let mut redirected = 0;
        for _ in 0..40 {
            // Pipelined, so that many are decided about together.
            client.send(request("GET", "few", PERSON, "").repeat(10).as_bytes());
            for _ in 0..10 {
                let status = client.response(false).unwrap().status;
                assert!(status == 302 || status == 410, "{status}");
                redirected += u64::from(status == 302);
            }
        }
        redirected
    };
    let redirected: u64 = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        let of_clients = clients.into_iter().map(|client| client.join());
        of_clients.map(|of| of.unwrap()).sum()
    });
    assert_eq!(redirected, LIMIT);
    let scans = edge.scans.all();
    let recorded = |outcome| scans.iter().filter(|scan| scan.outcome == outcome).count();
    assert_eq!(
        [Outcome::Redirected, Outcome::Limited].map(recorded),
        [LIMIT as usize, 1_600 - LIMIT as usize]
    );
}

#[test]
fn what_is_withheld_for_coming_too_fast_takes_no_number() {
    let (edge, _exchange) = Edge::counting(vec![Change::Tag(limited(3))]);
    edge.server.limit_rates(RateLimits {
        redirects_per_tag: 1,
        ..RateLimits::NONE
    });
    let mut client = edge.connect();
    client.send(request("GET", "few", PERSON, "").repeat(100).as_bytes());
    let answers: Vec<u16> = (0..100)
        .map(|_| client.response(false).unwrap().status)
        .collect();
    let with = |status| answers.iter().filter(|given| **given == status).count();
    assert!(with(429) > 0 && with(410) == 0, "{answers:?}");
    edge.server.limit_rates(RateLimits::NONE);
    for _ in with(302)..3 {
        assert_eq!(get(&edge, "few").status, 302);
    }
    assert_eq!(get(&edge, "few").status, 410);
}

#[test]
fn what_is_no_persons_get_is_not_counted_and_sees_the_number_of_the_next() {
    let (edge, _exchange) = Edge::counting(vec![Change::Tag(winners()), Change::Tag(limited(1))]);
    let uncounted = [
        request("HEAD", "win", PERSON, ""),
        request("GET", "win", BOT, ""),
        request("GET", "win", PERSON, "Sec-Purpose: prefetch\r\n"),
        request("GET", "win", PERSON, "Purpose: prefetch\r\n"),
    ];
    let location = |response: Response| response.field("location").unwrap().to_owned();
    for won in [true, true, true, false] {
        let expected = match won {
            true => "https://example.com/won",
            false => "https://example.com/win",
        };
        for head in &uncounted {
            assert_eq!(location(edge.get(head)), expected, "{head}");
        }
        assert_eq!(location(get(&edge, "win")), expected);
    }
    let bot = || edge.get(&request("GET", "few", BOT, "")).status;
    assert_eq!(bot(), 302);
    assert_eq!([(); 2].map(|()| get(&edge, "few").status), [302, 410]);
    assert_eq!(bot(), 410);
    assert_eq!(edge.get(&request("HEAD", "few", PERSON, "")).status, 410);
}

#[test]
fn beyond_the_limit_there_is_a_page_or_the_fallback_and_a_raised_limit_counts_on() {
    let (edge, _exchange) = Edge::counting(vec![Change::Tag(limited(2))]);
    let ask = || get(&edge, "few");
    assert_eq!([(); 3].map(|()| ask().status), [302, 302, 410]);
    assert!(ask().body.contains("as often as it may be"));
    let edit = |version, tag| {
        edge.table.apply(Change::Tag(Tag {
            version: Version::new(version).unwrap(),
            ..tag
        }));
    };
    let fallback_url = Some(destination("https://example.com/over"));
    edit(
        2,
        Tag {
            fallback_url,
            ..limited(2)
        },
    );
    let over = ask();
    assert_eq!(
        (over.status, over.field("location")),
        (302, Some("https://example.com/over"))
    );
    edit(3, limited(4));
    assert_eq!([(); 3].map(|()| ask().status), [302, 302, 410]);
    // Without a limit nothing is counted, so that it goes on from where it was.
    edit(4, tag(HOST, "few"));
    assert_eq!([(); 3].map(|()| ask().status), [302; 3]);
    edit(5, limited(5));
    assert_eq!([(); 2].map(|()| ask().status), [302, 410]);
}

#[test]
fn a_tag_that_is_counted_from_a_moment_on_begins_at_one_then() {
    let later = Tag {
        version: Version::FIRST.next(),
        ..winners()
    };
    let scheduled = Tag {
        scheduled: Some(Box::new(tags::Scheduled {
            at: jiff::Timestamp::now(),
            set: "{}".into(),
            by: "key_1".into(),
            tag: later,
        })),
        ..tag(HOST, "win")
    };
    let (edge, _exchange) = Edge::counting(vec![Change::Tag(scheduled)]);
    let won = [(); 4].map(|()| {
        let location = get(&edge, "win").field("location").unwrap().to_owned();
        location.ends_with("/won")
    });
    assert_eq!(won, [true, true, true, false]);
    assert_eq!(edge.shown("tagwire_edge_counted_tags"), 1.0);
}
