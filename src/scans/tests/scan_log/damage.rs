//! What is damaged in the folder costs what was there, is counted, and stops nothing.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use scans::{Delivered, DropReason, Shipper};

use crate::collecting::{Arrived, Collecting, drain, open, quick};
use crate::{append, arrived_once, begun, segments, ship};

#[test]
fn a_flipped_bit_costs_one_scan_and_is_counted() -> Result<()> {
    let hot = tempfile::tempdir()?;
    let log = open(hot.path());
    let mut writer = log.writer();
    let seqs = append(&mut writer, 1_000);
    drop((writer, log));
    let victim = segments(hot.path())
        .into_iter()
        .nth(1)
        .context("a second segment")?;
    flip(&victim, 20_000);
    let arrived = Arrived::default();
    let ledger = drain(ship(open(hot.path()), &arrived)?);
    let found = arrived_once(&arrived);
    assert_eq!(
        (found.len(), found.is_subset(&seqs)),
        (seqs.len() - 1, true)
    );
    assert_eq!(
        (
            ledger.accepted,
            ledger.dropped[DropReason::Corrupt as usize]
        ),
        (1_000, 1)
    );
    Ok(())
}

#[test]
fn damage_is_counted_once_however_many_runs_meet_it() -> Result<()> {
    let hot = tempfile::tempdir()?;
    let log = open(hot.path());
    let written = append(&mut log.writer(), 1_000).len();
    drop(log);
    flip(&segments(hot.path())[0], 20_000);
    let away = |_: usize, _: &_| Delivered::Failed {
        reason: "away".into(),
    };
    for _ in 0..2 {
        let (log, nowhere) = (open(hot.path()), Arrived::default());
        let outlet = Collecting::with_fate(&nowhere, Box::new(away));
        let shipper = Shipper::start(Arc::clone(&log), Box::new(outlet), quick())?;
        // Its farewell waits for the rest, so that it ends with everything read and nothing stored.
        while log.ledger().waiting() == written as u64 {
            std::thread::yield_now();
        }
        drop(shipper);
    }
    let arrived = Arrived::default();
    let ledger = drain(ship(open(hot.path()), &arrived)?);
    assert_eq!(arrived_once(&arrived).len(), written - 1);
    assert_eq!(ledger.waiting(), 0);
    let batches = arrived.0.lock().expect("not poisoned");
    let (_, last) = batches.last().context("a last batch")?;
    assert_eq!(last.dropped, [("corrupt".to_owned(), 1)]);
    Ok(())
}

#[test]
fn a_batch_that_is_damaged_before_it_is_sent_again_goes_in_parts() -> Result<()> {
    let hot = tempfile::tempdir()?;
    let log = open(hot.path());
    let mut writer = log.writer();
    let appended = append(&mut writer, 100);
    let file = begun(hot.path()).pop().context("the writer's")?;
    let fate = move |n: usize, _: &_| {
        if n > 0 {
            return Delivered::Stored { partition: None };
        }
        flip(&file, 20_000);
        Delivered::Failed {
            reason: "away".into(),
        }
    };
    let arrived = Arrived::default();
    let outlet = Collecting::with_fate(&arrived, Box::new(fate));
    let shipper = Shipper::start(Arc::clone(&log), Box::new(outlet), quick())?;
    arrived.wait_until("both parts", |batches| batches.len() >= 2);
    append(&mut writer, 1);
    drop(writer);
    let ledger = drain(shipper);
    let found = arrived_once(&arrived);
    assert_eq!(found.len(), appended.len() + 1 - 1);
    assert_eq!((ledger.accepted, ledger.dropped), (101, [0, 0, 0, 1]));
    Ok(())
}

#[test]
fn a_torn_end_and_a_damaged_header_do_not_stop_the_start() -> Result<()> {
    let hot = tempfile::tempdir()?;
    let log = open(hot.path());
    let mut writer = log.writer();
    let seqs = append(&mut writer, 700);
    drop((writer, log));
    // The first segment's header is hit; the last one's last record was never written out.
    let paths = segments(hot.path());
    OpenOptions::new()
        .write(true)
        .open(&paths[0])?
        .write_all_at(b"damage", 16)?;
    let last = OpenOptions::new()
        .read(true)
        .write(true)
        .open(paths.last().context("a last segment")?)?;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut &last, &mut bytes)?;
    let end = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .context("written")?;
    last.write_all_at(&[0; 40], end as u64 - 40)?;
    let arrived = Arrived::default();
    drain(ship(open(hot.path()), &arrived)?);
    let found = arrived_once(&arrived);
    assert!(found.is_subset(&seqs));
    assert_eq!(found.last(), Some(&698));
    assert!(paths[0].with_extension("refused").exists(), "set aside");
    Ok(())
}

/// Flips bits of a file that others have mapped: in eight bytes, of which at least one is no filling.
fn flip(file: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(file);
    let (file, mut bytes) = (file.expect("a file"), [0; 8]);
    file.read_exact_at(&mut bytes, at).expect("readable");
    let flipped = bytes.map(|byte| byte ^ 4);
    file.write_all_at(&flipped, at).expect("writable");
}
