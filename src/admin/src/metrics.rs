//! What the admin counts of its requests, alerts and calls of webhooks, for Prometheus.

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use jiff::Timestamp;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::alerts::AlertKind;
use crate::service::Admin;
use analytics::Hour;

/// 1 ms to 10 s: from a look-up in the index to an edit that waits for a slow broker.
const BUCKETS: [f64; 13] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
];

/// The numbers of one admin.
pub(crate) struct AdminMetrics {
    requests: IntCounterVec,
    duration: Histogram,
    alerts: IntCounterVec,
    deliveries: IntCounterVec,
    waiting_deliveries: IntGauge,
    judged: IntGauge,
    expired: IntCounter,
    none_expired_at: IntGauge,
}

/// What became of an event for a webhook.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DeliveryOutcome {
    /// It was answered with 2xx.
    Delivered,
    /// It was not, and is tried again.
    Failed,
    /// It was not, and is not tried again.
    GivenUp,
    /// It never waited: too many did.
    Dropped,
}

impl DeliveryOutcome {
    const ALL: [Self; 4] = [Self::Delivered, Self::Failed, Self::GivenUp, Self::Dropped];

    fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
            Self::Dropped => "dropped",
        }
    }
}

impl AdminMetrics {
    /// Numbers that nobody sees yet.
    pub(crate) fn unregistered() -> Self {
        let requests = Opts::new(
            "tagwire_admin_requests_total",
            "Requests to the admin API that were answered, by method and status code",
        );
        let duration = HistogramOpts::new(
            "tagwire_admin_request_duration_seconds",
            "From a request's head to the head of its answer; an edit waits until it can be seen",
        );
        let alerts = Opts::new(
            "tagwire_admin_alerts_total",
            "Alerts that were raised, by kind",
        );
        let alerts = IntCounterVec::new(alerts, &["kind"]).expect("the names are valid constants");
        for kind in AlertKind::ALL {
            alerts.with_label_values(&[kind.as_str()]);
        }
        let deliveries = Opts::new(
            "tagwire_admin_webhook_deliveries_total",
            "Calls of webhooks, by what became of them: delivered, failed (tried again), given_up, dropped (too many waited)",
        );
        let deliveries =
            IntCounterVec::new(deliveries, &["outcome"]).expect("the names are valid constants");
        for outcome in DeliveryOutcome::ALL {
            deliveries.with_label_values(&[outcome.as_str()]);
        }
        let waiting = Opts::new(
            "tagwire_admin_webhook_waiting",
            "Events that have still to be delivered to webhooks",
        );
        let judged = Opts::new(
            "tagwire_admin_judged_hour_end_seconds",
            "End of the newest hour whose scans were judged for what is unusual, in Unix time; 0: none by this process",
        );
        let expired = Opts::new(
            "tagwire_admin_retention_scans_total",
            "Scans that were deleted as their workspaces keep them no longer",
        );
        let none_expired_at = Opts::new(
            "tagwire_admin_retention_timestamp_seconds",
            "When no scan was left that its workspace keeps no longer, in Unix time; 0: not since the start",
        );
        Self {
            expired: IntCounter::with_opts(expired).expect("the name is a valid constant"),
            none_expired_at: IntGauge::with_opts(none_expired_at)
                .expect("the name is a valid constant"),
            judged: IntGauge::with_opts(judged).expect("the name is a valid constant"),
            deliveries,
            waiting_deliveries: IntGauge::with_opts(waiting).expect("the name is a valid constant"),
            requests: IntCounterVec::new(requests, &["method", "status"])
                .expect("the names are valid constants"),
            duration: Histogram::with_opts(duration.buckets(BUCKETS.to_vec()))
                .expect("the name is a valid constant, and the buckets rise"),
            alerts,
        }
    }

    /// Shows them in a registry from now on.
    pub(crate) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.requests.clone()))?;
        registry.register(Box::new(self.duration.clone()))?;
        registry.register(Box::new(self.judged.clone()))?;
        registry.register(Box::new(self.expired.clone()))?;
        registry.register(Box::new(self.none_expired_at.clone()))?;
        registry.register(Box::new(self.deliveries.clone()))?;
        registry.register(Box::new(self.waiting_deliveries.clone()))?;
        registry.register(Box::new(self.alerts.clone()))
    }

    /// An alert was raised.
    pub(crate) fn alerted(&self, kind: AlertKind) {
        self.alerts.with_label_values(&[kind.as_str()]).inc();
    }

    /// So many events for webhooks came to this.
    pub(crate) fn delivery(&self, outcome: DeliveryOutcome, count: u64) {
        let counter = self.deliveries.with_label_values(&[outcome.as_str()]);
        counter.inc_by(count);
    }

    /// An hour's scans were judged.
    pub(crate) fn judged(&self, hour: Hour) {
        self.judged.set(hour.before(-1).start().as_second());
    }

    /// So many scans were kept no longer.
    pub(crate) fn expired(&self, scans: u64) {
        self.expired.inc_by(scans);
    }

    /// At that time none was left that is.
    pub(crate) fn nothing_expired_is_left(&self, now: Timestamp) {
        self.none_expired_at.set(now.as_second());
    }

    /// So many wait.
    pub(crate) fn waiting_deliveries(&self, count: u64) {
        self.waiting_deliveries.set(count.cast_signed());
    }
}

/// Counts a request once it is answered.
pub(crate) async fn count(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let method = known_method(request.method());
    let metrics = admin.metrics();
    let timer = metrics.duration.start_timer();
    let response = next.run(request).await;
    timer.observe_duration();
    let status = response.status();
    let labels = [method, status.as_str()];
    metrics.requests.with_label_values(&labels).inc();
    response
}

/// Methods are the client's to invent, and every label costs memory.
fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    }
}
