//! The spool for Prometheus.

use prometheus::{IntCounter, IntGauge, Registry};

pub(crate) struct SpoolMetrics {
    bytes: IntGauge,
    available: IntGauge,
    errors: IntCounter,
}

impl SpoolMetrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            bytes: IntGauge::new(
                "tagwire_edge_scan_log_spool_bytes",
                "Bytes of the scan log that are on disk, as they wait for long",
            )?,
            available: IntGauge::new(
                "tagwire_edge_scan_log_spool_available",
                "1, or 0 while the spool is full or its disk fails",
            )?,
            errors: IntCounter::new(
                "tagwire_edge_scan_log_spool_errors_total",
                "Reads, writes and removals in the spool that failed",
            )?,
        };
        registry.register(Box::new(metrics.bytes.clone()))?;
        registry.register(Box::new(metrics.available.clone()))?;
        registry.register(Box::new(metrics.errors.clone()))?;
        metrics.set_available(true);
        Ok(metrics)
    }

    pub(super) fn set_bytes(&self, bytes: u64) {
        self.bytes.set(bytes.try_into().unwrap_or(i64::MAX));
    }

    pub(super) fn set_available(&self, available: bool) {
        self.available.set(available.into());
    }

    /// The disk refused something.
    pub(super) fn count_error(&self) {
        self.errors.inc();
    }
}
