//! What a follower of the journal hears.

use jiff::Timestamp;
use tags::{Change, Topic};

use crate::{JournalMetrics, RefusedRecord};

/// Something that happened in the log, or to the connection with it.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A record; the position is now the offset behind it.
    Change {
        /// What it says.
        change: Box<Change>,
        /// Where it lies.
        topic: Topic,
        /// Its partition; 0 in SQLite.
        partition: i32,
        /// Its offset.
        offset: i64,
        /// When its writer published it, to the millisecond in Kafka.
        published_at: Timestamp,
    },
    /// A record that is not valid. The journal has counted and logged it; the position moves on and what was there before stays.
    Refused {
        /// Where it lies.
        topic: Topic,
        /// Its partition.
        partition: i32,
        /// Its offset.
        offset: i64,
        /// When it was published, by whoever did; none: it does not say.
        published_at: Option<Timestamp>,
        /// Why.
        error: String,
    },
    /// The end of every followed partition has been seen once since the start. Comes once.
    CaughtUp,
    /// The position moved without a record, behind transaction markers.
    Advanced {
        /// In which topic.
        topic: Topic,
        /// In which partition.
        partition: i32,
        /// The position now.
        next_offset: i64,
    },
    /// These partitions cannot be read for now, though others can: what is new in them is not known. Comes when it is others than before; none:
    /// all can be read.
    Stalled {
        /// Their topics and numbers.
        partitions: Vec<(Topic, i32)>,
    },
    /// The log cannot be reached; the follower goes on trying. Comes when that, or its reason, is new.
    Disconnected {
        /// For the log and `/readyz`.
        reason: String,
    },
    /// The log can be reached again, or for the first time after a [`Event::Disconnected`].
    Connected,
}

impl Event {
    /// What a record says that lies there; or that it is not valid, which is counted and logged.
    pub(crate) fn of_record(
        (topic, partition, offset): (Topic, i32, i64),
        change: Result<Change, String>,
        published_at: Result<Timestamp, String>,
        metrics: &JournalMetrics,
    ) -> Self {
        let (published_at, error) = match (change, published_at) {
            (Ok(change), Ok(published_at)) => {
                return Self::Change {
                    change: Box::new(change),
                    topic,
                    partition,
                    offset,
                    published_at,
                };
            }
            (Err(error), published_at) => (published_at.ok(), error),
            (Ok(_), Err(error)) => (None, error),
        };
        metrics.count_refused();
        tracing::warn!(%topic, partition, offset, error, "a record of the journal is not valid and was skipped");
        Self::Refused {
            topic,
            partition,
            offset,
            published_at,
            error,
        }
    }

    /// The record that was refused, where that is what happened.
    pub fn refused(&self) -> Option<RefusedRecord> {
        match self {
            Self::Refused {
                topic,
                partition,
                offset,
                error,
                ..
            } => Some(RefusedRecord::new(*topic, *partition, *offset, error)),
            _ => None,
        }
    }

    /// When the record was published that this is about, where it is about one that says so.
    pub fn published_at(&self) -> Option<Timestamp> {
        match *self {
            Self::Change { published_at, .. } => Some(published_at),
            Self::Refused { published_at, .. } => published_at,
            Self::CaughtUp
            | Self::Advanced { .. }
            | Self::Stalled { .. }
            | Self::Disconnected { .. }
            | Self::Connected => None,
        }
    }

    /// The position that the event leads to, as topic, partition and next offset.
    pub fn position(&self) -> Option<(Topic, i32, i64)> {
        match *self {
            Self::Change {
                topic,
                partition,
                offset,
                ..
            }
            | Self::Refused {
                topic,
                partition,
                offset,
                ..
            } => Some((topic, partition, offset + 1)),
            Self::Advanced {
                topic,
                partition,
                next_offset,
            } => Some((topic, partition, next_offset)),
            Self::CaughtUp | Self::Stalled { .. } | Self::Disconnected { .. } | Self::Connected => {
                None
            }
        }
    }
}
