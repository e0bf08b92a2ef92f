//! The numbers of TLS for Prometheus. None has a label for a name: whose certificate it is stands in the log.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Clones count together. A handshake costs so much that a shared counter more does not matter.
#[derive(Clone, Debug)]
pub(crate) struct TlsMetrics {
    handshakes: [IntCounter; Handshake::ALL.len()],
    pub(crate) certificates: IntGauge,
    pub(crate) certificate_expiry: IntGauge,
    pub(crate) certificates_refused: IntGauge,
    pub(crate) ticket_keys: IntGauge,
    pub(crate) ticket_keys_refused: IntGauge,
}

/// How a handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handshake {
    Full,
    Resumed,
    Failed,
    TimedOut,
}

impl Handshake {
    const ALL: [Self; 4] = [Self::Full, Self::Resumed, Self::Failed, Self::TimedOut];

    fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Resumed => "resumed",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
        }
    }
}

impl TlsMetrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let handshakes = IntCounterVec::new(
            Opts::new(
                "tagwire_edge_tls_handshakes_total",
                "TLS handshakes by how they ended",
            ),
            &["result"],
        )?;
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()) as Box<dyn Collector>)?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let metrics = Self {
            handshakes: Handshake::ALL
                .map(|result| handshakes.with_label_values(&[result.as_str()])),
            certificates: gauge("tagwire_edge_certificates", "Certificates that are served")?,
            certificate_expiry: gauge(
                "tagwire_edge_certificate_expiry_timestamp_seconds",
                "When the first of the certificates that are served expires, in seconds since 1970",
            )?,
            certificates_refused: gauge(
                "tagwire_edge_certificates_refused",
                "Certificates on disk that cannot be used, see the log; the one before is served as long as there is one",
            )?,
            ticket_keys: gauge(
                "tagwire_edge_ticket_keys",
                "Keys of session tickets that are accepted",
            )?,
            ticket_keys_refused: gauge(
                "tagwire_edge_ticket_keys_refused",
                "1 while the folder of ticket keys cannot be used as it is, see the log; the keys from before are used",
            )?,
        };
        registry.register(Box::new(handshakes))?;
        Ok(metrics)
    }

    pub(crate) fn count(&self, result: Handshake) {
        self.handshakes[result as usize].inc();
    }
}
