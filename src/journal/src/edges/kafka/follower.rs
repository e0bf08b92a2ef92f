//! Follows the topic `edges`, all of it, from its beginning.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::{Offset, TopicPartitionList};

use super::KafkaEdges;
use crate::FollowError;
use crate::edges::{EdgeRun, EdgesEvent, EdgesFollower, Heartbeat};
use crate::kafka::client::Listener;

/// How long the brokers have to say which partitions there are, and when they are asked again.
const ANSWER: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_secs(1);
/// Of so many keys it is remembered that their refusal has been logged: an edge of a newer format speaks fifty times a second.
const REMEMBERED: usize = 1_000;

/// A reader of the topic.
pub(super) struct KafkaEdgesFollower {
    edges: KafkaEdges,
    topic: String,
    consumer: BaseConsumer<Listener>,
    ready: VecDeque<EdgesEvent>,
    /// Partitions whose end, as it was at the start, has not been reached; none until it is known which there are. While edges never
    /// stop speaking, a partition's end is never reported, so that the offset counts too.
    behind: Option<BTreeMap<i32, i64>>,
    next_look: Instant,
    caught_up: bool,
    disconnected: bool,
    logged: HashSet<Vec<u8>>,
}

impl KafkaEdgesFollower {
    pub(super) fn start(edges: KafkaEdges) -> Result<Self, FollowError> {
        let config = edges.options.client(&[
            // librdkafka's consumers must have one; it is neither joined nor committed to.
            ("group.id", &format!("{}followers", edges.options.prefix)),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("enable.partition.eof", "true"),
            ("auto.offset.reset", "earliest"),
            ("allow.auto.create.topics", "false"),
            ("check.crcs", "true"),
            ("fetch.error.backoff.ms", "100"),
            ("queued.max.messages.kbytes", "4096"),
        ]);
        let consumer = config.create_with_context(Listener::default());
        let consumer = consumer.map_err(|error: KafkaError| FollowError::Start {
            place: edges.options.brokers.clone(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            topic: edges.topic(),
            edges,
            consumer,
            ready: VecDeque::new(),
            behind: None,
            next_look: Instant::now(),
            caught_up: false,
            disconnected: false,
            logged: HashSet::new(),
        })
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

    fn take(&mut self, message: &OwnedMessage) {
        self.connect();
        let event = read(message).unwrap_or_else(|error| self.refuse(message, error));
        self.ready.push_back(event);
        let (partition, next_offset) = (message.partition(), message.offset() + 1);
        let end = self
            .behind
            .as_ref()
            .and_then(|behind| behind.get(&partition));
        if end.is_some_and(|&end| next_offset >= end) {
            self.reached_the_end_of(partition);
        }
    }

    fn refuse(&mut self, message: &OwnedMessage, error: String) -> EdgesEvent {
        self.edges.metrics.count_refused();
        if self.logged.len() >= REMEMBERED {
            self.logged.clear();
        }
        let key = message.key().unwrap_or_default();
        if self.logged.insert(key[..key.len().min(256)].to_vec()) {
            let (topic, partition, offset) = (&self.topic, message.partition(), message.offset());
            tracing::warn!(
                topic,
                partition,
                offset,
                error,
                "a record is no heartbeat of an edge that this build understands, and was skipped; further ones of its key are only counted"
            );
        }
        EdgesEvent::Refused { error }
    }

    fn reached_the_end_of(&mut self, partition: i32) {
        let Some(behind) = &mut self.behind else {
            return;
        };
        behind.remove(&partition);
        if behind.is_empty() && !self.caught_up {
            self.caught_up = true;
            self.ready.push_back(EdgesEvent::CaughtUp);
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
                    return Err(FollowError::OtherLog {
                        place: self.edges.options.brokers.clone(),
                        reason: format!("topic {} is gone: {error}", self.topic),
                        foreign: false,
                    });
                }
                // One broker of several, and whatever librdkafka tries again by itself.
                _ => tracing::debug!(topic = self.topic, %error, "reading the edges' heartbeats"),
            },
        }
        Ok(())
    }

    fn connect(&mut self) {
        if std::mem::take(&mut self.disconnected) {
            self.ready.push_back(EdgesEvent::Connected);
        }
    }

    fn disconnect(&mut self, reason: String) {
        if !std::mem::replace(&mut self.disconnected, true) {
            self.ready.push_back(EdgesEvent::Disconnected { reason });
        }
    }

    fn broken(&self, error: &KafkaError) -> FollowError {
        FollowError::Broken {
            place: self.edges.options.brokers.clone(),
            reason: format!("topic {}: {error}", self.topic),
        }
    }
}

fn read(message: &OwnedMessage) -> Result<EdgesEvent, String> {
    let key = message.key().ok_or("the record has no key")?;
    let key = str::from_utf8(key).map_err(|error| format!("the key is not text: {error}"))?;
    let Some(value) = message.payload() else {
        let run = EdgeRun::parse(key).map_err(|error| error.to_string())?;
        return Ok(EdgesEvent::Farewell(run));
    };
    let heartbeat = Heartbeat::decode(key, value).map_err(|error| error.to_string())?;
    let written_at = message.timestamp().to_millis();
    let written_at = written_at.and_then(|millis| Timestamp::from_millisecond(millis).ok());
    Ok(EdgesEvent::Heartbeat {
        heartbeat: Box::new(heartbeat),
        written_at: written_at.ok_or("the record has no time")?,
    })
}

impl EdgesFollower for KafkaEdgesFollower {
    fn next(&mut self, wait: Duration) -> Result<Option<EdgesEvent>, FollowError> {
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
                self.take(&message);
            }
            Some(Err(error)) => self.take_error(&error)?,
        }
        Ok(self.ready.pop_front())
    }
}
