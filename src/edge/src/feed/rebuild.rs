//! A reading of the journal from its beginning, beside the table that serves: what is known of it, and when it may take that one's place.
//! What is read is the taker's to apply.

use std::time::{Duration, Instant};

use journal::{Event, FollowError, Follower, Journal, KnownLog, Positions, Since};
use table::Taken;
use tags::{Change, Topic};

use super::RETRY;

/// How long a journal that took the place of another has to be quiet before it is served: it may still be being filled.
const SETTLED: Duration = Duration::from_secs(5);
/// How long to wait for what is behind the tail, at most: the tail waits as well.
const MOMENT: Duration = Duration::from_millis(5);
/// After so long it is served all the same.
const UNSETTLED_AT_MOST: Duration = Duration::from_secs(300);

pub(super) struct Rebuild {
    /// Reads what was there before the tail; none where the log is another than the one that is served, and the tail itself is read.
    behind: Option<Behind>,
    /// How long the journal has to be quiet before it is served.
    settles: Duration,
    caught_up: Option<Instant>,
    tags: usize,
    last_change: Instant,
    told: bool,
}

/// A reading beside that of the tail, of the same log.
struct Behind {
    follower: Option<Box<dyn Follower>>,
    /// Where the next follower begins, and when.
    positions: Positions,
    due: Instant,
    /// Where the tail was when this began: from there on, all comes by the tail, into both tables.
    until: Positions,
}

/// Whether a rebuild may be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    NotYet,
    /// An empty journal in the place of one with tags is a mishap: redirects that are printed for ever are not given up for it. `news`:
    /// it has not been said yet.
    Empty {
        news: bool,
    },
    Whole,
}

impl Rebuild {
    /// Of a log that took the place of the one that is served.
    pub(super) fn of_another_log() -> Self {
        Self::new(None, SETTLED)
    }

    /// Of the log that is served, from its beginning up to where the tail is now.
    pub(super) fn behind_tail(until: Positions) -> Self {
        let behind = Behind {
            follower: None,
            positions: Positions::default(),
            due: Instant::now(),
            until,
        };
        Self::new(Some(behind), Duration::ZERO)
    }

    fn new(behind: Option<Behind>, settles: Duration) -> Self {
        Self {
            behind,
            settles,
            caught_up: None,
            tags: 0,
            last_change: Instant::now(),
            told: false,
        }
    }

    /// Whether the log is the one that is served, whose tail goes on to reach readers.
    pub(super) fn is_behind_tail(&self) -> bool {
        self.behind.is_some()
    }

    /// Whether there is something to be read behind the tail.
    pub(super) fn is_reading(&self) -> bool {
        let behind = self.behind.as_ref();
        behind.is_some_and(|behind| behind.follower.is_some())
    }

    /// Reads on behind the tail, as far as can be read at once. Returns the changes that the tail does not bring, which are older than all
    /// that it does. After an error, another follower goes on where this one was. The journal's being there or away, and refusals, are the
    /// tail's to tell.
    pub(super) fn read_behind(
        &mut self,
        journal: &dyn Journal,
        log: Option<&KnownLog>,
    ) -> Result<Vec<Change>, FollowError> {
        let Some(behind) = &mut self.behind else {
            return Ok(Vec::new());
        };
        let mut follower = match behind.follower.take() {
            Some(follower) => follower,
            None if Instant::now() < behind.due => return Ok(Vec::new()),
            None => {
                behind.due = Instant::now() + RETRY;
                let positions = behind.positions.clone();
                let log = log.cloned();
                journal.follow(&Topic::EDGE, Since { positions, log })?
            }
        };
        let mut changes = Vec::new();
        let mut next = follower.next(MOMENT)?;
        while let Some(event) = next {
            if let Some((topic, partition, next_offset)) = event.position() {
                behind.positions.advance(topic, partition, next_offset);
            }
            match event {
                Event::CaughtUp => self.caught_up = Some(Instant::now()),
                Event::Change {
                    change,
                    topic,
                    partition,
                    offset,
                    ..
                } if offset < behind.until.get(topic, partition).unwrap_or(0) => {
                    changes.push(*change);
                }
                _ => {}
            }
            next = follower.at_hand();
        }
        behind.follower = Some(follower);
        Ok(changes)
    }

    /// Notes that the end has been seen.
    pub(super) fn caught_up(&mut self, now: Instant) {
        self.caught_up = Some(now);
    }

    /// Notes changes in the table that is being filled.
    pub(super) fn took(&mut self, taken: Taken, now: Instant) {
        self.tags += taken.tags;
        self.last_change = now;
    }

    /// Whether it may take the place of a table of so many tags.
    pub(super) fn judge(&mut self, held: usize) -> Verdict {
        let Some(read_for) = self.caught_up.map(|since| since.elapsed()) else {
            return Verdict::NotYet;
        };
        if self.tags == 0 && held > 0 {
            let news = !std::mem::replace(&mut self.told, true);
            return Verdict::Empty { news };
        }
        // Edits that never rest must not keep the old table in its place for ever.
        let settled = self.last_change.elapsed() >= self.settles
            || (self.tags >= held && read_for >= 2 * self.settles)
            || read_for >= UNSETTLED_AT_MOST;
        match settled {
            true => Verdict::Whole,
            false => Verdict::NotYet,
        }
    }
}
