//! The road of a scan through writer, segments and shipper: nothing lost, nothing doubled, and every number accounted for.

mod collecting;

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use collecting::{Arrived, Collecting, drain, open, options, quick, scan};
use scans::{
    Delivered, Delivery, DropReason, Dropped, EncodedBatch, Full, Outlet, Scan, ScanBatch, ScanLog,
    ScanLogError, ScanLogOptions, Shipper, ShipperOptions, Writer,
};

fn append(writer: &mut Writer, scans: u64) -> BTreeSet<u64> {
    (0..scans)
        .filter_map(|n| writer.append(&scan(&format!("c{n}"))).ok())
        .collect()
}

/// Ships the log to where all that arrives is kept.
fn ship(log: Arc<ScanLog>, arrived: &Arrived) -> Result<Shipper, ScanLogError> {
    Shipper::start(log, Box::new(Collecting::new(arrived)), quick())
}

/// The dropped-free numbers of what arrived, each exactly once.
fn arrived_once(arrived: &Arrived) -> BTreeSet<u64> {
    let scans = arrived.scans();
    assert!(scans.values().all(|scans| scans.len() == 1), "none twice");
    scans.into_keys().map(|id| id.seq).collect()
}

/// In the order in which their one writer began them, which their names do not tell: a refilled slot may be taken before an older one.
fn segments(hot: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(hot)
        .expect("readable")
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "segment")
    });
    let number = |path: &PathBuf| {
        let mut number = [0; 4];
        let file = fs::File::open(path).expect("readable");
        // One that is being made has no header yet.
        let _ = file.read_exact_at(&mut number, 28);
        u32::from_ne_bytes(number)
    };
    paths.sort_by_key(number);
    paths
}

/// Those that a writer has begun; the others are spare.
fn begun(hot: &Path) -> Vec<PathBuf> {
    let has_magic =
        |path: &PathBuf| fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"TWSCANS"));
    segments(hot).into_iter().filter(has_magic).collect()
}

#[test]
fn scans_of_several_writers_arrive_once_and_in_order_over_many_segments() -> Result<()> {
    let hot = tempfile::tempdir()?;
    let log = open(hot.path());
    let arrived = Arrived::default();
    let shipper = ship(Arc::clone(&log), &arrived)?;
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let mut writer = log.writer();
            std::thread::spawn(move || {
                let mut seqs = BTreeSet::new();
                for n in 0..5_000 {
                    seqs.extend(writer.append(&scan(&format!("c{n}"))).ok());
                }
                (writer.key().clone(), seqs)
            })
        })
        .collect();
    let mut expected = BTreeSet::new();
    for thread in threads {
        let (key, seqs) = thread.join().expect("ends");
        expected.extend(seqs.into_iter().map(|seq| key.scan(seq)));
    }
    let ledger = drain(shipper);
    let scans = arrived.scans();
    assert!(scans.values().all(|scans| scans.len() == 1));
    assert_eq!(scans.into_keys().collect::<BTreeSet<_>>(), expected);
    assert_eq!(
        (ledger.accepted, ledger.acknowledged),
        (20_000, expected.len() as u64)
    );
    for writer in 0..4 {
        let batches = arrived.0.lock().expect("not poisoned");
        let of_writer: Vec<_> = batches
            .iter()
            .filter(|(sent, _)| sent.writer.writer == writer)
            .collect();
        assert!(
            of_writer
                .iter()
                .all(|(sent, _)| sent.bytes.len() <= 64 << 10
                    && sent.partition == of_writer[0].0.partition)
        );
        assert!(of_writer.windows(2).all(|pair| pair[0].1.first_seq + u64::from(pair[0].1.count) <= pair[1].1.first_seq));
        assert_eq!(
            of_writer
                .last()
                .map(|(sent, _)| (sent.count, sent.first_seq)),
            Some((0, 5_000)),
            "the last says where it ended"
        );
    }
    assert!(
        segments(hot.path()).len() <= 4 + 2 * 32,
        "no more of the shipped segments are kept than are soon written again"
    );
    Ok(())
}

