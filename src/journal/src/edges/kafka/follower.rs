//! Follows the topic `edges`, all of it, from its beginning.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use rdkafka::message::{Message, OwnedMessage};

use super::KafkaEdges;
use crate::FollowError;
use crate::edges::{EdgeRun, EdgesEvent, EdgesFollower, Heartbeat};
use crate::kafka::whole_topic::{Heard, WholeTopic};

/// Of so many keys it is remembered that their refusal has been logged: an edge of a newer format speaks fifty times a second.
const REMEMBERED: usize = 1_000;

/// A reader of the topic.
pub(super) struct KafkaEdgesFollower {
    edges: KafkaEdges,
    topic: WholeTopic,
    logged: HashSet<Vec<u8>>,
}

impl KafkaEdgesFollower {
    pub(super) fn start(edges: KafkaEdges) -> Result<Self, FollowError> {
        Ok(Self {
            topic: WholeTopic::start(&edges.options, edges.topic())?,
            edges,
            logged: HashSet::new(),
        })
    }

    fn refuse(&mut self, message: &OwnedMessage, error: String) -> EdgesEvent {
        self.edges.metrics.count_refused();
        if self.logged.len() >= REMEMBERED {
            self.logged.clear();
        }
        let key = message.key().unwrap_or_default();
        if self.logged.insert(key[..key.len().min(256)].to_vec()) {
            let (topic, partition, offset) =
                (message.topic(), message.partition(), message.offset());
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
        Ok(self.topic.next(wait)?.map(|heard| match heard {
            Heard::Record(message) => {
                read(&message).unwrap_or_else(|error| self.refuse(&message, error))
            }
            Heard::CaughtUp => EdgesEvent::CaughtUp,
            Heard::Disconnected { reason } => EdgesEvent::Disconnected { reason },
            Heard::Connected => EdgesEvent::Connected,
        }))
    }
}
