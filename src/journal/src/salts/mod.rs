//! The days' salts: what makes `visitor` the same on every edge for a day, and nobody's afterwards.
//!
//! The journal's writer makes them ahead and destroys those that are over, in the same transactions and under the same fence as changes; every
//! edge follows them into memory. They lie apart from the journal's own topics, since what those hold is kept for ever: in Kafka in a topic
//! that forgets, in SQLite in a table whose deleted rows are overwritten. When which salt is made and destroyed is the admin's matter.
//!
//! Read in this order: [`Salt`], [`Salts`], then the two places.

pub(crate) mod kafka;
mod salt;
pub(crate) mod sqlite;
mod wire;

use std::time::Duration;

use async_trait::async_trait;
use jiff::civil::Date;

pub use salt::Salt;
pub use wire::SaltError;

use crate::{FollowError, PublishError};

/// The place where the salts are.
#[async_trait]
pub trait Salts: Send + Sync + 'static {
    /// Makes the place where it is missing, and checks it.
    async fn prepare_salts(&self) -> Result<(), PublishError> {
        Ok(())
    }

    /// Makes all of these changes or none. For the journal's writer alone, and fenced as [`crate::Journal::publish`] is.
    async fn change_salts(&self, changes: Vec<SaltChange>) -> Result<(), PublishError>;

    /// Starts to hear the salts: those that are there, then whatever comes. Does not wait for the place to be reachable.
    fn follow_salts(&self) -> Result<Box<dyn SaltsFollower>, FollowError>;
}

/// A reader of all salts, meant for a thread of its own.
pub trait SaltsFollower: Send {
    /// The next event, waiting about `wait` at most; `None` when none came.
    ///
    /// An error ends the follower; what can pass by itself is [`SaltsEvent::Disconnected`] instead.
    fn next(&mut self, wait: Duration) -> Result<Option<SaltsEvent>, FollowError>;
}

/// What the writer does to a day's salt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaltChange {
    /// It is there from now on.
    Publish(Salt),
    /// It is gone, and whatever is left of it goes as soon as the place can do that. Of a day without one, that says nothing new; in Kafka it
    /// still lets an older one go, since nothing in the newest segment ever does.
    Destroy(Date),
}

/// What a follower hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaltsEvent {
    /// A day's salt.
    Salt(Salt),
    /// A day's salt is no more.
    Destroyed(Date),
    /// A record that is no salt, or one of a newer format. It has been counted and logged, and changes nothing.
    Refused {
        /// Whose salt it would be, where that can be read.
        day: Option<Date>,
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
    /// Salts can be heard again.
    Connected,
}
