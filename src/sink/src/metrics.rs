//! The sink's numbers, present from the start.

use prometheus::{IntCounter, IntGauge, Registry};

/// What a sink counts; clones count together.
#[derive(Clone, Debug)]
pub struct SinkMetrics {
    pub(crate) rows: IntCounter,
    pub(crate) lag: IntGauge,
    pub(crate) missing: IntGauge,
    pub(crate) deduplicated: IntCounter,
    pub(crate) dead: IntCounter,
    pub(crate) duplicates: IntCounter,
    pub(crate) retries: IntCounter,
}

impl SinkMetrics {
    /// Shown in the registry from now on; fails when a sink has registered there before.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            rows: IntCounter::new("tagwire_sink_rows_total", "Scans stored and confirmed")?,
            lag: IntGauge::new(
                "tagwire_sink_lag_records",
                "Batches in the log that are not stored yet",
            )?,
            // Falls again when a late batch comes, so a gauge in spite of its name.
            missing: IntGauge::new(
                "tagwire_sink_missing_total",
                "Scans whose numbers were passed over, beyond those that their writers say they dropped",
            )?,
            deduplicated: IntCounter::new(
                "tagwire_sink_deduplicated_total",
                "Scans delivered again and not stored again",
            )?,
            dead: IntCounter::new(
                "tagwire_sink_dead_total",
                "Batches and scans that could not be read, set aside",
            )?,
            duplicates: IntCounter::new(
                "tagwire_sink_duplicate_rows_total",
                "Rows found in the store beyond one for each scan",
            )?,
            retries: IntCounter::new(
                "tagwire_sink_retries_total",
                "Steps of a block that failed and are tried again",
            )?,
        };
        for counter in [
            &metrics.rows,
            &metrics.deduplicated,
            &metrics.dead,
            &metrics.duplicates,
            &metrics.retries,
        ] {
            registry.register(Box::new(counter.clone()))?;
        }
        registry.register(Box::new(metrics.lag.clone()))?;
        registry.register(Box::new(metrics.missing.clone()))?;
        Ok(metrics)
    }
}
