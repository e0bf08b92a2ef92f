//! The topic `edges`: how it has to be set, made where it is missing, and checked where it is there. The admin comes here.

use std::time::Duration;

use rdkafka::admin::{AdminClient, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfig;
use rdkafka::error::RDKafkaErrorCode;

use super::KafkaEdges;
use crate::TopicSettingError;
use crate::edges::EdgesError;
use crate::kafka::topics::{REQUEST, replicas, request};

/// The newest words of each run of an edge, none older than a day: a run that was killed says no farewell, and would stay for ever.
/// Small segments, since what lies in the newest is never compacted, and an admin that starts reads all of it.
const POLICY: [(&str, &str); 6] = [
    ("cleanup.policy", "compact,delete"),
    ("retention.ms", "86400000"),
    ("segment.ms", "600000"),
    ("segment.bytes", "16777216"),
    ("min.cleanable.dirty.ratio", "0.1"),
    // An edge's clock may be wrong, and whether an edge is live must not hang on it.
    ("message.timestamp.type", "LogAppendTime"),
];

/// How often, and how far apart, the broker is asked for the settings of a topic that it does not know yet.
const ASKED: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Makes the topic if it is missing, then checks it.
pub(super) async fn ensure(edges: &KafkaEdges) -> Result<(), EdgesError> {
    let name = edges.topic();
    let admin = AdminClient::from_config(&edges.options.client(&[]))
        .map_err(|error| edges.unavailable(&error))?;
    // The one request of these that has no future: on a thread that may wait.
    let (admin, metadata) = tokio::task::spawn_blocking(move || {
        let metadata = admin.inner().fetch_metadata(None, REQUEST);
        (admin, metadata)
    })
    .await
    .map_err(|error| edges.unavailable(&error))?;
    let metadata = metadata.map_err(|error| edges.unavailable(&error))?;
    if replicas(&metadata, &name).is_none() {
        let copies = match edges.options.replication {
            Some(copies) => i32::from(copies),
            None => i32::try_from(metadata.brokers().len().clamp(1, 3)).unwrap_or(3),
        };
        create(edges, &admin, &name, copies).await?;
    }
    check(edges, &admin, name).await
}

async fn create(
    edges: &KafkaEdges,
    admin: &AdminClient<DefaultClientContext>,
    name: &str,
    copies: i32,
) -> Result<(), EdgesError> {
    // One partition: what each edge says is small, and only the admin reads it.
    let new = NewTopic::new(name, 1, TopicReplication::Fixed(copies));
    let new = POLICY
        .into_iter()
        .fold(new, |new, (setting, value)| new.set(setting, value));
    let results = admin
        .create_topics([&new], &request())
        .await
        .map_err(|error| edges.unavailable(&error))?;
    for result in results {
        match result {
            Ok(topic) => tracing::info!(topic, copies, "made the topic of the edges' heartbeats"),
            // Made by another process meanwhile; the check that follows is what counts.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(edges.unavailable(&format!("creating it: {code}"))),
        }
    }
    Ok(())
}

/// Only of what the meaning hangs on; what is left is a matter of size.
async fn check(
    edges: &KafkaEdges,
    admin: &AdminClient<DefaultClientContext>,
    name: String,
) -> Result<(), EdgesError> {
    let config = describe(edges, admin, &name).await?;
    let value = |setting: &str| {
        let entry = config.get(setting);
        entry
            .and_then(|entry| entry.value.clone())
            .unwrap_or_default()
    };
    let wrong = |setting, wanted: &str| {
        EdgesError::Topic(TopicSettingError {
            topic: name.clone(),
            setting,
            found: value(setting),
            wanted: wanted.to_owned(),
        })
    };
    let policies = value("cleanup.policy");
    if !policies.split(',').any(|policy| policy.trim() == "compact") {
        return Err(wrong("cleanup.policy", "compact, or compact,delete"));
    }
    if value("message.timestamp.type") != "LogAppendTime" {
        return Err(wrong("message.timestamp.type", "LogAppendTime"));
    }
    Ok(())
}

/// A topic that was made a moment ago is not known to every broker yet; it is asked for again.
async fn describe(
    edges: &KafkaEdges,
    admin: &AdminClient<DefaultClientContext>,
    name: &str,
) -> Result<ConfigResource, EdgesError> {
    for _ in 0..ASKED {
        let described = admin
            .describe_configs([&ResourceSpecifier::Topic(name)], &request())
            .await
            .map_err(|error| edges.unavailable(&error))?;
        let mut configs = described.into_iter().flatten();
        if let Some(config) = configs.find(|config| !config.entries.is_empty()) {
            return Ok(config);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(edges.unavailable(&"the broker does not tell its settings yet"))
}
