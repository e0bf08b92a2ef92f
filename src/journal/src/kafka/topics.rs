//! The journal's topics in Kafka: how each has to be set, made where it is missing, and checked where it is there.

use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, OwnedResourceSpecifier, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use tags::Topic;

use super::KafkaOptions;
use crate::{MAX_RECORD_BYTES, PublishError};

/// What the largest record may take with its batch's and its own headers around it.
pub(crate) const MAX_MESSAGE_BYTES: usize = MAX_RECORD_BYTES + 64 * 1024;

/// How long one request to the brokers may take.
pub(crate) const REQUEST: Duration = Duration::from_secs(10);

/// A topic that is there but not as it has to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "topic {topic} has {setting} = {found}, wanted {wanted}: change it (kafka-configs --alter) and start again"
)]
pub struct TopicSettingError {
    /// The topic, with its prefix.
    pub topic: String,
    /// Kafka's name of the setting.
    pub setting: &'static str,
    /// What it is.
    pub found: String,
    /// What it has to be.
    pub wanted: String,
}

/// A topic whose records would no longer be in order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "topic {topic} has {found} partitions and must have one: records of a key are in order only within a partition, and adding partitions \
     has torn keys apart. Kafka takes none away, so make the topic anew: stop every admin, save its records with keys and times \
     (kafka-console-consumer), delete it, let the admin make it, write the newest record of each key back, and start again"
)]
pub struct TopicPartitionsError {
    /// The topic, with its prefix.
    pub topic: String,
    /// How many it has.
    pub found: usize,
}

/// A setting's name and the value that it must have.
type Setting = (&'static str, &'static str);

/// Changes are dated by who wrote them: whether an edge has applied one is judged by that, beside its position.
const WRITERS_CLOCK: Setting = ("message.timestamp.type", "CreateTime");

/// Kept for ever: the newest record of each key, or every record.
fn policy(topic: Topic) -> &'static [Setting] {
    match topic {
        Topic::Tags | Topic::Settings | Topic::Accounts => {
            &[("cleanup.policy", "compact"), WRITERS_CLOCK]
        }
        Topic::Audit => &[
            ("cleanup.policy", "delete"),
            ("retention.ms", "-1"),
            ("retention.bytes", "-1"),
            WRITERS_CLOCK,
        ],
    }
}

/// Makes the topics that are missing, then checks all of them.
pub(crate) async fn ensure(options: &KafkaOptions) -> Result<(), PublishError> {
    let admin = AdminClient::from_config(&options.client(&[]))
        .map_err(|error| unavailable(options, &error))?;
    // The one request of these that has no future: on a thread that may wait.
    let (admin, metadata) = tokio::task::spawn_blocking(move || {
        let metadata = admin.inner().fetch_metadata(None, REQUEST);
        (admin, metadata)
    })
    .await
    .map_err(|error| PublishError::Unavailable {
        place: options.brokers.clone(),
        reason: error.to_string(),
    })?;
    let metadata = metadata.map_err(|error| unavailable(options, &error))?;

    create(options, &admin, &metadata).await?;
    check(options, &admin, &metadata).await
}

async fn create(
    options: &KafkaOptions,
    admin: &AdminClient<DefaultClientContext>,
    metadata: &Metadata,
) -> Result<(), PublishError> {
    let replication = options
        .replication
        .map_or_else(|| metadata.brokers().len().clamp(1, 3), usize::from);
    let names = Topic::ALL.map(|topic| options.topic(topic));
    let max_message_bytes = MAX_MESSAGE_BYTES.to_string();
    let missing = Topic::ALL
        .iter()
        .zip(&names)
        .filter(|(_, name)| replicas(metadata, name).is_none());
    let new: Vec<NewTopic<'_>> = missing
        .map(|(&topic, name)| {
            let partitions = if topic == Topic::Tags {
                i32::from(options.tag_partitions)
            } else {
                1
            };
            let copies = TopicReplication::Fixed(i32::try_from(replication).unwrap_or(3));
            let mut new = NewTopic::new(name, partitions, copies)
                .set("max.message.bytes", &max_message_bytes);
            for (setting, value) in policy(topic) {
                new = new.set(setting, value);
            }
            if replication >= 3 {
                new.set("min.insync.replicas", "2")
            } else {
                new
            }
        })
        .collect();
    if new.is_empty() {
        return Ok(());
    }
    let results = admin
        .create_topics(&new, &request())
        .await
        .map_err(|error| unavailable(options, &error))?;
    for result in results {
        match result {
            Ok(name) => tracing::info!(topic = name, replication, "made a topic of the journal"),
            // Made by another process meanwhile; the check that follows is what counts.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => {
                let reason = format!("creating topic {name}: {code}");
                return Err(PublishError::Unavailable {
                    place: options.brokers.clone(),
                    reason,
                });
            }
        }
    }
    Ok(())
}

