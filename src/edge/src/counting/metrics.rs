//! The numbers of what is counted.

use prometheus::core::Collector;
use prometheus::{Gauge, IntCounter, IntGauge, Registry};

/// The numbers; clones count together.
#[derive(Clone, Debug)]
pub(crate) struct CountingMetrics {
    pub(super) tags: IntGauge,
    pub(super) unkept: IntGauge,
    pub(super) published: IntCounter,
    pub(super) lag: Gauge,
}

impl CountingMetrics {
    /// Makes the numbers and shows them, all at zero.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            tags: IntGauge::new(
                "tagwire_edge_counted_tags",
                "Tags whose scans are counted at this edge, or have been since its series of counts began",
            )?,
            unkept: IntGauge::new(
                "tagwire_edge_counted_tags_unkept",
                "Those of them whose counts a kill of this process would lose, since the scan log's folder had no room",
            )?,
            published: IntCounter::new(
                "tagwire_edge_counts_published_total",
                "Counts of scans that this edge has told other edges",
            )?,
            lag: Gauge::new(
                "tagwire_edge_counts_lag_seconds",
                "For how long this edge has not been able to tell others all that it has counted; 0 when it tells them",
            )?,
        };
        let collectors: [Box<dyn Collector>; 4] = [
            Box::new(metrics.tags.clone()),
            Box::new(metrics.unkept.clone()),
            Box::new(metrics.published.clone()),
            Box::new(metrics.lag.clone()),
        ];
        collectors
            .into_iter()
            .try_for_each(|collector| registry.register(collector))?;
        Ok(metrics)
    }
}
