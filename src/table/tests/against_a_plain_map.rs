//! The table against a plain map: whatever is applied, before and after the bootstrap, replayed or not, both say the same.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use table::{Effect, Table};
use tags::{
    Change, Code, Destination, Domain, DomainSettings, QueryMode, RedirectStatus, Status, Tag,
    UpstreamHost, Version, WorkspaceId,
};

fn tag(domain: &str, code: &str, version: u64, status: Status) -> Tag {
    Tag {
        workspace: WorkspaceId::default_workspace(),
        domain: Domain::parse(domain).unwrap(),
        code: Code::parse(code).unwrap(),
        version: Version::new(version).unwrap(),
        status,
        destination: Destination::parse(&format!("https://example.com/{code}/{version}")).unwrap(),
        redirect_status: RedirectStatus::Found,
        cache_max_age: None,
        starts_at: None,
        expires_at: None,
        fallback_url: None,
        query: QueryMode::Append,
        campaign: String::new(),
        name: "a name".to_owned(),
        labels: vec!["a label".to_owned()],
        created_at: Default::default(),
        updated_at: Default::default(),
        updated_by: "a key".to_owned(),
    }
}

fn domain(name: &str, is_default: bool, case_insensitive: bool) -> DomainSettings {
    DomainSettings {
        name: Domain::parse(name).unwrap(),
        workspace: None,
        is_default,
        home_url: None,
        fallback_url: None,
        upstream_url: None,
        upstream_host: UpstreamHost::Visitor,
        case_insensitive,
        https_redirect: false,
        hsts: None,
        created_at: Default::default(),
    }
}

/// Version and status as the table has them.
fn held(table: &Table, domain: &str, code: &str) -> Option<(u64, Status)> {
    let state = table.load();
    let view = state.pin();
    view.tag(domain, code).map(|tag| {
        let version = tag.version.get();
        assert_eq!(
            tag.destination,
            format!("https://example.com/{code}/{version}"),
            "a version is whole"
        );
        (version, tag.status)
    })
}

const DOMAINS: [&str; 2] = ["a.example.com", "b.example.com"];
const CODES: [&str; 4] = ["x", "y", "xy", "x-y"];

#[derive(Clone, Debug)]
enum Step {
    Apply(usize, usize, u64, Status),
    Complete,
}

fn step() -> impl Strategy<Value = Step> {
    let status = prop_oneof![4 => Just(Status::Active), 2 => Just(Status::Paused), 1 => Just(Status::Revoked)];
    let apply = (0..DOMAINS.len(), 0..CODES.len(), 1_u64..8, status)
        .prop_map(|(d, c, v, s)| Step::Apply(d, c, v, s));
    prop_oneof![12 => apply, 1 => Just(Step::Complete)]
}

proptest! {
    #[test]
    fn the_table_says_what_a_plain_map_says(steps in prop::collection::vec(step(), 1..80)) {
        let table = Table::new();
        let mut plain: HashMap<(usize, usize), (u64, Status)> = HashMap::new();
        for step in steps {
            match step {
                Step::Complete => table.complete(),
                Step::Apply(d, c, version, status) => {
                    let known = plain.get(&(d, c)).copied();
                    let stands = known.is_some_and(|(v, s)| version <= v || (s == Status::Revoked && status != Status::Revoked));
                    let effect = table.apply(Change::Tag(tag(DOMAINS[d], CODES[c], version, status)));
                    prop_assert_eq!(effect, if stands { Effect::Superseded } else { Effect::Applied });
                    if !stands {
                        plain.insert((d, c), (version, status));
                    }
                }
            }
            prop_assert_eq!(table.len(), plain.len());
            for (d, domain) in DOMAINS.iter().enumerate() {
                for (c, code) in CODES.iter().enumerate() {
                    let expected = plain.get(&(d, c)).copied().filter(|_| table.is_complete());
                    prop_assert_eq!(held(&table, domain, code), expected);
                }
            }
        }
    }
}

#[test]
fn nothing_is_seen_before_the_bootstrap_is_over_but_settings_are() {
    let table = Table::new();
    table.apply(Change::Domain(domain(DOMAINS[0], true, false)));
    table.apply(Change::Tag(tag(DOMAINS[0], "x", 1, Status::Active)));
    let state = table.load();
    assert!(!state.pin().is_complete() && state.pin().tag(DOMAINS[0], "x").is_none());
    assert!(state.pin().domain(DOMAINS[0]).is_some());
    table.complete();
    assert_eq!(held(&table, DOMAINS[0], "x"), Some((1, Status::Active)));
}

