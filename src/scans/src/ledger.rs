//! The ledger's numbers of this process: at every moment accepted = acknowledged + waiting + dropped.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts};

use crate::{DropReason, WriterKey};

/// The numbers at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Scans that took a number or were dropped without one, and those that earlier boots left to this one.
    pub accepted: u64,
    /// Scans that the outlet has stored.
    pub acknowledged: u64,
    /// Scans by reason that will never be stored, in the order of [`DropReason::ALL`].
    pub dropped: [u64; DropReason::COUNT],
    /// Scans among the accepted that earlier boots left.
    pub adopted: u64,
}

impl Ledger {
    /// Scans whose fate is open: neither stored nor dropped.
    pub fn waiting(&self) -> u64 {
        self.accepted - self.acknowledged - self.dropped.iter().sum::<u64>()
    }
}

/// One writer's numbers, on lines of their own so that no thread waits for another's.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) key: WriterKey,
    adopted: bool,
    by_writer: ByWriter,
    by_shipper: ByShipper,
    ended: AtomicBool,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct ByWriter {
    accepted: AtomicU64,
    dropped: [AtomicU64; DropReason::COUNT],
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct ByShipper {
    acknowledged: AtomicU64,
    dropped: [AtomicU64; DropReason::COUNT],
}

impl Account {
    pub(crate) fn new(key: WriterKey) -> Self {
        Self {
            key,
            adopted: false,
            by_writer: ByWriter::default(),
            by_shipper: ByShipper::default(),
            ended: AtomicBool::new(false),
        }
    }

    /// Of an earlier boot, which left so many scans.
    pub(crate) fn adopted(key: WriterKey, left: u64) -> Self {
        let account = Self {
            adopted: true,
            ..Self::new(key)
        };
        account.set_accepted(left);
        account
    }

    /// An earlier boot has left so many more than was known: of a copy on disk that is known when it is read. There is no writer any more.
    pub(crate) fn adopt_more(&self, scans: u64) {
        self.by_writer.accepted.fetch_add(scans, Ordering::Release);
    }

    /// The writer says so when it goes: there will be no more scans.
    pub(crate) fn end(&self) {
        // Release: who sees it sees the last scan.
        self.ended.store(true, Ordering::Release);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// The writer says so before it publishes the record: otherwise it could be acknowledged before it was accepted.
    pub(crate) fn set_accepted(&self, accepted: u64) {
        // Release: with the Acquire in `add_to`, who sees an acknowledgement or a drop sees that the scan was accepted.
        self.by_writer.accepted.store(accepted, Ordering::Release);
    }

    /// Scans that its writer has accepted in this process: those that it adopted were recorded earlier.
    pub(crate) fn recorded(&self) -> u64 {
        let accepted = self.by_writer.accepted.load(Ordering::Relaxed); // a rate follows from it, and no position
        if self.adopted { 0 } else { accepted }
    }

    /// The writer's own drops, after `set_accepted`. Only the writer's thread calls it.
    pub(crate) fn count_dropped_by_writer(&self, reason: DropReason) {
        self.by_writer.dropped[reason as usize].fetch_add(1, Ordering::Release);
    }

    pub(crate) fn count_acknowledged(&self, scans: u64) {
        self.by_shipper
            .acknowledged
            .fetch_add(scans, Ordering::Release);
    }

    pub(crate) fn count_dropped_by_shipper(&self, reason: DropReason, scans: u64) {
        self.by_shipper.dropped[reason as usize].fetch_add(scans, Ordering::Release);
    }

    fn add_to(&self, ledger: &mut Ledger) {
        // What leaves `waiting` is read first and what enters it last, so that it is never below zero.
        let acknowledged = self.by_shipper.acknowledged.load(Ordering::Acquire);
        for (reason, total) in ledger.dropped.iter_mut().enumerate() {
            *total += self.by_shipper.dropped[reason].load(Ordering::Acquire);
            *total += self.by_writer.dropped[reason].load(Ordering::Acquire);
        }
        let accepted = self.by_writer.accepted.load(Ordering::Acquire);
        ledger.acknowledged += acknowledged;
        ledger.accepted += accepted;
        ledger.adopted += if self.adopted { accepted } else { 0 };
    }
}

/// All writers' accounts of this process, those of adopted ones too, for as long as it runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accounts(Arc<Mutex<Vec<Arc<Account>>>>);

impl Accounts {
    pub(crate) fn open(&self, account: Account) -> Arc<Account> {
        let account = Arc::new(account);
        self.all().push(Arc::clone(&account));
        account
    }

    pub(crate) fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::default();
        for account in self.all().iter() {
            account.add_to(&mut ledger);
        }
        ledger
    }

    /// Each writer's numbers.
    #[cfg(feature = "simulation")]
    pub(crate) fn by_writer(&self) -> Vec<(WriterKey, Ledger)> {
        let of = |account: &Arc<Account>| {
            let mut ledger = Ledger::default();
            account.add_to(&mut ledger);
            (account.key.clone(), ledger)
        };
        self.all().iter().map(of).collect()
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Account>>> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The ledger for Prometheus: one reading for all its metrics, so that they agree in every scrape.
pub(crate) struct LedgerMetrics {
    accounts: Accounts,
    accepted: Desc,
    descriptions: Vec<Desc>,
}

const ACCEPTED: (&str, &str) = (
    "tagwire_edge_scans_accepted_total",
    "Scans that were answered, recorded or dropped, and those that earlier boots left",
);
const ACKNOWLEDGED: (&str, &str) = (
    "tagwire_edge_scans_acknowledged_total",
    "Scans that the outlet has stored",
);
const WAITING: (&str, &str) = (
    "tagwire_edge_scans_waiting",
    "Scans accepted, and neither acknowledged nor dropped yet",
);
const DROPPED: (&str, &str) = (
    "tagwire_edge_scans_dropped_total",
    "Scans that will never be stored, by reason",
);
const ADOPTED: (&str, &str) = (
    "tagwire_edge_scans_adopted_total",
    "Scans among the accepted that earlier boots left",
);

impl LedgerMetrics {
    pub(crate) fn new(accounts: Accounts) -> prometheus::Result<Self> {
        let describe = |(name, help): (&str, &str), labels: &[&str]| {
            Desc::new(
                name.into(),
                help.into(),
                labels.iter().map(|label| (*label).to_owned()).collect(),
                Default::default(),
            )
        };
        let rest = [
            describe(ACKNOWLEDGED, &[])?,
            describe(WAITING, &[])?,
            describe(DROPPED, &["reason"])?,
            describe(ADOPTED, &[])?,
        ];
        Ok(Self {
            accounts,
            accepted: describe(ACCEPTED, &[])?,
            descriptions: rest.into(),
        })
    }

    fn families(ledger: &Ledger) -> prometheus::Result<Vec<MetricFamily>> {
        let counter =
            |(name, help): (&str, &str), value: u64| -> prometheus::Result<Vec<MetricFamily>> {
                let counter = IntCounter::new(name, help)?;
                counter.inc_by(value);
                Ok(counter.collect())
            };
        let waiting = IntGauge::new(WAITING.0, WAITING.1)?;
        waiting.set(ledger.waiting().try_into().unwrap_or(i64::MAX));
        let dropped = IntCounterVec::new(Opts::new(DROPPED.0, DROPPED.1), &["reason"])?;
        for (reason, count) in DropReason::ALL.into_iter().zip(ledger.dropped) {
            dropped.with_label_values(&[reason.as_str()]).inc_by(count);
        }
        let mut families = counter(ACCEPTED, ledger.accepted)?;
        families.extend(counter(ACKNOWLEDGED, ledger.acknowledged)?);
        families.extend(counter(ADOPTED, ledger.adopted)?);
        families.extend(waiting.collect());
        families.extend(dropped.collect());
        Ok(families)
    }
}

impl Collector for LedgerMetrics {
    fn desc(&self) -> Vec<&Desc> {
        std::iter::once(&self.accepted)
            .chain(&self.descriptions)
            .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // The names were accepted when they were described, so this does not fail.
        Self::families(&self.accounts.ledger()).unwrap_or_default()
    }
}
