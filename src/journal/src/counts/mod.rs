//! How edges tell each other how often tags have been scanned: a grow-only counter (G-counter) for each tag, the sum over all series of
//! counts, of which each has one edge that adds to it. Of two counts of one series the larger is the newer, in whatever order they come,
//! however often, and whoever brings them.
//!
//! Read in this order: [`Count`], [`Counts`], then the topic in Kafka and [`CountsFile`], where an edge keeps what it knows. When an edge
//! says something, and what it makes of what it hears, is the edge's matter.

mod count;
mod file;
mod kafka;
mod wire;

use std::time::Duration;

pub use count::Count;
pub use file::{CountsFile, CountsFileError};
pub use kafka::KafkaCounts;
pub use wire::CountError;

use crate::{FollowError, TopicSettingError};

/// The place where edges tell each other their counts.
pub trait Counts: Send + Sync + 'static {
    /// What an edge tells them through. Does not wait for the place to be reachable.
    fn publisher(&self) -> Box<dyn CountsPublisher>;

    /// Starts to hear all counts: those that are there, then whatever comes. Does not wait for the place to be reachable.
    fn follow(&self) -> Result<Box<dyn CountsFollower>, FollowError>;
}

/// One edge's way to tell counts, meant for a thread of its own.
pub trait CountsPublisher: Send {
    /// Tells all of them; done when they are stored, or given up after some seconds at most. After an error some may have been stored.
    /// Makes the place where it is missing, also when there is nothing to tell.
    fn publish(&mut self, counts: &[Count]) -> Result<(), CountsError>;
}

/// A reader of all counts, meant for a thread of its own.
pub trait CountsFollower: Send {
    /// The next event, waiting about `wait` at most; `None` when none came.
    ///
    /// An error ends the follower; what can pass by itself is [`CountsEvent::Disconnected`] instead.
    fn next(&mut self, wait: Duration) -> Result<Option<CountsEvent>, FollowError>;
}

/// What a follower hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CountsEvent {
    /// A count.
    Count(Count),
    /// A record that is no count, or one of a newer format. It has been counted and logged, and changes nothing.
    Refused {
        /// Why.
        error: String,
    },
    /// What was there before the follower started has been heard. Comes once.
    CaughtUp,
    /// Nothing can be heard for now; the follower goes on trying. Comes when that is new.
    Disconnected {
        /// For the log.
        reason: String,
    },
    /// Counts can be heard again.
    Connected,
}

/// Why counts were not told.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CountsError {
    /// It may work later.
    #[error("counts of scans, topic {topic} at {place}: {reason}; it is tried again")]
    Unavailable {
        /// The topic, with its prefix.
        topic: String,
        /// The brokers.
        place: String,
        /// What happened.
        reason: String,
    },
    /// The topic is there but not as it has to be.
    #[error(transparent)]
    Topic(#[from] TopicSettingError),
}
