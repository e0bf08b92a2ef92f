//! Rules decide by what requests say, over every protocol alike, and what they decide is recorded.

use std::sync::Arc;

use facts::{LazyAgents, PlacesFile};
use tags::{
    Browser, Change, Country, Device, LanguageTag, Os, Region, Rule, Rules, ScanNumbers, Share,
    Tag, Target, Targets, Weight, When, parse_network,
};

use crate::certificates::Secure;
use crate::fixture::{Edge, HOST, destination, shown, table, tag};
use crate::places::cities;
use crate::ways_in::{Asked, over_http_1_1, over_http_2};

fn leads_to(name: &str, when: When) -> Rule {
    let url = destination(&format!("https://example.com/{name}"));
    Rule {
        name: name.to_owned(),
        when,
        to: Targets::One(url),
    }
}

fn language(tags: &[&str]) -> When {
    When {
        language: tags
            .iter()
            .map(|tag| LanguageTag::parse(tag).unwrap())
            .collect(),
        ..When::default()
    }
}

fn parameter(name: &str, values: Option<&[&str]>) -> When {
    let values = values.map(|values| values.iter().map(|value| (*value).to_owned()).collect());
    When {
        query: vec![(name.to_owned(), values)],
        ..When::default()
    }
}

fn with_rules(code: &str, list: Vec<Rule>) -> Change {
    Change::Tag(Tag {
        rules: Rules::new(list).unwrap(),
        query: tags::QueryMode::Drop,
        ..tag(HOST, code)
    })
}

fn mixed() -> Change {
    let whole = |url: &str, weight| Target {
        url: destination(url),
        weight: Weight::new(weight).unwrap(),
    };
    let split = Rule {
        name: "split".to_owned(),
        when: parameter("split", Some(&[""])),
        to: Targets::Weighted(vec![
            whole("https://example.com/split/0", 1),
            whole("https://example.com/split/1", 1),
        ]),
    };
    with_rules(
        "ruled",
        vec![
            leads_to(
                "bots",
                When {
                    bot: Some(true),
                    ..When::default()
                },
            ),
            leads_to(
                "iphones",
                When {
                    device: vec![Device::Mobile],
                    os: vec![Os::Ios],
                    browser: vec![Browser::Safari],
                    ..When::default()
                },
            ),
            leads_to(
                "androids",
                When {
                    os: vec![Os::Android],
                    browser: vec![Browser::Chrome],
                    ..When::default()
                },
            ),
            leads_to(
                "unknown-numbers",
                When {
                    scan_number: ScanNumbers::new(Some(1), None).ok(),
                    ..When::default()
                },
            ),
            leads_to("austrians", language(&["de-AT"])),
            leads_to("germans", language(&["de"])),
            leads_to(
                "tv",
                When {
                    query: [
                        parameter("ref", Some(&["tv", "ü"])).query,
                        parameter("beta", None).query,
                    ]
                    .concat(),
                    ..When::default()
                },
            ),
            leads_to(
                "elsewhere",
                When {
                    network: vec![parse_network("198.51.100.0/24").unwrap()],
                    ..When::default()
                },
            ),
            split,
            leads_to(
                "all-here",
                When {
                    share: Share::new(100).ok(),
                    network: vec![parse_network("127.0.0.0/8").unwrap()],
                    ..parameter("here", Some(&["1"]))
                },
            ),
        ],
    )
}

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 \
                      Mobile/15E148 Safari/604.1";
const WINDOWS: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36";

/// A target, fields, and the name of a rule.
type Row = (
    &'static str,
    Vec<(&'static str, &'static str)>,
    &'static str,
);

