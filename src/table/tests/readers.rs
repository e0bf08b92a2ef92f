//! What a reader is told, case by case.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod samples;

use samples::{DOMAINS, apply, domain, held, kept, settle, tag, workspace};
use table::{Effect, Table};
use tags::{Change, Status, WorkspaceId};

#[test]
fn nothing_is_seen_before_the_bootstrap_is_over_but_settings_are() {
    let table = Table::new();
    table.apply(Change::Domain(domain(DOMAINS[0], true, false)));
    apply(&table, tag(DOMAINS[0], "x", 1, Status::Active));
    let state = table.load();
    assert!(!state.pin().is_complete() && state.pin().tag(DOMAINS[0], "x").is_none());
    assert!(state.pin().domain(DOMAINS[0]).is_some());
    table.complete();
    assert_eq!(
        held(&table, DOMAINS[0], "x"),
        Some(kept(&tag(DOMAINS[0], "x", 1, Status::Active)))
    );
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
        apply(&table, tag(DOMAINS[0], "x", *v, *s));
    });
    table.complete();
    for (version, status) in journal {
        let effect = apply(&table, tag(DOMAINS[0], "x", version, status));
        assert_eq!(effect, Effect::Superseded);
    }
    let revoked = tag(DOMAINS[0], "x", 3, Status::Revoked);
    assert_eq!(held(&table, DOMAINS[0], "x"), Some(kept(&revoked)));
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
        apply(&table, tag(domain, "x-y", 1, Status::Active));
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
    let key = tags::ApiKey::new(
        tags::KeyId::parse("k_1").unwrap(),
        WorkspaceId::default_workspace(),
        tags::Role::Owner,
        tags::SecretHash([0; 32]),
        Default::default(),
    );
    assert_eq!(
        Table::new().apply(Change::Key(key)),
        Effect::NotForRedirects
    );
}

#[test]
fn a_rebuild_is_seen_whole_or_not_at_all_and_nothing_old_stands_against_it() {
    let table = Table::new();
    table.apply(Change::Domain(domain(DOMAINS[0], true, false)));
    apply(&table, tag(DOMAINS[0], "stale", 1, Status::Active));
    apply(&table, tag(DOMAINS[0], "x", 9, Status::Revoked));
    table.complete();

    table.begin_rebuild();
    apply(&table, tag(DOMAINS[0], "x", 1, Status::Active));
    table.apply(Change::Workspace(workspace("w")));
    let revoked = kept(&tag(DOMAINS[0], "x", 9, Status::Revoked));
    assert_eq!(held(&table, DOMAINS[0], "x"), Some(revoked));
    assert!(table.load().pin().workspace("w").is_none());
    assert_eq!(table.len(), 2);

    table.complete();
    let active = kept(&tag(DOMAINS[0], "x", 1, Status::Active));
    assert_eq!(held(&table, DOMAINS[0], "x"), Some(active));
    assert_eq!(held(&table, DOMAINS[0], "stale"), None);
    assert!(table.load().pin().domain(DOMAINS[0]).is_none());
    assert!(table.load().pin().workspace("w").is_some());
    assert_eq!(table.len(), 1);
}

#[test]
fn a_reader_keeps_the_state_that_it_has_taken_through_folds_and_rebuilds() {
    let table = Table::with_fold_at(1);
    apply(&table, tag(DOMAINS[0], "x", 1, Status::Active));
    table.complete();
    let state = table.load();
    let view = state.pin();
    let before = view.tag(DOMAINS[0], "x").unwrap();
    for n in 0..100 {
        apply(&table, tag(DOMAINS[0], &format!("c{n}"), 1, Status::Active));
    }
    table.begin_rebuild();
    table.complete();
    assert_eq!(table.len(), 0);
    assert_eq!(before.destination, "https://example.com/x/1");
    assert!(view.tag(DOMAINS[0], "x").is_some());
    drop(view);
    drop(state);
    settle(&table);
    assert_eq!(held(&table, DOMAINS[0], "x"), None);
}

#[test]
fn what_comes_beside_a_rebuild_is_seen_at_once_and_stands_in_it_against_what_is_older() {
    let table = Table::with_fold_at(1);
    let home = |name: &str| {
        let mut workspace = workspace("w");
        workspace.name = name.to_owned();
        Change::Workspace(workspace)
    };
    let name = |table: &Table| table.load().pin().workspace("w").map(|w| w.name.clone());
    table.apply(home("old"));
    apply(&table, tag(DOMAINS[0], "x", 1, Status::Active));
    table.complete();
    settle(&table);

    table.begin_rebuild();
    let revoked = tag(DOMAINS[0], "x", 2, Status::Revoked);
    let mut beside = vec![Change::Tag(revoked.clone()), home("new")];
    let taken = table.apply_all_beside_rebuild(&mut beside);
    assert_eq!((taken.tags, taken.lost), (1, 0));
    assert!(!table.is_folding(), "it would be a third base");
    assert_eq!(held(&table, DOMAINS[0], "x"), Some(kept(&revoked)));
    assert_eq!(name(&table).as_deref(), Some("new"));

    apply(&table, tag(DOMAINS[0], "x", 1, Status::Active));
    apply(&table, tag(DOMAINS[0], "y", 1, Status::Active));
    assert_eq!(table.apply(home("old")), Effect::Superseded);
    assert_eq!(held(&table, DOMAINS[0], "y"), None, "in the rebuild alone");
    table.complete();
    settle(&table);
    assert_eq!(held(&table, DOMAINS[0], "x"), Some(kept(&revoked)));
    assert!(held(&table, DOMAINS[0], "y").is_some());
    assert_eq!(name(&table).as_deref(), Some("new"));
    table.apply(home("newest"));
    assert_eq!(name(&table).as_deref(), Some("newest"));
}

#[test]
fn a_rebuild_that_is_given_up_leaves_what_was_there_and_changes_go_on() {
    let table = Table::with_fold_at(1);
    apply(&table, tag(DOMAINS[0], "x", 1, Status::Active));
    table.abandon_rebuild();
    assert!(!table.is_complete(), "the bootstrap is no rebuild");
    table.complete();
    table.begin_rebuild();
    apply(&table, tag(DOMAINS[0], "y", 1, Status::Active));
    let beside = tag(DOMAINS[0], "z", 1, Status::Active);
    table.apply_all_beside_rebuild(&mut vec![Change::Tag(beside.clone())]);
    table.abandon_rebuild();
    let paused = tag(DOMAINS[0], "x", 2, Status::Paused);
    apply(&table, paused.clone());
    settle(&table);
    assert_eq!(held(&table, DOMAINS[0], "x"), Some(kept(&paused)));
    assert_eq!(held(&table, DOMAINS[0], "y"), None);
    assert_eq!(held(&table, DOMAINS[0], "z"), Some(kept(&beside)));
}
