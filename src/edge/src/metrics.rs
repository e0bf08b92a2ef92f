//! The edge's numbers for Prometheus. Each worker counts on its own and adds that to the shared numbers every now and then, so that no
//! request meets another thread's cache line.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::local::{LocalHistogram, LocalIntCounter};
use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};
use scans::HttpVersion;
use tags::Outcome;

use crate::admission::ConnectionMetrics;
use crate::counting::CountingMetrics;
use crate::rate_limits::RateLimit;
use crate::upstream::UpstreamMetrics;

/// How often workers add what they have counted: the delay after which it shows in `/metrics`.
pub(crate) const FLUSH_EVERY: Duration = Duration::from_millis(500);

/// 10 µs to 1 s: from an answer out of memory to a machine that stalls.
const BUCKETS: [f64; 16] = [
    10e-6, 20e-6, 50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 0.1, 0.2,
    0.5, 1.0,
];

/// Every status code that an answer can have.
const STATUSES: [u16; 23] = [
    200, 204, 301, 302, 303, 307, 308, 400, 404, 405, 408, 410, 413, 414, 421, 429, 431, 501, 502,
    503, 504, 505, 508,
];

const VERSIONS: [HttpVersion; 3] = [HttpVersion::Http10, HttpVersion::Http11, HttpVersion::Http2];

/// Why a snapshot may be refused.
pub(crate) const REFUSALS: [&str; 7] = [
    "damaged",
    "newer_format",
    "not_a_snapshot",
    "other_log",
    "outdated",
    "truncated",
    "unreadable",
];

/// The edge's numbers; clones count together.
#[derive(Clone, Debug)]
pub struct EdgeMetrics {
    redirects: HistogramVec,
    responses: IntCounterVec,
    tags: IntGauge,
    folds: IntCounter,
    journal_lag: Gauge,
    local_salts: IntCounter,
    shared_salts: IntGauge,
    replaced_salts: IntCounter,
    place_lookups: IntCounter,
    limited: IntCounterVec,
    snapshot_age: Gauge,
    refused_snapshots: IntCounterVec,
    pub(crate) connections: ConnectionMetrics,
    pub(crate) counting: CountingMetrics,
    pub(crate) upstream: UpstreamMetrics,
}

