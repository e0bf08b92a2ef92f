//! Scans one by one, page by page.

use analytics::{Bots, ExportedScan, Row, ScanFilter, ScanStore, Select};
use tags::{Code, Domain, Outcome, WorkspaceId};
use tokio::runtime::Runtime;

use crate::data::{BASE, Random, at, block, random_rows, row};
use crate::stores::with_each_store;
use crate::{passing, workspace};

fn exported(row: &Row) -> ExportedScan {
    let scan = &row.scan;
    ExportedScan {
        time: scan.time,
        domain: scan.domain.clone(),
        code: scan.code.clone(),
        tag_version: scan.tag_version,
        campaign: scan.campaign.clone(),
        outcome: scan.outcome.as_str().to_owned(),
        rule: scan.rule.clone(),
        destination: (scan.outcome == Outcome::Redirected).then_some(scan.destination_index),
        country: row.country.clone(),
        region: row.region.clone(),
        city: row.city.clone(),
        device: row.device.to_owned(),
        os: row.os.to_owned(),
        browser: row.browser.to_owned(),
        language: row.language.clone(),
        referrer: scan.referrer_host.clone(),
        automated: row.is_automated(),
        bot_reason: row.bot_reason.clone(),
    }
}

/// All pages, one behind the other.
fn all(
    store: &dyn ScanStore,
    runtime: &Runtime,
    workspace: &WorkspaceId,
    filter: &ScanFilter,
    most: usize,
) -> anyhow::Result<Vec<ExportedScan>> {
    let (mut scans, mut next) = (Vec::new(), None);
    loop {
        let page = store.scan_page(workspace, filter, next.as_ref(), most);
        let page = runtime.block_on(page)?;
        assert!(page.scans.len() <= most);
        scans.extend(page.scans);
        next = page.next;
        if next.is_none() {
            return Ok(scans);
        }
    }
}

#[test]
fn every_scan_comes_once_in_the_order_of_time_whatever_the_length_of_a_page() {
    let seed = 0x5eed_0005;
    let rows = random_rows(&mut Random::new(seed), 3_000);
    let code = Select::Code {
        domain: Domain::parse("qr.example.com").expect("valid"),
        code: Code::parse("c1").expect("valid"),
    };
    let ranges = [
        ("2026-11-25T09:30:00.5Z", "2026-11-25T11:00:00Z"),
        // Also the longest that there is.
        ("0000-01-01T00:00:00Z", "9999-12-30T22:00:00Z"),
    ];
    with_each_store(|name, store, runtime| {
        for (n, part) in rows.chunks(700).enumerate() {
            runtime.block_on(store.insert(&block(n as i64, part.to_vec())))?;
        }
        for id in ["acme", "other", "nobody"] {
            for select in [
                Select::Workspace,
                code.clone(),
                Select::Campaign("summer 'x' \\ {y:String}".to_owned()),
            ] {
                for (bots, (from, to), most) in [
                    (Bots::Exclude, ranges[0], 37),
                    (Bots::Include, ranges[1], 100),
                    (Bots::Only, ranges[1], 10_000),
                ] {
                    let filter = ScanFilter::new(select.clone(), (at(from), at(to)), bots)?;
                    let told = all(store, runtime, &workspace(id), &filter, most)?;
                    let mut expected = passing(&rows, &workspace(id), &filter);
                    expected.sort_by_key(|row| (row.scan.time, row.id.seq));
                    let expected: Vec<_> = expected.into_iter().map(exported).collect();
                    assert_eq!(told, expected, "{name}, seed {seed:#x}, {id}, {filter:?}");
                    assert_eq!(told.is_empty(), id == "nobody", "{name}, {id}");
                }
            }
        }
        Ok(())
    });
}

#[test]
fn scans_of_one_moment_by_many_writers_are_all_there_page_by_page() {
    let rows = (0..300).map(|n| {
        let mut row = row(n / 30, at(BASE));
        row.id.writer = (n % 5) as u32;
        row.id.edge = format!("edge 'ä' \\ {}", n % 2).into();
        row.id.boot = [7, 8, u64::MAX][n as usize % 3];
        row.scan.rule = n.to_string();
        row
    });
    let rows: Vec<Row> = rows.collect();
    let range = (
        at("2026-11-25T10:00:00Z"),
        at("2026-11-25T10:00:00.000001Z"),
    );
    with_each_store(|name, store, runtime| {
        runtime.block_on(store.insert(&block(0, rows.clone())))?;
        let filter = ScanFilter::new(Select::Workspace, range, Bots::Exclude)?;
        for most in [1, 7, 300, 301] {
            let told = all(store, runtime, &workspace("acme"), &filter, most)?;
            let mut rules: Vec<u32> = told
                .iter()
                .map(|scan| scan.rule.parse())
                .collect::<Result<_, _>>()?;
            rules.sort_unstable();
            assert_eq!(rules, (0..300).collect::<Vec<_>>(), "{name}, {most}");
        }
        Ok(())
    });
}

#[test]
fn a_code_that_nobody_gave_out_and_another_workspaces_scans_are_not_taken_out() {
    with_each_store(|name, store, runtime| {
        let mut rows: Vec<_> = (0..3).map(|seq| row(seq, at(BASE))).collect();
        rows[1].scan.tag_version = 0;
        rows[2].scan.workspace = "other".to_owned();
        runtime.block_on(store.insert(&block(0, rows.clone())))?;
        let range = (at("2026-11-25T00:00:00Z"), at("2026-11-26T00:00:00Z"));
        let filter = ScanFilter::new(Select::Workspace, range, Bots::Include)?;
        let told = all(store, runtime, &workspace("acme"), &filter, 10)?;
        assert_eq!(told, [exported(&rows[0])], "{name}");
        Ok(())
    });
}
