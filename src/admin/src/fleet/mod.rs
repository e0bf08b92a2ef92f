//! What is known of the edges: the last words of each, and whether it is live. What it means for an edit is in `propagation`.
//!
//! No clock but this process's own decides: a heartbeat is new when it is heard. Only what was said before this admin listened is dated, by
//! how much older it is than the newest in the topic.

mod listen;
mod propagation;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use journal::{EdgeRun, EdgesEvent, Heartbeat};
use tokio::sync::watch;

pub(crate) use listen::listen;
pub(crate) use propagation::{Propagation, Refusal};

/// An edge that has said nothing for so long is not live: five heartbeats of an idle one.
pub(crate) const LIVE_FOR: Duration = Duration::from_secs(10);
/// When no edge at all has said anything for so long, it is the hearing that is at fault: of an idle edge two heartbeats are missing, and an
/// edge that is still waited for is still live.
const SILENCE: Duration = Duration::from_secs(5);
/// An edge that ended without a farewell is listed for so long; its heartbeat is kept no longer either.
const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// So many are remembered, those that spoke last; beyond them it is looked again after so many more.
const REMEMBERED: usize = 10_000;
const SLACK: usize = 1_000;

/// All edges that have been heard of.
#[derive(Debug)]
pub(crate) struct Fleet {
    known: Mutex<Known>,
    /// Changes with every word of an edge, for who waits.
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Known {
    edges: BTreeMap<EdgeRun, Seen>,
    /// Whether all has been heard that was said before.
    caught_up: bool,
    /// The newest heartbeat until then, by the clock of where it was read from.
    newest: Option<Timestamp>,
    /// Why nothing can be heard, where that is so.
    away: Option<String>,
    /// When an edge was last heard, whichever.
    last_heard: Option<Instant>,
}

/// The last words of a run of an edge.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) heartbeat: Heartbeat,
    written_at: Timestamp,
    heard: Instant,
    /// How old they were when they were heard.
    age_when_heard: Duration,
}

impl Seen {
    /// How long ago it said that.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        self.age_when_heard + now.saturating_duration_since(self.heard)
    }

    /// Whether it is live.
    pub(crate) fn is_live(&self, now: Instant) -> bool {
        self.age(now) < LIVE_FOR
    }
}

impl Fleet {
    pub(crate) fn new() -> Self {
        Self {
            known: Mutex::default(),
            changed: watch::Sender::new(()),
        }
    }

    /// A page of the edges behind `after`, in order of name and boot, with whether there are more.
    pub(crate) fn page(
        &self,
        after: Option<&EdgeRun>,
        limit: usize,
        wanted: impl Fn(&Seen) -> bool,
    ) -> (Vec<Seen>, bool) {
        let known = self.known();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = known.edges.range((from, Bound::Unbounded));
        let mut page = behind.map(|(_, seen)| seen).filter(|seen| wanted(seen));
        let items: Vec<Seen> = page.by_ref().take(limit).cloned().collect();
        let more = page.next().is_some();
        (items, more)
    }

    /// Forgets that all has been heard, for a listener that begins again.
    fn begin(&self) {
        let mut known = self.known();
        known.caught_up = false;
        known.newest = None;
        known.away = None;
    }

    /// Takes in what was heard.
    fn take(&self, event: EdgesEvent, now: Instant) {
        self.known().take(event, now);
        self.changed.send_replace(());
    }

    /// Whether nothing is heard, though something should be.
    fn is_deaf(&self, now: Instant) -> bool {
        let known = self.known();
        known.away.is_some() || known.silence(now).is_some()
    }

    /// Forgets who has been silent for long.
    fn forget(&self, now: Instant) {
        let edges = &mut self.known().edges;
        edges.retain(|_, seen| seen.age(now) < REMEMBERED_FOR);
    }

    /// Nothing is left half-done under the lock, so that a panic elsewhere does no harm.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn take(&mut self, event: EdgesEvent, now: Instant) {
        match event {
            EdgesEvent::Heartbeat {
                heartbeat,
                written_at,
            } => {
                self.hear(now);
                self.newest = self.newest.max(Some(written_at));
                let seen = Seen {
                    heartbeat: *heartbeat,
                    written_at,
                    heard: now,
                    age_when_heard: Duration::ZERO,
                };
                self.edges.insert(seen.heartbeat.run.clone(), seen);
                if self.edges.len() > REMEMBERED + SLACK {
                    self.keep_the_newest();
                }
            }
            EdgesEvent::Farewell(run) => {
                self.hear(now);
                self.edges.remove(&run);
            }
            EdgesEvent::CaughtUp => self.date(now),
            EdgesEvent::Disconnected { reason } => self.away = Some(reason),
            EdgesEvent::Connected => {
                self.away = None;
                // Who was live when hearing ended is waited for again: the silence was not theirs.
                if self.caught_up {
                    self.date(now);
                }
            }
            // Counted and logged where it was read.
            EdgesEvent::Refused { .. } => {}
        }
    }

    /// Somebody speaks.
    fn hear(&mut self, now: Instant) {
        // As when hearing was away: the others are given the time to speak too.
        if self.caught_up && self.silence(now).is_some() {
            self.date(now);
        }
        self.last_heard = self.last_heard.max(Some(now));
    }

    /// For how long nobody has been heard, of those that were live when somebody last was. None while there is nothing amiss: one of them
    /// speaks, or all have said farewell.
    fn silence(&self, now: Instant) -> Option<Duration> {
        let last_heard = self.last_heard?;
        let silence = now.saturating_duration_since(last_heard);
        let mut edges = self.edges.values();
        (silence > SILENCE && edges.any(|seen| seen.is_live(last_heard))).then_some(silence)
    }

    /// Says of everything heard so far how old it is: an edge that is live has spoken a moment before the newest word of all.
    fn date(&mut self, now: Instant) {
        self.caught_up = true;
        let Some(newest) = self.newest else {
            return;
        };
        for seen in self.edges.values_mut() {
            let older = newest.duration_since(seen.written_at);
            seen.age_when_heard = Duration::try_from(older).unwrap_or(Duration::ZERO);
            seen.heard = now;
        }
        self.last_heard = self.last_heard.max(Some(now));
    }

    fn keep_the_newest(&mut self) {
        let mut times: Vec<_> = self.edges.values().map(|seen| seen.written_at).collect();
        times.sort_unstable();
        let oldest_kept = times[times.len() - REMEMBERED];
        self.edges.retain(|_, seen| seen.written_at >= oldest_kept);
    }
}

#[cfg(test)]
mod tests;