async fn check(
    options: &KafkaOptions,
    admin: &AdminClient<DefaultClientContext>,
    metadata: &Metadata,
) -> Result<(), PublishError> {
    let names = Topic::ALL.map(|topic| options.topic(topic));
    let resources: Vec<_> = names
        .iter()
        .map(|name| ResourceSpecifier::Topic(name))
        .collect();
    let described = admin
        .describe_configs(&resources, &request())
        .await
        .map_err(|error| unavailable(options, &error))?;
    for (topic, name) in Topic::ALL.into_iter().zip(&names) {
        let specifier = OwnedResourceSpecifier::Topic(name.clone());
        let config = described
            .iter()
            .flatten()
            .find(|config| config.specifier == specifier);
        // A topic that was made a moment ago is not known to every broker yet.
        let config = config
            .filter(|config| !config.entries.is_empty())
            .ok_or_else(|| PublishError::Unavailable {
                place: options.brokers.clone(),
                reason: format!("the broker does not tell the settings of topic {name} yet"),
            })?;
        check_settings(topic, name, config, replicas(metadata, name))?;
        check_partitions(topic, name, partitions(metadata, name))?;
    }
    Ok(())
}

/// Readers take the last record of a key for the newest. Tags carry versions, and an audit's entries are all kept.
fn check_partitions(topic: Topic, name: &str, found: usize) -> Result<(), TopicPartitionsError> {
    match topic {
        Topic::Settings | Topic::Accounts if found > 1 => Err(TopicPartitionsError {
            topic: name.to_owned(),
            found,
        }),
        _ => Ok(()),
    }
}

fn check_settings(
    topic: Topic,
    name: &str,
    config: &ConfigResource,
    replicas: Option<usize>,
) -> Result<(), TopicSettingError> {
    let value = |setting: &str| {
        config
            .get(setting)
            .and_then(|entry| entry.value.clone())
            .unwrap_or_default()
    };
    let wrong = |setting, wanted: String| TopicSettingError {
        topic: name.to_owned(),
        setting,
        found: value(setting),
        wanted,
    };
    for &(setting, wanted) in policy(topic) {
        if value(setting) != wanted {
            return Err(wrong(setting, wanted.to_owned()));
        }
    }
    let at_least = |setting, least: usize| match value(setting).parse::<usize>() {
        Ok(found) if found >= least => Ok(()),
        _ => Err(wrong(setting, format!("at least {least}"))),
    };
    at_least("max.message.bytes", MAX_MESSAGE_BYTES)?;
    // An acknowledged edit must be on two brokers, where there are enough copies for one of them to be away.
    if replicas.is_some_and(|replicas| replicas >= 3) {
        at_least("min.insync.replicas", 2)?;
    }
    Ok(())
}

/// How many copies a topic has; none when it does not exist.
pub(crate) fn replicas(metadata: &Metadata, name: &str) -> Option<usize> {
    let topic = metadata
        .topics()
        .iter()
        .find(|topic| topic.name() == name && topic.error().is_none())?;
    topic
        .partitions()
        .iter()
        .map(|partition| partition.replicas().len())
        .min()
}

/// How many partitions a topic has; none when it did not exist.
fn partitions(metadata: &Metadata, name: &str) -> usize {
    let mut topics = metadata.topics().iter();
    let topic = topics.find(|topic| topic.name() == name);
    topic.map_or(0, |topic| topic.partitions().len())
}

pub(crate) fn request() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(REQUEST))
        .operation_timeout(Some(REQUEST))
}

fn unavailable(options: &KafkaOptions, error: &KafkaError) -> PublishError {
    PublishError::Unavailable {
        place: options.brokers.clone(),
        reason: error.to_string(),
    }
}
