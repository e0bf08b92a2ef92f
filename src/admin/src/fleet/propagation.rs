//! Whether every live edge has applied an edit, and how long that took.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use journal::{EdgeRun, EdgeState};

use super::{Fleet, Known, LIVE_FOR};
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

/// The edges of one moment, as far as an edit is concerned.
struct Look {
    /// When each edge that has applied it said so.
    applied: Vec<(EdgeRun, Instant)>,
    /// Who has not, with the moment at which they are no longer live.
    waiting: Vec<(EdgeRun, Instant)>,
}

impl Fleet {
    /// Waits until every live edge has applied what was committed, at most for `patience`. Edges that come meanwhile are waited for too,
    /// and those that end or fall silent no longer.
    pub(crate) async fn wait_for(&self, commit: &Commit, patience: Duration) -> Propagation {
        let deadline = Instant::now() + patience;
        let mut changed = self.changed.subscribe();
        // An edge that has applied it says so again and again: what counts is when it first did.
        let mut first: HashMap<EdgeRun, Instant> = HashMap::new();
        loop {
            let now = Instant::now();
            let look = self.known().look(commit, now);
            if let Ok(look) = &look {
                for (run, said) in &look.applied {
                    first.entry(run.clone()).or_insert(*said);
                }
            }
            let done = look.as_ref().is_ok_and(|look| look.waiting.is_empty());
            if done || now >= deadline {
                return propagation(look, &first, commit);
            }
            let silent = look.iter().flat_map(|look| &look.waiting);
            let wake = silent.map(|(_, until)| *until).fold(deadline, Instant::min);
            tokio::select! {
                _ = changed.changed() => {}
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
    }
}

impl Known {
    /// An error says why it is not known which edges are live.
    fn look(&self, commit: &Commit, now: Instant) -> Result<Look, String> {
        if let Some(reason) = &self.away {
            return Err(format!("what edges say cannot be heard: {reason}"));
        }
        if !self.caught_up {
            return Err("this admin has not yet heard which edges there are".to_owned());
        }
        let mut look = Look {
            applied: Vec::new(),
            waiting: Vec::new(),
        };
        for (run, seen) in &self.edges {
            // One that starts answers 503, and serves only once it has read the journal to its end.
            if !seen.is_live(now) || seen.heartbeat.state == EdgeState::Starting {
                continue;
            }
            if seen.heartbeat.positions.covers(&commit.positions) {
                look.applied.push((run.clone(), seen.heard));
            } else {
                let until = now + LIVE_FOR.saturating_sub(seen.age(now));
                look.waiting.push((run.clone(), until));
            }
        }
        Ok(look)
    }
}

fn propagation(
    look: Result<Look, String>,
    first: &HashMap<EdgeRun, Instant>,
    commit: &Commit,
) -> Propagation {
    let look = match look {
        Ok(look) => look,
        Err(unknown) => {
            return Propagation {
                edges: None,
                applied: 0,
                slowest: None,
                waiting: Vec::new(),
                unknown: Some(unknown),
            };
        }
    };
    let took = |(run, said): &(EdgeRun, Instant)| {
        let said = first.get(run).unwrap_or(said);
        said.saturating_duration_since(commit.at)
    };
    let mut waiting: Vec<String> = look
        .waiting
        .iter()
        .map(|(run, _)| run.edge().to_owned())
        .collect();
    // Two runs of one edge, as while its program is replaced.
    waiting.dedup();
    Propagation {
        edges: Some(look.applied.len() + look.waiting.len()),
        applied: look.applied.len(),
        slowest: look.applied.iter().map(took).max(),
        waiting,
        unknown: None,
    }
}
