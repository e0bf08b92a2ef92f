//! Asks the brokers, on a thread of its own, which partitions there are and whether they answer at all, so that following never waits.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use tags::Topic;

use super::RETRY;
use super::client::Listener;
use super::other_log::other_log;
use crate::{FollowError, Since};

/// How often to look for new partitions.
const REFRESH: Duration = Duration::from_secs(30);
/// How long the brokers have to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// The partitions of a topic, and where each ended when it was first seen, where the broker told.
pub(crate) type Partitions = BTreeMap<i32, Option<i64>>;

/// What a look at the brokers showed.
#[derive(Debug)]
pub(crate) enum Sighting {
    /// Which log it is, and each topic's partitions.
    Found {
        identity: Option<String>,
        topics: BTreeMap<Topic, Partitions>,
    },
    /// There is nothing to follow, for now.
    Absent(Absence),
    /// What there is has taken the place of what is followed.
    OtherLog { reason: String, foreign: bool },
}

/// Why there is nothing to follow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Absence {
    #[error("topic {0} does not exist yet: the admin makes it when it starts")]
    Topic(String),
    #[error("the brokers do not answer: {0}")]
    Brokers(String),
}

impl Absence {
    /// Whether a reader has to be told, who knows of `other`. The details of an outage change all the time.
    pub(crate) fn is_news_after(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Brokers(_), Self::Brokers(_)) => false,
            _ => self != other,
        }
    }
}

/// Where the follower's thread sleeps, and what wakes it: a message in a queue, or a sighting.
#[derive(Debug, Default)]
pub(crate) struct Post {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Something is in a consumer's queue.
    messages: bool,
    sighting: Option<Sighting>,
    /// The scout is to look now, not at its next hour.
    look: bool,
    /// A broker does not know what is followed: it may have been deleted, and made anew.
    suspicion: bool,
    /// The follower has gone.
    ended: bool,
}

impl Post {
    /// Says that a consumer's queue is no longer empty.
    pub(crate) fn announce_message(&self) {
        self.lock().messages = true;
        self.changed.notify_all();
    }

    /// Waits for a message or a sighting, at most `wait`.
    pub(crate) fn wait(&self, wait: Duration) {
        let waited = self.changed.wait_timeout_while(self.lock(), wait, |state| {
            !state.messages && state.sighting.is_none()
        });
        waited.unwrap_or_else(PoisonError::into_inner).0.messages = false;
    }

    /// The newest sighting that has not been taken.
    pub(crate) fn take_sighting(&self) -> Option<Sighting> {
        self.lock().sighting.take()
    }

    /// Has the scout look at once.
    pub(crate) fn ask_to_look(&self) {
        self.lock().look = true;
        self.changed.notify_all();
    }

    /// Has the scout look at once, and find out whether the topics are still the same.
    pub(crate) fn suspect(&self) {
        self.lock().suspicion = true;
        self.ask_to_look();
    }

    /// The look that is under way has not settled it.
    fn suspect_still(&self) {
        self.lock().suspicion = true;
    }

    fn take_suspicion(&self) -> bool {
        std::mem::take(&mut self.lock().suspicion)
    }

