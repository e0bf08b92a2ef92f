//! What has been read from the journal at once and is taken in together.

use std::time::Instant;

use jiff::Timestamp;
use tags::{Change, Topic};

/// A turn is as of one moment: the clock is not read for each of a million records, and who waits for positions is not woken for each.
pub(super) struct Turn {
    pub(super) now: Instant,
    pub(super) at: Timestamp,
    /// What the table has not been given yet.
    pub(super) changes: Vec<Change>,
    /// When the last of the records was published, and the newest of them, refused ones too.
    pub(super) published: Option<Published>,
    /// Where it has led, partition by partition in turn.
    pub(super) reached: Vec<(Topic, i32, i64)>,
    /// Whether the table had no room for all of it: then it has led nowhere.
    pub(super) full: bool,
}

pub(super) struct Published {
    pub(super) last: Timestamp,
    pub(super) newest: Timestamp,
}

impl Turn {
    pub(super) fn now() -> Self {
        Self {
            now: Instant::now(),
            at: Timestamp::now(),
            changes: Vec::new(),
            published: None,
            reached: Vec::new(),
            full: false,
        }
    }

    /// Notes when a record was published.
    pub(super) fn read(&mut self, published_at: Timestamp) {
        let newest = self.published.take().map(|before| before.newest);
        self.published = Some(Published {
            last: published_at,
            newest: newest.map_or(published_at, |newest| newest.max(published_at)),
        });
    }

    pub(super) fn reach(&mut self, position: (Topic, i32, i64)) {
        match self.reached.last_mut() {
            Some(last) if (last.0, last.1) == (position.0, position.1) => *last = position,
            _ => self.reached.push(position),
        }
    }
}
