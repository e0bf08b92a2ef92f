//! The journal in Kafka, for a cluster: compacted topics, one transaction per group of calls, fencing by transactional id.

pub(crate) mod client;
mod follower;
mod other_log;
mod post;
mod publisher;
mod readers;
mod scout;
pub(crate) mod side_topic;
pub(crate) mod topics;
pub(crate) mod whole_topic;

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::ClientConfig;
use tags::{Change, Topic};

use crate::group_commit::{GroupCommit, Lane};
use crate::record::Record;
use crate::salts::kafka::{self as salts, KafkaSaltsFollower};
use crate::{
    FollowError, Follower, Journal, JournalMetrics, OpenError, Positions, PublishError, SaltChange,
    Salts, SaltsFollower, Since,
};
use follower::KafkaFollower;
use publisher::KafkaCommitter;
pub use topics::{TopicPartitionsError, TopicSettingError};

/// How long to wait before a broker that cannot be reached is asked again.
const RETRY: Duration = Duration::from_secs(1);
/// How long a first answer may take before it is said who is waited for; librdkafka itself says nothing before its request's end.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the journal is in Kafka, and how its topics are made where they are missing.
#[derive(Clone)]
pub struct KafkaOptions {
    /// Bootstrap servers, `host:port`, separated by commas.
    pub brokers: String,
    /// What every topic's name and the transactional id begin with.
    pub prefix: String,
    /// Settings for librdkafka; they win over the journal's own.
    pub options: BTreeMap<String, String>,
    /// Copies of each new topic; `None`: three, or as many as there are brokers if that is less.
    pub replication: Option<u16>,
    /// Partitions of the topic of tags, when it is new. Eight let an edge's first reading come from several brokers at once, and a
    /// transaction still touch few; the other topics have one.
    pub tag_partitions: u16,
}

impl KafkaOptions {
    /// The defaults for these brokers, with the prefix `tagwire.`.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            prefix: "tagwire.".to_owned(),
            options: BTreeMap::new(),
            replication: None,
            tag_partitions: 8,
        }
    }

    fn topic(&self, topic: Topic) -> String {
        format!("{}{topic}", self.prefix)
    }

    /// What all clients share, then `own`, then what the user set.
    pub(crate) fn client(&self, own: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "tagwire");
        // A broker that is back is noticed within a second; librdkafka's default is ten.
        config.set("reconnect.backoff.max.ms", "1000");
        for (key, value) in own {
            config.set(*key, *value);
        }
        for (key, value) in &self.options {
            config.set(key, value);
        }
        config
    }
}

/// Without the values of librdkafka's settings, among which are passwords.
impl fmt::Debug for KafkaOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaOptions")
            .field("brokers", &self.brokers)
            .field("prefix", &self.prefix)
            .field("options", &self.options.keys().collect::<Vec<_>>())
            .field("replication", &self.replication)
            .field("tag_partitions", &self.tag_partitions)
            .finish()
    }
}

/// The journal in Kafka; clones share its writer.
#[derive(Clone, Debug)]
pub struct KafkaJournal {
    options: KafkaOptions,
    commits: GroupCommit,
    metrics: JournalMetrics,
    /// See [`Journal::waits_for`].
    waits_for: Arc<Mutex<Option<String>>>,
}

impl KafkaJournal {
    /// Checks the settings; connects to nothing.
    pub fn new(options: KafkaOptions) -> Result<Self, OpenError> {
        Self::new_counting(options, JournalMetrics::unregistered())
    }

    /// As [`KafkaJournal::new`], counting what its writer commits and its followers refuse.
    pub fn new_counting(options: KafkaOptions, metrics: JournalMetrics) -> Result<Self, OpenError> {
        let checked = options.client(&[]).create_native_config();
        checked.map_err(|error| OpenError::Kafka {
            brokers: options.brokers.clone(),
            reason: error.to_string(),
        })?;
        let commits = GroupCommit::start(KafkaCommitter::new(options.clone()), metrics.clone())?;
        Ok(Self {
            options,
            commits,
            metrics,
            waits_for: Arc::default(),
        })
    }

    /// The same journal and writer, whose followers count for another role.
    #[must_use]
    pub fn for_role(&self, metrics: JournalMetrics) -> Self {
        Self {
            metrics,
            ..self.clone()
        }
    }

    /// What is counted.
    pub fn metrics(&self) -> &JournalMetrics {
        &self.metrics
    }

    /// Makes and checks the topics, as soon as Kafka can be reached.
    async fn check_topics(&self) -> Result<(), PublishError> {
        let brokers = &self.options.brokers;
        let mut told = None;
        loop {
            let mut check = pin!(async {
                topics::ensure(&self.options).await?;
                salts::ensure(&self.options).await
            });
            let checked = match tokio::time::timeout(PATIENCE, &mut check).await {
                Ok(checked) => checked,
                Err(_) => {
                    if told.is_none() {
                        let amiss =
                            format!("Kafka at {brokers} cannot be reached, or does not answer");
                        tracing::warn!(
                            brokers,
                            "waiting for Kafka, which has not answered within {PATIENCE:?}, to check the journal's topics"
                        );
                        *self.amiss() = Some(amiss);
                    }
                    check.await
                }
            };
            let reason = match checked {
                Err(PublishError::Unavailable { reason, .. }) => reason,
                done => return done,
            };
            if told.as_ref() != Some(&reason) {
                tracing::warn!(
                    brokers,
                    reason,
                    "waiting for Kafka, to check the journal's topics"
                );
                *self.amiss() = Some(format!("Kafka at {brokers} cannot be reached: {reason}"));
                told = Some(reason);
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Only ever replaced as a whole, so that a panic elsewhere does it no harm.
    fn amiss(&self) -> MutexGuard<'_, Option<String>> {
        self.waits_for
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Journal for KafkaJournal {
    async fn become_writer(&self) -> Result<(), PublishError> {
        let checked = self.check_topics().await;
        *self.amiss() = None;
        checked?;
        self.commits.become_writer().await
    }

    fn waits_for(&self) -> Option<String> {
        self.amiss().clone()
    }

    async fn publish(&self, changes: Vec<Change>) -> Result<Positions, PublishError> {
        let records = Record::encode_all(&changes)?;
        self.commits.publish(Lane::Interactive, records).await
    }

    async fn publish_in_bulk(&self, changes: &[Change]) -> Result<Positions, PublishError> {
        let records = Record::encode_all(changes)?;
        self.commits.publish(Lane::Bulk, records).await
    }

    fn follow(&self, topics: &[Topic], since: Since) -> Result<Box<dyn Follower>, FollowError> {
        Ok(Box::new(KafkaFollower::start(
            &self.options,
            topics,
            since,
            self.metrics.clone(),
        )?))
    }
}

#[async_trait]
impl Salts for KafkaJournal {
    async fn prepare_salts(&self) -> Result<(), PublishError> {
        salts::ensure(&self.options).await
    }

    async fn change_salts(&self, changes: Vec<SaltChange>) -> Result<(), PublishError> {
        self.commits.change_salts(changes).await
    }

    fn follow_salts(&self) -> Result<Box<dyn SaltsFollower>, FollowError> {
        let follower = KafkaSaltsFollower::start(&self.options, self.metrics.clone())?;
        Ok(Box::new(follower))
    }
}
