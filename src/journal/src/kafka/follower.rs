//! Follows the Kafka journal: every partition of its topics, committed records only, without a consumer group's doings.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use tags::{Change, Topic};

use super::KafkaOptions;
use super::client::Listener;
use super::scout::{Absence, Partitions, Post, Scout, Sighting};
use crate::metrics::refuse;
use crate::{Event, FollowError, Follower, JournalMetrics, Positions, Since};

/// How long to sleep at most before the queues are looked at again, in case one filled up without saying so.
const LOOK: Duration = Duration::from_millis(50);

/// A reader of some topics.
pub(crate) struct KafkaFollower {
    brokers: String,
    lanes: Vec<Lane>,
    positions: Positions,
    /// See [`Follower::log`].
    identity: Option<String>,
    post: Arc<Post>,
    metrics: JournalMetrics,
    ready: VecDeque<Event>,
    caught_up: bool,
    /// The lane to be asked first next time, so that a busy topic does not starve another.
    turn: usize,
    /// Why nothing can be read, where that is so.
    disconnected: Option<Absence>,
}

/// One topic and the consumer of its own: the end of a partition is reported without its topic.
struct Lane {
    topic: Topic,
    name: String,
    consumer: Arc<BaseConsumer<Listener>>,
    assigned: BTreeSet<i32>,
    /// Where each partition ended when it was first seen, where that could be asked. Under constant writing a partition's end is
    /// never reported, since every fetch brings something.
    ends: BTreeMap<i32, i64>,
    /// Partitions whose end has been seen.
    ended: BTreeSet<i32>,
}

impl KafkaFollower {
    pub(crate) fn start(
        options: &KafkaOptions,
        topics: &[Topic],
        since: Since,
        metrics: JournalMetrics,
    ) -> Result<Self, FollowError> {
        let post = Arc::new(Post::default());
        let topics: BTreeSet<Topic> = topics.iter().copied().collect();
        let lanes = topics
            .into_iter()
            .map(|topic| Lane::open(options, topic, &post))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(first) = lanes.first() {
            let scout = Scout {
                consumer: Arc::clone(&first.consumer),
                topics: lanes
                    .iter()
                    .map(|lane| (lane.topic, lane.name.clone()))
                    .collect(),
                prefix: options.prefix.clone(),
                since: since.clone(),
                post: Arc::clone(&post),
            };
            scout.start(&options.brokers)?;
        }
        Ok(Self {
            brokers: options.brokers.clone(),
            lanes,
            positions: since.positions,
            identity: None,
            post,
            metrics,
            ready: VecDeque::new(),
            caught_up: false,
            turn: 0,
            disconnected: None,
        })
    }

    /// Takes what the scout saw: new partitions, or that there is nothing to be read.
    fn heed(&mut self, sighting: Sighting) -> Result<(), FollowError> {
        match sighting {
            Sighting::Found { identity, topics } => {
                self.identity = identity;
                for lane in &mut self.lanes {
                    let Some(partitions) = topics.get(&lane.topic) else {
                        continue;
                    };
                    lane.assign(partitions, &self.positions).map_err(|error| {
                        FollowError::Broken {
                            place: self.brokers.clone(),
                            reason: format!("reading topic {}: {error}", lane.name),
                        }
                    })?;
                }
                self.connected();
            }
            Sighting::Absent(absence) => self.disconnect(absence),
            Sighting::OtherLog(reason) => return Err(self.other_log(reason)),
        }
        Ok(())
    }

    fn other_log(&self, reason: String) -> FollowError {
        FollowError::OtherLog {
            place: self.brokers.clone(),
            reason,
        }
    }

    fn connected(&mut self) {
        if self.disconnected.take().is_some() {
            self.ready.push_back(Event::Connected);
        }
    }

    fn disconnect(&mut self, absence: Absence) {
        if self
            .disconnected
            .as_ref()
            .is_none_or(|known| absence.is_news_after(known))
        {
            self.ready.push_back(Event::Disconnected {
                reason: absence.to_string(),
            });
            self.disconnected = Some(absence);
        }
    }

    /// Takes one thing out of each consumer's queue; false when all were empty.
    fn drain(&mut self) -> Result<bool, FollowError> {
        let mut any = false;
        for step in 0..self.lanes.len() {
            let lane = (self.turn + step) % self.lanes.len();
            let consumer = Arc::clone(&self.lanes[lane].consumer);
            match consumer.poll(Duration::ZERO) {
                None => continue,
                Some(Ok(message)) => self.take(lane, &message),
                Some(Err(KafkaError::PartitionEOF(partition))) => self.take_end(lane, partition)?,
                Some(Err(error)) => self.take_error(lane, &error)?,
            }
            any = true;
        }
        self.turn = self.turn.wrapping_add(1);
        Ok(any)
    }

    fn take(&mut self, lane: usize, message: &BorrowedMessage<'_>) {
        let (topic, partition, offset) = (
            self.lanes[lane].topic,
            message.partition(),
            message.offset(),
        );
        let event = read(topic, message)
            .unwrap_or_else(|error| refuse(&self.metrics, topic, partition, offset, error));
        self.positions.advance(topic, partition, offset + 1);
        self.connected();
        self.ready.push_back(event);
        let lane = &mut self.lanes[lane];
        if lane
            .ends
            .get(&partition)
            .is_some_and(|&end| offset + 1 >= end)
        {
            lane.ended.insert(partition);
            lane.ends.remove(&partition);
            self.look_for_the_end();
        }
    }

