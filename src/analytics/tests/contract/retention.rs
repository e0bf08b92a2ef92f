//! What workspaces keep no longer leaves both stores, that and nothing else, and the ledger does not miss it.

use std::time::{Duration, Instant};

use analytics::{Bots, Expiry, Interval, Period, Positions, Row, ScanStore, Select, ledger};
use jiff::{SignedDuration, Timestamp};
use tokio::runtime::Runtime;

use crate::data::{BASE, at, block, header, key, row, source};
use crate::stores::with_each_store;
use crate::{query, workspace};

const DAY: i64 = 86_400;
const RANGE: (&str, &str) = ("2026-10-01T00:00:00Z", "2026-12-31T00:00:00Z");

/// One a day for each of three workspaces, the newest at BASE.
fn rows() -> Vec<Row> {
    let days = (0..30).flat_map(|day| ["acme", "keeps all", "other"].map(|of| (day, of)));
    let rows = (0..).zip(days).map(|(seq, (day, of))| {
        let mut row = row(seq, at(BASE) - SignedDuration::from_secs(day * DAY));
        row.scan.workspace = of.replace(' ', "-");
        row
    });
    rows.collect()
}

fn expiry(of: &str, before: Timestamp) -> Expiry {
    Expiry {
        workspace: workspace(of),
        before,
    }
}

/// ClickHouse deletes by and by.
fn expire(store: &dyn ScanStore, runtime: &Runtime, expiries: &[Expiry]) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let expired = runtime.block_on(store.expire(expiries, &|| true));
        if let Some(scans) = expired.expect("a store that answers") {
            return scans;
        }
        assert!(Instant::now() < deadline, "still being deleted");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn total(store: &dyn ScanStore, runtime: &Runtime, of: &str) -> u64 {
    let all = query(Select::Workspace, RANGE, Interval::Day, &[], Bots::Include);
    let report = runtime.block_on(store.scans(&workspace(of), &all));
    report.expect("an answer").total
}

#[test]
fn what_is_kept_no_longer_is_deleted_and_not_missed() {
    with_each_store(|name, store, runtime| {
        let rows = rows();
        let mut all = block(0, rows.clone());
        let mut of_all = header(0);
        (of_all.count, of_all.dropped) = (90, Default::default());
        all.headers = vec![of_all];
        runtime.block_on(store.insert(&all))?;
        let settled = Positions {
            source: source(),
            offset: 1,
            writers: [(key(), Default::default())].into(),
        };
        runtime.block_on(store.save_positions(&settled))?;
        let compared = || {
            let period = Period::new(at(RANGE.0), at(RANGE.1))?;
            let report = runtime.block_on(ledger(store, &period, None, at(BASE)))?;
            assert!(report.is_exact(), "{name}: {report:?}");
            let kept = report.writers[0].kept;
            anyhow::Ok((kept.rows, kept.stored, kept.expired))
        };
        assert_eq!(compared()?, (90, 90, 0), "{name}");

        // The scan of that very moment is kept.
        let week = at(BASE) - SignedDuration::from_secs(7 * DAY);
        let expiries = [
            expiry("acme", week),
            expiry("other", at(BASE) - SignedDuration::from_secs(20 * DAY)),
            expiry("nobody", at(RANGE.1)),
        ];
        let lifted = runtime.block_on(store.expire(&expiries, &|| false))?;
        assert_eq!(lifted, None, "{name}: the setting was lifted meanwhile");
        assert_eq!(compared()?, (90, 90, 0), "{name}");
        assert_eq!(expire(store, runtime, &expiries), 22 + 9, "{name}");
        assert_eq!(
            expire(store, runtime, &expiries),
            0,
            "{name}: all is deleted"
        );
        for (of, left) in [("acme", 8), ("other", 21), ("keeps-all", 30)] {
            assert_eq!(total(store, runtime, of), left, "{name}: {of}");
        }
        assert_eq!(compared()?, (59, 59, 31), "{name}");

        // A replay of what is deleted already, and a late scan of another day.
        let old = at(BASE) - SignedDuration::from_secs(9 * DAY);
        runtime.block_on(store.insert(&block(1, vec![rows[87].clone(), row(90, old)])))?;
        assert_eq!(compared()?, (60, 60, 30), "{name}: it is stored again");
        assert_eq!(expire(store, runtime, &expiries), 2, "{name}");
        assert_eq!(expire(store, runtime, &expiries), 0, "{name}");
        assert_eq!(compared()?, (59, 59, 31), "{name}");
        assert_eq!(expire(store, runtime, &[]), 0, "{name}: nobody has a limit");
        Ok(())
    });
}
