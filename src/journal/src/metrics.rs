//! The journal's counters, per role: a process that runs several roles gives each its own.

use prometheus::{IntCounter, Registry};

/// What a journal counts; clones count together.
#[derive(Clone, Debug)]
pub struct JournalMetrics {
    refused: IntCounter,
    transactions: IntCounter,
    published: IntCounter,
}

impl JournalMetrics {
    /// Counters named `tagwire_ROLE_journal_…`, shown in the registry from now on. Fails when the role has registered before.
    pub fn register(registry: &Registry, role: &str) -> Result<Self, prometheus::Error> {
        let metrics = Self::named(role)?;
        registry.register(Box::new(metrics.refused.clone()))?;
        registry.register(Box::new(metrics.transactions.clone()))?;
        registry.register(Box::new(metrics.published.clone()))?;
        Ok(metrics)
    }

    /// Counters that nobody else sees.
    pub fn unregistered() -> Self {
        Self::named("unregistered").expect("this role makes valid names")
    }

    /// Records that followers refused.
    pub fn refused(&self) -> u64 {
        self.refused.get()
    }

    /// Transactions that were committed.
    pub fn transactions(&self) -> u64 {
        self.transactions.get()
    }

    /// Calls to publish that succeeded; several share a transaction.
    pub fn published(&self) -> u64 {
        self.published.get()
    }

    pub(crate) fn count_refused(&self) {
        self.refused.inc();
    }

    pub(crate) fn count_committed(&self, calls: usize) {
        self.transactions.inc();
        self.published.inc_by(calls as u64);
    }

    fn named(role: &str) -> Result<Self, prometheus::Error> {
        let counter = |thing: &str, help: &str| {
            IntCounter::new(format!("tagwire_{role}_journal_{thing}_total"), help)
        };
        Ok(Self {
            refused: counter(
                "refused",
                "Records of the journal that were not valid and were skipped",
            )?,
            transactions: counter("transactions", "Transactions committed to the journal")?,
            published: counter(
                "published",
                "Calls to publish that succeeded; several share a transaction",
            )?,
        })
    }
}
