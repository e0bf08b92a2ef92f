//! The seam between the roles and the log: one trait to publish and follow, one to read what is followed.

use std::time::Duration;

use async_trait::async_trait;
use tags::{Change, Topic};

use crate::{Event, FollowError, Positions, PublishError, Since};

/// The log of changes.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Becomes the only writer and fences any older one: the older one's next publish fails with [`PublishError::Fenced`].
    ///
    /// Must be called before [`Journal::publish`]; waits for a log that cannot be reached, saying so in the program's log, until it
    /// can be or the call is dropped. Calling it again takes the role back.
    async fn become_writer(&self) -> Result<(), PublishError>;

    /// What [`Journal::become_writer`] waits for just now, for people; none when nothing is amiss, or can be.
    fn waits_for(&self) -> Option<String> {
        None
    }

    /// Writes all changes or none, in one transaction, which calls at the same time share (group commit).
    ///
    /// Returns the positions just behind what was written, once it is durable; [`crate::Applied::wait_for`] takes them. A call that is
    /// dropped meanwhile may still be carried out.
    async fn publish(&self, changes: Vec<Change>) -> Result<Positions, PublishError>;

    /// The same for a part of something large, for which nobody waits: calls of [`Journal::publish`] come before it, and no two of these share a
    /// transaction. A log without lanes does not tell them apart.
    async fn publish_in_bulk(&self, changes: &[Change]) -> Result<Positions, PublishError> {
        self.publish(changes.to_vec()).await
    }

    /// Starts following on a connection of its own: from `since`, and from the beginning where it names no position.
    ///
    /// Does not wait for the log to be reachable: [`Event::Disconnected`] tells when it is not. That `since` is of another log may so
    /// show later, as an error of [`Follower::next`].
    fn follow(&self, topics: &[Topic], since: Since) -> Result<Box<dyn Follower>, FollowError>;
}

/// A reader of the log, meant for a thread of its own.
pub trait Follower: Send {
    /// The next event, waiting at most `wait`; `None` when none came.
    ///
    /// An error ends the follower; what can pass by itself is [`Event::Disconnected`] instead.
    fn next(&mut self, wait: Duration) -> Result<Option<Event>, FollowError>;

    /// The next of the events that have already been read, without asking the log for more: what follows a [`Follower::next`] may so
    /// be taken in together with it.
    fn at_hand(&mut self) -> Option<Event> {
        None
    }

    /// Which log this is, once it has been reached; none for one that only this machine can have.
    fn log(&self) -> Option<&str> {
        None
    }
}
