//! How edges say how they are and what they have applied, and how the admin hears it: the topic `edges` in a cluster, memory in one process.
//!
//! Read in this order: [`Heartbeat`], [`Edges`], then one of the two implementations. When an edge counts as live, and who waits for it,
//! is the admin's matter; when an edge says something, the edge's.

mod heartbeat;
mod kafka;
mod local;
mod wire;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

pub use heartbeat::{EdgeRun, EdgeState, Heartbeat, InvalidEdgeRun};
pub use kafka::KafkaEdges;
pub use local::LocalEdges;
pub use wire::HeartbeatError;

use crate::{FollowError, TopicSettingError};

/// The place where edges say how they are.
#[async_trait]
pub trait Edges: Send + Sync + 'static {
    /// Makes the place where it is missing, and checks that it is as it has to be. For the admin, before it follows.
    async fn prepare(&self) -> Result<(), EdgesError>;

    /// What an edge says it through. Does not wait for the place to be reachable.
    fn reporter(&self) -> Result<Box<dyn Reporter>, EdgesError>;

    /// Starts to hear what all edges say: the last words of each, then whatever comes. Does not wait for the place to be reachable.
    fn follow(&self) -> Result<Box<dyn EdgesFollower>, FollowError>;
}

/// One edge's way to say how it is. Only the newest heartbeat matters: one is under way at a time, and none is sent again.
#[async_trait]
pub trait Reporter: Send {
    /// Says it; done when it is delivered, or is given up after some seconds at most. A call that is dropped may still be carried out.
    async fn report(&mut self, heartbeat: &Heartbeat) -> Result<(), EdgesError>;

    /// Says that this run of the edge is over, so that nobody waits for it.
    async fn farewell(&mut self, run: &EdgeRun) -> Result<(), EdgesError>;
}

/// A reader of what edges say, meant for a thread of its own.
pub trait EdgesFollower: Send {
    /// The next event, waiting about `wait` at most; `None` when none came.
    ///
    /// An error ends the follower; what can pass by itself is [`EdgesEvent::Disconnected`] instead.
    fn next(&mut self, wait: Duration) -> Result<Option<EdgesEvent>, FollowError>;
}

/// What a follower hears.
#[derive(Clone, Debug, PartialEq)]
pub enum EdgesEvent {
    /// How an edge is.
    Heartbeat {
        /// What it says.
        heartbeat: Box<Heartbeat>,
        /// When it arrived where it was read from, by the clock there.
        written_at: Timestamp,
    },
    /// A run of an edge is over.
    Farewell(EdgeRun),
    /// A record that is no heartbeat, or one of a newer format. It has been counted and logged; what the edge said before stays.
    Refused {
        /// Why.
        error: String,
    },
    /// What edges had said before the follower started has been heard. Comes once.
    CaughtUp,
    /// Nothing can be heard for now; the follower goes on trying. Comes when that is new.
    Disconnected {
        /// For the log and for answers.
        reason: String,
    },
    /// It can be heard again what edges say.
    Connected,
}

/// Why something could not be said, or the place for it not be made.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EdgesError {
    /// It may work later.
    #[error("heartbeats of edges, topic {topic} at {place}: {reason}; it is tried again")]
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
