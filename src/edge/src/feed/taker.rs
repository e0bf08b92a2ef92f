//! Takes events into the table: the first reading, from a snapshot or from nothing; what comes after; and a reading again beside the table
//! that serves, where the journal turns out to be another.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use journal::{AppliedSender, Event, FollowError, Follower, KnownLog, Positions, Since};
use table::Table;
use tags::{Change, Topic};

use super::snapshots::{Loaded, Snapshots};
use super::{FeedState, Order, POLL, Written};
use crate::metrics::EdgeMetrics;

/// How long the journal may be silent before a snapshot is served without it.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a journal that took the place of another has to be quiet before it is served: it may still be being filled.
const SETTLED: Duration = Duration::from_secs(5);
/// After so long it is served all the same.
const UNSETTLED_AT_MOST: Duration = Duration::from_secs(300);

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
    /// When the newest change was published, by the clock of the journal's writer.
    newest: Timestamp,
    /// Which log the snapshot in the table is of, where it is too old for what the journal says since to be all that is missing.
    outdated: Option<String>,
    /// Whether there is a snapshot in the table that nobody reads yet.
    in_reserve: bool,
    /// Whether what is in the table began with a snapshot of another build, behind which the journal is still to be read again.
    foreign_build: bool,
    rebuild: Option<Rebuild>,
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
    /// The table is complete, and the journal is to be read again, see [`Taker::read_behind_snapshot`].
    CaughtUp,
}

/// A reading from the beginning beside the table that serves.
struct Rebuild {
    /// How long the journal has to be quiet before it is served.
    settles: Duration,
    caught_up: Option<Instant>,
    tags: usize,
    last_change: Instant,
    told: bool,
}

/// What has been read from the journal at once and is taken in together, as of one moment: the clock is not read for each of a million
/// records, and who waits for positions is not woken for each.
struct Turn {
    now: Instant,
    at: Timestamp,
    /// What the table has not been given yet.
    changes: Vec<Change>,
    /// When the last of the changes was published, and the newest of them.
    published: Option<Published>,
    /// Where it has led, partition by partition in turn.
    reached: Vec<(Topic, i32, i64)>,
    caught_up: bool,
}

struct Published {
    last: Timestamp,
    newest: Timestamp,
}

impl Turn {
    fn now() -> Self {
        Self {
            now: Instant::now(),
            at: Timestamp::now(),
            changes: Vec::new(),
            published: None,
            reached: Vec::new(),
            caught_up: false,
        }
    }

    fn change(&mut self, change: Change, published_at: Timestamp) {
        let newest = self.published.take().map(|before| before.newest);
        self.published = Some(Published {
            last: published_at,
            newest: newest.map_or(published_at, |newest| newest.max(published_at)),
        });
        self.changes.push(change);
    }

    fn reach(&mut self, position: (Topic, i32, i64)) {
        match self.reached.last_mut() {
            Some(last) if (last.0, last.1) == (position.0, position.1) => *last = position,
            _ => self.reached.push(position),
        }
    }
}

impl Rebuild {
    fn new(settles: Duration) -> Self {
        Self {
            settles,
            caught_up: None,
            tags: 0,
            last_change: Instant::now(),
            told: false,
        }
    }
}

