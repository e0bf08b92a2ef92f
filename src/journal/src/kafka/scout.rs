//! Asks the brokers, on a thread of its own, which partitions there are and whether they answer at all, so that following never waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use tags::Topic;

use super::client::Listener;
use super::other_log::{Reached, other_log};
use super::post::{Absence, Partitions, Post, Sighting};
use crate::{FollowError, Since};

/// How long the brokers have to answer.
const ANSWER: Duration = Duration::from_secs(5);

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
        // Before anything is asked: what is found to be the same now was so then.
        let progress = self.post.progress();
        let suspicious = self.post.take_suspicion();
        let found = self.find().inspect_err(|absence| {
            // It may be deleted, or not known to this one broker yet: what is there next time is looked at.
            let was_there = !memory.partitions.is_empty();
            if suspicious || was_there && matches!(absence, Absence::Topic(_)) {
                self.post.suspect_still();
            }
        })?;
        if let Some(other) = self.judge_identity(memory) {
            return Ok(other);
        }
        let mut silent = BTreeSet::new();
        let anchors = progress.iter().map(|(place, read)| (*place, read.anchor));
        let mut judged = self.judge(anchors, &found, &mut silent);
        if suspicious {
            let last = progress.iter().map(|(place, read)| (*place, read.last));
            judged.add(self.judge(last, &found, &mut silent));
        }
        if judged.is_unsettled(&memory.missing) && suspicious {
            self.post.suspect_still(); // until it is settled, or somebody has heard of it
        }
        if let Some(reason) = judged.reason(&memory.missing) {
            return Ok(Sighting::OtherLog {
                reason,
                foreign: false,
            });
        }
        let missing = judged.missing.first().copied();
        if let Some((topic, partition)) = missing {
            memory.missing = judged.missing;
            return Err(Absence::Partition(topic, partition));
        }
        if !judged.any && !judged.unjudged.is_empty() {
            let nobody = || Absence::Brokers("no partition has a leader".to_owned());
            return Err(judged.error.unwrap_or_else(nobody));
        }
        memory.missing.clear();
        self.post.anchor(&progress, &judged.unjudged);
        let stalled = stalled(&found, &judged.unjudged, &silent);
        for topic in found {
            let known = memory.partitions.entry(topic.topic).or_default();
            for partition in topic.partitions {
                // Without it, only the end's being reported tells that the reader is there.
                known
                    .entry(partition.id)
                    .or_insert_with(|| self.end(topic.name, partition, &mut silent));
            }
        }
        Ok(Sighting::Found {
            identity: memory.identity.clone(),
            topics: memory.partitions.clone(),
            stalled,
        })
    }

    /// The topics that are followed, all of them.
    fn find(&self) -> Result<Vec<Found<'_>>, Absence> {
        let find = |(topic, name)| match partitions(&self.consumer, name) {
            Ok(partitions) => Ok(Found {
                topic,
                name,
                partitions,
            }),
            Err(KafkaError::MetadataFetch(
                RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic,
            )) => Err(Absence::Topic(name.to_owned())),
            Err(error) => Err(self.absence(&error)),
        };
        let topics = self.topics.iter();
        topics
            .map(|(topic, name)| find((*topic, name.as_str())))
            .collect()
    }

    /// Whether the positions to begin from are of another cluster or another prefix.
    fn judge_identity(&self, memory: &mut Memory) -> Option<Sighting> {
        if memory.identity.is_none() {
            let cluster = self.consumer.client().fetch_cluster_id(ANSWER);
            memory.identity = cluster.map(|cluster| format!("{cluster}/{}", self.prefix));
        }
        let (known, identity) = (self.since.log.as_ref()?, memory.identity.as_ref()?);
        (known.identity != *identity).then(|| Sighting::OtherLog {
            reason: format!("this is {identity}, and not {}", known.identity),
            foreign: true,
        })
    }

    /// Whether what has been read has been replaced by something that looks alike. What cannot be asked now is left open, and is no reason not
    /// to read the rest.
    fn judge(
        &self,
        reached: impl Iterator<Item = ((Topic, i32), Reached)>,
        found: &[Found<'_>],
        silent: &mut BTreeSet<i32>,
    ) -> Judged {
        let mut judged = Judged::default();
        for ((topic, partition), reached) in reached {
            let Some(seen) = found.iter().find(|found| found.topic == topic) else {
                continue;
            };
            let name = seen.name;
            let mut partitions = seen.partitions.iter();
            let Some(place) = partitions.find(|place| place.id == partition) else {
                judged.unjudged.insert((topic, partition));
                judged.missing.insert((topic, partition));
                continue;
            };
            match place.ask(silent, || {
                other_log(&self.consumer, name, partition, reached)
            }) {
                None => {
                    judged.unjudged.insert((topic, partition));
                }
                Some(Err(error)) => {
                    tracing::debug!(topic = name, partition, %error, "asking whether it is the same log");
                    judged.unjudged.insert((topic, partition));
                    judged.error = Some(self.absence(&error));
                }
                Some(Ok(other)) => {
                    judged.any = true;
                    judged.other = judged.other.or(other);
                }
            }
        }
        judged
    }

    /// Where what is committed of a partition ends now.
    fn end(&self, name: &str, place: Place, silent: &mut BTreeSet<i32>) -> Option<i64> {
        let ask = || self.consumer.fetch_watermarks(name, place.id, ANSWER);
        match place.ask(silent, ask)? {
            Ok((_, end)) => Some(end),
            Err(error) => {
                tracing::debug!(topic = name, partition = place.id, %error, "asking where the journal ends");
                None
            }
        }
    }

    fn absence(&self, error: &KafkaError) -> Absence {
        Absence::Brokers(self.consumer.context().explain(error))
    }
}

