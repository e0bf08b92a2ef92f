//! Whether every live edge has applied an edit, and how long that took.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use journal::{EdgeRun, EdgeState};

use super::{Fleet, Known, LIVE_FOR, Seen};
use crate::service::Commit;

/// What became of an edit on the edges.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Propagation {
    /// How many edges are live; none when that is not known.
    pub(crate) edges: Option<usize>,
    /// How many of them have applied it.
    pub(crate) applied: usize,
    /// From the commit until this process knew that the last of those had.
    pub(crate) slowest: Option<Duration>,
    /// The names of those that have not, in order.
    pub(crate) waiting: Vec<String>,
    /// Why it is not known which edges are live.
    pub(crate) unknown: Option<String>,
}

/// When each edge that has applied an edit said so first: it says it again with every heartbeat.
type First = HashMap<EdgeRun, Instant>;

impl Fleet {
    /// Waits until every live edge has applied what was committed, at most for `patience`. Edges that come meanwhile are waited for too,
    /// and those that end or fall silent no longer.
    pub(crate) async fn wait_for(&self, commit: &Commit, patience: Duration) -> Propagation {
        let deadline = Instant::now() + patience;
        let mut changed = self.changed.subscribe();
        let mut first = First::new();
        loop {
            let wake = match self.known().look(commit, &mut first, deadline) {
                Look::Over(propagation) => return propagation,
                Look::Waiting { until } => until,
            };
            tokio::select! {
                _ = changed.changed() => {}
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
    }
}

/// What an edit sees when it looks at the edges.
enum Look {
    Over(Propagation),
    Waiting {
        /// When it has to look again if no edge says anything: the time is over, or an edge no longer live.
        until: Instant,
    },
}

impl Known {
    fn look(&self, commit: &Commit, first: &mut First, deadline: Instant) -> Look {
        let now = Instant::now();
        if let Some(unknown) = self.why_unknown() {
            return if now < deadline {
                Look::Waiting { until: deadline }
            } else {
                Look::Over(Propagation::unknown(unknown))
            };
        }
        // Many edits may look at each heartbeat of many edges: nothing is copied but what is new.
        let (mut until, mut is_everywhere) = (deadline, true);
        for (run, seen) in self.serving(now) {
            if !commit.is_applied_by(&seen.heartbeat) {
                is_everywhere = false;
                until = until.min(now + LIVE_FOR.saturating_sub(seen.age(now)));
            } else if !first.contains_key(run) {
                first.insert(run.clone(), seen.heard);
            }
        }
        if is_everywhere || now >= deadline {
            Look::Over(self.propagation(commit, first, now))
        } else {
            Look::Waiting { until }
        }
    }

    fn propagation(&self, commit: &Commit, first: &First, now: Instant) -> Propagation {
        let (applied, waiting): (Vec<_>, Vec<_>) = self
            .serving(now)
            .partition(|(_, seen)| commit.is_applied_by(&seen.heartbeat));
        let took = |(run, seen): &(&EdgeRun, &Seen)| {
            let said = first.get(run).unwrap_or(&seen.heard);
            said.saturating_duration_since(commit.at)
        };
        let mut names: Vec<_> = waiting
            .iter()
            .map(|(run, _)| run.edge().to_owned())
            .collect();
        // Two runs of one edge, as while its program is replaced.
        names.dedup();
        Propagation {
            edges: Some(applied.len() + waiting.len()),
            applied: applied.len(),
            slowest: applied.iter().map(took).max(),
            waiting: names,
            unknown: None,
        }
    }

    /// The edges that answer scans. One that starts answers 503, and serves only once it has read the journal to its end.
    fn serving(&self, now: Instant) -> impl Iterator<Item = (&EdgeRun, &Seen)> {
        self.edges
            .iter()
            .filter(move |(_, seen)| seen.is_live(now))
            .filter(|(_, seen)| seen.heartbeat.state != EdgeState::Starting)
    }

    fn why_unknown(&self) -> Option<String> {
        if let Some(reason) = &self.away {
            return Some(format!("what edges say cannot be heard: {reason}"));
        }
        (!self.caught_up).then(|| "this admin has not yet heard which edges there are".to_owned())
    }
}

impl Propagation {
    fn unknown(why: String) -> Self {
        Self {
            edges: None,
            applied: 0,
            slowest: None,
            waiting: Vec::new(),
            unknown: Some(why),
        }
    }
}
