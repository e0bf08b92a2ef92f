//! How much of what may happen has happened, so that a simulator in which it no longer does is noticed.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use crate::truth::Fate;
use crate::world::World;

/// How often each thing has happened, by its name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally(pub BTreeMap<&'static str, u64>);

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        for (name, times) in other.0 {
            *self.0.entry(name).or_default() += times;
        }
    }
}

impl World {
    /// Of a schedule that has come to rest.
    pub fn tally(&self) -> Tally {
        let writers = || self.truth.writers.values();
        let of = |fate: Fate| {
            let scans = writers().flat_map(|writer| &writer.scans);
            scans.filter(|scan| scan.fate == fate).count() as u64
        };
        let on_disk = writers().filter(|writer| writer.was_on_disk);
        let lost = writers().filter(|writer| writer.lost);
        let lost = lost.flat_map(|writer| &writer.scans);
        let lost = lost.filter(|scan| scan.fate == Fate::Recorded && !scan.in_log);
        let logs = || self.kafka.partitions.iter().map(|partition| &partition.log);
        let sent = logs().flatten().flatten();
        let sent: u64 = sent.map(|batch| u64::from(batch.head.count)).sum();
        let in_log = writers().flat_map(|writer| &writer.scans);
        let in_log = in_log.filter(|scan| scan.in_log).count() as u64;
        Tally(BTreeMap::from([
            ("scans in the log", in_log),
            ("replays in the log", sent - in_log),
            ("scans unreadable", of(Fate::Unreadable)),
            ("scans dropped as the log is full", of(Fate::LogFull)),
            ("scans refused", of(Fate::Refused)),
            ("scans damaged", of(Fate::Damaged)),
            ("scans lost with their machine", lost.count() as u64),
            ("writers that left scans on disk", on_disk.count() as u64),
            (
                "scans that a lost machine had on disk",
                writers().map(|writer| writer.on_disk).sum(),
            ),
            ("records set aside", self.store.dead.len() as u64),
            ("inserts dropped by their token", self.store.repeated),
            ("tokens kept without their rows", self.store.hollow),
            ("inserts done by half", self.store.halves),
        ]))
    }
}