impl EdgeMetrics {
    /// Makes the numbers and shows them in the registry, all at zero. Fails when they are there already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let redirects = HistogramOpts::new(
            "tagwire_edge_redirect_duration_seconds",
            "From the last byte of a scan's request head to the hand-over of its answer to the kernel",
        );
        let metrics = Self {
            redirects: HistogramVec::new(
                redirects.buckets(BUCKETS.to_vec()),
                &["lane", "outcome", "http"],
            )?,
            responses: IntCounterVec::new(
                Opts::new(
                    "tagwire_edge_responses_total",
                    "Answers of the redirect listeners by status code",
                ),
                &["status"],
            )?,
            tags: IntGauge::new(
                "tagwire_edge_tags",
                "Tags in memory, revoked ones among them",
            )?,
            folds: IntCounter::new(
                "tagwire_edge_table_folds_total",
                "How many times the changes since the start were folded into a new base of the table",
            )?,
            journal_lag: Gauge::new(
                "tagwire_edge_journal_lag_seconds",
                "Age of the newest change when it was applied; 0 when all are, and the time since then while the journal, or a partition of it, cannot be read",
            )?,
            local_salts: IntCounter::new(
                "tagwire_edge_local_salts_total",
                "Days' salts that this edge made for itself, so that `visitor` is comparable within it alone",
            )?,
            shared_salts: IntGauge::new(
                "tagwire_edge_shared_salts",
                "Days that have a salt which all edges share, from today on: 8 while the admin makes them",
            )?,
            replaced_salts: IntCounter::new(
                "tagwire_edge_replaced_salts_total",
                "Days' shared salts in whose place came another: none, unless the log of salts was lost",
            )?,
            place_lookups: IntCounter::new(
                "tagwire_edge_geoip_lookups_total",
                "Requests whose place was looked up, because their tag depends on it",
            )?,
            limited: IntCounterVec::new(
                Opts::new(
                    "tagwire_edge_limited_total",
                    "Requests for codes that were answered 429, by the limit that they exceeded",
                ),
                &["limit"],
            )?,
            snapshot_age: Gauge::new(
                "tagwire_edge_snapshot_age_seconds",
                "How long ago the newest snapshot of the table was last known to hold all changes; while there is none, how long there has been none",
            )?,
            refused_snapshots: IntCounterVec::new(
                Opts::new(
                    "tagwire_edge_snapshots_refused_total",
                    "Snapshots that were not relied on, by reason",
                ),
                &["reason"],
            )?,
            connections: ConnectionMetrics::register(registry)?,
            counting: CountingMetrics::register(registry)?,
            upstream: UpstreamMetrics::register(registry)?,
        };
        for reason in REFUSALS {
            metrics.refused_snapshots.with_label_values(&[reason]);
        }
        let collectors: [Box<dyn Collector>; 12] = [
            Box::new(metrics.redirects.clone()),
            Box::new(metrics.responses.clone()),
            Box::new(metrics.tags.clone()),
            Box::new(metrics.folds.clone()),
            Box::new(metrics.journal_lag.clone()),
            Box::new(metrics.local_salts.clone()),
            Box::new(metrics.shared_salts.clone()),
            Box::new(metrics.replaced_salts.clone()),
            Box::new(metrics.place_lookups.clone()),
            Box::new(metrics.limited.clone()),
            Box::new(metrics.snapshot_age.clone()),
            Box::new(metrics.refused_snapshots.clone()),
        ];
        collectors
            .into_iter()
            .try_for_each(|collector| registry.register(collector))?;
        metrics.express_lane(); // touches every label, so that each is there from the start
        Ok(metrics)
    }

    pub(crate) fn set_tags(&self, tags: usize) {
        self.tags.set(i64::try_from(tags).unwrap_or(i64::MAX));
    }

    /// How many there have been so far; only this table's count here.
    pub(crate) fn set_folds(&self, folds: usize) {
        let new = (folds as u64).saturating_sub(self.folds.get());
        self.folds.inc_by(new);
    }

    pub(crate) fn set_snapshot_age(&self, seconds: f64) {
        self.snapshot_age.set(seconds);
    }

    /// `reason` is one of [`REFUSALS`].
    pub(crate) fn count_refused_snapshot(&self, reason: &str) {
        debug_assert!(REFUSALS.contains(&reason), "{reason}");
        self.refused_snapshots.with_label_values(&[reason]).inc();
    }

    pub(crate) fn local_salts(&self) -> IntCounter {
        self.local_salts.clone()
    }

    pub(crate) fn count_replaced_salt(&self) {
        self.replaced_salts.inc();
    }

    pub(crate) fn set_shared_salts(&self, days: usize) {
        self.shared_salts
            .set(i64::try_from(days).unwrap_or(i64::MAX));
    }

    pub(crate) fn set_journal_lag(&self, seconds: f64) {
        self.journal_lag.set(seconds);
    }

    /// One worker's own numbers.
    pub(crate) fn express_lane(&self) -> WorkerMetrics {
        let redirect = |outcome: Outcome, version: HttpVersion| {
            self.redirects
                .with_label_values(&["express", outcome.as_str(), version.as_str()])
                .local()
        };
        WorkerMetrics {
            redirects: Outcome::ALL
                .map(|outcome| VERSIONS.map(|version| redirect(outcome, version))),
            responses: STATUSES.map(|status| {
                self.responses
                    .with_label_values(&[&status.to_string()])
                    .local()
            }),
            place_lookups: self.place_lookups.local(),
            limited: RateLimit::ALL.map(|limit| {
                let counter = self.limited.with_label_values(&[limit.as_str()]);
                (limit, counter.local())
            }),
        }
    }
}

/// What one worker has counted and not yet added.
pub(crate) struct WorkerMetrics {
    redirects: [[LocalHistogram; VERSIONS.len()]; Outcome::ALL.len()],
    responses: [LocalIntCounter; STATUSES.len()],
    place_lookups: LocalIntCounter,
    limited: [(RateLimit, LocalIntCounter); RateLimit::ALL.len()],
}

impl WorkerMetrics {
    pub(crate) fn count_response(&self, status: u16) {
        if let Some(at) = STATUSES.iter().position(|known| *known == status) {
            self.responses[at].inc();
        }
    }

    pub(crate) fn count_place_lookup(&self) {
        self.place_lookups.inc();
    }

    pub(crate) fn count_limited(&self, limit: RateLimit) {
        let counted = self.limited.iter().filter(|(of, _)| *of == limit);
        counted.for_each(|(_, counter)| counter.inc());
    }

    pub(crate) fn observe_redirect(&self, outcome: Outcome, version: HttpVersion, took: Duration) {
        let at = Outcome::ALL
            .iter()
            .position(|known| *known == outcome)
            .zip(VERSIONS.iter().position(|known| *known == version));
        if let Some((outcome, version)) = at {
            self.redirects[outcome][version].observe(took.as_secs_f64());
        }
    }

    /// Adds what was counted to the shared numbers.
    pub(crate) fn flush(&self) {
        self.redirects
            .iter()
            .flatten()
            .for_each(LocalHistogram::flush);
        self.responses.iter().for_each(LocalIntCounter::flush);
        self.place_lookups.flush();
        self.limited.iter().for_each(|(_, counter)| counter.flush());
    }
}