    /// Has the scout end.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Hands in a sighting, then waits for the next time to look; false when there is none.
    fn report(&self, sighting: Sighting) -> bool {
        let pause = match sighting {
            Sighting::Found { .. } => REFRESH,
            Sighting::Absent(_) | Sighting::OtherLog { .. } => RETRY,
        };
        let mut state = self.lock();
        state.sighting = Some(sighting);
        self.changed.notify_all();
        let waited = self
            .changed
            .wait_timeout_while(state, pause, |state| !state.look && !state.ended);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.look = false;
        !state.ended
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at the brokers, over the connections of one of the follower's consumers.
pub(crate) struct Scout {
    pub(crate) consumer: Arc<BaseConsumer<Listener>>,
    /// Each topic and its name.
    pub(crate) topics: Vec<(Topic, String)>,
    pub(crate) prefix: String,
    pub(crate) since: Since,
    pub(crate) post: Arc<Post>,
}

impl Scout {
    /// Starts the thread.
    pub(crate) fn start(self, brokers: &str) -> Result<(), FollowError> {
        let run = move || {
            let mut memory = Memory::default();
            while self.post.report(self.look(&mut memory)) {}
        };
        let started = thread::Builder::new()
            .name("journal-scout".into())
            .spawn(run);
        started.map(|_| ()).map_err(|error| FollowError::Start {
            place: brokers.to_owned(),
            reason: format!("starting a thread: {error}"),
        })
    }

    fn look(&self, memory: &mut Memory) -> Sighting {
        self.try_look(memory).unwrap_or_else(Sighting::Absent)
    }

    fn try_look(&self, memory: &mut Memory) -> Result<Sighting, Absence> {
        let mut found = Vec::new();
        for (topic, name) in &self.topics {
            match partitions(&self.consumer, name) {
                Ok(partitions) => found.push((*topic, name, partitions)),
                Err(KafkaError::MetadataFetch(
                    RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic,
                )) => {
                    if memory.partitions.contains_key(topic) {
                        memory.vanished = Some(name.clone());
                    }
                    return Err(Absence::Topic(name.clone()));
                }
                Err(error) => return Err(self.absence(&error)),
            }
        }
        if let Some(name) = &memory.vanished {
            let reason = format!("topic {name} was deleted and made anew");
            return Ok(replaced(reason));
        }
        if memory.identity.is_none() {
            let cluster = self.consumer.client().fetch_cluster_id(ANSWER);
            let identity = cluster.map(|cluster| format!("{cluster}/{}", self.prefix));
            if let Some(other) = self.judge_since(identity.as_deref(), &found)? {
                return Ok(other);
            }
            memory.identity = identity;
        } else if self.post.take_suspicion() {
            let judged = self.judge_again(memory, &found);
            if !matches!(judged, Ok(None)) {
                self.post.suspect_still(); // until it is settled, or somebody has heard of it
            }
            if let Some(other) = judged? {
                return Ok(other);
            }
        }
        let mut new = false;
        for (topic, name, partitions) in found {
            let known = memory.partitions.entry(topic).or_default();
            for partition in partitions {
                // Without it, only the end's being reported tells that the reader is there.
                known.entry(partition).or_insert_with(|| {
                    new = true;
                    end(&self.consumer, name, partition)
                });
            }
        }
        if new {
            // What is asked later is older than this, too.
            memory.seen = Timestamp::now();
        }
        Ok(Sighting::Found {
            identity: memory.identity.clone(),
            topics: memory.partitions.clone(),
        })
    }

    /// Whether the positions to begin from are of another log.
    fn judge_since(
        &self,
        identity: Option<&str>,
        found: &[Found<'_>],
    ) -> Result<Option<Sighting>, Absence> {
        let known = self.since.log.as_ref();
        if let (Some(known), Some(identity)) = (known, identity)
            && known.identity != identity
        {
            return Ok(Some(Sighting::OtherLog {
                reason: format!("this is {identity}, and not {}", known.identity),
                foreign: true,
            }));
        }
        let at = known.map(|known| known.at);
        self.judge_all(self.since.positions.iter(), at, found)
    }

    /// Whether what has been followed has been replaced by something that looks alike.
    fn judge_again(
        &self,
        memory: &Memory,
        found: &[Found<'_>],
    ) -> Result<Option<Sighting>, Absence> {
        let ends = memory.partitions.iter().flat_map(|(topic, partitions)| {
            let ends = partitions.iter();
            ends.filter_map(|(partition, end)| Some((*topic, *partition, (*end)?)))
        });
        self.judge_all(ends, Some(memory.seen), found)
    }

    fn judge_all(
        &self,
        positions: impl Iterator<Item = (Topic, i32, i64)>,
        at: Option<Timestamp>,
        found: &[Found<'_>],
    ) -> Result<Option<Sighting>, Absence> {
        for (topic, partition, position) in positions {
            let Some((_, name, partitions)) = found.iter().find(|(known, ..)| *known == topic)
            else {
                continue;
            };
            if !partitions.contains(&partition) {
                let reason = format!("topic {name} has no partition {partition} any more");
                return Ok(Some(replaced(reason)));
            }
            let other = other_log(&self.consumer, name, partition, position, at)
                .map_err(|error| self.absence(&error))?;
            if let Some(reason) = other {
                return Ok(Some(replaced(reason)));
            }
        }
        Ok(None)
    }

    fn absence(&self, error: &KafkaError) -> Absence {
        Absence::Brokers(self.consumer.context().explain(error))
    }
}

/// A topic, its name, and its partitions.
type Found<'a> = (Topic, &'a String, Vec<i32>);

fn replaced(reason: String) -> Sighting {
    Sighting::OtherLog {
        reason,
        foreign: false,
    }
}

/// What a scout has seen so far.
struct Memory {
    /// When the ends of all partitions had been seen.
    seen: Timestamp,
    identity: Option<String>,
    partitions: BTreeMap<Topic, Partitions>,
    /// A topic that was there and then was not.
    vanished: Option<String>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            seen: Timestamp::now(),
            identity: None,
            partitions: BTreeMap::new(),
            vanished: None,
        }
    }
}

/// Where what is committed of a partition ends now.
fn end(consumer: &BaseConsumer<Listener>, name: &str, partition: i32) -> Option<i64> {
    match consumer.fetch_watermarks(name, partition, ANSWER) {
        Ok((_, end)) => Some(end),
        Err(error) => {
            tracing::debug!(topic = name, partition, %error, "asking where the journal ends");
            None
        }
    }
}

fn partitions(consumer: &BaseConsumer<Listener>, name: &str) -> Result<Vec<i32>, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(name), ANSWER)?;
    let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
        return Err(KafkaError::MetadataFetch(
            RDKafkaErrorCode::UnknownTopicOrPartition,
        ));
    };
    match topic.error() {
        None | Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR)
            if !topic.partitions().is_empty() =>
        {
            Ok(topic
                .partitions()
                .iter()
                .map(|partition| partition.id())
                .collect())
        }
        None | Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR) => Err(KafkaError::MetadataFetch(
            RDKafkaErrorCode::UnknownTopicOrPartition,
        )),
        Some(error) => Err(KafkaError::MetadataFetch(error.into())),
    }
}
