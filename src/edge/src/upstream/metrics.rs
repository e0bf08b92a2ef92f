//! The numbers of requests that go to sites.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry};

use super::failure::Failure;

/// 1 ms to a minute: from a site next door to one that is given up.
const BUCKETS: [f64; 12] = [
    1e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 20.0, 60.0,
];

const ANSWERED: &str = "answered";
const CUT_OFF: &str = "cut_off";

/// How a request that was for a site ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The site's answer came whole.
    Answered,
    /// The site's answer ended in the middle, or the client did.
    CutOff,
    /// No answer of the site's.
    Failed(Failure),
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Answered => ANSWERED,
            Self::CutOff => CUT_OFF,
            Self::Failed(failure) => failure.as_str(),
        }
    }
}

/// The numbers; clones count together.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamMetrics {
    requests: IntCounterVec,
    duration: Histogram,
    under_way: IntGauge,
}

impl UpstreamMetrics {
    /// Makes the numbers and shows them, every outcome at zero.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let duration = HistogramOpts::new(
            "tagwire_edge_upstream_duration_seconds",
            "From a request's hand-over to the general lane to the last byte of the site's answer",
        );
        let metrics = Self {
            requests: IntCounterVec::new(
                Opts::new(
                    "tagwire_edge_upstream_requests_total",
                    "Requests for the sites behind domains, by how they ended",
                ),
                &["outcome"],
            )?,
            duration: Histogram::with_opts(duration.buckets(BUCKETS.to_vec()))?,
            under_way: IntGauge::new(
                "tagwire_edge_upstream_requests",
                "Requests that are at the sites behind domains now",
            )?,
        };
        let collectors: [Box<dyn Collector>; 3] = [
            Box::new(metrics.requests.clone()),
            Box::new(metrics.duration.clone()),
            Box::new(metrics.under_way.clone()),
        ];
        collectors
            .into_iter()
            .try_for_each(|collector| registry.register(collector))?;
        let failures = Failure::ALL.map(Outcome::Failed);
        for outcome in [Outcome::Answered, Outcome::CutOff]
            .into_iter()
            .chain(failures)
        {
            metrics.requests.with_label_values(&[outcome.as_str()]);
        }
        Ok(metrics)
    }

    pub(super) fn count(&self, outcome: Outcome) {
        self.requests.with_label_values(&[outcome.as_str()]).inc();
    }

    pub(super) fn observe(&self, took: Duration) {
        self.duration.observe(took.as_secs_f64());
    }

    /// One more is under way, until this is dropped.
    pub(super) fn begin(&self) -> UnderWay {
        self.under_way.inc();
        UnderWay(self.under_way.clone())
    }
}

pub(super) struct UnderWay(IntGauge);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}
