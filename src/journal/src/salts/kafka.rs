//! The topic `salts`: how it has to be set so that it forgets, and how it is followed. Its records are written by the journal's publisher.

use std::time::Duration;

use rdkafka::message::{Message, OwnedMessage};

use super::wire::day_of;
use super::{Salt, SaltsEvent, SaltsFollower};
use crate::kafka::side_topic::{SideTopic, SideTopicError};
use crate::kafka::whole_topic::{Heard, WholeTopic};
use crate::{FollowError, JournalMetrics, KafkaOptions, PublishError};

/// A destroyed salt's record goes an hour or two after its tombstone: a segment is closed within the hour as long as the writer writes every
/// hour, and what is closed and an hour old is compacted, however little of it could go. While no writer writes, everything goes nine days
/// after the last record came: as long as a salt is needed that was made seven days ahead, until the end of the day after its own. All by the
/// brokers' clocks.
const SETTINGS: &[(&str, &str)] = &[
    ("cleanup.policy", "compact,delete"),
    ("retention.ms", "777600000"),
    ("segment.ms", "3600000"),
    ("max.compaction.lag.ms", "3600000"),
    ("delete.retention.ms", "3600000"),
    ("min.cleanable.dirty.ratio", "0.01"),
    ("message.timestamp.type", "LogAppendTime"),
];
/// All on which the end of a salt hangs.
const REQUIRED: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("cleanup.policy", "delete"),
    ("retention.ms", "777600000"),
    ("segment.ms", "3600000"),
    ("max.compaction.lag.ms", "3600000"),
    ("min.compaction.lag.ms", "0"),
    ("message.timestamp.type", "LogAppendTime"),
];

pub(crate) fn topic(options: &KafkaOptions) -> String {
    format!("{}salts", options.prefix)
}

/// Makes the topic if it is missing, then checks it.
pub(crate) async fn ensure(options: &KafkaOptions) -> Result<(), PublishError> {
    let topic = SideTopic {
        name: topic(options),
        partitions: 1,
        settings: SETTINGS,
        required: REQUIRED,
    };
    topic.ensure(options).await.map_err(|error| match error {
        SideTopicError::Unavailable(reason) => PublishError::Unavailable {
            place: options.brokers.clone(),
            reason: format!("topic {}: {reason}", self::topic(options)),
        },
        SideTopicError::Setting(error) => error.into(),
    })
}

/// A reader of the topic, all of it.
pub(crate) struct KafkaSaltsFollower {
    topic: WholeTopic,
    metrics: JournalMetrics,
    /// Whether a refusal has been logged: there may be as many as records.
    logged: bool,
}

impl KafkaSaltsFollower {
    pub(crate) fn start(
        options: &KafkaOptions,
        metrics: JournalMetrics,
    ) -> Result<Self, FollowError> {
        Ok(Self {
            topic: WholeTopic::start(options, topic(options))?,
            metrics,
            logged: false,
        })
    }

    fn refuse(&mut self, message: &OwnedMessage, error: String) -> SaltsEvent {
        self.metrics.count_refused();
        if !std::mem::replace(&mut self.logged, true) {
            let (topic, partition, offset) =
                (message.topic(), message.partition(), message.offset());
            tracing::warn!(
                topic,
                partition,
                offset,
                error,
                "a record is no salt that this build understands, and was skipped; further ones are only counted"
            );
        }
        let key = message.key().and_then(|key| str::from_utf8(key).ok());
        SaltsEvent::Refused {
            day: key.and_then(|key| day_of(key).ok()),
            error,
        }
    }
}

fn read(message: &OwnedMessage) -> Result<SaltsEvent, String> {
    let key = message.key().ok_or("the record has no key")?;
    let key = str::from_utf8(key).map_err(|error| format!("the key is not text: {error}"))?;
    let read = match message.payload() {
        Some(value) => Salt::decode(key, value).map(SaltsEvent::Salt),
        None => day_of(key).map(SaltsEvent::Destroyed),
    };
    read.map_err(|error| error.to_string())
}

impl SaltsFollower for KafkaSaltsFollower {
    fn next(&mut self, wait: Duration) -> Result<Option<SaltsEvent>, FollowError> {
        Ok(self.topic.next(wait)?.map(|heard| match heard {
            Heard::Record(message) => {
                read(&message).unwrap_or_else(|error| self.refuse(&message, error))
            }
            Heard::CaughtUp => SaltsEvent::CaughtUp,
            Heard::Disconnected { reason } => SaltsEvent::Disconnected { reason },
            Heard::Connected => SaltsEvent::Connected,
        }))
    }
}
