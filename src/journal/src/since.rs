//! From where to read on, and which log the positions are of.

use jiff::Timestamp;

use crate::Positions;

/// Where a follower begins.
#[derive(Clone, Debug, Default)]
pub struct Since {
    /// The next offset of each partition; one that is not named is read from its beginning.
    pub positions: Positions,
    /// The log that they are of, where they come from another process's life. A follower of any other log ends with
    /// [`crate::FollowError::OtherLog`]; positions that lie outside the log end it in any case.
    pub log: Option<KnownLog>,
}

/// A log as it was known once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownLog {
    /// As [`crate::Follower::log`] named it.
    pub identity: String,
    /// When it was known.
    pub at: Timestamp,
}

impl From<Positions> for Since {
    /// Positions that a follower of this process has come to.
    fn from(positions: Positions) -> Self {
        Self {
            positions,
            log: None,
        }
    }
}
