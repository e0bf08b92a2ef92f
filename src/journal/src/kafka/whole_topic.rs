//! Reads a topic that is small enough to be read whole at every start: from its beginning, and then whatever comes.

use std::collections::{BTreeMap, VecDeque};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::{Offset, TopicPartitionList};

use super::KafkaOptions;
use super::client::Listener;
use crate::FollowError;

/// How long the brokers have to say which partitions there are, and when they are asked again.
const ANSWER: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_secs(1);

/// What comes of it.
pub(crate) enum Heard {
    /// A record.
    Record(OwnedMessage),
    /// What was there at the start has been read. Comes once.
    CaughtUp,
    /// Nothing can be read for now; the reader goes on trying. Comes when that is new.
    Disconnected {
        /// For the log and for answers.
        reason: String,
    },
    /// It can be read again.
    Connected,
}

/// A reader of the topic.
pub(crate) struct WholeTopic {
    brokers: String,
    topic: String,
    consumer: BaseConsumer<Listener>,
    ready: VecDeque<Heard>,
    /// Partitions whose end, as it was at the start, has not been reached; none until it is known which there are. While its writers never
    /// stop, a partition's end is never reported, so that the offset counts too.
    behind: Option<BTreeMap<i32, i64>>,
    /// The offset behind the last record of each partition.
    reached: BTreeMap<i32, i64>,
    next_look: Instant,
    caught_up: bool,
    disconnected: bool,
}

