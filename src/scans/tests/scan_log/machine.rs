//! A machine with a scan log and a spool, before a delivery that can be away.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use prometheus::Registry;
use scans::{Delivered, ScanLog, ScanLogOptions, Shipper, ShipperOptions, SpoolOptions, Writer};
use tempfile::TempDir;

use crate::collecting::{Arrived, Collecting, options, quick};
use crate::{append, begun, segments};

/// Where a segment's header says its number, and how far it is written.
pub const NUMBER: u64 = 28;
pub const COMMITTED: u64 = 320;
pub const HEADER: u64 = 4_096;
/// Fewer scans than a segment of 64 KiB takes.
pub const FEW: u64 = 100;

/// A scan log while its delivery is away: the shipper, a writer, and the numbers that it has appended.
pub type InOutage = (Arc<ScanLog>, Shipper, Writer, BTreeSet<u64>);

/// The folders of a machine, and a delivery that can be away.
pub struct Machine {
    pub hot: TempDir,
    pub spool: TempDir,
    pub spool_bytes: u64,
    away: Arc<AtomicBool>,
    pub arrived: Arrived,
}

impl Machine {
    pub fn new() -> Result<Self> {
        Ok(Self {
            hot: tempfile::tempdir()?,
            spool: tempfile::tempdir()?,
            spool_bytes: 64 << 20,
            away: Arc::default(),
            arrived: Arrived::default(),
        })
    }

    pub fn options(&self) -> ScanLogOptions {
        ScanLogOptions {
            max_bytes: 512 << 10, // eight segments
            spares: 2,
            spool: Some(SpoolOptions {
                folder: self.spool.path().to_owned(),
                max_bytes: self.spool_bytes,
            }),
            ..options(self.hot.path())
        }
    }

    pub fn open(&self) -> Result<Arc<ScanLog>> {
        Ok(ScanLog::open(&self.options(), &Registry::new())?)
    }

    /// Begins a log whose shipper cannot deliver, with a writer that has appended so many scans.
    pub fn in_outage(&self, scans: u64) -> Result<InOutage> {
        self.set_away(true);
        let log = self.open()?;
        let shipper = self.ship(&log)?;
        let mut writer = log.writer();
        let appended = self.append_in_time(&mut writer, scans);
        Ok((log, shipper, writer, appended))
    }

    pub fn ship(&self, log: &Arc<ScanLog>) -> Result<Shipper> {
        let away = Arc::clone(&self.away);
        let fate = move |_: usize, _: &_| match away.load(Ordering::Relaxed) {
            true => Delivered::Failed {
                reason: "away".into(),
            },
            false => Delivered::Stored { partition: None },
        };
        let outlet = Collecting::with_fate(&self.arrived, Box::new(fate));
        let options = ShipperOptions {
            spool_after: Duration::from_millis(20),
            // So that it is the spool that gives room, and not the outlet that takes all there is.
            in_flight_bytes_per_writer: 32 << 10,
            // A slow disk has its time.
            farewell: Duration::from_secs(30),
            ..quick()
        };
        Ok(Shipper::start(Arc::clone(log), Box::new(outlet), options)?)
    }

    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    /// The copies, oldest first.
    pub fn copies(&self) -> Vec<PathBuf> {
        segments(self.spool.path())
    }

    /// Those of which there is nothing in memory.
    pub fn only_on_disk(&self) -> Vec<PathBuf> {
        let in_memory: BTreeSet<u32> = begun(self.hot.path()).iter().map(number_of).collect();
        let mut copies = self.copies();
        copies.retain(|copy| !in_memory.contains(&number_of(copy)));
        copies
    }

    /// Appends as fast as there is room: none of it is dropped.
    pub fn append_in_time(&self, writer: &mut Writer, scans: u64) -> BTreeSet<u64> {
        let mut appended = BTreeSet::new();
        while (appended.len() as u64) < scans {
            // One of the two may be on its way into its slot.
            wait_until("room for another segment", || {
                segments(self.hot.path()).len() > begun(self.hot.path()).len() + 1
            });
            appended.extend(append(writer, FEW));
        }
        appended
    }

    /// Waits until all that one writer has written is on disk.
    pub fn wait_until_copied(&self) {
        wait_until("all is on disk", || {
            let hot = begun(self.hot.path());
            !hot.is_empty()
                && hot.iter().all(|segment| {
                    let copy = self
                        .copies()
                        .into_iter()
                        .find(|copy| number_of(copy) == number_of(segment));
                    let len = copy.and_then(|copy| Some(fs::metadata(copy).ok()?.len()));
                    // The first ones may be stored, and have none.
                    let committed = word_at(segment, COMMITTED);
                    len == Some(HEADER + committed)
                        || (len.is_none() && word_at(segment, 384) == committed)
                })
        });
    }

    /// Delivers to so many partitions; each batch for which `is_stored` says so arrives.
    pub fn ship_over(
        &self,
        log: &Arc<ScanLog>,
        partitions: i32,
        mut is_stored: impl FnMut() -> bool + Send + 'static,
    ) -> Result<Shipper> {
        let fate = move |_: usize, _: &_| match is_stored() {
            true => Delivered::Stored { partition: None },
            false => Delivered::Failed {
                reason: "away".into(),
            },
        };
        let outlet = Collecting::with_fate(&self.arrived, Box::new(fate)).over(partitions);
        Ok(Shipper::start(Arc::clone(log), Box::new(outlet), quick())?)
    }

    /// Everything in memory is gone.
    pub fn lose_memory(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.hot.path())? {
            fs::remove_file(entry?.path())?;
        }
        Ok(())
    }

    pub fn ends_of_writers(&self) -> Vec<u64> {
        let batches = self.arrived.0.lock().expect("not poisoned");
        let empty = batches.iter().filter(|(sent, _)| sent.count == 0);
        empty.map(|(sent, _)| sent.first_seq).collect()
    }

    pub fn assert_spool_is_empty(&self) {
        let left = fs::read_dir(self.spool.path()).expect("readable");
        let left: Vec<_> = left
            .map(|entry| entry.expect("readable").file_name())
            .collect();
        assert_eq!(left, ["lock"]);
    }
}

pub fn word_at(segment: &Path, at: u64) -> u64 {
    let mut word = [0; 8];
    // One that is being made has no header yet.
    let _ = File::open(segment).and_then(|file| file.read_exact_at(&mut word, at));
    u64::from_ne_bytes(word)
}

#[expect(clippy::ptr_arg, reason = "for lists of paths")]
pub fn number_of(segment: &PathBuf) -> u32 {
    (word_at(segment, NUMBER) & 0xffff_ffff) as u32
}

/// Fails after a minute.
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Leaves so many scans that were not delivered, a machine that was lost with them, and some more that were not on disk yet.
pub fn lost_machine(scans: u64) -> Result<(Machine, BTreeSet<u64>)> {
    let machine = Machine::new()?;
    machine.set_away(true);
    let log = machine.open()?;
    let shipper = machine.ship(&log)?;
    let mut writer = log.writer();
    let appended = machine.append_in_time(&mut writer, scans);
    machine.wait_until_copied();
    drop(shipper);
    append(&mut writer, 10);
    drop((writer, log));
    machine.lose_memory()?;
    machine.set_away(false);
    Ok((machine, appended))
}
