//! Visitors of days.

use std::collections::{BTreeMap, HashSet};

use analytics::{Bots, Select, VisitorDay, VisitorQuery};
use jiff::{SignedDuration, Timestamp};
use scans::Visitor;
use tags::{Code, Domain, WorkspaceId};

use crate::data::{BASE, Random, at, block, random_rows, row};
use crate::stores::with_each_store;
use crate::{passing, workspace};

/// What both stores must say, over rows in memory: of each day that has scans.
fn reference(
    rows: &[analytics::Row],
    workspace: &WorkspaceId,
    query: &VisitorQuery,
) -> Vec<VisitorDay> {
    let mut days: BTreeMap<i64, (u64, HashSet<String>)> = BTreeMap::new();
    for row in passing(rows, workspace, query.filter()) {
        let day = row.scan.time.as_second().div_euclid(86_400);
        let (scans, visitors) = days.entry(day).or_default();
        *scans += 1;
        visitors.insert(row.scan.visitor.to_string());
    }
    let days = days.into_iter().map(|(day, (scans, visitors))| VisitorDay {
        start: Timestamp::from_second(day * 86_400).expect("in range"),
        scans,
        visitors: visitors.len() as u64,
    });
    days.collect()
}

#[test]
fn both_stores_count_the_visitors_of_each_day_as_a_set_does() {
    let seed = 0x5eed_0003;
    let mut random = Random::new(seed);
    let mut rows = random_rows(&mut random, 3_000);
    for row in &mut rows {
        // A few come again, in every bit of the hash.
        row.scan.visitor = Visitor::from_u64(random.below(500) * (u64::MAX / 499));
    }
    let code = Select::Code {
        domain: Domain::parse("qr.example.com").expect("valid"),
        code: Code::parse("c1").expect("valid"),
    };
    let range = (at("2026-11-20T12:00:00Z"), at("2026-11-27T18:00:00Z"));
    with_each_store(|name, store, runtime| {
        runtime.block_on(store.insert(&block(0, rows.clone())))?;
        for id in ["acme", "other", "nobody"] {
            for select in [
                Select::Workspace,
                code.clone(),
                Select::Campaign("winter".to_owned()),
            ] {
                for bots in [Bots::Exclude, Bots::Include, Bots::Only] {
                    let asked = VisitorQuery::new(select.clone(), range, bots)?;
                    let told = runtime.block_on(store.visitor_days(&workspace(id), &asked))?;
                    assert_eq!(told.len(), 8, "every day");
                    let told: Vec<_> = told.into_iter().filter(|day| day.scans > 0).collect();
                    let expected = reference(&rows, &workspace(id), &asked);
                    assert_eq!(told, expected, "{name}, seed {seed:#x}, {id}, {asked:?}");
                    let again = expected.iter().any(|day| day.visitors < day.scans);
                    assert_eq!(again, id != "nobody", "the data must exercise it");
                }
            }
        }
        Ok(())
    });
}

#[test]
fn a_days_many_visitors_are_told_within_the_stated_error_and_never_more_than_its_scans() {
    const VISITORS: u64 = 120_000;
    let mut random = Random::new(0x5eed_0004);
    let rows = |day: i64, random: &mut Random| -> Vec<_> {
        let time = at(BASE) + SignedDuration::from_hours(24 * day);
        let seqs = 0..VISITORS;
        let rows = seqs.map(|seq| {
            let mut row = row(seq, time);
            row.id.writer = day as u32;
            row.scan.visitor = Visitor::from_u64(random.below(u64::MAX));
            row
        });
        rows.collect()
    };
    let days: Vec<_> = (0..2).map(|day| rows(day, &mut random)).collect();
    with_each_store(|name, store, runtime| {
        for (number, rows) in days.iter().enumerate() {
            for (part, rows) in rows.chunks(40_000).enumerate() {
                let offset = (number * 10 + part) as i64;
                runtime.block_on(store.insert(&block(offset, rows.to_vec())))?;
            }
        }
        let range = (at("2026-11-25T00:00:00Z"), at("2026-11-27T00:00:00Z"));
        let asked = VisitorQuery::new(Select::Workspace, range, Bots::Exclude)?;
        let told = runtime.block_on(store.visitor_days(&workspace("acme"), &asked))?;
        assert_eq!(told.len(), 2);
        for day in told {
            assert_eq!(day.scans, VISITORS);
            assert!(day.visitors <= day.scans, "{name}: {day:?}");
            // Three standard errors of 0.3 %.
            let least = VISITORS - VISITORS * 9 / 1_000;
            assert!(least <= day.visitors, "{name}: {day:?}");
            if name == "SQLite" {
                assert_eq!(day.visitors, VISITORS);
            }
        }
        Ok(())
    });
}