#[test]
fn what_failed_is_sent_again_until_it_is_stored() -> Result<()> {
    let hot = tempfile::tempdir()?;
    let log = open(hot.path());
    let mut writer = log.writer();
    let seqs = append(&mut writer, 3_000);
    let arrived = Arrived::default();
    let fate = |n: usize, _: &_| {
        if n % 3 == 1 {
            Delivered::Failed {
                reason: "test".into(),
            }
        } else {
            Delivered::Stored { partition: None }
        }
    };
    let shipper = Shipper::start(
        log,
        Box::new(Collecting::with_fate(&arrived, Box::new(fate))),
        quick(),
    )?;
    let ledger = drain(shipper);
    assert_eq!(arrived_once(&arrived), seqs);
    assert_eq!(ledger.acknowledged, seqs.len() as u64);
    Ok(())
}

#[test]
fn what_is_refused_is_set_aside_and_counted_and_the_writer_goes_on() -> Result<()> {
    let hot = tempfile::tempdir()?;
    let log = open(hot.path());
    let mut writer = log.writer();
    let seqs = append(&mut writer, 1_500);
    let arrived = Arrived::default();
    let fate = |n: usize, _: &_| {
        if n == 1 {
            Delivered::Refused {
                reason: "too large".into(),
            }
        } else {
            Delivered::Stored { partition: None }
        }
    };
    let ledger = drain(Shipper::start(
        log,
        Box::new(Collecting::with_fate(&arrived, Box::new(fate))),
        quick(),
    )?);
    let aside = fs::read_dir(hot.path().join("rejected"))?
        .next()
        .context("a file")??
        .path();
    let refused = scans::ScanBatch::decode(&fs::read(aside)?)?;
    let refused: BTreeSet<u64> = refused.scans.iter().map(|scan| scan.seq).collect();
    assert_eq!(
        ledger.dropped[DropReason::Refused as usize],
        refused.len() as u64
    );
    assert_eq!(&arrived_once(&arrived) | &refused, seqs);
    let batches = arrived.0.lock().expect("not poisoned");
    let last = &batches.last().context("a last batch")?.1;
    assert_eq!(
        last.dropped,
        [("refused".to_owned(), refused.len() as u64)],
        "the batches say so too"
    );
    Ok(())
}

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