/// What cannot be read now: nobody leads it, or who does lets others wait too.
fn stalled(
    found: &[Found<'_>],
    unjudged: &BTreeSet<(Topic, i32)>,
    silent: &BTreeSet<i32>,
) -> BTreeSet<(Topic, i32)> {
    let led_in_vain = |place: &&Place| place.leader.is_none_or(|leader| silent.contains(&leader));
    let without = found.iter().flat_map(|found| {
        let places = found.partitions.iter().filter(led_in_vain);
        places.map(|place| (found.topic, place.id))
    });
    without.chain(unjudged.iter().copied()).collect()
}

/// A topic that there is.
struct Found<'a> {
    topic: Topic,
    name: &'a str,
    partitions: Vec<Place>,
}

/// A partition and the broker that leads it, where one does.
#[derive(Clone, Copy, Debug)]
struct Place {
    id: i32,
    leader: Option<i32>,
}

impl Place {
    /// Asks its leader, unless there is none or it has let somebody wait in vain already.
    fn ask<T>(
        self,
        silent: &mut BTreeSet<i32>,
        ask: impl FnOnce() -> Result<T, KafkaError>,
    ) -> Option<Result<T, KafkaError>> {
        let leader = self.leader.filter(|leader| !silent.contains(leader))?;
        let answer = ask();
        if answer.is_err() {
            silent.insert(leader);
        }
        Some(answer)
    }
}

/// What came of comparing what was read with what there is.
#[derive(Default)]
struct Judged {
    /// Whether anything could be compared.
    any: bool,
    other: Option<String>,
    /// Partitions that were there and are not: one broker may not know of them yet.
    missing: BTreeSet<(Topic, i32)>,
    /// What could not be compared, and why it could not.
    unjudged: BTreeSet<(Topic, i32)>,
    error: Option<Absence>,
}

impl Judged {
    fn add(&mut self, more: Self) {
        self.any |= more.any;
        self.other = self.other.take().or(more.other);
        self.missing.extend(more.missing);
        self.unjudged.extend(more.unjudged);
        self.error = self.error.take().or(more.error);
    }

    /// Why it is another log.
    fn reason(&self, missing_before: &BTreeSet<(Topic, i32)>) -> Option<String> {
        let mut again = self.missing.intersection(missing_before);
        let gone = again.next().map(|(topic, partition)| {
            format!("topic {topic} has no partition {partition} any more")
        });
        self.other.clone().or(gone)
    }

    fn is_unsettled(&self, missing_before: &BTreeSet<(Topic, i32)>) -> bool {
        !self.unjudged.is_empty() || self.reason(missing_before).is_some()
    }
}

/// What a scout has seen so far.
#[derive(Default)]
struct Memory {
    identity: Option<String>,
    partitions: BTreeMap<Topic, Partitions>,
    /// What was not there at the last look.
    missing: BTreeSet<(Topic, i32)>,
}

fn partitions(consumer: &BaseConsumer<Listener>, name: &str) -> Result<Vec<Place>, KafkaError> {
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
            let places = topic.partitions().iter().map(|partition| Place {
                id: partition.id(),
                leader: Some(partition.leader()).filter(|leader| *leader >= 0),
            });
            Ok(places.collect())
        }
        None | Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR) => Err(KafkaError::MetadataFetch(
            RDKafkaErrorCode::UnknownTopicOrPartition,
        )),
        Some(error) => Err(KafkaError::MetadataFetch(error.into())),
    }
}

#[cfg(test)]
mod tests;
