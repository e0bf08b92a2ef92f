//! What has become of every scan, by its identity, as only the simulator can know it; and what must hold of the numbers that the edges tell.

use std::collections::BTreeMap;

use scans::{DropReason, Ledger, WriterKey};

/// Something that must hold does not.
pub type Checked = Result<(), String>;

/// Fails with these words unless it is so.
pub fn ensure(holds: bool, words: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(words()) }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// In the scan log.
    Recorded,
    /// In it, but of a form that the sink cannot read.
    Unreadable,
    /// Dropped with its number: there was no room.
    LogFull,
    /// Its batch was refused by the broker.
    Refused,
    /// Its record in the scan log was damaged.
    Damaged,
}

#[derive(Clone, Debug)]
pub struct Scan {
    pub fate: Fate,
    /// A batch with it was sent, and nobody knows whether the broker will see it.
    pub tried: bool,
    /// The broker has it.
    pub in_log: bool,
}

/// One writer's scans, by their numbers.
#[derive(Debug, Default)]
pub struct Writer {
    pub scans: Vec<Scan>,
    /// Dropped without a number.
    pub unknown: u64,
    /// Its machine is gone, with what it had not delivered.
    pub lost: bool,
    /// Some of it was on disk when a run ended. What of that is stored, is known when it is read; and what was, may be sent again.
    pub was_on_disk: bool,
    /// When its machine was lost, all before this number was delivered or on disk.
    pub on_disk: u64,
    /// Acknowledged, refused, and found to be damaged, in runs that have ended.
    acknowledged_before: u64,
    refused_before: u64,
    damaged_before: u64,
    /// Of the scans before this number, all are with the broker or refused; so many are with the broker.
    reached: usize,
    delivered: u64,
}

impl Writer {
    fn count(&self, fate: Fate) -> u64 {
        self.scans.iter().filter(|scan| scan.fate == fate).count() as u64
    }

    fn recorded(&self) -> u64 {
        self.scans.len() as u64 - self.count(Fate::LogFull)
    }

    /// How many can have been acknowledged, if that goes in order.
    fn delivered_in_order(&mut self) -> u64 {
        while let Some(scan) = self.scans.get(self.reached) {
            match scan.fate {
                Fate::Recorded | Fate::Unreadable if scan.in_log => self.delivered += 1,
                Fate::Recorded | Fate::Unreadable => break,
                Fate::LogFull | Fate::Refused | Fate::Damaged => {}
            }
            self.reached += 1;
        }
        self.delivered
    }
}

/// All writers there ever were.
#[derive(Debug, Default)]
pub struct Truth {
    pub writers: BTreeMap<WriterKey, Writer>,
}

impl Truth {
    pub fn writer(&mut self, key: &WriterKey) -> &mut Writer {
        if !self.writers.contains_key(key) {
            self.writers.insert(key.clone(), Writer::default());
        }
        self.writers.get_mut(key).expect("it is there now")
    }

    /// A scan was answered, and got this number.
    pub fn accept(&mut self, key: &WriterKey, seq: u64, fate: Fate) -> Checked {
        let writer = self.writer(key);
        let next = writer.scans.len() as u64;
        writer.scans.push(Scan {
            fate,
            tried: false,
            in_log: false,
        });
        ensure(seq == next, || {
            format!("{key} gives number {seq}, and {next} is the next")
        })
    }

    /// These scans of a writer: a batch's.
    pub fn batch(&mut self, key: &WriterKey, first_seq: u64, count: u32) -> &mut [Scan] {
        let first = first_seq as usize;
        let scans = &mut self.writer(key).scans;
        let end = (first + count as usize).min(scans.len());
        &mut scans[first.min(end)..end]
    }

    /// The record is damaged, if nobody else can have the scan. Whether it is.
    pub fn damage(&mut self, key: &WriterKey, seq: u64) -> bool {
        let scan = &mut self.writer(key).scans[seq as usize];
        let readable = matches!(scan.fate, Fate::Recorded | Fate::Unreadable);
        let damaged = readable && !scan.tried && !scan.in_log;
        if damaged {
            scan.fate = Fate::Damaged;
        }
        damaged
    }

