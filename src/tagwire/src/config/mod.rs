//! What the program is told: a file, then the environment, then the command line, the later wins. Everything is parsed here, at
//! the border, and an unknown key or an invalid value is an error that names where it stands. What the parts make of it is theirs.

mod cluster;
mod error;
mod kinds;
mod layers;
mod rate_limits;
mod sections;
#[cfg(test)]
mod tests;
mod upstream;
mod values;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;

pub(crate) use cluster::{ClickHouse, Kafka, Snapshot};
pub(crate) use error::ConfigError;
pub(crate) use layers::Flag;
pub(crate) use sections::{Admin, Crawlers, Drain, Edge, GeoIp, Log, Metrics, Node, ScanLog};
pub(crate) use upstream::Upstream;

use layers::Layers;

/// Every section; the same in every role, whether the role uses it or not.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) node: Node,
    pub(crate) edge: Edge,
    pub(crate) upstream: Upstream,
    pub(crate) admin: Admin,
    pub(crate) metrics: Metrics,
    pub(crate) kafka: Kafka,
    pub(crate) clickhouse: ClickHouse,
    pub(crate) snapshot: Snapshot,
    pub(crate) geoip: GeoIp,
    pub(crate) crawlers: Crawlers,
    pub(crate) scan_log: ScanLog,
    pub(crate) log: Log,
    pub(crate) drain: Drain,
    /// Not shown: there are passwords among them.
    given: Hidden,
}

/// What was given for each key.
#[derive(Clone)]
struct Hidden(BTreeMap<String, String>);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

impl Config {
    /// Reads all layers over the defaults.
    pub(crate) fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        flags: impl IntoIterator<Item = Flag>,
    ) -> Result<Self, ConfigError> {
        let mut layers = Layers::default();
        if let Some(path) = file {
            layers.add_file(path)?;
        }
        layers.add_environment(environment)?;
        layers.add_flags(flags);
        let mut values = layers.into_values();
        let config = Self {
            given: Hidden(values.given()),
            node: Node::read(&mut values)?,
            edge: Edge::read(&mut values)?,
            upstream: Upstream::read(&mut values)?,
            admin: Admin::read(&mut values)?,
            metrics: Metrics::read(&mut values)?,
            kafka: Kafka::read(&mut values)?,
            clickhouse: ClickHouse::read(&mut values)?,
            snapshot: Snapshot::read(&mut values)?,
            geoip: GeoIp::read(&mut values)?,
            crawlers: Crawlers::read(&mut values)?,
            scan_log: ScanLog::read(&mut values)?,
            log: Log::read(&mut values)?,
            drain: Drain::read(&mut values)?,
        };
        values.finish()?;
        Ok(config)
    }

    /// The keys that another configuration gives another value, or none.
    pub(crate) fn changed_keys(&self, other: &Self) -> Vec<String> {
        let keys = self.given.0.keys().chain(other.given.0.keys());
        let mut changed: Vec<String> = keys
            .filter(|key| self.given.0.get(*key) != other.given.0.get(*key))
            .cloned()
            .collect();
        changed.sort();
        changed.dedup();
        changed
    }
}
