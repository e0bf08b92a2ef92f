//! The numbers of lists from files, by the roles that use them.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// What the numbers are called: `tagwire_{role}_{entries}`, `tagwire_{role}_{lists}_taken_total` and `…_refused_total{reason}`.
pub(crate) struct Names {
    pub(crate) entries: &'static str,
    pub(crate) entries_help: &'static str,
    pub(crate) lists: &'static str,
    /// Every reason for which a list is refused.
    pub(crate) reasons: &'static [&'static str],
}

/// One role's numbers each; clones count together.
#[derive(Clone, Debug)]
pub(super) struct ListsMetrics(Vec<OfRole>);

#[derive(Clone, Debug)]
struct OfRole {
    entries: IntGauge,
    taken: IntCounter,
    refused: IntCounterVec,
}

impl ListsMetrics {
    /// Makes the numbers and shows them, every reason at zero.
    pub(super) fn register(
        registry: &Registry,
        roles: &[&'static str],
        names: &Names,
    ) -> Result<Self, prometheus::Error> {
        let of_role = |role: &&str| OfRole::register(registry, role, names);
        roles
            .iter()
            .map(of_role)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// How many entries the lists that count now have.
    pub(super) fn hold(&self, sizes: &[(String, usize)]) {
        let entries: usize = sizes.iter().map(|(_, entries)| entries).sum();
        let entries = i64::try_from(entries).unwrap_or(i64::MAX);
        self.0.iter().for_each(|role| role.entries.set(entries));
    }

    pub(super) fn taken(&self) {
        self.0.iter().for_each(|role| role.taken.inc());
    }

    pub(super) fn refused(&self, reason: &str) {
        for role in &self.0 {
            role.refused.with_label_values(&[reason]).inc();
        }
    }
}

impl OfRole {
    fn register(registry: &Registry, role: &str, names: &Names) -> Result<Self, prometheus::Error> {
        let Names { entries, lists, .. } = names;
        let metrics = Self {
            entries: IntGauge::new(format!("tagwire_{role}_{entries}"), names.entries_help)?,
            taken: IntCounter::new(
                format!("tagwire_{role}_{lists}_taken_total"),
                "Newer lists that were taken while running",
            )?,
            refused: IntCounterVec::new(
                Opts::new(
                    format!("tagwire_{role}_{lists}_refused_total"),
                    "Lists that could not be used, by reason; the last good one counts",
                ),
                &["reason"],
            )?,
        };
        for reason in names.reasons {
            metrics.refused.with_label_values(&[reason]);
        }
        registry.register(Box::new(metrics.entries.clone()))?;
        registry.register(Box::new(metrics.taken.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        Ok(metrics)
    }
}