    /// What a run takes over of a writer is what is neither acknowledged nor refused.
    pub fn check_left(&mut self, key: &WriterKey, ledger: &Ledger, exact: bool) -> Checked {
        let writer = self.writer(key);
        if writer.lost {
            return Ok(());
        }
        let settled = writer.acknowledged_before + writer.refused_before + writer.damaged_before;
        let left = writer.recorded().saturating_sub(settled);
        ensure(exact || ledger.accepted >= left, || {
            format!(
                "{key} left {left} scans, and {} are taken over",
                ledger.accepted
            )
        })?;
        ensure(
            !exact || writer.was_on_disk || ledger.accepted == left,
            || {
                format!(
                    "{key} left {left} scans, and {} are taken over",
                    ledger.accepted
                )
            },
        )
    }

    /// A writer's ledger says what is so, and acknowledges in order and only what the broker has.
    pub fn check_ledger(&mut self, key: &WriterKey, adopted: bool, ledger: &Ledger) -> Checked {
        let writer = self.writer(key);
        let dropped = |reason: DropReason| ledger.dropped[reason as usize];
        let said = || format!("{key} says {ledger:?}");
        let refused = writer.count(Fate::Refused) - writer.refused_before;
        if !adopted {
            let accepted = writer.scans.len() as u64 + writer.unknown;
            ensure(ledger.accepted == accepted, || {
                format!("{}, and has accepted {accepted}", said())
            })?;
            let full = writer.count(Fate::LogFull);
            let dropped = (
                dropped(DropReason::LogFull),
                dropped(DropReason::UnknownCap),
            );
            ensure(dropped == (full, writer.unknown), || {
                format!(
                    "{}, and has dropped {full}, and {} unknown ones",
                    said(),
                    writer.unknown
                )
            })?;
        }
        // Counted in order, as acknowledgements are.
        let damaged = writer.count(Fate::Damaged) - writer.damaged_before;
        let counted = (dropped(DropReason::Refused), dropped(DropReason::Corrupt));
        ensure(counted.0 <= refused && counted.1 <= damaged, || {
            format!(
                "{}, and in this run {refused} are refused, {damaged} damaged",
                said()
            )
        })?;
        let gone = ledger.acknowledged + ledger.dropped.iter().sum::<u64>();
        ensure(gone <= ledger.accepted, || {
            format!("{}: more than was accepted", said())
        })?;
        let (before, delivered) = (writer.acknowledged_before, writer.delivered_in_order());
        if adopted && writer.was_on_disk {
            return Ok(()); // some of it may come again
        }
        ensure(before + ledger.acknowledged <= delivered, || {
            format!(
                "{}, {before} before that, and the broker has {delivered} in order",
                said()
            )
        })
    }

    /// A run has ended, by a kill or after a drain.
    pub fn end_run(&mut self, key: &WriterKey, ledger: &Ledger) {
        let writer = self.writer(key);
        writer.acknowledged_before += ledger.acknowledged;
        writer.refused_before += ledger.dropped[DropReason::Refused as usize];
        writer.damaged_before += ledger.dropped[DropReason::Corrupt as usize];
        // Those that were not counted yet are sent again by the next run.
        let counted = writer.refused_before as usize;
        let mut scans = writer.scans.iter_mut();
        let refused = scans.by_ref().filter(|scan| scan.fate == Fate::Refused);
        for scan in refused.skip(counted) {
            scan.fate = Fate::Recorded;
        }
        (writer.reached, writer.delivered) = (0, 0);
    }

    /// Nothing waits any more, but of machines that are lost.
    pub fn check_nothing_waits(&self) -> Checked {
        for (key, writer) in self.writers.iter().filter(|(_, writer)| !writer.lost) {
            let (recorded, acknowledged) = (writer.recorded(), writer.acknowledged_before);
            let (refused, damaged) = (writer.count(Fate::Refused), writer.count(Fate::Damaged));
            let settled = acknowledged + refused + damaged;
            ensure(
                recorded == settled || (writer.was_on_disk && recorded < settled),
                || {
                    format!(
                        "{key} has ended with {recorded} scans, {acknowledged} acknowledged, {refused} refused, {damaged} damaged"
                    )
                },
            )?;
        }
        Ok(())
    }
}
