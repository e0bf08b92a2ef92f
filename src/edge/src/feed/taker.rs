//! Takes events into the table: the first reading, from a snapshot or from nothing, and what comes after. A reading again beside the table that
//! serves is in `reading_again`.

mod reading_again;

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use journal::{AppliedSender, Event, FollowError, Follower, Journal, KnownLog, Positions, Since};
use table::Table;
use tags::Topic;

use super::rebuild::Rebuild;
use super::snapshots::{Loaded, Snapshots};
use super::turn::Turn;
use super::{FeedState, Order, POLL, Written};
use crate::metrics::EdgeMetrics;

/// How long the journal may be silent before a snapshot is served without it.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a snapshot waits for the journal's end in any case. One partition may be without a leader while others go on, or much be left
/// to be read.
const PATIENCE_AT_MOST: Duration = Duration::from_secs(10);
pub(super) struct Taker {
    table: Arc<Table>,
    applied: AppliedSender,
    metrics: EdgeMetrics,
    snapshots: Option<Snapshots>,
    hears: Box<dyn Fn(FeedState) + Send>,
    /// Where the next follower begins.
    positions: Positions,
    /// Which log the positions are of, and when it was last there.
    log: Option<KnownLog>,
    /// When the newest record was published that was taken in or refused, by the clock of the journal's writer.
    newest: Timestamp,
    /// Whether there is a snapshot in the table that nobody reads yet.
    in_reserve: bool,
    /// When the snapshot was read.
    loaded_at: Instant,
    /// Whether what is in the table began with a snapshot of another build, or one that is too old, behind which the journal is still to be
    /// read again.
    doubted: bool,
    rebuild: Option<Rebuild>,
    /// When to begin to read behind the snapshot.
    behind_due: Instant,
    /// Whether the follower has seen the end of every partition.
    caught_up: bool,
    /// Whether there are partitions that cannot be read though others can.
    stalled: bool,
    /// When the journal was last known to be there.
    heard_at: Instant,
    /// When there was last nothing left to apply.
    abreast: Instant,
    away: bool,
}

/// Why a follower is done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// It is over.
    Stopped,
    /// The table has no room for the next change.
    Full,
}

impl Taker {
    pub(super) fn new(
        table: Arc<Table>,
        applied: AppliedSender,
        metrics: EdgeMetrics,
        snapshots: Option<Snapshots>,
        hears: Box<dyn Fn(FeedState) + Send>,
    ) -> Self {
        let now = Instant::now();
        Self {
            table,
            applied,
            metrics,
            snapshots,
            hears,
            positions: Positions::default(),
            log: None,
            newest: Timestamp::UNIX_EPOCH,
            in_reserve: false,
            loaded_at: now,
            doubted: false,
            rebuild: None,
            behind_due: now,
            caught_up: false,
            stalled: false,
            heard_at: now,
            abreast: now,
            away: false,
        }
    }

    /// Fills the table from the snapshot, where there is a good one.
    pub(super) fn load_snapshot(&mut self) {
        let Some(loaded) = self.snapshots.as_mut().and_then(Snapshots::load) else {
            return;
        };
        let Loaded {
            positions,
            log,
            age,
            outdated,
            foreign_build,
        } = loaded;
        self.metrics.set_tags(self.table.len());
        self.loaded_at = Instant::now();
        self.heard_at = self.loaded_at;
        self.abreast = self.loaded_at.checked_sub(age).unwrap_or(self.abreast);
        self.in_reserve = true;
        self.doubted = foreign_build || outdated;
        self.positions = positions;
        // Nothing in it is newer.
        self.newest = log.at;
        self.log = Some(log);
    }

    /// Where the next follower begins.
    pub(super) fn since(&self) -> Since {
        Since {
            positions: self.positions.clone(),
            log: self.log.clone(),
        }
    }

    /// Takes in what comes until it is told to stop, or has to begin again.
    pub(super) fn take_all(
        &mut self,
        journal: &dyn Journal,
        mut follower: Box<dyn Follower>,
        orders: &Receiver<Order>,
    ) -> Result<Done, FollowError> {
        (self.caught_up, self.stalled) = (false, false);
        loop {
            match orders.try_recv() {
                Err(mpsc::TryRecvError::Empty) => {}
                Ok(Order::Snapshot(written)) => self.write_snapshot(written),
                Ok(Order::Stop) | Err(mpsc::TryRecvError::Disconnected) => {
                    return Ok(Done::Stopped);
                }
            }
            // What is behind the tail is there to be read, and does not wait for it.
            let reads_behind = self.rebuild.as_ref().is_some_and(Rebuild::is_reading);
            let wait = if reads_behind { Duration::ZERO } else { POLL };
            match follower.next(wait)? {
                Some(event) => {
                    if self.take_turn(event, &mut *follower).full {
                        return Ok(Done::Full);
                    }
                }
                None => self.nothing_new(),
            }
            self.read_behind_tail(journal);
            self.keep_a_snapshot();
            self.metrics.set_folds(self.table.folds());
        }
    }

