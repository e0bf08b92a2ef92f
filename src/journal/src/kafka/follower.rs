//! Follows the Kafka journal: every partition of its topics, committed records only, without a consumer group's doings.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use tags::Topic;

use super::KafkaOptions;
use super::client::Listener;
use super::other_log::Newest;
use super::post::{Absence, Partitions, Post, Sighting};
use super::readers::{Batch, Item, Queue, Readers};
use super::scout::Scout;
use crate::{Event, FollowError, Follower, JournalMetrics, Positions, Since};

/// How long to sleep at most before the queues are looked at again, in case one filled up without saying so.
const LOOK: Duration = Duration::from_millis(250);
/// Batches of records that wait to be taken.
const WAITING: usize = 8;

/// A reader of some topics.
pub(crate) struct KafkaFollower {
    brokers: String,
    lanes: Vec<Lane>,
    positions: Positions,
    /// See [`Follower::log`].
    identity: Option<String>,
    post: Arc<Post>,
    /// The threads that read the partitions, and what they have read.
    readers: Readers,
    batches: Receiver<Batch>,
    ready: VecDeque<Event>,
    caught_up: bool,
    /// Why nothing can be read, where that is so.
    disconnected: Option<Absence>,
    /// What cannot be read though others can.
    stalled: BTreeSet<(Topic, i32)>,
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
        let post = Arc::new(Post::of(&since));
        let topics: BTreeSet<Topic> = topics.iter().copied().collect();
        let lanes = topics
            .into_iter()
            .map(|topic| Lane::open(options, topic, &post))
            .collect::<Result<Vec<_>, _>>()?;
        let (read, batches) = sync_channel(WAITING);
        let readers =
            Readers::start(&read, &post, &metrics).map_err(|error| FollowError::Start {
                place: options.brokers.clone(),
                reason: format!("starting a thread: {error}"),
            })?;
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
            readers,
            batches,
            ready: VecDeque::new(),
            caught_up: false,
            disconnected: None,
            stalled: BTreeSet::new(),
        })
    }

    /// Takes what the scout saw: new partitions, or that there is nothing to be read.
    fn heed(&mut self, sighting: Sighting) -> Result<(), FollowError> {
        match sighting {
            Sighting::Found {
                identity,
                topics,
                stalled,
            } => {
                self.identity = identity;
                for lane in &mut self.lanes {
                    let Some(partitions) = topics.get(&lane.topic) else {
                        continue;
                    };
                    lane.assign(partitions, &self.positions, &mut self.readers)
                        .map_err(|error| FollowError::Broken {
                            place: self.brokers.clone(),
                            reason: format!("reading topic {}: {error}", lane.name),
                        })?;
                }
                self.connected();
                if self.stalled != stalled {
                    let partitions = stalled.iter().copied().collect();
                    self.ready.push_back(Event::Stalled { partitions });
                    self.stalled = stalled;
                }
                self.look_for_the_end();
            }
            Sighting::Absent(absence) => self.disconnect(absence),
            Sighting::OtherLog { reason, foreign } => {
                return Err(self.other_log(reason, foreign));
            }
        }
        Ok(())
    }

    fn other_log(&self, reason: String, foreign: bool) -> FollowError {
        FollowError::OtherLog {
            place: self.brokers.clone(),
            reason,
            foreign,
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

    /// Takes what has been read and what librdkafka says; false when there was nothing.
    fn drain(&mut self) -> Result<bool, FollowError> {
        let batch = self.batches.try_recv().ok();
        let mut any = batch.is_some();
        match batch {
            Some(batch) => self.take(batch)?,
            None if self.readers.has_lost_one() => {
                return Err(FollowError::Broken {
                    place: self.brokers.clone(),
                    reason: "a thread that reads partitions has panicked".to_owned(),
                });
            }
            None => {}
        }
        for lane in 0..self.lanes.len() {
            // Records come from the partitions' own queues, so that this is about none of them.
            if let Some(Err(error)) = Arc::clone(&self.lanes[lane].consumer).poll(Duration::ZERO) {
                self.take_error(lane, &error)?;
                any = true;
            }
        }
        Ok(any)
    }

    fn take(&mut self, batch: Batch) -> Result<(), FollowError> {
        let Batch {
            topic,
            partition,
            items,
        } = batch;
        let Some(lane) = self.lanes.iter().position(|lane| lane.topic == topic) else {
            return Ok(());
        };
        // Offsets only rise within a partition, so that its last one says it all.
        let mut last = None;
        let mut newest = None;
        for item in items {
            match item {
                Item::Record(event) => {
                    self.connected();
                    newest = newest
                        .into_iter()
                        .chain(Newest::of(&event))
                        .reduce(Newest::and);
                    last = event.position().or(last);
                    self.ready.push_back(event);
                }
                // Transaction markers may lie between the last record and the end.
                Item::End(position) => {
                    self.connected();
                    if let Some(next_offset) = position
                        && self.positions.advance(topic, partition, next_offset)
                    {
                        self.ready.push_back(Event::Advanced {
                            topic,
                            partition,
                            next_offset,
                        });
                    }
                    self.lanes[lane].end(partition);
                }
                Item::Error(error) => self.take_error(lane, &error)?,
            }
        }
        if let Some((_, _, next_offset)) = last {
            self.positions.advance(topic, partition, next_offset);
            self.lanes[lane].reached(partition, next_offset);
        }
        if let Some(next_offset) = self.positions.get(topic, partition) {
            self.post.reached(topic, partition, next_offset, newest);
        }
        self.look_for_the_end();
        Ok(())
    }

    fn look_for_the_end(&mut self) {
        if !self.caught_up && self.lanes.iter().all(Lane::has_ended) {
            self.caught_up = true;
            self.ready.push_back(Event::CaughtUp);
            // What has been read by now is what a log that takes this one's place is known by.
            self.post.ask_to_look();
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
                return Err(self.other_log(reason, false));
            }
            // One broker of several, and whatever librdkafka tries again by itself. What that broker leads may be without a leader now.
            _ => {
                tracing::debug!(topic = name, %error, "reading the journal");
                self.post.ask_to_look_soon();
            }
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
            // A fetch returns as soon as there is data. This is for what is not in the fetch under way, such as a new partition, and
            // how long the end of a partition takes to be reported. It costs four empty fetches a second and broker.
            ("fetch.wait.max.ms", "250"),
            ("fetch.error.backoff.ms", "100"),
            // Few large answers rather than many small ones when there is much to read: so much of each partition.
            ("fetch.message.max.bytes", "524288"),
            // What is read ahead of each partition while the reader is busy, beside one fetch. Half of a record's memory there is not
            // its own but librdkafka's, which counts its own for nothing; and what the first reading takes, malloc does not give back.
            ("queued.max.messages.kbytes", "512"),
            // When a partition that has been read far enough ahead is looked at again: the default, a second, is far too long for so few.
            ("fetch.queue.backoff.ms", "1"),
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
    fn assign(
        &mut self,
        partitions: &Partitions,
        from: &Positions,
        readers: &mut Readers,
    ) -> Result<(), KafkaError> {
        let mut new = HashMap::new();
        for (&partition, &end) in partitions {
            if self.assigned.contains(&partition) {
                continue;
            }
            let from = from.get(self.topic, partition);
            self.ends.extend(end.map(|end| (partition, end)));
            // Who begins at the end is there.
            self.reached(partition, from.unwrap_or(0));
            // Before it is assigned, so that nothing of it comes out elsewhere.
            let queue = self.consumer.split_partition_queue(&self.name, partition);
            readers.read(Queue {
                topic: self.topic,
                name: self.name.as_str().into(),
                partition,
                queue: queue.ok_or_else(|| KafkaError::Subscription(self.name.clone()))?,
                consumer: Arc::clone(&self.consumer),
            });
            let offset = from.map_or(Offset::Beginning, Offset::Offset);
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

    /// Notes how far a partition has been read.
    fn reached(&mut self, partition: i32, next_offset: i64) {
        let end = self.ends.get(&partition);
        if end.is_some_and(|&end| next_offset >= end) {
            self.end(partition);
        }
    }

    /// Notes that a partition's end has been seen.
    fn end(&mut self, partition: i32) {
        self.ended.insert(partition);
        self.ends.remove(&partition);
    }

    fn has_ended(&self) -> bool {
        !self.assigned.is_empty() && self.assigned.is_subset(&self.ended)
    }
}

impl Follower for KafkaFollower {
    fn next(&mut self, wait: Duration) -> Result<Option<Event>, FollowError> {
        if let Some(event) = self.ready.pop_front() {
            return Ok(Some(event));
        }
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

    fn at_hand(&mut self) -> Option<Event> {
        self.ready.pop_front()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_thread_that_is_lost_breaks_the_follower() {
        // Port 1 is reserved, and nothing listens there.
        let options = KafkaOptions::new("127.0.0.1:1");
        let metrics = JournalMetrics::unregistered();
        let started = KafkaFollower::start(&options, &Topic::EDGE, Since::default(), metrics);
        let mut follower = started.unwrap();
        follower.readers.lose_one();
        let deadline = Instant::now() + Duration::from_secs(60);
        let error = loop {
            match follower.next(Duration::from_millis(10)) {
                Ok(_) => assert!(Instant::now() < deadline, "it goes on"),
                Err(error) => break error,
            }
        };
        assert!(matches!(&error, FollowError::Broken { reason, .. } if reason.contains("thread")));
    }
}
