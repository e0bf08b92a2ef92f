//! What a follower of the journal hears.

use jiff::Timestamp;
use tags::{Change, Topic};

use crate::RefusedRecord;

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
    /// The log cannot be reached; the follower goes on trying. Comes when that, or its reason, is new.
    Disconnected {
        /// For the log and `/readyz`.
        reason: String,
    },
    /// The log can be reached again, or for the first time after a [`Event::Disconnected`].
    Connected,
}

impl Event {
    /// The record that was refused, where that is what happened.
    pub fn refused(&self) -> Option<RefusedRecord> {
        match self {
            Self::Refused {
                topic,
                partition,
                offset,
                error,
            } => Some(RefusedRecord::new(*topic, *partition, *offset, error)),
            _ => None,
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
            Self::CaughtUp | Self::Disconnected { .. } | Self::Connected => None,
        }
    }
}
