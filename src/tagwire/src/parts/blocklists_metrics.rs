//! The numbers of the blocklists.

use blocklist::{BlocklistError, Blocklists};
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Clones count together.
#[derive(Clone, Debug)]
pub(super) struct BlocklistsMetrics {
    hosts: IntGauge,
    taken: IntCounter,
    refused: IntCounterVec,
}

impl BlocklistsMetrics {
    /// Makes the numbers and shows them, every reason at zero.
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            hosts: IntGauge::new(
                "tagwire_admin_blocklist_hosts",
                "Hosts on the blocklists that count, all lists together",
            )?,
            taken: IntCounter::new(
                "tagwire_admin_blocklists_taken_total",
                "Newer blocklists that were taken while running",
            )?,
            refused: IntCounterVec::new(
                Opts::new(
                    "tagwire_admin_blocklists_refused_total",
                    "Blocklists that could not be used, by reason; the last good one counts",
                ),
                &["reason"],
            )?,
        };
        for reason in BlocklistError::REASONS {
            metrics.refused.with_label_values(&[reason]);
        }
        registry.register(Box::new(metrics.hosts.clone()))?;
        registry.register(Box::new(metrics.taken.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        Ok(metrics)
    }

    /// Which lists count now.
    pub(super) fn hold(&self, lists: &Blocklists) {
        let hosts: usize = lists.sizes().iter().map(|(_, hosts)| hosts).sum();
        self.hosts.set(i64::try_from(hosts).unwrap_or(i64::MAX));
    }

    pub(super) fn taken(&self) {
        self.taken.inc();
    }

    pub(super) fn refused(&self, error: &BlocklistError) {
        self.refused.with_label_values(&[error.reason()]).inc();
    }
}
