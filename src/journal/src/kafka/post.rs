//! What a follower and its scout tell one another: how far has been read and when to look, and what was seen. Neither waits for the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tags::Topic;

use super::RETRY;
use super::other_log::{Newest, Reached};
use crate::Since;

/// How often to look for new partitions.
const REFRESH: Duration = Duration::from_secs(30);

/// The partitions of a topic, and where each ended when it was first seen, where the broker told.
pub(crate) type Partitions = BTreeMap<i32, Option<i64>>;

/// What a look at the brokers showed.
#[derive(Debug)]
pub(crate) enum Sighting {
    /// Which log it is, and each topic's partitions.
    Found {
        identity: Option<String>,
        topics: BTreeMap<Topic, Partitions>,
        /// What nobody leads that answers, so that it is looked again soon.
        stalled: BTreeSet<(Topic, i32)>,
    },
    /// There is nothing to follow, for now.
    Absent(Absence),
    /// What there is has taken the place of what is followed.
    OtherLog { reason: String, foreign: bool },
}

/// Why there is nothing to follow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Absence {
    #[error("topic {0} does not exist yet: the admin makes it when it starts")]
    Topic(String),
    #[error("topic {0} shows no partition {1}, which it had")]
    Partition(Topic, i32),
    #[error("the brokers do not answer: {0}")]
    Brokers(String),
}

impl Absence {
    /// Whether a reader has to be told, who knows of `other`. The details of an outage change all the time.
    pub(crate) fn is_news_after(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Brokers(_), Self::Brokers(_)) => false,
            _ => self != other,
        }
    }
}

/// How far each partition has been read.
pub(super) type Progress = BTreeMap<(Topic, i32), Measure>;

/// How far a partition has been read, and what that is measured by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    /// How far it had been when the log was last found to be the same, or at the first reading: what is read since may be of another.
    pub(super) anchor: Reached,
    pub(super) last: Reached,
}

impl Measure {
    fn of(reached: Reached) -> Self {
        Self {
            anchor: reached,
            last: reached,
        }
    }

    fn advance(&mut self, next_offset: i64, newest: Option<Newest>) {
        let both = self.last.newest.into_iter().chain(newest);
        self.last = Reached {
            next_offset,
            newest: both.reduce(Newest::and),
        };
        // By a place without a time little can be told.
        if self.anchor.newest.is_none() {
            self.anchor = self.last;
        }
    }
}

/// Where the follower's thread sleeps, and what wakes it: a message in a queue, or a sighting.
#[derive(Debug, Default)]
pub(crate) struct Post {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Something is in a consumer's queue.
    messages: bool,
    sighting: Option<Sighting>,
    /// The scout is to look now, not at its next hour; or as soon as it would where something is amiss.
    look: bool,
    look_soon: bool,
    /// A broker does not know what is followed: it may have been deleted, and made anew.
    suspicion: bool,
    progress: Progress,
    /// The follower has gone.
    ended: bool,
}

impl Post {
    /// For who begins there.
    pub(crate) fn of(since: &Since) -> Self {
        let at = since.log.as_ref().map(|log| log.at);
        let measure = |(topic, partition, next_offset)| {
            let reached = Reached {
                next_offset,
                newest: at.map(|at| Newest {
                    before: next_offset,
                    at,
                }),
            };
            ((topic, partition), Measure::of(reached))
        };
        let post = Self::default();
        post.lock().progress = since.positions.iter().map(measure).collect();
        post
    }

    /// Says that a consumer's queue is no longer empty.
    pub(crate) fn announce_message(&self) {
        self.lock().messages = true;
        self.changed.notify_all();
    }

    /// Waits for a message or a sighting, at most `wait`.
    pub(crate) fn wait(&self, wait: Duration) {
        let waited = self.changed.wait_timeout_while(self.lock(), wait, |state| {
            !state.messages && state.sighting.is_none()
        });
        waited.unwrap_or_else(PoisonError::into_inner).0.messages = false;
    }

    /// The newest sighting that has not been taken.
    pub(crate) fn take_sighting(&self) -> Option<Sighting> {
        self.lock().sighting.take()
    }

    /// Notes how far a partition has been read, and the newest record of it, where there was one.
    pub(crate) fn reached(
        &self,
        topic: Topic,
        partition: i32,
        next_offset: i64,
        newest: Option<Newest>,
    ) {
        let nothing = Reached {
            next_offset: 0,
            newest: None,
        };
        let mut state = self.lock();
        let measure = state.progress.entry((topic, partition));
        let measure = measure.or_insert(Measure::of(nothing));
        measure.advance(next_offset, newest);
    }

    pub(super) fn progress(&self) -> Progress {
        self.lock().progress.clone()
    }

    /// Takes how far had been read for the measure of what comes, but in these partitions.
    pub(super) fn anchor(&self, progress: &Progress, but: &BTreeSet<(Topic, i32)>) {
        let mut state = self.lock();
        for (place, then) in progress {
            if let Some(now) = state.progress.get_mut(place)
                && !but.contains(place)
            {
                now.anchor = then.last;
            }
        }
    }

    /// Has the scout look at once.
    pub(crate) fn ask_to_look(&self) {
        self.lock().look = true;
        self.changed.notify_all();
    }

    /// Has the scout look again soon: there may be something amiss. However often that is said, it does not hurry.
    pub(crate) fn ask_to_look_soon(&self) {
        self.lock().look_soon = true;
        self.changed.notify_all();
    }

    /// Has the scout look at once, and find out whether the topics are still the same.
    pub(crate) fn suspect(&self) {
        self.lock().suspicion = true;
        self.ask_to_look();
    }

    /// The look that is under way has not settled it.
    pub(super) fn suspect_still(&self) {
        self.lock().suspicion = true;
    }

    pub(super) fn take_suspicion(&self) -> bool {
        std::mem::take(&mut self.lock().suspicion)
    }

    /// Has the scout end.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Hands in a sighting, then waits for the next time to look; false when there is none.
    pub(super) fn report(&self, sighting: Sighting) -> bool {
        let pause = match &sighting {
            Sighting::Found { stalled, .. } if stalled.is_empty() => REFRESH,
            Sighting::Found { .. } | Sighting::Absent(_) | Sighting::OtherLog { .. } => RETRY,
        };
        let reported_at = Instant::now();
        let mut state = self.lock();
        state.sighting = Some(sighting);
        self.changed.notify_all();
        loop {
            let pause = if state.look_soon { RETRY } else { pause };
            let left = pause.saturating_sub(reported_at.elapsed());
            if state.look || state.ended || left.is_zero() {
                (state.look, state.look_soon) = (false, false);
                return !state.ended;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
