//! Snapshot files: what was written is read back, and what is not whole is refused with its reason.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use table::{SnapshotError, SnapshotInfo, Table, read_snapshot_info};
use tags::Topic;

#[test]
fn a_snapshot_that_is_not_there_is_told_from_one_that_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.snapshot");
    let missing = |e| matches!(e, SnapshotError::Missing { .. });
    assert!(Table::new().read_snapshot(&path).is_err_and(missing));
    std::fs::write(&path, "not a snapshot").unwrap();
    let other = |e| matches!(e, SnapshotError::NotASnapshot);
    assert!(Table::new().read_snapshot(&path).is_err_and(other));
}

#[test]
fn a_snapshot_says_what_it_is_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.snapshot");
    let info = SnapshotInfo {
        cluster: "a cluster".to_owned(),
        positions: vec![(Topic::Tags, 0, 7), (Topic::Settings, 3, i64::MAX)],
        taken_at: jiff::Timestamp::from_second(1_800_000_000).unwrap(),
    };
    let table = Table::new();
    let incomplete = |e| matches!(e, SnapshotError::Incomplete);
    assert!(table.write_snapshot(&path, &info).is_err_and(incomplete));
    table.complete();
    assert_eq!(table.write_snapshot(&path, &info).unwrap(), 0);
    assert_eq!(read_snapshot_info(&path).unwrap(), info);
    assert_eq!(Table::new().read_snapshot(&path).unwrap(), info);
    let complete = |e| matches!(e, SnapshotError::NotFilling);
    assert!(table.read_snapshot(&path).is_err_and(complete));
}
