//! The numbers of the GeoIP file, by the roles that use it.

use facts::{PlacesError, PlacesFile};
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// One role's numbers each; clones count together.
#[derive(Clone, Debug)]
pub(super) struct PlacesMetrics(Vec<OfRole>);

#[derive(Clone, Debug)]
struct OfRole {
    built: IntGauge,
    taken: IntCounter,
    refused: IntCounterVec,
}

impl PlacesMetrics {
    /// Makes the numbers and shows them, every reason at zero.
    pub(super) fn register(
        registry: &Registry,
        roles: &[&'static str],
    ) -> Result<Self, prometheus::Error> {
        let of_role = |role: &&str| OfRole::register(registry, role);
        roles
            .iter()
            .map(of_role)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Which database answers now.
    pub(super) fn answers(&self, file: &PlacesFile) {
        let built = file.places().built_at().unwrap_or(0);
        for role in &self.0 {
            role.built.set(i64::try_from(built).unwrap_or(i64::MAX));
        }
    }

    pub(super) fn taken(&self) {
        self.0.iter().for_each(|role| role.taken.inc());
    }

    pub(super) fn refused(&self, error: &PlacesError) {
        for role in &self.0 {
            role.refused.with_label_values(&[error.reason()]).inc();
        }
    }
}

impl OfRole {
    fn register(registry: &Registry, role: &str) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            built: IntGauge::new(
                format!("tagwire_{role}_geoip_build_timestamp_seconds"),
                "When the GeoIP database that answers was built, in seconds since 1970; 0 without one",
            )?,
            taken: IntCounter::new(
                format!("tagwire_{role}_geoip_taken_total"),
                "Newer GeoIP files that were taken while running",
            )?,
            refused: IntCounterVec::new(
                Opts::new(
                    format!("tagwire_{role}_geoip_refused_total"),
                    "GeoIP files that could not be used, by reason; the last good one answers",
                ),
                &["reason"],
            )?,
        };
        for reason in PlacesError::REASONS {
            metrics.refused.with_label_values(&[reason]);
        }
        registry.register(Box::new(metrics.built.clone()))?;
        registry.register(Box::new(metrics.taken.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        Ok(metrics)
    }
}
