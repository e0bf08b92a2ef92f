//! Follows the topic `counts`, all of it, from its beginning.

use std::time::Duration;

use rdkafka::message::{Message, OwnedMessage};

use super::KafkaCounts;
use crate::FollowError;
use crate::counts::{Count, CountsEvent, CountsFollower};
use crate::kafka::whole_topic::{Heard, WholeTopic};

/// A reader of the topic.
pub(super) struct KafkaCountsFollower {
    counts: KafkaCounts,
    topic: WholeTopic,
    /// Whether a refusal has been logged: there may be as many as records.
    logged: bool,
}

impl KafkaCountsFollower {
    pub(super) fn start(counts: KafkaCounts) -> Result<Self, FollowError> {
        Ok(Self {
            topic: WholeTopic::start(&counts.options, counts.topic())?,
            counts,
            logged: false,
        })
    }

    fn refuse(&mut self, message: &OwnedMessage, error: String) -> CountsEvent {
        self.counts.metrics.count_refused();
        if !std::mem::replace(&mut self.logged, true) {
            let (topic, partition, offset) =
                (message.topic(), message.partition(), message.offset());
            tracing::warn!(
                topic,
                partition,
                offset,
                error,
                "a record is no count of scans that this build understands, and was skipped; further ones are only counted"
            );
        }
        CountsEvent::Refused { error }
    }
}

fn read(message: &OwnedMessage) -> Result<Count, String> {
    let key = message.key().ok_or("the record has no key")?;
    let key = str::from_utf8(key).map_err(|error| format!("the key is not text: {error}"))?;
    let value = message
        .payload()
        .ok_or("the record is a tombstone, and counts only grow")?;
    Count::decode(key, value).map_err(|error| error.to_string())
}

impl CountsFollower for KafkaCountsFollower {
    fn next(&mut self, wait: Duration) -> Result<Option<CountsEvent>, FollowError> {
        Ok(self.topic.next(wait)?.map(|heard| match heard {
            Heard::Record(message) => match read(&message) {
                Ok(count) => CountsEvent::Count(count),
                Err(error) => self.refuse(&message, error),
            },
            Heard::CaughtUp => CountsEvent::CaughtUp,
            Heard::Disconnected { reason } => CountsEvent::Disconnected { reason },
            Heard::Connected => CountsEvent::Connected,
        }))
    }
}
