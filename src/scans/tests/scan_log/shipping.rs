//! From the writer to the outlet: what arrives, in which batches, and what is sent again.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use scans::{
    Delivered, Delivery, DropReason, EncodedBatch, Full, Outlet, Scan, Shipper, ShipperOptions,
};

use crate::collecting::{Arrived, Collecting, drain, open, quick, scan};
use crate::{append, arrived_once, segments, ship};

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