    /// Writes what has changed since the last snapshot, out of turn.
    pub(super) fn write_snapshot(&mut self, written: Written) {
        let is_whole = self.is_whole();
        if let Some(snapshots) = self.snapshots.as_mut().filter(|_| is_whole) {
            snapshots.write_now(&self.positions, self.log.as_ref(), written);
        }
    }

    /// The table has no room for the next change. Nothing is skipped: it serves what it has, and the change is tried again.
    pub(super) fn now_full(&mut self) {
        let reason = "the table is full: it holds at most 16 GiB of tags".to_owned();
        tracing::error!(
            tags = self.table.len(),
            "the table is full: no change of a tag that is read reaches this edge; revoke tags that are not in use any more"
        );
        if self.in_reserve {
            self.complete("the table of tags is complete, as of the snapshot");
        }
        self.away = true;
        let lag = self.abreast.elapsed().as_secs_f64();
        self.metrics.set_journal_lag(lag);
        (self.hears)(FeedState::Away { reason });
    }

    /// Writes what has changed since the last snapshot.
    pub(super) fn end(mut self, until: Instant) {
        let is_whole = self.is_whole();
        if let Some(snapshots) = self.snapshots.take() {
            let whole = is_whole.then_some((&self.positions, self.log.as_ref()));
            snapshots.end(whole, until);
        }
    }

    pub(super) fn now_away(&mut self, reason: String) {
        if !self.away {
            tracing::warn!(
                reason,
                tags = self.table.len(),
                "the journal cannot be reached for now; the table keeps what it has"
            );
        }
        self.away = true;
        (self.hears)(FeedState::Away { reason });
    }

    /// Takes an event, and what has been read with it.
    fn take_turn(&mut self, first: Event, follower: &mut dyn Follower) -> Turn {
        let mut turn = Turn::now();
        let mut next = Some(first);
        while let Some(event) = next {
            self.take(event, follower.log(), &mut turn);
            next = follower.at_hand();
        }
        self.apply(&mut turn);
        if turn.full {
            return turn;
        }
        if let Some(published) = &turn.published {
            self.metrics.set_tags(self.table.len());
            let age = turn.at.duration_since(published.last).as_secs_f64();
            let unread = if self.stalled {
                self.abreast.elapsed().as_secs_f64()
            } else {
                0.0
            };
            self.metrics.set_journal_lag(age.max(unread));
        }
        // Only now: whoever waits for the positions looks at the table next.
        for &(topic, partition, next_offset) in &turn.reached {
            self.positions.advance(topic, partition, next_offset);
        }
        if self.rebuild.is_none() || self.is_behind_tail() {
            let newest = turn.published.as_ref().map(|published| published.newest);
            self.applied.advance_all(&turn.reached, newest);
        }
        self.serve_from_reserve();
        self.serve_the_rebuilt();
        turn
    }

    fn take(&mut self, event: Event, log: Option<&str>, turn: &mut Turn) {
        // A new follower says nothing of the one before, which broke: whatever it reads tells that the journal is there.
        if !matches!(event, Event::Disconnected { .. }) {
            self.now_there(log, turn);
        }
        if let Some(position) = event.position() {
            turn.reach(position);
        }
        if let Some(at) = event.published_at() {
            turn.read(at);
        }
        // Whoever waits for the position asks next whether it was refused.
        if let Some(record) = event.refused() {
            self.applied.refused(record);
        }
        match event {
            Event::Change { change, .. } => turn.changes.push(*change),
            Event::CaughtUp => {
                self.apply(turn);
                if !turn.full {
                    self.now_caught_up(turn.now);
                }
            }
            Event::Stalled { partitions } => self.now_stalled(&partitions),
            Event::Disconnected { reason } => self.now_away(reason),
            // Refusals are counted and logged by the journal: what was there before stays.
            Event::Connected | Event::Refused { .. } | Event::Advanced { .. } => {}
        }
    }

    /// Gives the table what it has not been given yet.
    fn apply(&mut self, turn: &mut Turn) {
        if !turn.changes.is_empty() {
            self.apply_changes(turn);
        }
        if let Some(published) = turn.published.as_ref().filter(|_| !turn.full) {
            self.newest = self.newest.max(published.newest);
        }
    }

    fn apply_changes(&mut self, turn: &mut Turn) {
        let beside = self.is_behind_tail();
        let taken = if beside {
            self.table.apply_all_beside_rebuild(&mut turn.changes)
        } else {
            self.table.apply_all(&mut turn.changes)
        };
        if taken.lost > 0 && beside {
            self.behind_is_full(); // readers see them all the same
        } else if taken.lost > 0 {
            turn.full = true;
            return;
        }
        // Behind the tail, only what is read there tells whether the journal has been emptied.
        if let Some(rebuild) = self.rebuild.as_mut().filter(|_| !beside) {
            rebuild.took(taken, turn.now);
        }
    }