impl Taker {
    pub(super) fn new(
        table: Arc<Table>,
        applied: AppliedSender,
        metrics: EdgeMetrics,
        snapshots: Option<Snapshots>,
        hears: Box<dyn Fn(FeedState) + Send>,
    ) -> Self {
        Self {
            table,
            applied,
            metrics,
            snapshots,
            hears,
            positions: Positions::default(),
            log: None,
            newest: Timestamp::UNIX_EPOCH,
            outdated: None,
            in_reserve: false,
            foreign_build: false,
            rebuild: None,
            heard_at: Instant::now(),
            abreast: Instant::now(),
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
        self.abreast = Instant::now().checked_sub(age).unwrap_or(self.abreast);
        self.heard_at = Instant::now();
        self.in_reserve = true;
        self.foreign_build = foreign_build;
        if outdated {
            self.outdated = Some(log.identity);
        } else {
            self.positions = positions;
            // Nothing in it is newer.
            self.newest = log.at;
            self.log = Some(log);
        }
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
        mut follower: Box<dyn Follower>,
        orders: &Receiver<Order>,
    ) -> Result<Done, FollowError> {
        loop {
            match orders.try_recv() {
                Err(mpsc::TryRecvError::Empty) => {}
                Ok(Order::Snapshot(written)) => self.write_snapshot(written),
                Ok(Order::Stop) | Err(mpsc::TryRecvError::Disconnected) => {
                    return Ok(Done::Stopped);
                }
            }
            match follower.next(POLL)? {
                Some(event) => {
                    let caught_up = self.take_turn(event, &mut *follower);
                    if caught_up && self.foreign_build {
                        return Ok(Done::CaughtUp);
                    }
                }
                None => self.nothing_new(),
            }
            self.keep_a_snapshot();
            self.metrics.set_folds(self.table.folds());
        }
    }

    /// Writes what has changed since the last snapshot, out of turn.
    pub(super) fn write_snapshot(&mut self, written: Written) {
        let is_whole = self.rebuild.is_none() && self.table.is_complete();
        if let Some(snapshots) = self.snapshots.as_mut().filter(|_| is_whole) {
            snapshots.write_now(&self.positions, self.log.as_ref(), written);
        }
    }

    /// Reads the journal from its beginning, beside the table that began with a snapshot of another build and serves meanwhile: that
    /// build may have refused a record, or not known a field, that this one knows.
    pub(super) fn read_behind_snapshot(&mut self) {
        tracing::info!("the snapshot was of another build: the journal is read again behind it");
        self.read_again(Duration::ZERO);
    }

    /// The journal is another than that which has been read: all of it is read, and until it has been, the table serves what it has.
    pub(super) fn begin_again(&mut self, why: &FollowError, foreign: bool) {
        tracing::warn!(%why, tags = self.table.len(), "the journal has been replaced: it is read from its beginning");
        if self.in_reserve {
            self.metrics.count_refused_snapshot("other_log");
            if !foreign {
                // An edge that starts is as careful with what is printed as one that runs.
                self.complete("the table of tags is complete, as of the journal before");
            }
        }
        self.in_reserve = false;
        self.read_again(SETTLED);
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

    /// Takes an event, and what has been read with it. Returns whether the end of the journal was among it.
    fn take_turn(&mut self, first: Event, follower: &mut dyn Follower) -> bool {
        let mut turn = Turn::now();
        let mut next = Some(first);
        while let Some(event) = next {
            self.take(event, follower.log(), &mut turn);
            next = follower.at_hand();
        }
        self.apply(&mut turn);
        if let Some(published) = &turn.published {
            self.metrics.set_tags(self.table.len());
            let age = turn.at.duration_since(published.last).as_secs_f64();
            self.metrics.set_journal_lag(age.max(0.0));
        }
        // Only now: whoever waits for the positions looks at the table next.
        for &(topic, partition, next_offset) in &turn.reached {
            self.positions.advance(topic, partition, next_offset);
        }
        if self.rebuild.is_none() {
            let newest = turn.published.as_ref().map(|published| published.newest);
            self.applied.advance_all(&turn.reached, newest);
        }
        self.serve_from_reserve();
        self.serve_the_rebuilt();
        turn.caught_up
    }

    fn take(&mut self, event: Event, log: Option<&str>, turn: &mut Turn) {
        // A new follower says nothing of the one before, which broke: whatever it reads tells that the journal is there.
        if !matches!(event, Event::Disconnected { .. }) {
            self.now_there(log, turn);
        }
        if let Some(position) = event.position() {
            turn.reach(position);
        }
        match event {
            Event::Change {
                change,
                published_at,
                ..
            } => turn.change(*change, published_at),
            Event::CaughtUp => {
                self.apply(turn);
                self.caught_up(turn);
            }
            Event::Disconnected { reason } => self.now_away(reason),
            // Refusals are counted and logged by the journal: what was there before stays.
            Event::Connected | Event::Refused { .. } | Event::Advanced { .. } => {}
        }
    }

    /// Gives the table what it has not been given yet.
    fn apply(&mut self, turn: &mut Turn) {
        if let Some(published) = &turn.published {
            self.newest = self.newest.max(published.newest);
        }
        if turn.changes.is_empty() {
            return;
        }
        let taken = self.table.apply_all(&mut turn.changes);
        if taken.lost > 0 {
            tracing::error!(
                lost = taken.lost,
                "the table is full: changes of tags are lost to this edge"
            );
        }
        if let Some(rebuild) = &mut self.rebuild {
            rebuild.tags += taken.tags;
            rebuild.last_change = turn.now;
        }
    }

    fn caught_up(&mut self, turn: &mut Turn) {
        turn.caught_up = true;
        match &mut self.rebuild {
            Some(rebuild) => {
                rebuild.caught_up = Some(turn.now);
            }
            None => self.complete("the table of tags is complete"),
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

    /// Swaps in what was read again, once it is all there. An empty journal in the place of one with tags is a mishap: redirects that
    /// are printed for ever are not given up for it.
    fn serve_the_rebuilt(&mut self) {
        let held = self.table.len();
        let Some(rebuild) = &mut self.rebuild else {
            return;
        };
        let Some(read_for) = rebuild.caught_up.map(|since| since.elapsed()) else {
            return;
        };
        // Edits that never rest must not keep the old table in its place for ever.
        let settled = rebuild.last_change.elapsed() >= rebuild.settles
            || (rebuild.tags >= held && read_for >= 2 * rebuild.settles)
            || read_for >= UNSETTLED_AT_MOST;
        if rebuild.tags == 0 && held > 0 {
            if !rebuild.told {
                tracing::error!(
                    tags = held,
                    "the journal is empty: the edge goes on to serve the tags that it has until there are some again"
                );
            }
            rebuild.told = true;
        } else if settled {
            self.rebuild = None;
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

    fn nothing_new(&mut self) {
        if self.away {
            self.metrics
                .set_journal_lag(self.abreast.elapsed().as_secs_f64());
        } else if !self.in_reserve {
            self.abreast = Instant::now();
            self.heard(self.abreast, Timestamp::now());
            self.metrics.set_journal_lag(0.0);
        }
        self.serve_from_reserve();
        self.serve_the_rebuilt();
    }

    /// Serves the snapshot without the journal, once that has been silent for long enough.
    fn serve_from_reserve(&mut self) {
        if !self.in_reserve || self.heard_at.elapsed() < PATIENCE {
            return;
        }
        let age = self.abreast.elapsed();
        tracing::warn!(
            age_seconds = age.as_secs(),
            "the journal cannot be reached: the edge serves its snapshot, which does not know of later changes"
        );
        self.metrics.set_journal_lag(age.as_secs_f64());
        self.away = true;
        self.complete("the table of tags is complete, as of the snapshot");
    }

    /// Notes when the journal was last there.
    fn heard(&mut self, now: Instant, at: Timestamp) {
        self.heard_at = now;
        if let Some(known) = &mut self.log {
            known.at = self.newest.max(at);
        }
    }

    /// The journal is there.
    fn now_there(&mut self, log: Option<&str>, turn: &mut Turn) {
        if self.log.is_none() {
            self.log = log.map(|identity| KnownLog {
                identity: identity.to_owned(),
                at: turn.at,
            });
        }
        self.heard(turn.now, turn.at);
        if let Some(outdated) = self.outdated.take() {
            if log.is_none_or(|log| log == outdated) {
                // It serves meanwhile.
                self.complete("the table of tags is complete, as of an old snapshot");
            } else {
                self.metrics.count_refused_snapshot("other_log");
                self.in_reserve = false;
            }
            self.read_again(Duration::ZERO);
            turn.reached.clear();
        }
        if std::mem::take(&mut self.away) {
            tracing::info!("the journal can be reached again");
            (self.hears)(FeedState::Back);
        }
    }

    fn read_again(&mut self, settles: Duration) {
        self.positions = Positions::default();
        self.newest = Timestamp::UNIX_EPOCH;
        self.log = None;
        self.foreign_build = false;
        self.table.begin_rebuild();
        self.applied.restart();
        self.rebuild = self.table.is_complete().then(|| Rebuild::new(settles));
    }

    /// Whether the table is what this build has read of the journal up to its positions.
    fn is_whole(&self) -> bool {
        self.rebuild.is_none() && self.table.is_complete() && !self.foreign_build
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
