//! One run after another in the same folder, or beside it: what each leaves, and who ships it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use scans::{Delivered, EncodedBatch, ScanBatch, ScanLog, ScanLogError, Shipper};

use crate::collecting::{Arrived, Collecting, drain, open, options, quick, scan};
use crate::{append, arrived_once, segments, ship};

#[test]
fn a_later_start_ships_what_an_earlier_one_left_under_its_name_and_partition() -> Result<()> {
    let hot = tempfile::tempdir()?;
    let log = open(hot.path());
    let mut writer = log.writer();
    let seqs = append(&mut writer, 2_000);
    let key = writer.key().clone();
    // Some of it arrives and is acknowledged; then the shipper stops.
    let before = Arrived::default();
    let fate = |n: usize, _: &_| {
        if n < 2 {
            Delivered::Stored { partition: None }
        } else {
            Delivered::Failed {
                reason: "away".into(),
            }
        }
    };
    let shipper = Shipper::start(
        Arc::clone(&log),
        Box::new(Collecting::with_fate(&before, Box::new(fate))),
        quick(),
    )?;
    before.wait_until("two batches", |batches| batches.len() == 2);
    drop(shipper);
    drop((writer, log));

    let log = open(hot.path());
    assert!(log.ledger().adopted > 0 && log.ledger().waiting() == log.ledger().adopted);
    let after = Arrived::default();
    let ledger = drain(Shipper::start(
        Arc::clone(&log),
        Box::new(Collecting::new(&after)),
        quick(),
    )?);
    assert_eq!(ledger.accepted, ledger.acknowledged);
    assert_eq!(&arrived_once(&before) | &arrived_once(&after), seqs);
    let batches = after.0.lock().expect("not poisoned");
    let partition = before.0.lock().expect("not poisoned")[0].0.partition;
    assert!(
        partition.is_some()
            && batches
                .iter()
                .all(|(sent, _)| sent.writer == key && sent.partition == partition)
    );
    assert_eq!(
        batches.last().map(|(sent, _)| (sent.first_seq, sent.count)),
        Some((2_000, 0))
    );
    drop(log);
    assert_eq!(segments(hot.path()), Vec::<PathBuf>::new());
    Ok(())
}

#[test]
fn a_clean_end_leaves_no_segment_and_an_unclean_one_all_that_is_not_stored() -> Result<()> {
    let hot = tempfile::tempdir()?;
    let log = open(hot.path());
    let (mut ended, mut stays) = (log.writer(), log.writer());
    append(&mut ended, 1_000);
    append(&mut stays, 1_000);
    drop(ended);
    drain(Shipper::start(
        Arc::clone(&log),
        Box::new(Collecting::new(&Arrived::default())),
        quick(),
    )?);
    // Whoever still writes keeps the segment, so that its scans are not lost with the file.
    let late = append(&mut stays, 3);
    drop((stays, log));
    assert_eq!(segments(hot.path()).len(), 1);
    let log = open(hot.path());
    assert_eq!(log.ledger().adopted, 3);
    let arrived = Arrived::default();
    drain(ship(log, &arrived)?);
    assert_eq!(arrived_once(&arrived), late);
    assert_eq!(segments(hot.path()), Vec::<PathBuf>::new());
    Ok(())
}

#[test]
fn a_folder_has_one_process_and_no_other_reader() -> Result<()> {
    let parent = tempfile::tempdir()?;
    let hot = parent.path().join("hot");
    fs::create_dir(&hot)?; // with the mode that the user's mask gives
    let log = open(&hot);
    assert_eq!(fs::metadata(&hot)?.permissions().mode() & 0o777, 0o700);
    let second = ScanLog::open(&options(&hot), &prometheus::Registry::new());
    let error = second.err().context("refused")?;
    assert!(
        matches!(error, ScanLogError::InUse { .. })
            && error.to_string().contains(&hot.display().to_string()),
        "{error}"
    );
    drop(log);
    open(&hot);
    Ok(())
}

/// Opens the log again beside a process that hands it over.
fn open_beside(log: &ScanLog, hot: &Path) -> Result<Arc<ScanLog>> {
    let lock = log.lock().try_clone_to_owned()?;
    let registry = prometheus::Registry::new();
    Ok(ScanLog::open_beside(&options(hot), Some(lock), &registry)?)
}

#[test]
fn two_runs_share_a_folder_and_the_second_ships_what_the_first_leaves() -> Result<()> {
    let hot = tempfile::tempdir()?;
    let first = open(hot.path());
    let mut writer = first.writer();
    for _ in 0..1_000 {
        writer.append(&scan("first"))?;
    }
    let second = open_beside(&first, hot.path())?;
    let arrived = Arrived::default();
    let shipper = ship(Arc::clone(&second), &arrived)?;
    second.writer().append(&scan("second"))?;
    let count = |batches: &[(EncodedBatch, ScanBatch)]| -> u32 {
        batches.iter().map(|(batch, _)| batch.count).sum()
    };
    arrived.wait_until("the second ships its own", |batches| count(batches) == 1);
    assert_eq!(second.ledger().adopted, 0, "the first lives");
    writer.append(&scan("first"))?;

    // As if it had been killed: nothing is shipped, and its locks are gone.
    let boot = first.boot();
    drop((writer, first));
    arrived.wait_until("the second ships the first's", |batches| {
        count(batches) == 1_002
    });
    assert_eq!(second.ledger().adopted, 1_001);
    let scans = arrived.scans();
    assert!(scans.values().all(|scans| scans.len() == 1), "none twice");
    let of_first = scans.keys().filter(|id| id.boot == boot);
    let numbers: Vec<_> = of_first.map(|id| id.seq).collect();
    assert_eq!(numbers, (0..1_001).collect::<Vec<_>>());

    drop(second);
    drain(shipper);
    let left: Vec<_> = fs::read_dir(hot.path())?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<std::io::Result<_>>()?;
    assert_eq!(left, ["lock"]);
    Ok(())
}

#[test]
fn a_run_that_was_killed_and_left_nothing_is_forgotten_at_the_next_start() -> Result<()> {
    let hot = tempfile::tempdir()?;
    let lock_file = hot.path().join("00000000000000ff.boot");
    fs::write(&lock_file, b"")?;
    let log = open(hot.path());
    assert!(!lock_file.exists());
    drop(log);
    Ok(())
}

#[test]
fn a_folder_that_is_handed_over_stays_locked_until_both_have_ended() -> Result<()> {
    let (hot, elsewhere) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let other = open(elsewhere.path());
    let first = open(hot.path());
    let of_another_folder = open_beside(&other, hot.path()).err().context("refused")?;
    assert!(
        of_another_folder.to_string().contains("another process"),
        "{of_another_folder}"
    );
    let second = open_beside(&first, hot.path())?;
    let third = || ScanLog::open(&options(hot.path()), &prometheus::Registry::new());
    assert!(matches!(third(), Err(ScanLogError::InUse { .. })));
    drop(first);
    assert!(matches!(third(), Err(ScanLogError::InUse { .. })));
    drop(second);
    third()?;
    Ok(())
}
