//! Asks the brokers, on a thread of its own, which partitions there are and whether they answer at all, so that following never waits.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use tags::Topic;

use super::RETRY;
use super::client::Listener;
use crate::FollowError;

/// How often to look for new partitions.
const REFRESH: Duration = Duration::from_secs(30);
/// How long the brokers have to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// The partitions of a topic, and where each ended when it was first seen, where the broker told.
pub(crate) type Partitions = BTreeMap<i32, Option<i64>>;

/// What a look at the brokers showed: each topic's partitions, or why there is nothing to follow.
pub(crate) type Sighting = Result<BTreeMap<Topic, Partitions>, Absence>;

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

    /// Has the scout end.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Hands in a sighting, then waits for the next time to look; false when there is none.
    fn report(&self, sighting: Sighting) -> bool {
        let pause = if sighting.is_ok() { REFRESH } else { RETRY };
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

/// Starts looking, over the connections of one of the follower's consumers.
pub(crate) fn start(
    consumer: Arc<BaseConsumer<Listener>>,
    topics: Vec<(Topic, String)>,
    post: Arc<Post>,
    brokers: &str,
) -> Result<(), FollowError> {
    let run = move || {
        let mut known = BTreeMap::new();
        while post.report(look(&consumer, &topics, &mut known)) {}
    };
    match thread::Builder::new()
        .name("journal-scout".into())
        .spawn(run)
    {
        Ok(_) => Ok(()),
        Err(error) => Err(FollowError::Start {
            place: brokers.to_owned(),
            reason: format!("starting a thread: {error}"),
        }),
    }
}

fn look(
    consumer: &BaseConsumer<Listener>,
    topics: &[(Topic, String)],
    known: &mut BTreeMap<Topic, Partitions>,
) -> Sighting {
    for (topic, name) in topics {
        let partitions = partitions(consumer, name).map_err(|error| match error {
            KafkaError::MetadataFetch(
                RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic,
            ) => Absence::Topic(name.clone()),
            error => Absence::Brokers(consumer.context().explain(&error)),
        })?;
        let known = known.entry(*topic).or_default();
        for partition in partitions {
            // Without it, only the end's being reported tells that the reader is there.
            known
                .entry(partition)
                .or_insert_with(|| end(consumer, name, partition));
        }
    }
    Ok(known.clone())
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