    /// The end of a partition: transaction markers may lie between its last record and it.
    fn take_end(&mut self, lane: usize, partition: i32) -> Result<(), FollowError> {
        let Lane {
            topic,
            name,
            consumer,
            ended,
            ..
        } = &mut self.lanes[lane];
        let topic = *topic;
        let position = consumer.position().map_err(|error| FollowError::Broken {
            place: self.brokers.clone(),
            reason: format!("asking for the position in topic {name}: {error}"),
        })?;
        if let Some(Offset::Offset(next_offset)) = position
            .find_partition(name, partition)
            .map(|element| element.offset())
            && self.positions.advance(topic, partition, next_offset)
        {
            self.ready.push_back(Event::Advanced {
                topic,
                partition,
                next_offset,
            });
        }
        ended.insert(partition);
        self.connected();
        self.look_for_the_end();
        Ok(())
    }

    fn look_for_the_end(&mut self) {
        if !self.caught_up && self.lanes.iter().all(Lane::has_ended) {
            self.caught_up = true;
            self.ready.push_back(Event::CaughtUp);
        }
    }

    fn take_error(&mut self, lane: usize, error: &KafkaError) -> Result<(), FollowError> {
        let Lane { name, consumer, .. } = &self.lanes[lane];
        if let KafkaError::MessageConsumptionFatal(_) = error {
            return Err(FollowError::Broken {
                place: self.brokers.clone(),
                reason: format!("topic {name}: {error}"),
            });
        }
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                self.disconnect(Absence::Brokers(consumer.context().explain(error)));
                self.post.ask_to_look();
            }
            // Deleted, or not known to this broker yet; the scout finds out which.
            Some(
                RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownTopicId,
            ) => self.post.suspect(),
            Some(RDKafkaErrorCode::AutoOffsetReset) => {
                let reason = format!("the position in topic {name} lies outside it");
                return Err(self.other_log(reason));
            }
            // One broker of several, and whatever librdkafka tries again by itself.
            _ => tracing::debug!(topic = name, %error, "reading the journal"),
        }
        Ok(())
    }
}

impl Lane {
    fn open(options: &KafkaOptions, topic: Topic, post: &Arc<Post>) -> Result<Self, FollowError> {
        let config = options.client(&[
            // librdkafka's consumers must have one; it is neither joined nor committed to.
            ("group.id", &format!("{}followers", options.prefix)),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("isolation.level", "read_committed"),
            ("enable.partition.eof", "true"),
            // Positions outside the log: it was made anew, or cut. That is for whoever follows to know.
            ("auto.offset.reset", "error"),
            ("allow.auto.create.topics", "false"),
            ("check.crcs", "true"),
            // A fetch returns as soon as there is data; this is for what is not in the fetch under way, such as a new partition.
            // It costs 20 empty fetches a second and broker while nothing is published.
            ("fetch.wait.max.ms", "50"),
            ("fetch.error.backoff.ms", "100"),
            // What is read ahead while the reader is busy: its memory, at most, beside one fetch.
            ("queued.max.messages.kbytes", "16384"),
        ]);
        let started = config.create_with_context::<_, BaseConsumer<Listener>>(Listener::default());
        let mut consumer = started.map_err(|error| FollowError::Start {
            place: options.brokers.clone(),
            reason: error.to_string(),
        })?;
        let waker = Arc::clone(post);
        consumer.set_nonempty_callback(move || waker.announce_message());
        Ok(Self {
            topic,
            name: options.topic(topic),
            consumer: Arc::new(consumer),
            assigned: BTreeSet::new(),
            ends: BTreeMap::new(),
            ended: BTreeSet::new(),
        })
    }

    /// Adds the partitions that are new.
    fn assign(&mut self, partitions: &Partitions, from: &Positions) -> Result<(), KafkaError> {
        let mut new = HashMap::new();
        for (&partition, &end) in partitions {
            if self.assigned.contains(&partition) {
                continue;
            }
            self.ends.extend(end.map(|end| (partition, end)));
            let offset = from
                .get(self.topic, partition)
                .map_or(Offset::Beginning, Offset::Offset);
            new.insert((self.name.clone(), partition), offset);
        }
        if new.is_empty() {
            return Ok(());
        }
        self.assigned
            .extend(new.keys().map(|(_, partition)| *partition));
        let list = TopicPartitionList::from_topic_map(&new)?;
        self.consumer.incremental_assign(&list)
    }

    fn has_ended(&self) -> bool {
        !self.assigned.is_empty() && self.assigned.is_subset(&self.ended)
    }
}

fn read(topic: Topic, message: &BorrowedMessage<'_>) -> Result<Event, String> {
    let key = message.key().ok_or("the record has no key")?;
    let key = str::from_utf8(key).map_err(|error| format!("the key is not text: {error}"))?;
    let value = message
        .payload()
        .ok_or("the record is a tombstone; the journal has none")?;
    let change = Change::decode(topic, key, value).map_err(|error| error.to_string())?;
    let millis = message
        .timestamp()
        .to_millis()
        .ok_or("the record has no time")?;
    let published_at = Timestamp::from_millisecond(millis).map_err(|error| error.to_string())?;
    let (partition, offset) = (message.partition(), message.offset());
    Ok(Event::Change {
        change: Box::new(change),
        topic,
        partition,
        offset,
        published_at,
    })
}

impl Follower for KafkaFollower {
    fn next(&mut self, wait: Duration) -> Result<Option<Event>, FollowError> {
        let deadline = Instant::now() + wait;
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            if let Some(sighting) = self.post.take_sighting() {
                self.heed(sighting)?;
                continue;
            }
            if self.drain()? {
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.post.wait(left.min(LOOK));
        }
    }

    fn log(&self) -> Option<&str> {
        self.identity.as_deref()
    }
}

impl Drop for KafkaFollower {
    fn drop(&mut self) {
        self.post.end();
    }
}
