//! The topic `scans`: found, or created with its policy. The edge and the sink come here, whoever is first.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;

use crate::KafkaOutletOptions;
use crate::broker_log::Answers;

/// How long the broker has to answer; the shipper's thread waits for it, and nobody else.
const PATIENCE: Duration = Duration::from_secs(2);
/// The policy: what a batch needs to be read by the sink within a week, even across an outage of it.
const POLICY: [(&str, &str); 3] = [
    ("cleanup.policy", "delete"),
    ("retention.ms", "604800000"),
    ("message.timestamp.type", "LogAppendTime"),
];

/// The topic of scan batches.
pub struct ScansTopic {
    admin: AdminClient<Answers>,
    name: String,
    partitions: i32,
    replication: Option<i32>,
}

/// Why the topic cannot be used now. All may pass.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// No broker answers.
    #[error("no broker answers: {0}")]
    Unreachable(KafkaError),
    /// Somebody else has created it a moment ago, and this broker does not know of it yet.
    #[error("topic '{topic}' was created a moment ago, and is not known to the broker yet")]
    JustCreated {
        /// Its name.
        topic: String,
    },
    /// It is not there and cannot be created.
    #[error(
        "topic '{topic}' does not exist and was not created: {reason}; create it, or give this user the right to"
    )]
    Refused {
        /// Its name.
        topic: String,
        /// The broker's words.
        reason: String,
    },
}

impl ScansTopic {
    /// With a connection of its own, of the same settings as the client's. Does not wait for a broker.
    pub fn new(config: &ClientConfig, options: &KafkaOutletOptions) -> Result<Self, KafkaError> {
        let admin = config.create_with_context(Answers)?;
        let name = format!("{}scans", options.prefix);
        Ok(Self {
            admin,
            name,
            partitions: options.partitions,
            replication: options.replication,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many partitions it has. If there is no such topic it is created. Waits for a broker, two seconds at most for each step.
    pub fn partitions_or_create(&self) -> Result<i32, TopicError> {
        let metadata = self.metadata()?;
        if let Some(partitions) = self.find(&metadata) {
            return Ok(partitions);
        }
        let replication = self
            .replication
            .unwrap_or(metadata.brokers().len().clamp(1, 3) as i32);
        let new = NewTopic::new(
            &self.name,
            self.partitions,
            TopicReplication::Fixed(replication),
        );
        let new = POLICY
            .into_iter()
            .fold(new, |new, (key, value)| new.set(key, value));
        let new = if replication >= 3 {
            new.set("min.insync.replicas", "2")
        } else {
            new
        };
        let options = AdminOptions::new()
            .operation_timeout(Some(PATIENCE))
            .request_timeout(Some(PATIENCE));
        let created = wait_for(self.admin.create_topics(&[new], &options))
            .map_err(TopicError::Unreachable)?;
        match created.into_iter().next() {
            Some(Ok(_)) => {
                tracing::info!(
                    topic = self.name,
                    partitions = self.partitions,
                    replication,
                    "topic for scans created"
                );
                Ok(self.partitions)
            }
            // Another edge, or a sink, came first: how many partitions it has is for the broker to say.
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => {
                let found = self.find(&self.metadata()?);
                found.ok_or_else(|| TopicError::JustCreated {
                    topic: self.name.clone(),
                })
            }
            Some(Err((_, code))) => Err(self.refused(&code.to_string())),
            None => Err(self.refused("the broker said nothing")),
        }
    }

    /// Of all topics: a question for this one alone would make a broker with automatic creation create it, with the wrong policy.
    fn metadata(&self) -> Result<Metadata, TopicError> {
        self.admin
            .inner()
            .fetch_metadata(None, PATIENCE)
            .map_err(TopicError::Unreachable)
    }

    fn find(&self, metadata: &Metadata) -> Option<i32> {
        let topic = metadata
            .topics()
            .iter()
            .find(|topic| topic.name() == self.name)?;
        (!topic.partitions().is_empty()).then_some(topic.partitions().len() as i32)
    }

    fn refused(&self, reason: &str) -> TopicError {
        TopicError::Refused {
            topic: self.name.clone(),
            reason: reason.to_owned(),
        }
    }
}

/// Waits on this thread for the one future that this crate meets; librdkafka's own thread completes it.
fn wait_for<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