/// Requests for the tag above, and the rule that decides; empty: none.
fn cases() -> Vec<Row> {
    let agent = |agent| ("user-agent", agent);
    let hints = |brands, platform| {
        [
            ("sec-ch-ua", brands),
            ("sec-ch-ua-mobile", "?1"),
            ("sec-ch-ua-platform", platform),
        ]
    };
    let chrome = "\"Not)A;Brand\";v=\"8\", \"Chromium\";v=\"138\", \"Google Chrome\";v=\"138\"";
    vec![
        ("/ruled", vec![], ""),
        ("/ruled", vec![agent("")], ""),
        ("/ruled", vec![agent(WINDOWS)], ""),
        (
            "/ruled",
            vec![agent("Googlebot/2.1 (+http://www.google.com/bot.html)")],
            "bots",
        ),
        ("/ruled", vec![agent(IPHONE)], "iphones"),
        // Hints come before the User-Agent; what is no hint does not.
        (
            "/ruled",
            [&[agent(WINDOWS)][..], &hints(chrome, "\"Android\"")].concat(),
            "androids",
        ),
        (
            "/ruled",
            [&[agent(IPHONE)][..], &hints(chrome, "\"Android\"")].concat(),
            "androids",
        ),
        ("/ruled", hints(chrome, "\"Android\"").to_vec(), "androids"),
        (
            "/ruled",
            [&[agent(IPHONE)][..], &hints("nonsense;;", "Android\"")].concat(),
            "iphones",
        ),
        (
            "/ruled",
            [&[agent(IPHONE)][..], &hints("", "")].concat(),
            "iphones",
        ),
        (
            "/ruled",
            vec![("accept-language", "de-AT,de;q=0.9")],
            "austrians",
        ),
        (
            "/ruled",
            vec![("accept-language", "de-DE,de;q=0.9")],
            "germans",
        ),
        (
            "/ruled",
            vec![("accept-language", "en,de-DE;q=0.1")],
            "germans",
        ),
        (
            "/ruled",
            vec![("accept-language", "en"), ("accept-language", "de-AT")],
            "austrians",
        ),
        (
            "/ruled",
            vec![("accept-language", ""), ("accept-language", "de")],
            "germans",
        ),
        ("/ruled", vec![("accept-language", "de;q=0")], ""),
        ("/ruled?ref=tv", vec![], "tv"),
        ("/ruled?x&%72ef=%C3%BC", vec![], "tv"),
        ("/ruled?ref=tv&beta", vec![], ""),
        ("/ruled?ref=TV", vec![], ""),
        ("/ruled?here=1", vec![], "all-here"),
        ("/ruled?here=%31&here=2", vec![agent(WINDOWS)], "all-here"),
    ]
}

#[test]
fn a_request_is_led_by_the_first_rule_that_holds_over_every_protocol() {
    let secure = Secure::start();
    secure.edge.table.apply(mixed());
    let cases = cases();
    let asked: Vec<Asked> = cases
        .iter()
        .map(|(target, fields, _)| ("GET", *target, HOST, fields.clone()))
        .collect();
    let plain = asked
        .iter()
        .map(|asked| over_http_1_1(&secure, false, asked))
        .collect::<Vec<_>>();
    let tls = asked
        .iter()
        .map(|asked| over_http_1_1(&secure, true, asked))
        .collect::<Vec<_>>();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let http_2 = runtime.block_on(over_http_2(&secure, &asked));
    for (number, (target, fields, rule)) in cases.iter().enumerate() {
        let expected = match *rule {
            "" => "https://example.com/ruled".to_owned(),
            rule => format!("https://example.com/{rule}"),
        };
        for (way, seen) in [("plain", &plain), ("TLS", &tls), ("HTTP/2", &http_2)] {
            let (status, headers, _) = &seen[number];
            assert_eq!(
                (*status, &headers["location"]),
                (302, &expected),
                "{way}: {target} {fields:?}"
            );
            assert_eq!(headers["cache-control"], "no-store");
        }
    }
    let scans = secure.edge.scans.all();
    assert_eq!(scans.len(), 3 * cases.len());
    for (number, (target, fields, rule)) in cases.iter().enumerate() {
        assert_eq!(scans[number].rule, *rule, "{target} {fields:?}");
    }
}

