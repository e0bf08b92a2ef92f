//! A disk under the spool that fails: what is damaged or cannot be read costs what was there, is counted, and stops nothing.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use prometheus::Registry;
use scans::{DropReason, ScanLog, ScanLogOptions, SpoolOptions};
use tempfile::TempDir;

use crate::collecting::drain;
use crate::machine::{FEW, HEADER, Machine, lost_machine, wait_until, word_at};
use crate::{append, arrived_once, segments};

#[test]
fn a_torn_end_on_disk_costs_nothing_that_was_synced() -> Result<()> {
    let (machine, appended) = lost_machine(1_000)?;
    let last = machine.copies().pop().context("a last copy")?;
    let mut bytes = fs::read(&last)?;
    bytes.extend_from_within(HEADER as usize..HEADER as usize + 77);
    fs::write(&last, bytes)?;
    // The file's name was synced, and nothing else of it.
    fs::write(
        machine
            .spool
            .path()
            .join("00000000000000ff-00000000-00000000.segment"),
        [0; 5_000],
    )?;
    let ledger = drain(machine.ship(&machine.open()?)?);
    assert_eq!(arrived_once(&machine.arrived), appended);
    assert_eq!(ledger.dropped, [0; DropReason::COUNT]);
    machine.assert_spool_is_empty();
    Ok(())
}

#[test]
fn a_file_that_lost_its_end_costs_what_was_there_and_that_is_counted() -> Result<()> {
    let (machine, appended) = lost_machine(1_000)?;
    let first = machine.copies().into_iter().next().context("a copy")?;
    let file = OpenOptions::new().write(true).open(&first)?;
    file.set_len(file.metadata()?.len() - 20)?;
    let ledger = drain(machine.ship(&machine.open()?)?);
    let found = arrived_once(&machine.arrived);
    assert_eq!(
        (found.len(), found.is_subset(&appended)),
        (appended.len() - 1, true)
    );
    assert_eq!(ledger.dropped[DropReason::Corrupt as usize], 1);
    Ok(())
}

#[test]
fn a_flipped_bit_on_disk_costs_one_scan_and_in_what_changes_of_a_header_none() -> Result<()> {
    let (machine, appended) = lost_machine(1_000)?;
    let copies = machine.copies();
    flip(&copies[1], HEADER + 20_000)?;
    let next_seq = 328;
    flip(&copies[0], next_seq)?;
    flip(&copies[2], next_seq)?;
    let ledger = drain(machine.ship(&machine.open()?)?);
    let found = arrived_once(&machine.arrived);
    assert_eq!(
        (found.len(), found.is_subset(&appended)),
        (appended.len() - 1, true)
    );
    assert_eq!(ledger.dropped, [0, 0, 0, 1]);
    Ok(())
}

#[test]
fn a_flipped_bit_in_the_header_of_an_only_copy_costs_nothing_where_memory_is_kept() -> Result<()> {
    let machine = Machine::new()?;
    let (log, shipper, writer, appended) = machine.in_outage(4_000)?;
    drop((shipper, writer, log));
    let alone = machine.only_on_disk();
    let (next_seq, extent) = (328, 576);
    flip(alone.first().context("one on disk alone")?, next_seq)?;
    flip(alone.last().context("one on disk alone")?, extent)?;
    machine.set_away(false);
    let ledger = drain(machine.ship(&machine.open()?)?);
    assert_eq!(arrived_once(&machine.arrived), appended);
    assert_eq!(ledger.dropped, [0; DropReason::COUNT]);
    machine.assert_spool_is_empty();
    Ok(())
}

#[test]
fn where_the_last_copy_cannot_be_read_nobody_says_where_its_writer_ended() -> Result<()> {
    let machine = Machine::new()?;
    let (log, shipper, writer, appended) = machine.in_outage(1_000)?;
    drop(writer);
    shipper.drain(Instant::now() + Duration::from_secs(4));
    drop(log);
    machine.lose_memory()?;
    machine.set_away(false);
    let log = machine.open()?;
    let last = machine.copies().pop().context("a last copy")?;
    let first = word_at(&last, 32);
    // After the start has looked at it.
    OpenOptions::new().write(true).open(&last)?.set_len(100)?;
    let ledger = drain(machine.ship(&log)?);
    let found: BTreeSet<u64> = appended
        .iter()
        .copied()
        .filter(|seq| *seq < first)
        .collect();
    assert_eq!(arrived_once(&machine.arrived), found);
    let lost = (appended.len() - found.len()) as u64;
    assert_eq!(ledger.dropped, [0, 0, 0, lost]);
    assert_eq!(machine.ends_of_writers(), Vec::<u64>::new());
    Ok(())
}

