//! Reads the journal again beside the table that serves, where it turns out to be another, or the snapshot is not one to rely on.

use std::fmt::Display;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use journal::{FollowError, Journal, Positions};

use super::Taker;
use crate::feed::FeedState;
use crate::feed::rebuild::{Rebuild, Verdict};

/// When to try again to read behind a snapshot: after what may pass by itself, and after what somebody has to mend.
const BEHIND_AGAIN: Duration = Duration::from_secs(10);
const BEHIND_AGAIN_LATER: Duration = Duration::from_secs(60 * 60);

impl Taker {
    /// The journal is another than that which has been read: all of it is read, and until it has been, the table serves what it has.
    pub(in crate::feed) fn begin_again(&mut self, why: &FollowError, foreign: bool) {
        tracing::warn!(%why, tags = self.table.len(), "the journal has been replaced: it is read from its beginning");
        // Whoever waits for positions means the new one's.
        self.positions = Positions::default();
        self.newest = Timestamp::UNIX_EPOCH;
        self.log = None;
        if self.in_reserve {
            self.metrics.count_refused_snapshot("other_log");
            if !foreign {
                // An edge that starts is as careful with what is printed as one that runs.
                self.complete("the table of tags is complete, as of the journal before");
            }
        }
        self.in_reserve = false;
        self.doubted = false;
        self.table.begin_rebuild();
        self.applied.restart();
        self.rebuild = self.table.is_complete().then(Rebuild::of_another_log);
    }

    /// Whether what is read behind the tail fills a table beside the one that serves, into which the tail goes on.
    pub(super) fn is_behind_tail(&self) -> bool {
        self.rebuild.as_ref().is_some_and(Rebuild::is_behind_tail)
    }

    /// Reads the journal from its beginning behind a snapshot, beside the table that began with it and serves meanwhile: another build may
    /// have refused a record, or not known a field, that this one knows. A share of it at a time: edits do not wait for it.
    pub(super) fn read_behind_tail(&mut self, journal: &dyn Journal) {
        if self.rebuild.is_none() {
            // Not beside a process whose place this one takes: it holds a table of its own.
            let due = self.doubted && self.caught_up && Instant::now() >= self.behind_due;
            if !due || self.is_beside_another() {
                return;
            }
            tracing::info!(
                "the snapshot was of another build, or old: the journal is read again behind it"
            );
            self.table.begin_rebuild();
            self.rebuild = Some(Rebuild::behind_tail(self.positions.clone()));
        }
        let Some(rebuild) = self.rebuild.as_mut().filter(|it| it.is_behind_tail()) else {
            return;
        };
        match rebuild.read_behind(journal, self.log.as_ref()) {
            Ok(mut changes) if !changes.is_empty() => {
                let taken = self.table.apply_all(&mut changes);
                rebuild.took(taken, Instant::now());
                if taken.lost > 0 {
                    self.behind_is_full();
                }
            }
            Ok(_) => {}
            // The tail is about to hear of it.
            Err(error @ FollowError::OtherLog { .. }) => self.give_up_behind(&error, BEHIND_AGAIN),
            Err(error) => tracing::error!(
                %error,
                "reading the journal again behind the snapshot ended; the edge tries again, and follows the journal meanwhile"
            ),
        }
        self.serve_the_rebuilt();
    }

    pub(super) fn behind_is_full(&mut self) {
        self.give_up_behind(
            &"the table is full: it holds at most 16 GiB of tags",
            BEHIND_AGAIN_LATER,
        );
    }

    fn give_up_behind(&mut self, why: &dyn Display, again: Duration) {
        tracing::error!(%why, again_in = ?again, "the journal could not be read behind the snapshot; the edge serves the snapshot with all changes since");
        self.rebuild = None;
        self.table.abandon_rebuild();
        self.behind_due = Instant::now() + again;
    }

    /// Swaps in what was read again, once it is all there.
    pub(super) fn serve_the_rebuilt(&mut self) {
        let held = self.table.len();
        let Some(rebuild) = &mut self.rebuild else {
            return;
        };
        let is_behind_tail = rebuild.is_behind_tail();
        match rebuild.judge(held) {
            Verdict::NotYet | Verdict::Empty { news: false } => {}
            Verdict::Empty { .. } if is_behind_tail => {
                self.give_up_behind(&"it is empty", BEHIND_AGAIN_LATER);
            }
            Verdict::Empty { news: true } => tracing::error!(
                tags = held,
                "the journal is empty: the edge goes on to serve the tags that it has until there are some again"
            ),
            Verdict::Whole => {
                self.rebuild = None;
                self.doubted = false;
                self.table.complete();
                tracing::info!(
                    before = held,
                    tags = self.table.len(),
                    "the table of tags is rebuilt"
                );
                self.metrics.set_tags(self.table.len());
                self.tell_applied();
                (self.hears)(FeedState::Complete);
            }
        }
    }
}
