//! A bounded log: what is dropped when it is full, what is written again, and the numbers of all that.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use scans::{DropReason, Dropped, ScanLog, ScanLogOptions};

use crate::collecting::{Arrived, drain, options, scan};
use crate::{append, arrived_once, begun, segments, ship};

#[test]
fn a_full_log_drops_by_number_and_recovers_when_there_is_room() -> Result<()> {
    let hot = tempfile::tempdir()?;
    let small = ScanLogOptions {
        max_bytes: 256 << 10,
        spares: 1,
        ..options(hot.path())
    };
    let registry = prometheus::Registry::new();
    let log = ScanLog::open(&small, &registry)?;
    let mut writer = log.writer();
    let (mut stored, mut dropped) = (BTreeSet::new(), BTreeSet::new());
    for n in 0..3_000u64 {
        match writer.append(&scan("full")) {
            Ok(seq) => assert!(stored.insert(seq) && seq == n),
            Err(Dropped { seq, reason }) => {
                assert!(dropped.insert(seq) && seq == n && reason == DropReason::LogFull)
            }
        }
    }
    writer.drop_unknown();
    assert!(dropped.len() > 1_000, "{} bytes hold no more", 256 << 10);
    let arrived = Arrived::default();
    let shipper = ship(Arc::clone(&log), &arrived)?;
    arrived.wait_until("all is shipped", |batches| {
        batches
            .iter()
            .map(|(sent, _)| sent.count as usize)
            .sum::<usize>()
            == stored.len()
    });
    let seq = loop {
        match writer.append(&scan("room again")) {
            Ok(seq) => break seq,
            Err(lost) => assert!(dropped.insert(lost.seq)),
        }
        std::thread::yield_now();
    };
    stored.insert(seq);
    let ledger = drain(shipper);
    assert_eq!(arrived_once(&arrived), stored);
    assert_eq!(
        ledger.accepted,
        seq + 1 + 1,
        "the unknown one has no number"
    );
    assert_eq!(ledger.dropped, [dropped.len() as u64, 1, 0, 0]);
    let metrics = registry.gather();
    let reasons = metrics
        .iter()
        .find(|family| family.name() == "tagwire_edge_scans_dropped_total")
        .context("registered")?;
    assert_eq!(reasons.get_metric().len(), DropReason::COUNT);
    Ok(())
}

#[test]
fn a_start_over_a_full_log_drops_scans_until_that_is_shipped_and_says_which() -> Result<()> {
    let hot = tempfile::tempdir()?;
    let small = ScanLogOptions {
        max_bytes: 256 << 10,
        spares: 1,
        ..options(hot.path())
    };
    let log = ScanLog::open(&small, &prometheus::Registry::new())?;
    let (mut writer, mut before) = (log.writer(), 0);
    loop {
        match writer.append(&scan("full")) {
            Ok(_) => before += 1,
            // Faster than segments are made, or that was the last one.
            Err(_) if begun(hot.path()).len() == 4 => break,
            Err(_) => std::thread::yield_now(),
        }
    }
    drop((writer, log));
    let log = ScanLog::open(&small, &prometheus::Registry::new())?;
    let mut writer = log.writer();
    for _ in 0..10 {
        writer
            .append(&scan("no room"))
            .expect_err("the log is full");
    }
    let arrived = Arrived::default();
    let shipper = ship(Arc::clone(&log), &arrived)?;
    let dropped = loop {
        match writer.append(&scan("room again")) {
            Ok(seq) => break seq,
            Err(lost) => assert_eq!(lost.reason, DropReason::LogFull),
        }
        std::thread::yield_now();
    };
    let key = writer.key().clone();
    let ledger = drain(shipper);
    assert_eq!(ledger.dropped, [dropped, 0, 0, 0]);
    assert_eq!(ledger.acknowledged, before + 1);
    let batches = arrived.0.lock().expect("not poisoned");
    let first = batches.iter().find(|(sent, _)| sent.writer == key);
    let (sent, read) = first.context("a batch of this run")?;
    assert_eq!(
        (sent.first_seq, &read.dropped),
        (dropped, &vec![("log_full".to_owned(), dropped)]),
        "its first batch explains why it does not begin with 0"
    );
    Ok(())
}

#[test]
fn the_ledger_adds_up_at_every_look() -> Result<()> {
    let hot = tempfile::tempdir()?;
    let registry = prometheus::Registry::new();
    let log = ScanLog::open(
        &ScanLogOptions {
            max_bytes: 512 << 10,
            ..options(hot.path())
        },
        &registry,
    )?;
    let arrived = Arrived::default();
    let shipper = ship(Arc::clone(&log), &arrived)?;
    let done = Arc::new(AtomicBool::new(false));
    // Both before either writes: one alone soon has the whole of this small log.
    let writers = [log.writer(), log.writer()];
    let threads: Vec<_> = writers
        .into_iter()
        .map(|mut writer| {
            let done = Arc::clone(&done);
            std::thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let _ = writer.append(&scan("x"));
                }
            })
        })
        .collect();
    let value = |name: &str| -> f64 {
        let families = registry.gather();
        let family = families
            .iter()
            .find(|family| family.name() == name)
            .expect("registered");
        family
            .get_metric()
            .iter()
            .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
            .sum()
    };
    for _ in 0..300 {
        let ledger = log.ledger();
        let known = ledger.acknowledged + ledger.dropped.iter().sum::<u64>();
        assert!(known <= ledger.accepted, "{ledger:?}");
    }
    assert!(value("tagwire_edge_scans_waiting") <= value("tagwire_edge_scans_accepted_total"));
    done.store(true, Ordering::Relaxed);
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("ends"));
    let ledger = drain(shipper);
    assert_eq!(arrived_once_per_writer(&arrived), ledger.acknowledged);
    assert_eq!(
        value("tagwire_edge_scans_accepted_total") as u64,
        ledger.accepted
    );
    Ok(())
}

fn arrived_once_per_writer(arrived: &Arrived) -> u64 {
    let scans = arrived.scans();
    assert!(scans.values().all(|scans| scans.len() == 1));
    scans.len() as u64
}

#[test]
fn stored_segments_are_written_again_and_none_of_their_old_records_is_read() -> Result<()> {
    let hot = tempfile::tempdir()?;
    let few = ScanLogOptions {
        spares: 4,
        ..options(hot.path())
    };
    let log = ScanLog::open(&few, &prometheus::Registry::new())?;
    let arrived = Arrived::default();
    let shipper = ship(Arc::clone(&log), &arrived)?;
    let mut writer = log.writer();
    let (mut appended, mut files) = (BTreeSet::new(), BTreeSet::new());
    let (rounds, more_than_a_segment_holds) = (40, 250);
    for _ in 0..rounds {
        appended.extend(append(&mut writer, more_than_a_segment_holds));
        while log.ledger().waiting() > 0 {
            std::thread::yield_now();
        }
        files.extend(segments(hot.path()));
    }
    assert!(
        files.len() < rounds / 2,
        "{} files for {rounds} segments",
        files.len()
    );
    // What is left is adopted out of a segment that has been written before.
    drop(shipper);
    appended.extend(append(&mut writer, 10));
    drop((writer, log));
    let log = ScanLog::open(&few, &prometheus::Registry::new())?;
    drain(ship(log, &arrived)?);
    assert_eq!(arrived_once(&arrived), appended);
    Ok(())
}
