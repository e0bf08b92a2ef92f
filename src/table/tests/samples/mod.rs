//! Tags and settings for tests, and what a table is expected to say of them.

#![allow(clippy::unwrap_used, dead_code)] // a panic is how a test fails; not every test uses every sample

use std::time::{Duration, Instant};

use table::Table;
use tags::{
    Change, Code, Destination, Device, Domain, DomainSettings, LanguageTag, MaxScans, QueryMode,
    RedirectStatus, Rule, Rules, RulesView, Status, Tag, Targets, Version, When, Workspace,
    WorkspaceId,
};

pub const DOMAINS: [&str; 2] = ["a.example.com", "b.example.com"];

pub fn tag(domain: &str, code: &str, version: u64, status: Status) -> Tag {
    Tag {
        version: Version::new(version).unwrap(),
        status,
        name: "a name".to_owned(),
        labels: vec!["a label".to_owned()],
        updated_by: "a key".to_owned(),
        scheduled: None,
        ..Tag::new(
            WorkspaceId::default_workspace(),
            Domain::parse(domain).unwrap(),
            Code::parse(code).unwrap(),
            url(&format!("https://example.com/{code}/{version}")),
            Default::default(),
        )
    }
}

/// A tag whose every field depends on `kind`.
pub fn varied(domain: &str, code: &str, version: u64, status: Status, kind: u8) -> Tag {
    let bit = |n: u8| kind & (1 << n) != 0;
    let time = |s| jiff::Timestamp::from_second(s).unwrap();
    Tag {
        workspace: WorkspaceId::parse(if bit(0) { "default" } else { "other" }).unwrap(),
        destination: url(&format!(
            "https://example.com/{kind}/{}",
            "x".repeat(usize::from(kind) * 7)
        )),
        redirect_status: [RedirectStatus::Found, RedirectStatus::PermanentRedirect]
            [usize::from(bit(1))],
        cache_max_age: bit(2).then_some(u32::MAX),
        starts_at: bit(3).then(|| time(-1)),
        expires_at: bit(4).then(|| time(1_800_000_000)),
        max_scans: (kind % 3 == 1).then(|| MaxScans::new(kind.into()).unwrap()),
        fallback_url: bit(5).then(|| url("https://example.com/fallback")),
        query: [QueryMode::Drop, QueryMode::Override][usize::from(bit(6))],
        campaign: if bit(7) {
            format!("campaign {kind}")
        } else {
            String::new()
        },
        rules: if kind.is_multiple_of(5) {
            rules(kind)
        } else {
            Rules::default()
        },
        ..tag(domain, code, version, status)
    }
}

/// One to four of them.
fn rules(kind: u8) -> Rules {
    let rule = |number| Rule {
        name: format!("rule {number}"),
        when: When {
            device: vec![Device::ALL[usize::from(kind) % Device::ALL.len()]],
            language: vec![LanguageTag::parse("de").unwrap()],
            query: vec![(
                "ref".to_owned(),
                Some(vec![format!("{kind}"), String::new()]),
            )],
            ..When::default()
        },
        to: Targets::One(url(&format!("https://example.com/rules/{number}"))),
    };
    Rules::new((0..=kind % 4).map(rule).collect()).unwrap()
}

fn url(text: &str) -> Destination {
    Destination::parse(text).unwrap()
}

pub fn domain(name: &str, is_default: bool, case_insensitive: bool) -> DomainSettings {
    DomainSettings {
        is_default,
        case_insensitive,
        ..DomainSettings::new(Domain::parse(name).unwrap(), Default::default())
    }
}

pub fn workspace(id: &str) -> Workspace {
    let id = WorkspaceId::parse(id).unwrap();
    let name = id.as_str().to_uppercase();
    Workspace {
        fallback_url: Some(url("https://example.com/workspace")),
        ..Workspace::new(id, name, Default::default())
    }
}

pub fn apply(table: &Table, tag: Tag) -> table::Effect {
    table.apply(Change::Tag(tag))
}

/// What the table has of a tag, field by field.
pub fn held(table: &Table, domain: &str, code: &str) -> Option<String> {
    let state = table.load();
    let view = state.pin();
    view.tag(domain, code).map(|tag| format!("{tag:?}"))
}

/// What it should have.
pub fn kept(tag: &Tag) -> String {
    let mut view = tag.view();
    if view.status == Status::Revoked {
        view.destination = "";
        view.rules = RulesView::NONE;
        (view.cache_max_age, view.starts_at, view.expires_at) = (None, None, None);
        (view.max_scans, view.is_counted) = (None, false);
    }
    format!("{view:?}")
}

/// Waits until nothing is folded any more.
pub fn settle(table: &Table) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while table.is_folding() {
        assert!(Instant::now() < deadline, "a fold ends");
        std::thread::yield_now();
    }
}
