//! Scans that a workspace keeps no longer are deleted while the admin runs, and no others.

use std::time::{Duration, Instant};

use analytics::{ScanStore, SqliteStore};
use jiff::{SignedDuration, Timestamp};
use prometheus::Registry;
use serde_json::json;

use crate::scanned::{block, row};
use crate::support::{Api, Server};

async fn total(api: &Api) -> u64 {
    let from = Timestamp::now() - SignedDuration::from_hours(30 * 24);
    let report = api
        .get(&format!("/analytics/scans?interval=day&from={from}"))
        .await;
    report.ok()["total"].as_u64().unwrap()
}

#[tokio::test]
async fn a_workspace_s_setting_acts_on_its_scans_within_a_minute() {
    let server = Server::start().await;
    let (owner, other) = (server.owner(), server.other_tenant().await);
    let acme = server.workspace_of(&other).await;
    let store = SqliteStore::open(&server.data_dir.join("scans.sqlite")).unwrap();
    let mut rows = Vec::new();
    for (seq, days) in (0..20).enumerate() {
        for (writer, workspace) in ["default", &acme].into_iter().enumerate() {
            let at = Timestamp::now() - SignedDuration::from_hours(days * 24);
            let mut row = row(seq as u64, at);
            row.id.writer = writer as u32;
            row.scan.workspace = workspace.to_owned();
            rows.push(row);
        }
    }
    // More than are deleted at a time, and of none that is kept.
    let old = Timestamp::now() - SignedDuration::from_hours(25 * 24);
    rows.extend((20..5_020).map(|seq| {
        let mut row = row(seq, old);
        row.scan.workspace = "default".to_owned();
        row
    }));
    store.insert(&block(0, rows)).await.unwrap();
    assert_eq!((total(&owner).await, total(&other).await), (5_020, 20));

    let registry = Registry::new();
    server.admin.register_metrics(&registry).unwrap();
    let patch = json!({"retention_days": 7});
    owner.patch("/workspaces/default", patch).await.ok();
    let deadline = Instant::now() + Duration::from_secs(90);
    // Today's, and those of seven whole days.
    while total(&owner).await > 8 {
        assert!(
            Instant::now() < deadline,
            "{} are kept",
            total(&owner).await
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!((total(&owner).await, total(&other).await), (8, 20));
    let metrics = prometheus::TextEncoder::new();
    let metrics = metrics.encode_to_string(&registry.gather()).unwrap();
    let line = |name: &str| {
        let mut lines = metrics.lines();
        let line = lines.find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse::<f64>().unwrap()
    };
    assert_eq!(line("tagwire_admin_retention_scans_total "), 5_012.0);
    assert!(line("tagwire_admin_retention_timestamp_seconds ") > 0.0);
}
