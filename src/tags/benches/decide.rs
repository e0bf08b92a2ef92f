//! What a decision costs: of a tag without rules, and with eight that ask for all kinds of facts, of which the last holds. `benches/micro`.

use std::net::{IpAddr, Ipv4Addr};

use divan::{Bencher, black_box};
use jiff::Timestamp;
use tags::{
    Browser, Code, Dates, Day, Destination, Device, Domain, Facts, Hours, LanguageTag, Os, Rule,
    Rules, Share, Tag, TagView, Targets, When, WorkspaceId, Zone, decide, parse_network,
};

fn main() {
    divan::main();
}

/// What an iPhone in Vienna tells, all of it known already.
struct Phone;

const USER_AGENT: &[u8] = b"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";

impl Facts for Phone {
    fn query(&self) -> &str {
        black_box("")
    }

    fn country(&self) -> Option<&str> {
        black_box(Some("AT"))
    }

    fn region(&self) -> Option<&str> {
        black_box(Some("AT-9"))
    }

    fn device(&self) -> Option<Device> {
        black_box(Some(Device::Mobile))
    }

    fn os(&self) -> Option<Os> {
        black_box(Some(Os::Ios))
    }

    fn browser(&self) -> Option<Browser> {
        black_box(Some(Browser::Safari))
    }

    fn bot(&self) -> Option<bool> {
        black_box(Some(false))
    }

    fn languages(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(black_box(&b"de-AT,de;q=0.9,en;q=0.8"[..]))
    }

    fn address(&self) -> Option<IpAddr> {
        black_box(Some(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7))))
    }

    fn user_agent(&self) -> &[u8] {
        black_box(USER_AGENT)
    }

    fn scan_number(&self, _: &TagView<'_>) -> Option<u64> {
        None
    }
}

#[divan::bench]
fn decide_without_rules(bencher: Bencher<'_, '_>) {
    measure(bencher, Vec::new());
}

#[divan::bench]
fn decide_by_the_last_of_eight_rules(bencher: Bencher<'_, '_>) {
    measure(bencher, eight_rules());
}

fn measure(bencher: Bencher<'_, '_>, rules: Vec<Rule>) {
    let tag = Tag {
        rules: Rules::new(rules).expect("rules"),
        ..Tag::new(
            WorkspaceId::default_workspace(),
            Domain::parse("qr.example.com").expect("a domain"),
            Code::parse("c0000042").expect("a code"),
            url("destination"),
            Timestamp::UNIX_EPOCH,
        )
    };
    let now = "2026-12-01T10:00:00Z".parse::<Timestamp>().expect("a time");
    bencher.bench(|| {
        let decision = decide(&black_box(&tag).view(), || None, &Phone, black_box(now));
        decision.location.map_or(0, |location| location.len())
    });
}

fn url(path: &str) -> Destination {
    Destination::parse(&format!("https://www.example.com/{path}")).expect("a destination")
}

/// One for each kind of question but places.
fn eight_rules() -> Vec<Rule> {
    let language = |tag| vec![LanguageTag::parse(tag).expect("a language")];
    let hours = Hours::new(
        vec![Day::Mon, Day::Fri],
        "06:00".parse().expect("a time"),
        "09:30".parse().expect("a time"),
        Zone::parse("Europe/Berlin").expect("a zone"),
    );
    let dates = Dates::new(None, "2026-11-01T00:00:00Z".parse().ok());
    let network = |text| parse_network(text).expect("a network");
    let conditions = [
        When {
            device: vec![Device::Tablet],
            os: vec![Os::Android],
            ..When::default()
        },
        When {
            bot: Some(true),
            ..When::default()
        },
        When {
            language: language("fr"),
            ..When::default()
        },
        When {
            dates: dates.ok(),
            ..When::default()
        },
        When {
            hours: hours.ok(),
            ..When::default()
        },
        When {
            query: vec![("ref".to_owned(), Some(vec!["tv".to_owned()]))],
            network: vec![network("198.51.100.0/24"), network("2001:db8::/32")],
            ..When::default()
        },
        When {
            share: Share::new(1).ok(),
            ..When::default()
        },
        When {
            device: vec![Device::Mobile],
            browser: vec![Browser::Safari],
            language: language("de"),
            ..When::default()
        },
    ];
    let rules = conditions
        .into_iter()
        .enumerate()
        .map(|(number, when)| Rule {
            name: format!("rule {number}"),
            when,
            to: Targets::One(url(&format!("rule/{number}"))),
        });
    rules.collect()
}