/// In eight bytes, of which at least one is no filling.
fn flip(file: &Path, at: u64) -> io::Result<()> {
    let (file, mut bytes) = (
        OpenOptions::new().read(true).write(true).open(file)?,
        [0; 8],
    );
    file.read_exact_at(&mut bytes, at)?;
    file.write_all_at(&bytes.map(|byte| byte ^ 4), at)
}

#[test]
fn a_copy_that_cannot_be_read_costs_its_scans_and_stops_nothing() -> Result<()> {
    let machine = Machine::new()?;
    let (_log, shipper, writer, appended) = machine.in_outage(5_000)?;
    let only_on_disk = machine.only_on_disk();
    // The first may be on its way into memory.
    let victim = only_on_disk.get(2).context("a third")?;
    let first = word_at(victim, 32);
    let next = word_at(only_on_disk.get(3).context("a fourth")?, 32);
    // Reading it is an error, whoever reads.
    fs::remove_file(victim)?;
    fs::create_dir(victim)?;
    machine.set_away(false);
    drop(writer);
    let ledger = drain(shipper);
    let lost: BTreeSet<u64> = (first..next).collect();
    assert_eq!(arrived_once(&machine.arrived), &appended - &lost);
    assert_eq!(ledger.dropped, [0, 0, 0, lost.len() as u64]);
    assert!(victim.with_extension("refused").exists(), "set aside");
    Ok(())
}

/// A file system of two mebibytes, as long as it lives.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// None where this user may not mount.
    fn mount() -> Result<Option<Self>> {
        let folder = tempfile::tempdir()?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs"])
            .arg(folder.path())
            .output()?;
        Ok(mounted.status.success().then_some(Self(folder)))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
#[allow(clippy::print_stderr, reason = "where it tests nothing, it says so")]
fn a_full_disk_is_told_and_tried_again_and_the_scans_go_on() -> Result<()> {
    let Some(disk) = SmallDisk::mount()? else {
        eprintln!("not tested: this user may not mount");
        return Ok(());
    };
    let machine = Machine::new()?;
    machine.set_away(true);
    let registry = Registry::new();
    let spool = SpoolOptions {
        folder: disk.0.path().join("spool"),
        max_bytes: 64 << 20,
    };
    let options = ScanLogOptions {
        spool: Some(spool.clone()),
        ..machine.options()
    };
    let log = ScanLog::open(&options, &registry)?;
    let shipper = machine.ship(&log)?;
    let mut writer = log.writer();
    // Somebody else has the disk.
    let stranger = disk.0.path().join("stranger");
    let written = fs::write(&stranger, vec![1; 4 << 20]);
    assert!(written.is_err(), "it is full");
    let mut appended = BTreeSet::new();
    appended.extend(append(&mut writer, FEW));
    let available = || {
        let families = registry.gather();
        let family = families
            .iter()
            .find(|family| family.name() == "tagwire_edge_scan_log_spool_available");
        let metric = family.and_then(|family| family.get_metric().first());
        metric.map(|metric| metric.get_gauge().get_value())
    };
    wait_until("it is told", || available() == Some(0.0));
    appended.extend(append(&mut writer, FEW));
    fs::remove_file(&stranger)?;
    wait_until("it is tried again", || available() == Some(1.0));
    appended.extend(machine.append_in_time(&mut writer, 3_000));
    ensure!(!segments(&spool.folder).is_empty(), "nothing is spooled");
    machine.set_away(false);
    drop(writer);
    let ledger = drain(shipper);
    assert_eq!(arrived_once(&machine.arrived), appended);
    assert_eq!(ledger.dropped, [0; DropReason::COUNT]);
    Ok(())
}
