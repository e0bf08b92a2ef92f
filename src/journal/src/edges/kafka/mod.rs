//! What edges say, in Kafka: the compacted topic `edges`, a record for each run of an edge.

mod follower;
mod reporter;
mod topic;

use async_trait::async_trait;
use rdkafka::error::KafkaError;

use super::{Edges, EdgesError, EdgesFollower, Reporter};
use crate::{FollowError, JournalMetrics, KafkaOptions};
use follower::KafkaEdgesFollower;
use reporter::KafkaReporter;

/// The topic `edges` of a cluster.
#[derive(Clone, Debug)]
pub struct KafkaEdges {
    options: KafkaOptions,
    metrics: JournalMetrics,
}

impl KafkaEdges {
    /// Connects to nothing yet. Records that are no heartbeats count among those that the role refused.
    pub fn new(options: KafkaOptions, metrics: JournalMetrics) -> Self {
        Self { options, metrics }
    }

    fn topic(&self) -> String {
        format!("{}edges", self.options.prefix)
    }

    fn unavailable(&self, error: &impl ToString) -> EdgesError {
        EdgesError::Unavailable {
            topic: self.topic(),
            place: self.options.brokers.clone(),
            reason: error.to_string(),
        }
    }
}

#[async_trait]
impl Edges for KafkaEdges {
    async fn prepare(&self) -> Result<(), EdgesError> {
        topic::ensure(self).await
    }

    fn reporter(&self) -> Result<Box<dyn Reporter>, EdgesError> {
        let reporter = KafkaReporter::new(self.clone());
        Ok(Box::new(
            reporter.map_err(|error: KafkaError| self.unavailable(&error))?,
        ))
    }

    fn follow(&self) -> Result<Box<dyn EdgesFollower>, FollowError> {
        Ok(Box::new(KafkaEdgesFollower::start(self.clone())?))
    }
}
