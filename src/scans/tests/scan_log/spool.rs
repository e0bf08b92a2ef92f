//! What waits for long lies on disk too: so an outage may be longer than memory holds, and a machine may be lost.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use prometheus::Registry;
use scans::{DropReason, ScanLog, ScanLogError, ScanLogOptions, SpoolOptions};

use crate::collecting::drain;
use crate::machine::{FEW, HEADER, Machine, lost_machine, wait_until};
use crate::{append, arrived_once, begun, segments};

#[test]
fn an_outage_that_memory_does_not_hold_loses_nothing() -> Result<()> {
    let machine = Machine::new()?;
    machine.set_away(true);
    let log = machine.open()?;
    let shipper = machine.ship(&log)?;
    let (mut one, mut other) = (log.writer(), log.writer());
    let (mut of_one, mut of_other) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..40 {
        of_one.extend(machine.append_in_time(&mut one, FEW));
        of_other.extend(machine.append_in_time(&mut other, FEW));
    }
    assert!(machine.only_on_disk().len() > 8, "more than memory holds");
    for copy in machine.copies() {
        assert_eq!(fs::metadata(&copy)?.permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(
        fs::metadata(machine.spool.path())?.permissions().mode() & 0o777,
        0o700
    );
    machine.set_away(false);
    of_one.extend(machine.append_in_time(&mut one, 1_000));
    drop((one, other));
    let ledger = drain(shipper);
    assert_eq!(ledger.dropped, [0; DropReason::COUNT]);
    assert_eq!(ledger.accepted, (of_one.len() + of_other.len()) as u64);
    let scans = machine.arrived.scans();
    assert!(scans.values().all(|scans| scans.len() == 1), "none twice");
    let of_writer = |writer: u32| -> BTreeSet<u64> {
        let of_writer = scans.keys().filter(|id| id.writer == writer);
        of_writer.map(|id| id.seq).collect()
    };
    assert_eq!(of_writer(0), of_one);
    assert_eq!(of_writer(1), of_other);
    machine.assert_spool_is_empty();
    drop(log);
    assert_eq!(segments(machine.hot.path()), Vec::<PathBuf>::new());
    Ok(())
}

#[test]
fn scans_are_dropped_only_when_the_spool_is_full_too() -> Result<()> {
    let mut machine = Machine::new()?;
    machine.spool_bytes = 1 << 20;
    machine.set_away(true);
    let registry = Registry::new();
    let log = ScanLog::open(&machine.options(), &registry)?;
    let shipper = machine.ship(&log)?;
    let mut writer = log.writer();
    let gauge = |name: &str| -> i64 {
        let families = registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metric = family.and_then(|family| family.get_metric().first());
        metric.expect("registered").get_gauge().get_value() as i64
    };
    let mut appended = BTreeSet::new();
    let mut dropped = 0;
    let deadline = Instant::now() + Duration::from_secs(60);
    while dropped < FEW {
        assert!(Instant::now() < deadline, "it never gets full");
        let taken = append(&mut writer, FEW);
        dropped += FEW - taken.len() as u64;
        appended.extend(taken);
        std::thread::park_timeout(Duration::from_millis(20));
    }
    wait_until("it is told", || {
        gauge("tagwire_edge_scan_log_spool_available") == 0
    });
    let bytes = gauge("tagwire_edge_scan_log_spool_bytes") as u64;
    assert!(
        bytes <= machine.spool_bytes && bytes > machine.spool_bytes / 2,
        "{bytes}"
    );
    let on_disk: u64 = machine
        .copies()
        .iter()
        .map(|copy| fs::metadata(copy).map_or(0, |of| of.len()))
        .sum();
    assert!(on_disk <= bytes, "{on_disk} bytes");
    machine.set_away(false);
    drop(writer);
    let ledger = drain(shipper);
    assert_eq!(arrived_once(&machine.arrived), appended);
    assert_eq!(ledger.dropped[DropReason::LogFull as usize], dropped);
    assert_eq!(gauge("tagwire_edge_scan_log_spool_bytes"), 0);
    machine.assert_spool_is_empty();
    Ok(())
}

#[test]
fn of_a_lost_machine_what_was_on_disk_arrives_and_nobody_says_where_its_writer_ended() -> Result<()>
{
    let (machine, appended) = lost_machine(5_000)?;
    let log = machine.open()?;
    assert_eq!(log.ledger().adopted, appended.len() as u64);
    let ledger = drain(machine.ship(&log)?);
    assert_eq!(arrived_once(&machine.arrived), appended);
    assert_eq!(ledger.dropped, [0; DropReason::COUNT]);
    assert_eq!(machine.ends_of_writers(), Vec::<u64>::new());
    machine.assert_spool_is_empty();
    drop(log);
    let left: Vec<_> = fs::read_dir(machine.hot.path())?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<io::Result<_>>()?;
    assert_eq!(left, ["lock"]);
    Ok(())
}

#[test]
fn after_a_clean_stop_without_delivery_a_machine_that_is_started_anew_has_lost_nothing()
-> Result<()> {
    let machine = Machine::new()?;
    let (log, shipper, writer, appended) = machine.in_outage(2_000)?;
    drop(writer);
    let ledger = shipper.drain(Instant::now() + Duration::from_secs(4));
    assert_eq!(ledger.waiting(), appended.len() as u64);
    drop(log);
    machine.lose_memory()?;
    machine.set_away(false);
    let ledger = drain(machine.ship(&machine.open()?)?);
    assert_eq!(arrived_once(&machine.arrived), appended);
    assert_eq!(ledger.acknowledged, appended.len() as u64);
    let end = appended.last().context("some")? + 1;
    assert_eq!(machine.ends_of_writers(), [end]);
    machine.assert_spool_is_empty();
    Ok(())
}

#[test]
fn where_memory_is_still_there_it_is_shipped_from_there_and_nothing_twice() -> Result<()> {
    let machine = Machine::new()?;
    let (log, shipper, mut writer, mut appended) = machine.in_outage(5_000)?;
    machine.wait_until_copied();
    assert!(!machine.only_on_disk().is_empty());
    drop(shipper);
    appended.extend(append(&mut writer, 10));
    drop((writer, log));
    machine.set_away(false);
    let log = machine.open()?;
    assert_eq!(log.ledger().waiting(), appended.len() as u64);
    let ledger = drain(machine.ship(&log)?);
    assert_eq!(arrived_once(&machine.arrived), appended);
    assert_eq!(ledger.dropped, [0; DropReason::COUNT]);
    assert_eq!(machine.ends_of_writers(), [appended.len() as u64]);
    machine.assert_spool_is_empty();
    Ok(())
}

#[test]
fn a_run_that_takes_over_ships_what_the_first_has_on_disk() -> Result<()> {
    let machine = Machine::new()?;
    let (first, shipper, mut writer, mut appended) = machine.in_outage(5_000)?;
    let lock = first.lock().try_clone_to_owned()?;
    let second = ScanLog::open_beside(&machine.options(), Some(lock), &Registry::new())?;
    assert_eq!(second.ledger().adopted, 0, "the first lives");
    appended.extend(append(&mut writer, 10));
    drop((shipper, writer, first));
    machine.set_away(false);
    let shipper = machine.ship(&second)?;
    wait_until("it is taken over", || {
        second.ledger().adopted == appended.len() as u64
    });
    wait_until("it is shipped", || second.ledger().waiting() == 0);
    drain(shipper);
    assert_eq!(arrived_once(&machine.arrived), appended);
    machine.assert_spool_is_empty();
    Ok(())
}

#[test]
fn a_writer_keeps_its_partition_over_what_is_on_disk_alone() -> Result<()> {
    let machine = Machine::new()?;
    let (log, shipper, writer, appended) = machine.in_outage(4_000)?;
    assert!(!machine.only_on_disk().is_empty());
    drop((shipper, writer, log));
    // Some of what was on disk alone arrives; then it is killed.
    let log = machine.open()?;
    let mut batches = 0;
    let shipper = machine.ship_over(&log, 5, move || {
        batches += 1;
        batches <= 3
    })?;
    machine
        .arrived
        .wait_until("some", |batches| batches.len() == 3);
    drop((shipper, log));
    let log = machine.open()?;
    drain(machine.ship_over(&log, 64, || true)?);
    let batches = machine.arrived.0.lock().expect("not poisoned");
    let partitions: BTreeSet<_> = batches.iter().map(|(sent, _)| sent.partition).collect();
    assert_eq!(partitions.len(), 1, "{partitions:?}");
    let seqs = batches.iter().flat_map(|(_, batch)| &batch.scans);
    assert_eq!(seqs.map(|scan| scan.seq).collect::<BTreeSet<_>>(), appended);
    Ok(())
}

/// What a machine keeps of a scan log on a disk that was not synced.
#[test]
fn of_a_hot_folder_on_a_lost_machines_disk_the_copy_is_shipped_that_has_more() -> Result<()> {
    let mut machine = Machine::new()?;
    machine.hot = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let (log, shipper, writer, appended) = machine.in_outage(1_000)?;
    machine.wait_until_copied();
    let boot = log.boot();
    drop((shipper, writer, log));
    for segment in begun(machine.hot.path()) {
        let file = OpenOptions::new().write(true).open(segment)?;
        file.write_all_at(&[0; 32 << 10], HEADER + (8 << 10))?;
    }
    // Started anew since then.
    let lock_file = machine.hot.path().join(format!("{boot:016x}.boot"));
    fs::write(lock_file, "another machine's")?;
    machine.set_away(false);
    let ledger = drain(machine.ship(&machine.open()?)?);
    assert_eq!(arrived_once(&machine.arrived), appended);
    assert_eq!(ledger.dropped, [0; DropReason::COUNT]);
    assert_eq!(machine.ends_of_writers(), Vec::<u64>::new());
    machine.assert_spool_is_empty();
    Ok(())
}

#[test]
fn a_spool_is_of_one_scan_log() -> Result<()> {
    let machine = Machine::new()?;
    let log = machine.open()?;
    let elsewhere = tempfile::tempdir()?;
    let other = ScanLogOptions {
        hot: elsewhere.path().to_owned(),
        ..machine.options()
    };
    let open = || ScanLog::open(&other, &Registry::new());
    let refused = open().err().context("refused")?;
    assert!(
        matches!(refused, ScanLogError::SpoolInUse { .. }),
        "{refused}"
    );
    drop(log);
    open()?;
    // It is the folder of which it holds copies.
    let itself = ScanLogOptions {
        spool: Some(SpoolOptions {
            folder: elsewhere
                .path()
                .join("../")
                .join(elsewhere.path().file_name().context("a name")?),
            max_bytes: 1 << 20,
        }),
        ..other
    };
    let refused = ScanLog::open(&itself, &Registry::new())
        .err()
        .context("refused")?;
    assert!(refused.to_string().contains("own folder"), "{refused}");
    // A file lies in its place.
    let file = elsewhere.path().join("file");
    fs::write(&file, b"")?;
    let other = ScanLogOptions {
        spool: Some(SpoolOptions {
            folder: file.join("spool"),
            max_bytes: 1 << 20,
        }),
        ..machine.options()
    };
    let refused = ScanLog::open(&other, &Registry::new())
        .err()
        .context("refused")?;
    assert!(refused.to_string().contains("scan_log.spool"), "{refused}");
    Ok(())
}