#[test]
fn replaying_the_journal_changes_nothing() {
    let table = Table::new();
    let journal = [
        (1, Status::Active),
        (2, Status::Paused),
        (3, Status::Revoked),
    ];
    journal.iter().for_each(|(v, s)| {
        table.apply(Change::Tag(tag(DOMAINS[0], "x", *v, *s)));
    });
    table.complete();
    for (version, status) in journal {
        assert_eq!(
            table.apply(Change::Tag(tag(DOMAINS[0], "x", version, status))),
            Effect::Superseded
        );
    }
    assert_eq!(held(&table, DOMAINS[0], "x"), Some((3, Status::Revoked)));
    assert_eq!(table.len(), 1);
}

#[test]
fn the_default_domain_and_whether_there_are_others_follow_the_settings() {
    let table = Table::new();
    assert!(table.load().pin().default_domain().is_none());
    table.apply(Change::Domain(domain(DOMAINS[0], true, false)));
    assert!(!table.load().pin().has_other_domains());
    table.apply(Change::Domain(domain(DOMAINS[1], false, false)));
    assert!(table.load().pin().has_other_domains());
    table.apply(Change::Domain(domain(DOMAINS[0], false, false)));
    table.apply(Change::Domain(domain(DOMAINS[1], true, false)));
    let state = table.load();
    assert_eq!(
        state.pin().default_domain().map(|d| d.name.as_str()),
        Some(DOMAINS[1])
    );
}

#[test]
fn a_case_insensitive_domain_finds_a_code_in_any_case_and_others_do_not() {
    let table = Table::new();
    table.apply(Change::Domain(domain(DOMAINS[0], true, true)));
    table.apply(Change::Domain(domain(DOMAINS[1], false, false)));
    for domain in DOMAINS {
        table.apply(Change::Tag(tag(domain, "x-y", 1, Status::Active)));
    }
    table.complete();
    let state = table.load();
    let view = state.pin();
    assert!(view.tag(DOMAINS[0], "X-y").is_some() && view.tag(DOMAINS[0], "x-y").is_some());
    assert!(view.tag(DOMAINS[1], "X-y").is_none() && view.tag(DOMAINS[1], "x-y").is_some());
    assert!(
        view.tag(DOMAINS[0], &"X".repeat(100)).is_none(),
        "longer than any code"
    );
}

#[test]
fn what_no_redirect_reads_is_not_taken_in() {
    let key = tags::ApiKey {
        id: tags::KeyId::parse("k_1").unwrap(),
        workspace: WorkspaceId::default_workspace(),
        name: String::new(),
        role: tags::Role::Owner,
        secret_hash: tags::SecretHash([0; 32]),
        created_at: Default::default(),
        revoked_at: None,
    };
    assert_eq!(
        Table::new().apply(Change::Key(key)),
        Effect::NotForRedirects
    );
}

#[test]
fn readers_see_versions_that_only_rise_and_never_a_revoked_tag_alive_while_one_writes() {
    let table = Table::new();
    let codes: Vec<String> = (0..64).map(|n| format!("c{n}")).collect();
    for code in &codes {
        table.apply(Change::Tag(tag(DOMAINS[0], code, 1, Status::Active)));
    }
    table.complete();
    let done = AtomicBool::new(false);
    let mut surprises = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut seen: HashMap<&str, (u64, Status)> = HashMap::new();
                loop {
                    let last = done.load(Ordering::Acquire);
                    for code in &codes {
                        let now = held(&table, DOMAINS[0], code).expect("no tag is ever missing");
                        let before = seen.insert(code, now).unwrap_or((1, Status::Active));
                        assert!(
                            now.0 >= before.0 && (before.1 != Status::Revoked || now == before)
                        );
                    }
                    if last {
                        break;
                    }
                }
            });
        }
        for version in 2..40 {
            let status = if version == 30 {
                Status::Revoked
            } else {
                Status::Active
            };
            let expected = if version > 30 {
                Effect::Superseded
            } else {
                Effect::Applied
            };
            for code in &codes {
                let effect = table.apply(Change::Tag(tag(DOMAINS[0], code, version, status)));
                surprises.extend((effect != expected).then_some((version, effect)));
            }
            table.apply(Change::Domain(domain(DOMAINS[1], false, version % 2 == 0)));
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(surprises, []);
    assert_eq!(table.len(), codes.len());
}
