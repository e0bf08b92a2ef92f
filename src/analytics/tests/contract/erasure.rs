//! A visitor is taken out of a day's scans, of one workspace, in both stores; what is counted stays, and rollups follow.

use analytics::{
    Bots, Dimension, Erasure, Interval, Row, ScanStore, Select, SqliteStore, StoreError,
    VisitorQuery,
};
use jiff::{SignedDuration, Timestamp};
use scans::Visitor;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::data::{BASE, at, block, row};
use crate::rollups::roll_up;
use crate::stores::with_each_opened;
use crate::{query, workspace};

const RANGE: (&str, &str) = ("2026-11-24T00:00:00Z", "2026-11-27T00:00:00Z");
/// Of the day's first and last moments, and of the days beside it.
const TIMES: [&str; 5] = [
    "2026-11-24T23:59:59.999999Z",
    "2026-11-25T00:00:00Z",
    BASE,
    "2026-11-25T23:59:59.999999Z",
    "2026-11-26T00:00:00Z",
];

fn scan(seq: u64, time: Timestamp, of: &str, visitor: u64) -> Row {
    let mut row = row(seq, time);
    row.scan.workspace = of.to_owned();
    row.scan.visitor = Visitor::from_u64(visitor);
    row.scan.referrer_host = "a.example".to_owned();
    row
}

fn erasure(of: &str, visitor: u64) -> Erasure {
    Erasure {
        workspace: workspace(of),
        day: "2026-11-25".parse().expect("a day"),
        visitor: Visitor::from_u64(visitor),
    }
}

/// The scans of a workspace by value of what tells of their visitors, and its visitors day by day.
fn told(
    store: &dyn ScanStore,
    runtime: &Runtime,
    of: &str,
) -> anyhow::Result<(serde_json::Value, Vec<(u64, u64)>)> {
    let by = [
        Dimension::Country,
        Dimension::Region,
        Dimension::City,
        Dimension::Device,
        Dimension::Os,
        Dimension::Browser,
        Dimension::Language,
        Dimension::Referrer,
    ];
    let asked = query(Select::Workspace, RANGE, Interval::Day, &by, Bots::Include);
    let report = runtime.block_on(store.scans(&workspace(of), &asked))?;
    let known = by.map(|dimension| {
        let values = report.breakdown.iter().find(|(of, _)| *of == dimension);
        let values = values.map(|(_, values)| values.clone()).unwrap_or_default();
        let unknown = ["unknown", "none"];
        let known = values
            .iter()
            .filter(|(value, _)| !unknown.contains(&value.as_str()));
        known.map(|(_, scans)| *scans).sum::<u64>()
    });
    let visitors = VisitorQuery::new(Select::Workspace, (at(RANGE.0), at(RANGE.1)), Bots::Include)?;
    let days = runtime.block_on(store.visitor_days(&workspace(of), &visitors))?;
    let days = days.iter().map(|day| (day.scans, day.visitors)).collect();
    Ok((json!([report.total, known]), days))
}

#[test]
fn a_visitor_is_taken_out_of_one_day_in_one_workspace_and_all_is_counted_as_before() {
    with_each_opened(|opened| {
        let (name, store, runtime) = (opened.name, &*opened.store, opened.runtime);
        let mut rows = Vec::new();
        for of in ["acme", "other"] {
            for time in TIMES {
                for visitor in [7, u64::MAX] {
                    rows.push(scan(rows.len() as u64, at(time), of, visitor));
                }
            }
        }
        runtime.block_on(store.insert(&block(0, rows)))?;
        roll_up(runtime, store)?;
        let all = json!([10, [10, 10, 10, 10, 10, 10, 10, 10]]);
        let days = vec![(2, 2), (6, 2), (2, 2)];
        let before = told(store, runtime, "acme")?;
        assert_eq!(before, (all.clone(), days.clone()), "{name}");

        let erase = |erasure| runtime.block_on(store.erase(&erasure));
        assert_eq!(erase(erasure("nobody", u64::MAX))?, 0, "{name}");
        assert_eq!(erase(erasure("acme", 8))?, 0, "{name}");
        assert_eq!(erase(erasure("acme", u64::MAX))?, 3, "{name}");
        let less = json!([10, [7, 7, 7, 7, 7, 7, 7, 7]]);
        let fewer = vec![(2, 2), (6, 1), (2, 2)];
        let after = (less, fewer);
        let done = told(store, runtime, "acme")?;
        assert_eq!(done, after, "{name}: as soon as it is done");
        assert!(roll_up(runtime, store)? >= 3, "{name}: the day's hours");
        let rolled = told(store, runtime, "acme")?;
        assert_eq!(rolled, after, "{name}: from rollups");
        assert_eq!(told(store, runtime, "other")?, (all, days), "{name}");
        assert_eq!(erase(erasure("acme", u64::MAX))?, 0, "{name}: it is done");
        Ok(())
    });
}

