//! What a request costs before it is recorded: its head read, and answered from memory. `benches/micro`.

use std::net::{IpAddr, Ipv4Addr};

use divan::{Bencher, black_box};
use edge::{FactSources, Head, Limits, Reading, RequestFacts, Site, Tallies, answer};
use facts::{AgentCache, CrawlerNetworks, LazyAgents, PlacesFile};
use jiff::Timestamp;
use table::Table;
use tags::{
    Change, Code, Destination, Device, Domain, DomainSettings, LanguageTag, Os, Rule, Rules, Tag,
    Targets, When, WorkspaceId,
};

/// What an iPhone's camera opens, and the least that a client can say.
const BROWSER: &[u8] = b"GET /q/c0000042 HTTP/1.1\r\nHost: qr.example.com\r\n\
    User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: de-DE,de;q=0.9,en;q=0.8\r\n\
    Accept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\n\r\n";
const LEAST: &[u8] = b"GET /c0000042 HTTP/1.1\r\nHost: qr.example.com\r\n\r\n";

thread_local! {
    static KNOWN_AGENTS: AgentCache = AgentCache::new();
}

fn main() {
    divan::main();
}

#[divan::bench]
fn read_the_head_of_a_browser(bencher: Bencher<'_, '_>) {
    read_head(bencher, BROWSER);
}

#[divan::bench]
fn read_the_shortest_head(bencher: Bencher<'_, '_>) {
    read_head(bencher, LEAST);
}

fn read_head(bencher: Bencher<'_, '_>, bytes: &[u8]) {
    let limits = Limits::default();
    bencher.bench(|| match Head::read(black_box(bytes), &limits) {
        Reading::Complete(head) => head.len,
        other => panic!("{other:?}"),
    });
}

#[divan::bench]
fn answer_from_memory(bencher: Bencher<'_, '_>) {
    answer_with(bencher, Rules::default());
}

/// By device, system and language: what is known of a browser is remembered after the first time.
#[divan::bench]
fn answer_by_a_rule(bencher: Bencher<'_, '_>) {
    let url = Destination::parse("https://www.example.com/iphones").expect("a destination");
    let rule = Rule {
        name: "iPhones".to_owned(),
        when: When {
            device: vec![Device::Mobile],
            os: vec![Os::Ios],
            language: vec![LanguageTag::parse("de").expect("a language")],
            ..When::default()
        },
        to: Targets::One(url),
    };
    answer_with(bencher, Rules::new(vec![rule]).expect("rules"));
}

fn answer_with(bencher: Bencher<'_, '_>, rules: Rules) {
    let table = Table::new();
    changes(&rules).into_iter().for_each(|change| {
        table.apply(change);
    });
    table.complete();
    let (limits, site, now) = (Limits::default(), Site::default(), Timestamp::UNIX_EPOCH);
    let Reading::Complete(head) = Head::read(BROWSER, &limits) else {
        panic!("the head is complete");
    };
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let (places, agents) = (PlacesFile::none(), LazyAgents::default());
    let tallies = Tallies::default();
    let crawlers = CrawlerNetworks::default();
    bencher.bench(|| {
        let state = table.load();
        let view = state.pin();
        let request = black_box(&head.request);
        KNOWN_AGENTS.with(|known_agents| {
            let sources = FactSources {
                places: &places,
                crawlers: &crawlers,
                agents: &agents,
                known_agents,
                tallies: &tallies,
            };
            let facts = RequestFacts::new(request, &head.fields, client, sources);
            answer(request, &facts, &view, now, &site, false, |_| None).status
        })
    });
}

fn changes(rules: &Rules) -> Vec<Change> {
    let domain = Domain::parse("qr.example.com").expect("a domain");
    let of_code = |number| {
        let destination =
            Destination::parse(&format!("https://www.example.com/campaign/{number:07}"));
        Change::Tag(Tag {
            campaign: "spring".to_owned(),
            rules: rules.clone(),
            ..Tag::new(
                WorkspaceId::default_workspace(),
                domain.clone(),
                Code::parse(&format!("c{number:07}")).expect("a code"),
                destination.expect("a destination"),
                Timestamp::UNIX_EPOCH,
            )
        })
    };
    let settings = Change::Domain(DomainSettings {
        is_default: true,
        ..DomainSettings::new(domain.clone(), Timestamp::UNIX_EPOCH)
    });
    (0..1_000).map(of_code).chain([settings]).collect()
}
