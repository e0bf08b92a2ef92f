//! The topic `edges`: how it has to be set. The admin comes here to make and check it.

use super::KafkaEdges;
use crate::edges::EdgesError;
use crate::kafka::side_topic::{SideTopic, SideTopicError};

/// The newest words of each run of an edge, none older than a day: a run that was killed says no farewell, and would stay for ever.
/// Small segments, since what lies in the newest is never compacted, and an admin that starts reads all of it.
const SETTINGS: &[(&str, &str)] = &[
    ("cleanup.policy", "compact,delete"),
    ("retention.ms", "86400000"),
    ("segment.ms", "600000"),
    ("segment.bytes", "16777216"),
    ("min.cleanable.dirty.ratio", "0.1"),
    // An edge's clock may be wrong, and whether an edge is live must not hang on it.
    ("message.timestamp.type", "LogAppendTime"),
];
const REQUIRED: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("message.timestamp.type", "LogAppendTime"),
];

/// Makes the topic if it is missing, then checks it.
pub(super) async fn ensure(edges: &KafkaEdges) -> Result<(), EdgesError> {
    let topic = SideTopic {
        name: edges.topic(),
        // What each edge says is small, and only the admin reads it.
        partitions: 1,
        settings: SETTINGS,
        required: REQUIRED,
    };
    let ensured = topic.ensure(&edges.options).await;
    ensured.map_err(|error| match error {
        SideTopicError::Unavailable(reason) => edges.unavailable(&reason),
        SideTopicError::Setting(error) => EdgesError::Topic(error),
    })
}
