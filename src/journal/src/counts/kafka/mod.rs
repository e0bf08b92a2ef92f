//! Counts in Kafka: the compacted topic `counts`, a record for each tag and series.

mod follower;
mod publisher;

use super::{Counts, CountsError, CountsFollower, CountsPublisher};
use crate::kafka::side_topic::{SideTopic, SideTopicError};
use crate::{FollowError, JournalMetrics, KafkaOptions};
use follower::KafkaCountsFollower;
use publisher::KafkaCountsPublisher;

/// The newest count of each tag and series, for ever: what is forgotten would be counted again. Small segments, since what lies in the newest
/// is never compacted, and an edge that starts reads all of it.
const SETTINGS: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("segment.ms", "600000"),
    ("segment.bytes", "16777216"),
    ("min.cleanable.dirty.ratio", "0.1"),
];
const REQUIRED: &[(&str, &str)] = &[("cleanup.policy", "compact")];

/// The topic `counts` of a cluster.
#[derive(Clone, Debug)]
pub struct KafkaCounts {
    options: KafkaOptions,
    metrics: JournalMetrics,
}

impl KafkaCounts {
    /// Connects to nothing yet. Records that are no counts count among those that the role refused.
    pub fn new(options: KafkaOptions, metrics: JournalMetrics) -> Self {
        Self { options, metrics }
    }

    fn topic(&self) -> String {
        format!("{}counts", self.options.prefix)
    }

    /// Makes the topic if it is missing, then checks it.
    async fn ensure(&self) -> Result<(), CountsError> {
        let topic = SideTopic {
            name: self.topic(),
            // As the tags: a count that is read late is read all the same, so that keys may change their partitions.
            partitions: self.options.tag_partitions.into(),
            settings: SETTINGS,
            required: REQUIRED,
        };
        let ensured = topic.ensure(&self.options).await;
        ensured.map_err(|error| match error {
            SideTopicError::Unavailable(reason) => self.unavailable(&reason),
            SideTopicError::Setting(error) => CountsError::Topic(error),
        })
    }

    fn unavailable(&self, error: &impl ToString) -> CountsError {
        CountsError::Unavailable {
            topic: self.topic(),
            place: self.options.brokers.clone(),
            reason: error.to_string(),
        }
    }
}

impl Counts for KafkaCounts {
    fn publisher(&self) -> Box<dyn CountsPublisher> {
        Box::new(KafkaCountsPublisher::new(self.clone()))
    }

    fn follow(&self) -> Result<Box<dyn CountsFollower>, FollowError> {
        Ok(Box::new(KafkaCountsFollower::start(self.clone())?))
    }
}