#[test]
fn a_visitor_is_led_to_the_same_of_several_destinations_each_time_and_that_is_recorded() {
    let edge = Edge::start();
    edge.table.apply(mixed());
    let location = |visitor: usize| {
        let head = format!(
            "GET /ruled?split HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: phone {visitor}\r\n\r\n"
        );
        let head = edge.get(&head).head;
        let line = head
            .lines()
            .find_map(|line| line.strip_prefix("Location: "))
            .unwrap();
        line.to_owned()
    };
    let first: Vec<String> = (0..40).map(location).collect();
    // An edit of something else, a rule put before, and a restart change nobody's place.
    let again: Vec<String> = (0..40).map(location).collect();
    assert_eq!(first, again);
    let other = Edge::start();
    other.table.apply(mixed());
    let other_edge = |visitor| {
        let head = format!(
            "GET /ruled?split HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: phone {visitor}\r\n\r\n"
        );
        other
            .get(&head)
            .head
            .lines()
            .find_map(|line| line.strip_prefix("Location: ").map(str::to_owned))
            .unwrap()
    };
    assert_eq!((0..40).map(other_edge).collect::<Vec<_>>(), first);
    for index in 0..2 {
        let count = first
            .iter()
            .filter(|url| url.ends_with(&format!("/{index}")))
            .count();
        assert!((8..=32).contains(&count), "{count} of 40 to {index}");
    }
    let scans = edge.scans.all();
    for (scan, url) in scans.iter().zip(&first) {
        assert_eq!(scan.rule, "split");
        assert!(
            url.ends_with(&format!("/{}", scan.destination_index)),
            "{url}"
        );
    }
}

#[test]
fn places_are_looked_up_for_rules_that_ask_for_them_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let places = Arc::new(PlacesFile::open(cities(&folder, "DE", "BY")).unwrap());
    let edge = Edge::with(table(), |options| options.places = Arc::clone(&places));
    let region = When {
        region: vec![Region::parse("DE-BY").unwrap()],
        ..parameter("region", Some(&[""]))
    };
    let country = When {
        country: vec![Country::parse("AT").unwrap(), Country::parse("DE").unwrap()],
        ..parameter("country", Some(&[""]))
    };
    let austria = When {
        country: vec![Country::parse("AT").unwrap()],
        ..When::default()
    };
    edge.table.apply(with_rules(
        "placed",
        vec![
            leads_to("austria", austria),
            leads_to("bavaria", region),
            leads_to("country", country),
        ],
    ));
    edge.table.apply(with_rules(
        "asked-last",
        vec![leads_to(
            "never",
            When {
                device: vec![Device::Tv],
                country: vec![Country::parse("DE").unwrap()],
                ..When::default()
            },
        )],
    ));
    for (target, location) in [
        ("/placed?region", "/bavaria"),
        ("/placed?country", "/country"),
        ("/placed", "/placed"),
        ("/abc", "/abc"),
        ("/asked-last", "/asked-last"),
    ] {
        let response = edge.get(&format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
        let expected = format!("Location: https://example.com{location}\r\n");
        assert!(
            response.head.contains(&expected),
            "{target}: {}",
            response.head
        );
    }
    edge.server.shutdown(std::time::Duration::from_secs(10)); // with it, the workers' last numbers are there
    assert_eq!(
        shown(&edge.registry, "tagwire_edge_geoip_lookups_total"),
        3.0
    );
}

#[test]
fn what_reads_user_agents_is_made_before_the_first_tag_that_needs_it_is_seen() {
    let agents = Arc::new(LazyAgents::default());
    let edge = Edge::with(table(), |options| options.agents = Arc::clone(&agents));
    edge.table.apply(with_rules(
        "by-query",
        vec![leads_to("tv", parameter("ref", Some(&["tv"])))],
    ));
    edge.get(&format!(
        "GET /by-query HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: {IPHONE}\r\n\r\n"
    ));
    assert!(!agents.is_made());
    edge.table.apply(with_rules(
        "by-device",
        vec![leads_to(
            "bots",
            When {
                bot: Some(true),
                ..When::default()
            },
        )],
    ));
    assert!(agents.is_made());
    // A table that has such a tag before a server is started over it.
    let (late, table) = (Arc::new(LazyAgents::default()), table());
    table.apply(mixed());
    let _edge = Edge::with(table, |options| options.agents = Arc::clone(&late));
    assert!(late.is_made());
}
