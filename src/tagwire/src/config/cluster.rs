//! The sections that only a cluster needs: the servers that its roles share, for which no defaults could be right, and what edges keep
//! for the time when these are away.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::error::ConfigError;
use super::kinds;
use super::layers::KAFKA_OPTIONS;
use super::values::Values;

/// Kafka, for the roles of a cluster.
#[derive(Clone)]
pub(crate) struct Kafka {
    /// `kafka.brokers`; see [`Kafka::brokers`].
    brokers: Option<Vec<String>>,
    /// `kafka.prefix`: what topics' names begin with.
    pub(crate) prefix: String,
    /// `kafka.options`: settings for librdkafka, passwords among them.
    pub(crate) options: BTreeMap<String, String>,
}

impl Kafka {
    pub(crate) fn read(values: &mut Values) -> Result<Self, ConfigError> {
        Ok(Self {
            brokers: values.non_empty_list("kafka.brokers", &kinds::BROKER)?,
            prefix: values
                .one("kafka.prefix", &kinds::TOPIC_PREFIX)?
                .unwrap_or_else(|| "tagwire.".to_owned()),
            options: values.table(KAFKA_OPTIONS)?,
        })
    }

    /// The bootstrap servers, as librdkafka wants them.
    pub(crate) fn brokers(&self, role: &'static str) -> Result<String, ConfigError> {
        let brokers = self.brokers.as_ref().map(|brokers| brokers.join(","));
        brokers.ok_or_else(|| ConfigError::missing("kafka.brokers", role, kinds::BROKER.allowed))
    }

    /// An error's words without the values of librdkafka's settings, which it shows where it does not take one: a password whose
    /// name is misspelt must not end up in a log.
    pub(crate) fn without_values(&self, error: &impl ToString) -> String {
        let mut words = error.to_string();
        for (name, value) in &self.options {
            words = words.replace(&format!("{name} {value}"), name);
        }
        words
    }
}

/// Without the values of librdkafka's settings.
impl std::fmt::Debug for Kafka {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Kafka")
            .field("brokers", &self.brokers)
            .field("prefix", &self.prefix)
            .field("options", &self.options.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// ClickHouse, for the roles of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct ClickHouse {
    /// `clickhouse.url`; see [`ClickHouse::url`].
    url: Option<Url>,
    /// `clickhouse.user`
    pub(crate) user: Option<String>,
    /// `clickhouse.password_file`
    pub(crate) password_file: Option<PathBuf>,
    /// `clickhouse.database`
    pub(crate) database: String,
}

impl ClickHouse {
    pub(crate) fn read(values: &mut Values) -> Result<Self, ConfigError> {
        Ok(Self {
            url: values.one("clickhouse.url", &kinds::HTTP_URL)?,
            user: values.one("clickhouse.user", &kinds::USER)?,
            password_file: values.one("clickhouse.password_file", &kinds::PATH)?,
            database: values
                .one("clickhouse.database", &kinds::DATABASE)?
                .unwrap_or_else(|| "tagwire".to_owned()),
        })
    }

    /// Whether there is one.
    pub(crate) fn is_configured(&self) -> bool {
        self.url.is_some()
    }

    /// Its HTTP interface.
    pub(crate) fn url(&self, role: &'static str) -> Result<&Url, ConfigError> {
        self.url
            .as_ref()
            .ok_or_else(|| ConfigError::missing("clickhouse.url", role, kinds::HTTP_URL.allowed))
    }
}

/// The edges' snapshots of all tags.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// `snapshot.interval`: from one to the next, if anything has changed.
    pub(crate) interval: Duration,
}

impl Snapshot {
    pub(crate) fn read(values: &mut Values) -> Result<Self, ConfigError> {
        let interval = values.one("snapshot.interval", &kinds::SECONDS)?;
        Ok(Self {
            interval: interval.unwrap_or(Duration::from_secs(300)),
        })
    }
}
