//! An edge that is killed loses nothing that it has answered: a child process appends and then prints each number, the parent kills it, and
//! the next start ships every printed scan exactly once.

mod collecting;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use collecting::{Arrived, Collecting, drain, open, options, quick, scan};
use scans::{
    Delivered, DropReason, ScanId, ScanLog, ScanLogOptions, Shipper, ShipperOptions, SpoolOptions,
};

const FOLDER: &str = "SCANS_KILL_TEST_FOLDER";
/// Where the child has its spool: then nothing is delivered, and it waits for room.
const SPOOL: &str = "SCANS_KILL_TEST_SPOOL";

/// Not a test by itself: what the killed process runs. Without the folder there is nothing to do.
#[test]
fn child_appends_until_it_is_killed() -> Result<()> {
    let Ok(folder) = std::env::var(FOLDER) else {
        return Ok(());
    };
    if let Ok(spool) = std::env::var(SPOOL) {
        return append_without_delivery(Path::new(&folder), Path::new(&spool));
    }
    let few = ScanLogOptions {
        spares: 4,
        ..options(Path::new(&folder))
    };
    let log = ScanLog::open(&few, &prometheus::Registry::new())?;
    // Some is stored before the kill: what arrives in a dead process is reported by it, as a broker would know it.
    let fate = |sent: usize, batch: &scans::EncodedBatch| {
        // Each failure is made good by the next sending, so that the positions move.
        if batch.count == 0 || sent.is_multiple_of(3) {
            return Delivered::Failed {
                reason: "test".into(),
            };
        }
        let numbers = (batch.first_seq..).take(batch.count as usize);
        let lines: String = numbers
            .map(|seq| format!("stored {}\n", batch.writer.scan(seq)))
            .collect();
        let _ = std::io::stdout().lock().write_all(lines.as_bytes());
        Delivered::Stored { partition: None }
    };
    let _shipper = Shipper::start(
        Arc::clone(&log),
        Box::new(Collecting::with_fate(&Arrived::default(), Box::new(fate))),
        quick(),
    )?;
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let mut writer = log.writer();
            std::thread::spawn(move || {
                loop {
                    if let Ok(seq) = writer.append(&scan("kill")) {
                        let line = format!("answered {}\n", writer.key().scan(seq));
                        if std::io::stdout().lock().write_all(line.as_bytes()).is_err() {
                            return;
                        }
                    }
                }
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("is killed"));
    Ok(())
}

/// A log with room for sixteen segments in memory.
fn spooled(hot: &Path, spool: &Path) -> ScanLogOptions {
    ScanLogOptions {
        spares: 2,
        max_bytes: 1 << 20,
        spool: Some(SpoolOptions {
            folder: spool.to_owned(),
            max_bytes: 1 << 30,
        }),
        ..options(hot)
    }
}

/// What the killed process runs when it has a spool.
fn append_without_delivery(hot: &Path, spool: &Path) -> Result<()> {
    let log = ScanLog::open(&spooled(hot, spool), &prometheus::Registry::new())?;
    let away = |_: usize, _: &scans::EncodedBatch| Delivered::Failed {
        reason: "away".into(),
    };
    let options = ShipperOptions {
        spool_after: Duration::from_millis(10),
        in_flight_bytes_per_writer: 32 << 10,
        ..quick()
    };
    let outlet = Collecting::with_fate(&Arrived::default(), Box::new(away));
    let _shipper = Shipper::start(Arc::clone(&log), Box::new(outlet), options)?;
    let mut writer = log.writer();
    loop {
        match writer.append(&scan("kill")) {
            Ok(seq) => println!("answered {}", writer.key().scan(seq)),
            // It is written faster than the disk takes it.
            Err(lost) => {
                println!("dropped {}", writer.key().scan(lost.seq));
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

fn start(folder: &Path, spool: Option<&Path>) -> Result<Child> {
    let spool = spool.map(|spool| (SPOOL, spool));
    Command::new(std::env::current_exe()?)
        .envs(spool)
        .args([
            "child_appends_until_it_is_killed",
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start this test again as a child")
}

fn id(text: &str) -> Option<ScanId> {
    let mut parts = text.split('/');
    let (edge, boot) = (
        parts.next()?.into(),
        u64::from_str_radix(parts.next()?, 16).ok()?,
    );
    Some(ScanId {
        edge,
        boot,
        writer: parts.next()?.parse().ok()?,
        seq: parts.next()?.parse().ok()?,
    })
}

/// How many segments have been begun in the files that are left, and how many files were ever made: fewer when some were written twice.
fn begun_and_made(hot: &Path) -> Result<(u32, u32)> {
    let (mut begun, mut made) = (BTreeMap::new(), 0);
    for entry in fs::read_dir(hot)? {
        let path = entry?.path();
        let name = path.file_stem().context("a name")?.to_string_lossy();
        let Some((_, number)) = name.split_once('-') else {
            continue;
        };
        made = made.max(number.parse::<u32>()? + 1);
        let mut header = [0; 32];
        // One that was being made by the kill has no length yet.
        if fs::File::open(&path)?.read_at(&mut header, 0)? < header.len() {
            continue;
        }
        let number = |at: usize| u32::from_ne_bytes([0, 1, 2, 3].map(|byte| header[at + byte]));
        let of_writer: &mut u32 = begun.entry(number(24)).or_default();
        *of_writer = (*of_writer).max(number(28) + 1);
    }
    Ok((begun.values().sum(), made))
}

#[test]
fn every_answered_scan_survives_kill_9_exactly_once() -> Result<()> {
    let mut written_again = false;
    for round in 0..5u64 {
        // On tmpfs where there is one, as in life.
        let hot = if Path::new("/dev/shm").is_dir() {
            tempfile::tempdir_in("/dev/shm")?
        } else {
            tempfile::tempdir()?
        };
        let mut child = start(hot.path(), None)?;
        let mut printed = BufReader::new(child.stdout.take().context("piped")?);
        let enough = 2_000 + getrandom::u64().map_err(|error| anyhow::anyhow!("{error}"))? % 20_000;
        let (mut answered, mut stored) = (BTreeSet::new(), BTreeSet::new());
        let mut note = |line: &str| match line.split_once(' ') {
            Some(("answered", scan)) => drop(id(scan).map(|scan| answered.insert(scan))),
            Some(("stored", scan)) => drop(id(scan).map(|scan| stored.insert(scan))),
            _ => {}
        };
        let mut lines = printed.by_ref().lines();
        let mut read = |count: u64| {
            let mut lines = lines.by_ref().take(count as usize);
            lines.try_for_each(|line| line.map(|line| note(&line)))
        };
        read(enough)?;
        // In some rounds not before a segment is written again, which on a quick machine comes later. A file may go while they are looked at.
        let is_written_again =
            || begun_and_made(hot.path()).is_ok_and(|(begun, made)| begun > made);
        for _ in 0..if round % 2 == 1 { 1_000 } else { 0 } {
            if is_written_again() {
                written_again = true;
                break;
            }
            read(1_000)?;
        }
        child.kill()?;
        // What it had printed before it died, a cut last line aside, which `id` would misread. A whole one counts: what it says is stored may be
        // acknowledged already, when the pipe was full and nobody else could print.
        let mut rest = String::new();
        printed.read_to_string(&mut rest)?;
        let whole = rest.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().for_each(&mut note);
        assert_eq!(child.wait()?.signal(), Some(9), "round {round}");

        let (begun, made) = begun_and_made(hot.path())?;
        written_again |= begun > made;
        let arrived = Arrived::default();
        let ledger = drain(Shipper::start(
            open(hot.path()),
            Box::new(Collecting::new(&arrived)),
            quick(),
        )?);
        let scans = arrived.scans();
        assert!(
            scans.values().all(|scans| scans.len() == 1),
            "none twice from the log itself"
        );
        let shipped: BTreeSet<ScanId> = scans.into_keys().collect();
        let missing: Vec<_> = answered
            .iter()
            .filter(|scan| !shipped.contains(scan) && !stored.contains(scan))
            .collect();
        assert!(
            missing.is_empty(),
            "round {round}: {} of {} missing, first {:?}",
            missing.len(),
            answered.len(),
            missing.first()
        );
        // Stored at the moment of the kill and not yet acknowledged: sent again under the same number, which the sink knows.
        assert_eq!(ledger.dropped, [0; DropReason::COUNT]);
        assert!(
            answered.len() > 100,
            "round {round} killed it too early to mean anything"
        );
    }
    assert!(written_again, "no segment was stored and written again");
    Ok(())
}

/// What a run that is killed while it spools leaves; with `memory_too`, the machine goes with it.
fn killed_while_it_spools(memory_too: bool) -> Result<()> {
    let (hot, spool) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let mut child = start(hot.path(), Some(spool.path()))?;
    let mut printed = BufReader::new(child.stdout.take().context("piped")?);
    let (mut answered, mut dropped) = (BTreeSet::new(), BTreeSet::new());
    let mut note = |line: &str| match line.split_once(' ') {
        Some(("answered", scan)) => drop(id(scan).map(|scan| answered.insert(scan))),
        Some(("dropped", scan)) => drop(id(scan).map(|scan| dropped.insert(scan))),
        _ => {}
    };
    let more = getrandom::u64().map_err(|error| anyhow::anyhow!("{error}"))? % 10_000;
    let mut line = String::new();
    // More than memory holds, and then some.
    let mut answers = 0;
    while answers < 8_000 + more {
        line.clear();
        assert!(printed.read_line(&mut line)? > 0, "it ended by itself");
        note(line.trim_end());
        answers += u64::from(line.starts_with("answered"));
    }
    child.kill()?;
    let mut rest = String::new();
    printed.read_to_string(&mut rest)?;
    let whole = rest.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().for_each(&mut note);
    assert_eq!(child.wait()?.signal(), Some(9));
    assert!(
        fs::read_dir(spool.path())?.count() > 10,
        "killed before it spooled much"
    );
    if memory_too {
        for entry in fs::read_dir(hot.path())? {
            fs::remove_file(entry?.path())?;
        }
    }

    let arrived = Arrived::default();
    let log = ScanLog::open(
        &spooled(hot.path(), spool.path()),
        &prometheus::Registry::new(),
    )?;
    let outlet = Box::new(Collecting::new(&arrived));
    let ledger = drain(Shipper::start(log, outlet, quick())?);
    let scans = arrived.scans();
    assert!(scans.values().all(|scans| scans.len() == 1), "none twice");
    let shipped: BTreeSet<ScanId> = scans.into_keys().collect();
    assert_eq!(ledger.dropped[DropReason::Corrupt as usize], 0);
    let ends = arrived.0.lock().expect("not poisoned");
    let ends = ends.iter().filter(|(sent, _)| sent.count == 0).count();
    if memory_too {
        // Nothing between two that were on disk is missing, and nobody says where it ended.
        let last = shipped.last().context("some")?.seq;
        let before: BTreeSet<_> = answered.iter().filter(|scan| scan.seq <= last).collect();
        assert!(before.iter().all(|scan| shipped.contains(scan)));
        assert!(shipped.len() > 4_000, "{} were on disk", shipped.len());
        assert_eq!(ends, 0);
    } else {
        assert!(answered.iter().all(|scan| shipped.contains(scan)));
        assert!(dropped.iter().all(|scan| !shipped.contains(scan)));
        assert_eq!(ends, 1);
    }
    let left: Vec<_> = fs::read_dir(spool.path())?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<std::io::Result<_>>()?;
    assert_eq!(left, ["lock"]);
    Ok(())
}

#[test]
fn a_kill_while_it_spools_loses_nothing() -> Result<()> {
    killed_while_it_spools(false)
}

#[test]
fn a_machine_lost_while_it_spools_leaves_what_was_on_disk_and_does_not_say_where_it_ended()
-> Result<()> {
    killed_while_it_spools(true)
}
