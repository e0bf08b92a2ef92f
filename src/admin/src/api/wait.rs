//! `?wait=edges`: an edit is answered when every live edge has applied it, and says so.

use std::time::Duration;

use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::once::made_before;
use super::params::Params;
use crate::fleet::{Propagation, Refusal};
use crate::problem::Problem;
use crate::service::{Admin, Commit};

/// Seconds to wait unless the request says otherwise. What takes longer is an edge in trouble, not a slow one.
const DEFAULT_TIMEOUT: u32 = 5;
/// What common load balancers wait for an answer.
const MAX_TIMEOUT: u32 = 60;

/// What an edit may be asked to wait for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents what `Wait` reads")]
pub(crate) struct WaitParams {
    /// `edges`: answer when every live edge has applied it, with `propagation`
    wait: Option<String>,
    /// With `wait`: seconds, 1 to 60, by default 5. Then the answer is given all the same, and names the edges that have not
    #[param(minimum = 1, maximum = 60)]
    wait_timeout: Option<u32>,
}

/// What a request waits for, beside being seen here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait(Option<Duration>);

impl Wait {
    /// The query parameters that tell it.
    pub(super) const PARAMETERS: [&'static str; 2] = ["wait", "wait_timeout"];

    pub(super) fn read(params: &Params) -> Result<Self, Problem> {
        let [wait, timeout] = Self::PARAMETERS;
        let seconds = params.integer(timeout, 1, MAX_TIMEOUT)?;
        match (params.text(wait), seconds) {
            (None, None) => Ok(Self(None)),
            (None, Some(_)) => Err(Problem::parameter(
                timeout,
                "means nothing without wait=edges.",
            )),
            (Some("edges"), seconds) => {
                let seconds = seconds.unwrap_or(DEFAULT_TIMEOUT);
                Ok(Self(Some(Duration::from_secs(seconds.into()))))
            }
            (Some(_), _) => Err(Problem::parameter(
                wait,
                "must be 'edges': all that can be waited for.",
            )),
        }
    }

    /// Waits, if that was asked for, and says what became of the edit. The caller holds no lock.
    pub(super) async fn propagation(
        self,
        admin: &Admin,
        commit: &Commit,
    ) -> Option<PropagationAnswer> {
        let patience = self.0?;
        let propagation = admin.fleet().wait_for(commit, patience).await;
        Some(PropagationAnswer::new(propagation, patience))
    }
}

impl Wait {
    /// The answer that something was given when it was made, now that the request came again; with what the edges have of it by now.
    pub(super) async fn made_before(
        self,
        admin: &Admin,
        answer: Vec<u8>,
    ) -> Result<Response, Problem> {
        let Some(propagation) = self.propagation(admin, &admin.earlier_commit()).await else {
            return Ok(made_before(answer));
        };
        let internal = |error| Problem::internal(&error);
        let mut answer: Map<String, Value> = serde_json::from_slice(&answer).map_err(internal)?;
        let propagation = serde_json::to_value(propagation).map_err(internal)?;
        answer.insert("propagation".to_owned(), propagation);
        Ok(made_before(serde_json::to_vec(&answer).map_err(internal)?))
    }
}

/// What became of an edit on the edges. The edit itself is made, whatever this says.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Propagation)]
pub(crate) struct PropagationAnswer {
    /// How many edges are live and serve; null when that is not known.
    edges: Option<usize>,
    /// How many of them have applied it: their next redirect goes by it.
    applied: usize,
    /// Milliseconds from the edit's commit until it was known here that the slowest of those had.
    slowest_ms: Option<f64>,
    /// The ids of the live edges that had not when the time was over, or that never will.
    waiting: Vec<String>,
    /// Those among them that have refused it, and go on to serve what was there before.
    refused: Vec<RefusalAnswer>,
    /// The same for people.
    detail: String,
}

/// An edge that has refused an edit, as one of an older version does that does not know what the edit uses.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Refusal)]
pub(crate) struct RefusalAnswer {
    /// The edge's id.
    edge: String,
    /// Why, for people.
    reason: String,
}

impl From<Refusal> for RefusalAnswer {
    fn from(Refusal { edge, reason }: Refusal) -> Self {
        Self { edge, reason }
    }
}

impl PropagationAnswer {
    fn new(propagation: Propagation, patience: Duration) -> Self {
        Self {
            detail: in_words(&propagation, patience),
            edges: propagation.edges,
            applied: propagation.applied,
            // To a tenth of a millisecond, of which two clock readings and a thread's waking are.
            slowest_ms: propagation
                .slowest
                .map(|slowest| (slowest.as_secs_f64() * 10_000.0).round() / 10.0),
            waiting: propagation.waiting,
            refused: propagation.refused.into_iter().map(Into::into).collect(),
        }
    }
}

fn in_words(propagation: &Propagation, patience: Duration) -> String {
    let seconds = patience.as_secs();
    match (propagation.edges, propagation.waiting.as_slice()) {
        (None, _) => {
            let why = propagation.unknown.as_deref().unwrap_or_default();
            format!("The edit is made; which edges have it is not known: {why}.")
        }
        (Some(0), _) => {
            "No edge is live: the edit is made, and served by nobody for now.".to_owned()
        }
        (Some(1), []) => "The one live edge has applied it.".to_owned(),
        (Some(all), []) => format!("All {all} live edges have applied it."),
        (Some(all), waiting) if propagation.refused.len() >= waiting.len() => format!(
            "The edit is made, but {} of {all} live edges will not apply it and serve what was there before: {}.",
            all - propagation.applied,
            refusals(&propagation.refused)
        ),
        (Some(all), waiting) => format!(
            "The edit is made, but {} of {all} live edges had not applied it after {seconds} s: {}.{}",
            all - propagation.applied,
            waiting.join(", "),
            if propagation.refused.is_empty() {
                String::new()
            } else {
                format!(" Of them never will: {}.", refusals(&propagation.refused))
            }
        ),
    }
}

fn refusals(refused: &[Refusal]) -> String {
    let said: Vec<_> = refused
        .iter()
        .map(|refusal| format!("{} ({})", refusal.edge, refusal.reason))
        .collect();
    said.join(", ")
}
