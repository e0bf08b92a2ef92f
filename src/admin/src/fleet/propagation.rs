//! Whether every live edge has applied an edit, and how long that took.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use journal::{EdgeRun, EdgeState};

use super::{Fleet, Known, LIVE_FOR, Seen};
use crate::service::{Commit, Standing};

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
    /// Those among them that never will, with why.
    pub(crate) refused: Vec<Refusal>,
    /// Why it is not known which edges are live.
    pub(crate) unknown: Option<String>,
}

/// An edge that has refused an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) edge: String,
    pub(crate) reason: String,
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
        if let Some(unknown) = self.why_unknown(now) {
            return if now < deadline {
                Look::Waiting { until: deadline }
            } else {
                Look::Over(Propagation::unknown(unknown))
            };
        }
        // Many edits may look at each heartbeat of many edges: nothing is copied but what is new.
        let (mut until, mut is_settled) = (deadline, true);
        for (run, seen) in self.serving(now) {
            match commit.on(&seen.heartbeat) {
                Standing::Behind => {
                    is_settled = false;
                    until = until.min(now + LIVE_FOR.saturating_sub(seen.age(now)));
                }
                Standing::Applied if !first.contains_key(run) => {
                    first.insert(run.clone(), seen.heard);
                }
                // It will not read it again.
                Standing::Applied | Standing::Refused { .. } => {}
            }
        }
        if is_settled || now >= deadline {
            Look::Over(self.propagation(commit, first, now))
        } else {
            Look::Waiting { until }
        }
    }

    fn propagation(&self, commit: &Commit, first: &First, now: Instant) -> Propagation {
        let (applied, waiting): (Vec<_>, Vec<_>) = self
            .serving(now)
            .partition(|(_, seen)| commit.on(&seen.heartbeat) == Standing::Applied);
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
        let refusal = |(run, seen): &(&EdgeRun, &Seen)| match commit.on(&seen.heartbeat) {
            Standing::Refused { reason } => Some(Refusal {
                edge: run.edge().to_owned(),
                reason: reason.to_owned(),
            }),
            Standing::Applied | Standing::Behind => None,
        };
        let refused = waiting.iter().filter_map(refusal).collect();
        Propagation {
            edges: Some(applied.len() + waiting.len()),
            applied: applied.len(),
            slowest: applied.iter().map(took).max(),
            waiting: names,
            refused,
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

    fn why_unknown(&self, now: Instant) -> Option<String> {
        if let Some(reason) = &self.away {
            return Some(format!("what edges say cannot be heard: {reason}"));
        }
        if !self.caught_up {
            return Some("this admin has not yet heard which edges there are".to_owned());
        }
        let silence = self.silence(now)?;
        Some(format!(
            "no edge has been heard for {} s, of those that were live: that they all ended without a word is less likely than that they \
             cannot be heard",
            silence.as_secs()
        ))
    }
}

impl Propagation {
    fn unknown(why: String) -> Self {
        Self {
            edges: None,
            applied: 0,
            slowest: None,
            waiting: Vec::new(),
            refused: Vec::new(),
            unknown: Some(why),
        }
    }
}
