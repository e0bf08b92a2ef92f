//! What a request that made something was answered, so that the same one, sent again, makes nothing more. Only the admin reads these.

use std::fmt;

use jiff::Timestamp;

use crate::{InvalidValue, WorkspaceId};

/// One of a workspace's places for such answers. There is a fixed number of them, and who comes next takes the oldest one's, so that the
/// journal holds no more of them however many are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdempotencySlot(u32);

impl IdempotencySlot {
    /// How many a workspace has: creates that are remembered at a time.
    pub const COUNT: u32 = 10_000;
    /// The first.
    pub const FIRST: Self = Self(0);

    /// A slot from its number.
    pub fn new(number: u32) -> Result<Self, InvalidValue> {
        if number < Self::COUNT {
            Ok(Self(number))
        } else {
            Err(InvalidValue::new("slot", number, "0 to 9999"))
        }
    }

    /// Its number.
    pub fn get(self) -> u32 {
        self.0
    }

    /// The one after it; after the last, the first.
    #[must_use]
    pub fn next(self) -> Self {
        Self((self.0 + 1) % Self::COUNT)
    }
}

/// A request with an `Idempotency-Key`, and its answer.
#[derive(Clone, PartialEq)]
pub struct IdempotencyEntry {
    /// In which workspace.
    pub workspace: WorkspaceId,
    /// Where among the workspace's.
    pub slot: IdempotencySlot,
    /// A keyed hash of the `Idempotency-Key`: of who asked and what they called it.
    pub key_hash: [u8; 32],
    /// A keyed hash of the request, by which another one with the same key is told.
    pub request_hash: [u8; 32],
    /// When it was answered.
    pub at: Timestamp,
    /// The answer, sealed with what only the client knows: it may hold a secret.
    pub answer: Vec<u8>,
}

impl fmt::Debug for IdempotencyEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyEntry")
            .field("workspace", &self.workspace)
            .field("slot", &self.slot)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_go_round_and_there_are_no_others() {
        let last = IdempotencySlot::new(IdempotencySlot::COUNT - 1).expect("a slot");
        assert_eq!(last.next(), IdempotencySlot::FIRST);
        assert_eq!(IdempotencySlot::FIRST.next().get(), 1);
        let error = IdempotencySlot::new(IdempotencySlot::COUNT).expect_err("refused");
        assert_eq!(error.to_string(), "'10000' is not a slot: use 0 to 9999");
    }
}