/// Flips bits of a file that others have mapped: in eight bytes, of which at least one is no filling.
fn flip(file: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(file);
    let (file, mut bytes) = (file.expect("a file"), [0; 8]);
    file.read_exact_at(&mut bytes, at).expect("readable");
    let flipped = bytes.map(|byte| byte ^ 4);
    file.write_all_at(&flipped, at).expect("writable");
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
fn a_writer_whose_partition_is_gone_takes_another() -> Result<()> {
    let hot = tempfile::tempdir()?;
    let log = open(hot.path());
    let mut writer = log.writer();
    let appended = append(&mut writer, 500);
    let tried = Arrived::default();
    let (first, seen) = std::sync::mpsc::channel();
    let away = move |_: usize, batch: &EncodedBatch| {
        let _ = first.send(batch.partition);
        Delivered::Failed {
            reason: "away".into(),
        }
    };
    let outlet = Collecting::with_fate(&tried, Box::new(away)).over(1_000_000);
    let shipper = Shipper::start(Arc::clone(&log), Box::new(outlet), quick())?;
    let chosen = seen.recv()?.context("a partition")?;
    assert!(chosen >= 3, "{chosen} of a million: the next outlet has it");
    drop((shipper, writer, log));
    let arrived = Arrived::default();
    let outlet = Collecting::new(&arrived).over(3);
    drain(Shipper::start(open(hot.path()), Box::new(outlet), quick())?);
    assert_eq!(arrived_once(&arrived), appended);
    let batches = arrived.0.lock().expect("not poisoned");
    let partition = batches[0].0.partition;
    assert!(partition.is_some_and(|partition| partition < 3));
    assert!(batches.iter().all(|(sent, _)| sent.partition == partition));
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

#[test]
fn an_idle_writer_says_where_it_stands() -> Result<()> {
    let hot = tempfile::tempdir()?;
    let log = open(hot.path());
    let mut writer = log.writer();
    append(&mut writer, 3);
    writer.drop_unknown();
    let arrived = Arrived::default();
    let often = ShipperOptions {
        idle_interval: std::time::Duration::from_millis(10),
        ..quick()
    };
    let _shipper = Shipper::start(log, Box::new(Collecting::new(&arrived)), often)?;
    arrived.wait_until("two empty batches", |batches| {
        batches
            .iter()
            .filter(|(sent, _)| sent.count == 0 && sent.first_seq == 3)
            .count()
            >= 2
    });
    let batches = arrived.0.lock().expect("not poisoned");
    assert_eq!(
        batches.last().map(|(_, batch)| batch.dropped.clone()),
        Some(vec![("unknown_cap".to_owned(), 1)])
    );
    Ok(())
}

#[test]
fn unknown_codes_between_scans_do_not_cut_their_batches() -> Result<()> {
    let hot = tempfile::tempdir()?;
    let log = open(hot.path());
    let mut writer = log.writer();
    for _ in 0..100 {
        append(&mut writer, 1);
        (0..10).for_each(|_| writer.drop_unknown());
    }
    drop(writer);
    let arrived = Arrived::default();
    let ledger = drain(ship(log, &arrived)?);
    assert_eq!((ledger.accepted, ledger.acknowledged), (1_100, 100));
    let batches = arrived.0.lock().expect("not poisoned");
    let counts: Vec<_> = batches.iter().map(|(sent, _)| sent.count).collect();
    assert_eq!(counts, [100, 0]);
    let (_, last) = batches.last().context("a last batch")?;
    assert_eq!(last.dropped, [("unknown_cap".to_owned(), 1_000)]);
    assert_eq!(last.dropped_numbers(), 0, "they leave no gap");
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

/// An outlet without a broker.
struct Away;

impl Outlet for Away {
    fn send(&mut self, batch: EncodedBatch) -> Result<(), Full> {
        Err(Full(batch))
    }

    fn poll(&mut self, wait: Duration) -> Vec<Delivery> {
        std::thread::sleep(wait);
        Vec::new()
    }
}

#[test]
fn a_drain_without_a_broker_does_not_wait_when_no_scan_does() -> Result<()> {
    let hot = tempfile::tempdir()?;
    let log = open(hot.path());
    drop(log.writer());
    let options = ShipperOptions {
        farewell: Duration::from_millis(1),
        ..quick()
    };
    let shipper = Shipper::start(log, Box::new(Away), options)?;
    let (say, said) = std::sync::mpsc::channel();
    let tomorrow = Instant::now() + Duration::from_secs(86_400);
    std::thread::spawn(move || say.send(shipper.drain(tomorrow)));
    let ledger = said.recv_timeout(Duration::from_secs(60))?;
    assert_eq!((ledger.accepted, ledger.waiting()), (0, 0));
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

#[test]
fn a_scan_is_readable_as_it_lies_in_a_batch() -> Result<()> {
    let hot = tempfile::tempdir()?;
    let log = open(hot.path());
    let mut writer = log.writer();
    writer.append(&scan("Ab3-_x"))?;
    let arrived = Arrived::default();
    drain(ship(log, &arrived)?);
    let mut bytes = Vec::new();
    scan("Ab3-_x").encode(0, &mut bytes);
    let scans = arrived.scans();
    assert_eq!(
        scans.into_values().next().context("one")?,
        [Scan::decode(&bytes)?]
    );
    Ok(())
}
