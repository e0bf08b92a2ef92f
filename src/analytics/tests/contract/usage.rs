//! What workspaces use, day by day, as both stores tell it.

use std::collections::BTreeMap;

use jiff::civil::date;
use jiff::tz::Offset;

use crate::data::{Random, block, random_rows};
use crate::stores::with_each_store;
use crate::workspace;

#[test]
fn every_stored_scan_is_in_one_workspace_and_day() {
    let rows = random_rows(&mut Random::new(11), 3_000);
    let days = date(2026, 11, 1)..=date(2026, 11, 30);
    let mut counts = BTreeMap::new();
    for row in &rows {
        let day = Offset::UTC.to_datetime(row.scan.time).date();
        if days.contains(&day) {
            *counts.entry((row.scan.workspace.clone(), day)).or_insert(0) += 1;
        }
    }
    assert!(counts.len() > 30 && counts.values().sum::<u64>() < 3_000);
    with_each_store(|name, store, runtime| {
        runtime.block_on(store.insert(&block(0, rows.clone())))?;
        let all = runtime.block_on(store.usage(days.clone(), None))?;
        let found = all.iter();
        let found = found.map(|it| ((it.workspace.to_string(), it.day), it.scans));
        assert_eq!(found.collect::<BTreeMap<_, _>>(), counts, "{name}");
        assert_eq!(all.len(), counts.len(), "{name}: each once");
        for it in &all {
            let of_a_row = it.stored_bytes / it.scans;
            assert!((5..2_000).contains(&of_a_row), "{name}: {it:?}");
        }
        let acme = workspace("acme");
        let of_one = runtime.block_on(store.usage(days.clone(), Some(&acme)))?;
        let of_acme = all.iter().filter(|it| it.workspace == acme).cloned();
        assert_eq!(of_one, of_acme.collect::<Vec<_>>(), "{name}");

        let none = date(1960, 1, 1)..=date(1969, 12, 31);
        assert_eq!(runtime.block_on(store.usage(none, None))?, [], "{name}");
        Ok(())
    });
}