#[test]
fn nothing_but_the_scan_itself_is_left_of_who_was_erased() {
    with_each_opened(|opened| {
        let (name, store, runtime) = (opened.name, &*opened.store, opened.runtime);
        let scans = [7, 8].map(|visitor| {
            let time = at(BASE) + SignedDuration::from_secs(visitor as i64);
            scan(visitor, time, "acme", visitor)
        });
        runtime.block_on(store.insert(&block(0, scans.to_vec())))?;
        runtime.block_on(store.erase(&erasure("acme", 7)))?;
        // What is not asked for by any question.
        for (column, left) in [
            ("visitor = 0", 1),
            ("visitor = 8", 1),
            (
                "ip_prefix = '' AND user_agent = '' AND accept_language = '' AND http_version = ''",
                1,
            ),
            (
                "ip_prefix = '203.0.113.0/24' AND user_agent = 'curl/8' AND http_version != ''",
                1,
            ),
            (
                "method = 'get' AND outcome = 'redirected' AND code = 'c1' AND tag_version = 1",
                2,
            ),
        ] {
            // A statement that fails where the count is another.
            let check = match name {
                "SQLite" => format!(
                    "CREATE TEMP TABLE checked (n CHECK (n = {left})); INSERT INTO checked SELECT count(*) FROM scans WHERE {column}"
                ),
                _ => format!(
                    "SELECT throwIf(n != {left}) FROM (SELECT count() AS n FROM scans WHERE {column})"
                ),
            };
            (opened.execute)(&check).map_err(|error| anyhow::anyhow!("{column}: {error}"))?;
        }
        Ok(())
    });
}

/// What SQLite cannot cut off is in the write-ahead log, and it is not said that it were done.
#[test]
fn who_reads_from_sqlite_keeps_what_was_erased_until_they_have_read() {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("scans.db");
    let store = SqliteStore::open(&path).expect("a new store");
    let mark = "a-phone-to-be-forgotten";
    let there = || {
        let files = std::fs::read_dir(folder.path()).expect("files");
        let mut contents = files.map(|file| std::fs::read(file.expect("a file").path()));
        contents.any(|content| {
            let content = content.unwrap_or_default();
            content.windows(mark.len()).any(|it| it == mark.as_bytes())
        })
    };
    let mut theirs = scan(0, at(BASE), "acme", 7);
    theirs.scan.user_agent = mark.to_owned();
    let store_it = |offset, row| runtime.block_on(store.insert(&block(offset, vec![row])));
    store_it(0, theirs).expect("room");
    assert!(there());
    let reader = rusqlite::Connection::open(&path).expect("the file");
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM scans;")
        .expect("a reader");
    let erase = || runtime.block_on(store.erase(&erasure("acme", 7)));
    let first = erase();
    assert!(
        matches!(first, Err(StoreError::Unfinished { .. })),
        "{first:?}"
    );
    reader.execute_batch("COMMIT").expect("a reader");
    assert_eq!(
        erase().expect("nobody reads"),
        0,
        "nothing is left to erase"
    );
    assert!(!there());

    // The same, but for the second asking: a block that comes does it.
    let mut again = scan(1, at(BASE), "acme", 7);
    again.scan.user_agent = mark.to_owned();
    store_it(1, again).expect("room");
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM scans;")
        .expect("a reader");
    assert!(erase().is_err());
    reader.execute_batch("COMMIT").expect("a reader");
    store_it(2, scan(2, at(BASE), "acme", 8)).expect("room");
    assert!(!there());
}