impl WholeTopic {
    /// Does not wait for the topic to be reachable.
    pub(crate) fn start(options: &KafkaOptions, topic: String) -> Result<Self, FollowError> {
        let config = options.client(&[
            // librdkafka's consumers must have one; it is neither joined nor committed to.
            ("group.id", &format!("{}followers", options.prefix)),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("enable.partition.eof", "true"),
            // A position that the log does not have is of another log.
            ("auto.offset.reset", "error"),
            ("allow.auto.create.topics", "false"),
            ("check.crcs", "true"),
            ("fetch.error.backoff.ms", "100"),
            ("queued.max.messages.kbytes", "4096"),
        ]);
        let consumer = config.create_with_context(Listener::default());
        let consumer = consumer.map_err(|error: KafkaError| FollowError::Start {
            place: options.brokers.clone(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            brokers: options.brokers.clone(),
            topic,
            consumer,
            ready: VecDeque::new(),
            behind: None,
            reached: BTreeMap::new(),
            next_look: Instant::now(),
            caught_up: false,
            disconnected: false,
        })
    }

    /// What comes next, waiting about `wait` at most; none when nothing came. An error ends the reader.
    pub(crate) fn next(&mut self, wait: Duration) -> Result<Option<Heard>, FollowError> {
        if let Some(event) = self.ready.pop_front() {
            return Ok(Some(event));
        }
        if self.behind.is_none() {
            let pause = self.next_look.saturating_duration_since(Instant::now());
            thread::sleep(pause.min(wait));
            if pause <= wait {
                self.look()?;
            }
            return Ok(self.ready.pop_front());
        }
        match self.consumer.poll(wait) {
            None => {}
            Some(Ok(message)) => {
                let message = message.detach();
                self.take(message)?;
            }
            Some(Err(error)) => self.take_error(&error)?,
        }
        Ok(self.ready.pop_front())
    }

    /// Finds the topic's partitions and starts to read them.
    fn look(&mut self) -> Result<(), FollowError> {
        self.next_look = Instant::now() + RETRY;
        let partitions = match self.partitions() {
            Ok(partitions) if partitions.is_empty() => {
                self.disconnect(format!("topic {} does not exist yet", self.topic));
                return Ok(());
            }
            Ok(partitions) => partitions,
            Err(error) => {
                let reason = self.consumer.context().explain(&error);
                self.disconnect(format!("the brokers do not answer: {reason}"));
                return Ok(());
            }
        };
        let mut list = TopicPartitionList::new();
        for &partition in partitions.keys() {
            let added = list.add_partition_offset(&self.topic, partition, Offset::Beginning);
            added.map_err(|error| self.broken(&error))?;
        }
        self.consumer
            .assign(&list)
            .map_err(|error| self.broken(&error))?;
        self.behind = Some(partitions);
        Ok(())
    }

    /// Each partition with its end.
    fn partitions(&self) -> Result<BTreeMap<i32, i64>, KafkaError> {
        // Of all topics: a question for this one alone might make it.
        let metadata = self.consumer.fetch_metadata(None, ANSWER)?;
        let topics = metadata.topics().iter();
        let found = topics.filter(|topic| topic.name() == self.topic && topic.error().is_none());
        found
            .flat_map(|topic| topic.partitions())
            .map(|partition| {
                let ends = self
                    .consumer
                    .fetch_watermarks(&self.topic, partition.id(), ANSWER);
                ends.map(|(_, end)| (partition.id(), end))
            })
            .collect()
    }

    fn take(&mut self, message: OwnedMessage) -> Result<(), FollowError> {
        self.connect();
        let (partition, next_offset) = (message.partition(), message.offset() + 1);
        let reached = self.reached.insert(partition, next_offset);
        if let Some(reached) = reached.filter(|reached| next_offset <= *reached) {
            return Err(self.other(format!(
                "partition {partition} had been read to {reached}, and begins anew"
            )));
        }
        self.ready.push_back(Heard::Record(message));
        let end = self
            .behind
            .as_ref()
            .and_then(|behind| behind.get(&partition));
        if end.is_some_and(|&end| next_offset >= end) {
            self.reached_the_end_of(partition);
        }
        Ok(())
    }

    fn reached_the_end_of(&mut self, partition: i32) {
        let Some(behind) = &mut self.behind else {
            return;
        };
        behind.remove(&partition);
        if behind.is_empty() && !self.caught_up {
            self.caught_up = true;
            self.ready.push_back(Heard::CaughtUp);
        }
    }

    fn take_error(&mut self, error: &KafkaError) -> Result<(), FollowError> {
        match error {
            KafkaError::PartitionEOF(partition) => {
                self.connect();
                self.reached_the_end_of(*partition);
            }
            KafkaError::MessageConsumptionFatal(_) => return Err(self.broken(error)),
            _ => match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::AllBrokersDown) => {
                    self.disconnect(self.consumer.context().explain(error));
                }
                // Deleted. Or not known to a broker for a moment, when reading it anew does no harm.
                Some(
                    RDKafkaErrorCode::UnknownTopicOrPartition
                    | RDKafkaErrorCode::UnknownTopic
                    | RDKafkaErrorCode::UnknownTopicId
                    | RDKafkaErrorCode::UnknownPartition,
                ) => {
                    return Err(self.other(format!("it is gone: {error}")));
                }
                // Deleted and made anew, or all of Kafka was, before anybody has seen that it was gone.
                Some(RDKafkaErrorCode::AutoOffsetReset) => {
                    return Err(self.other(format!("it ends before what was read: {error}")));
                }
                // One broker of several, and whatever librdkafka tries again by itself.
                _ => tracing::debug!(topic = self.topic, %error, "reading a topic whole"),
            },
        }
        Ok(())
    }

    fn connect(&mut self) {
        if std::mem::take(&mut self.disconnected) {
            self.ready.push_back(Heard::Connected);
        }
    }

    fn disconnect(&mut self, reason: String) {
        if !std::mem::replace(&mut self.disconnected, true) {
            self.ready.push_back(Heard::Disconnected { reason });
        }
    }

    fn other(&self, reason: String) -> FollowError {
        FollowError::OtherLog {
            place: self.brokers.clone(),
            reason: format!("topic {}: {reason}", self.topic),
            foreign: false,
        }
    }

    fn broken(&self, error: &KafkaError) -> FollowError {
        FollowError::Broken {
            place: self.brokers.clone(),
            reason: format!("topic {}: {error}", self.topic),
        }
    }
}
