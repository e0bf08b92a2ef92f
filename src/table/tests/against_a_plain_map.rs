//! The table against a plain map: whatever is applied, replayed, folded, written, read or rebuilt, both say the same.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod samples;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use samples::{DOMAINS, apply, held, kept, settle, tag, varied};
use table::{Effect, SnapshotInfo, Table, Taken};
use tags::{Change, Status, Tag};

const CODES: [&str; 6] = [
    "x",
    "y",
    "xy",
    "x-y",
    "X",
    "a-code-that-is-somewhat-longer_than_others",
];

type Plain = HashMap<(usize, usize), Tag>;

#[derive(Clone, Debug)]
enum Step {
    /// Domain, code, version, status, and what the other fields are like.
    Apply(usize, usize, u64, Status, u8),
    /// Several of these at once.
    ApplyAll(Vec<(usize, usize, u64, Status, u8)>),
    Complete,
    BeginRebuild,
    /// Waits for the folds, so that some steps are sure to come after them.
    Settle,
    /// Writes what is published, and reads it back into what is being filled.
    WriteAndRead,
}

fn step() -> impl Strategy<Value = Step> {
    let status = prop_oneof![4 => Just(Status::Active), 2 => Just(Status::Paused), 1 => Just(Status::Revoked)];
    let change = (
        0..DOMAINS.len(),
        0..CODES.len(),
        1_u64..9,
        status,
        any::<u8>(),
    );
    let apply_all = prop::collection::vec(change.clone(), 0..20).prop_map(Step::ApplyAll);
    prop_oneof![
        40 => change.prop_map(|(d, c, v, s, kind)| Step::Apply(d, c, v, s, kind)),
        4 => apply_all,
        3 => Just(Step::Complete),
        1 => Just(Step::BeginRebuild),
        2 => Just(Step::Settle),
        1 => Just(Step::WriteAndRead),
    ]
}

/// What the table should be.
#[derive(Default)]
struct Model {
    published: Option<Plain>,
    filling: Option<Plain>,
}

impl Model {
    fn put(plain: &mut Plain, key: (usize, usize), tag: Tag) -> bool {
        let revoked = |tag: &Tag| tag.status == Status::Revoked;
        let stands = plain
            .get(&key)
            .is_some_and(|known| match (revoked(known), revoked(&tag)) {
                (true, false) => true,
                (false, true) => false,
                _ => tag.version <= known.version,
            });
        if !stands {
            plain.insert(key, tag);
        }
        !stands
    }

    fn changing(&mut self) -> &mut Plain {
        let Self { published, filling } = self;
        filling.as_mut().or(published.as_mut()).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_table_says_what_a_plain_map_says(steps in prop::collection::vec(step(), 1..150), fold_at in 1_usize..6) {
        let table = Table::with_fold_at(fold_at);
        let mut model = Model { published: None, filling: Some(Plain::new()) };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.snapshot");
        for step in steps {
            match step {
                Step::Complete => {
                    table.complete();
                    if let Some(filled) = model.filling.take() {
                        model.published = Some(filled);
                    }
                }
                Step::BeginRebuild => {
                    table.begin_rebuild();
                    model.filling = Some(Plain::new());
                }
                Step::Settle => settle(&table),
                Step::WriteAndRead => {
                    let info = SnapshotInfo { cluster: "c".to_owned(), positions: Vec::new(), taken_at: Default::default(), build: String::new() };
                    let written = table.write_snapshot(&path, &info);
                    prop_assert_eq!(written.ok(), model.published.as_ref().map(|plain| plain.len() as u64));
                    if let (Some(published), Some(filling)) = (&model.published, &mut model.filling) {
                        prop_assert_eq!(table.read_snapshot(&path).unwrap(), info);
                        for (key, tag) in published {
                            Model::put(filling, *key, tag.clone());
                        }
                    }
                }
                Step::Apply(d, c, version, status, kind) => {
                    let tag = varied(DOMAINS[d], CODES[c], version, status, kind);
                    let effect = apply(&table, tag.clone());
                    let applied = Model::put(model.changing(), (d, c), tag);
                    prop_assert_eq!(effect, if applied { Effect::Applied } else { Effect::Superseded });
                }
                Step::ApplyAll(changes) => {
                    let (mut all, mut applied) = (Vec::new(), 0);
                    for (d, c, version, status, kind) in changes {
                        let tag = varied(DOMAINS[d], CODES[c], version, status, kind);
                        applied += usize::from(Model::put(model.changing(), (d, c), tag.clone()));
                        all.push(Change::Tag(tag));
                    }
                    prop_assert_eq!(table.apply_all(&mut all), Taken { tags: applied, lost: 0 });
                    prop_assert!(all.is_empty());
                }
            }
            let counted = model.published.as_ref().or(model.filling.as_ref()).unwrap();
            prop_assert_eq!(table.len(), counted.len());
            prop_assert_eq!(table.is_complete(), model.published.is_some());
            for (d, domain) in DOMAINS.iter().enumerate() {
                for (c, code) in CODES.iter().enumerate() {
                    let expected = model.published.as_ref().and_then(|plain| plain.get(&(d, c)));
                    prop_assert_eq!(held(&table, domain, code), expected.map(kept));
                }
            }
        }
    }
}

#[test]
fn readers_see_versions_that_only_rise_and_never_a_revoked_tag_alive_while_one_writes_and_another_folds()
 {
    let table = Table::with_fold_at(8);
    let codes: Vec<String> = (0..200).map(|n| format!("c{n}")).collect();
    for code in &codes {
        apply(&table, tag(DOMAINS[0], code, 1, Status::Active));
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
                        let now = version_and_status(&table, code);
                        let before = seen.insert(code, now).unwrap_or((1, Status::Active));
                        assert!(
                            now.0 >= before.0 && (before.1 != Status::Revoked || now == before),
                            "{code}: {before:?}, then {now:?}"
                        );
                    }
                    if last {
                        break;
                    }
                }
            });
        }
        for version in 2..60 {
            let status = if version == 40 {
                Status::Revoked
            } else {
                Status::Active
            };
            let expected = if version > 40 {
                Effect::Superseded
            } else {
                Effect::Applied
            };
            for code in &codes {
                let effect = apply(&table, tag(DOMAINS[0], code, version, status));
                surprises.extend((effect != expected).then_some((version, effect)));
                // A replay of what was, at any moment, changes nothing.
                let replayed = apply(&table, tag(DOMAINS[0], code, version - 1, Status::Active));
                surprises.extend((replayed != Effect::Superseded).then_some((version, replayed)));
            }
            table.apply(Change::Domain(samples::domain(
                DOMAINS[1],
                false,
                version % 2 == 0,
            )));
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(surprises, []);
    assert_eq!(table.len(), codes.len());
    settle(&table);
    assert!(
        codes
            .iter()
            .all(|code| version_and_status(&table, code) == (40, Status::Revoked))
    );
}

/// What a reader sees of a tag that is never missing; its parts must be of one version.
fn version_and_status(table: &Table, code: &str) -> (u64, Status) {
    let state = table.load();
    let view = state.pin();
    let tag = view.tag(DOMAINS[0], code).expect("no tag is ever missing");
    let version = tag.version.get();
    if tag.status != Status::Revoked {
        assert_eq!(
            tag.destination,
            format!("https://example.com/{code}/{version}")
        );
    }
    (version, tag.status)
}