    fn now_caught_up(&mut self, now: Instant) {
        self.caught_up = true;
        match &mut self.rebuild {
            Some(rebuild) if !rebuild.is_behind_tail() => rebuild.caught_up(now),
            _ => self.complete("the table of tags is complete"),
        }
    }

    fn complete(&mut self, why: &'static str) {
        if self.table.is_complete() {
            return;
        }
        self.in_reserve = false;
        self.table.complete();
        self.metrics.set_tags(self.table.len());
        self.tell_applied();
        tracing::info!(tags = self.table.len(), "{why}");
        (self.hears)(FeedState::Complete);
    }

    /// What is in the table by a snapshot has been applied too.
    fn tell_applied(&self) {
        if self.newest > Timestamp::UNIX_EPOCH {
            self.applied.published(self.newest);
        }
        for (topic, partition, next_offset) in self.positions.iter() {
            self.applied.advance(topic, partition, next_offset);
        }
    }

    fn nothing_new(&mut self) {
        if !self.away && self.has_read_all() {
            self.abreast = Instant::now();
            self.heard(self.abreast, Timestamp::now());
            self.metrics.set_journal_lag(0.0);
        } else if self.table.is_complete() {
            // Not all has been read, or it is not known.
            self.metrics
                .set_journal_lag(self.abreast.elapsed().as_secs_f64());
        }
        self.serve_from_reserve();
        self.serve_the_rebuilt();
    }

    /// Serves the snapshot without the journal's end, once that has been waited for long enough.
    fn serve_from_reserve(&mut self) {
        // While another process serves, nothing is won by beginning with less than it knows, unless that hears no more than this one.
        if !self.in_reserve || (self.is_beside_another() && !self.away) {
            return;
        }
        let age = self.abreast.elapsed();
        if self.heard_at.elapsed() >= PATIENCE {
            tracing::warn!(
                age_seconds = age.as_secs(),
                "the journal cannot be reached: the edge serves its snapshot, which does not know of later changes"
            );
            self.away = true;
        } else if self.loaded_at.elapsed() >= PATIENCE_AT_MOST {
            tracing::warn!(
                age_seconds = age.as_secs(),
                "the end of the journal has not been seen for {PATIENCE_AT_MOST:?}: the edge serves its snapshot with what it has read since"
            );
        } else {
            return;
        }
        self.metrics.set_journal_lag(age.as_secs_f64());
        self.complete("the table of tags is complete, as of the snapshot");
    }

    /// Whether the process whose place this one takes still runs.
    fn is_beside_another(&self) -> bool {
        self.snapshots.as_ref().is_some_and(Snapshots::are_held)
    }

    /// Notes when the journal was last there. What has not been read to its end is known as of the newest that was read.
    fn heard(&mut self, now: Instant, at: Timestamp) {
        self.heard_at = now;
        let has_read_all = self.has_read_all();
        if let Some(known) = &mut self.log {
            let at = if has_read_all { at } else { known.at };
            known.at = self.newest.max(at);
        }
    }

    /// The journal is there.
    fn now_there(&mut self, log: Option<&str>, turn: &Turn) {
        if self.log.is_none() {
            self.log = log.map(|identity| KnownLog {
                identity: identity.to_owned(),
                at: turn.at,
            });
        }
        self.heard(turn.now, turn.at);
        if std::mem::take(&mut self.away) {
            tracing::info!("the journal can be reached again");
            (self.hears)(FeedState::Back);
        }
    }

    /// Some of the journal cannot be read, or all of it again.
    fn now_stalled(&mut self, partitions: &[(Topic, i32)]) {
        self.stalled = !partitions.is_empty();
        if self.stalled {
            tracing::warn!(
                ?partitions,
                "these partitions of the journal cannot be read for now; the table takes in what the others bring"
            );
        } else {
            tracing::info!("all partitions of the journal can be read again");
        }
    }

    /// Whether what the follower has brought is all that there was a moment ago. A partition that cannot be read says nothing.
    fn has_read_all(&self) -> bool {
        self.caught_up && !self.stalled
    }

    /// Whether the table is what this build has read of the journal up to its positions.
    fn is_whole(&self) -> bool {
        self.rebuild.is_none() && self.table.is_complete() && !self.doubted
    }

    fn keep_a_snapshot(&mut self) {
        let is_whole = self.is_whole();
        match &mut self.snapshots {
            Some(snapshots) if is_whole => snapshots.keep(&self.positions, self.log.as_ref()),
            Some(snapshots) => snapshots.show_age(),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;
