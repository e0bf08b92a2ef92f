//! `/api/v1/edges`: which edges there are, and how far each has come.

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use journal::{EdgeRun, Positions};
use serde::Serialize;
use tags::Topic;
use utoipa::ToSchema;

use super::params::Params;
use crate::fleet::Seen;
use crate::problem::{Problem, ProblemDetails};
use crate::service::Admin;

const DEFAULT_PAGE: u32 = 50;
const MAX_PAGE: u32 = 500;

/// Lists the edges of the installation, by id. All workspaces share them, so that only who runs the installation may see them.
#[utoipa::path(
    get, path = "/api/v1/edges", tag = "operations",
    params(
        ("live" = Option<bool>, Query, description = "Only those that are live, or only those that are not"),
        ("cursor" = Option<String>, Query, description = "next_cursor of the page before"),
        ("limit" = Option<u32>, Query, description = "1 to 500, by default 50", minimum = 1, maximum = 500)
    ),
    responses(
        (status = 200, description = "A page", body = EdgeList),
        (status = 403, description = "Only an owner of the workspace `default` may", body = ProblemDetails)
    )
)]
pub(crate) async fn list(
    State(admin): State<Admin>,
    params: Params,
) -> Result<Json<EdgeList>, Problem> {
    let params = params.allow(&["live", "cursor", "limit"])?;
    let live = match params.text("live") {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(_) => return Err(Problem::parameter("live", "must be true or false.")),
    };
    let not_ours = || Problem::parameter("cursor", "is not one that this API gave out.");
    let after = params
        .text("cursor")
        .map(|text| decode(text).ok_or_else(not_ours))
        .transpose()?;
    let limit = params
        .integer("limit", 1, MAX_PAGE)?
        .unwrap_or(DEFAULT_PAGE) as usize;

    let (now, time) = (Instant::now(), admin.now());
    let wanted = |seen: &Seen| live.is_none_or(|live| live == seen.is_live(now));
    let (page, more) = admin.fleet().page(after.as_ref(), limit, wanted);
    let last = page.last().filter(|_| more);
    let next_cursor = last.map(|seen| encode(&seen.heartbeat.run));
    let applied = admin.applied();
    let items = page
        .iter()
        .map(|seen| EdgeAnswer::new(seen, &applied, now, time))
        .collect();
    Ok(Json(EdgeList { items, next_cursor }))
}

/// A run of an edge's process.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Edge)]
pub(crate) struct EdgeAnswer {
    /// Its `node.id`.
    id: String,
    /// The run of its process, as in its scans.
    boot: String,
    /// Whether it has been heard within 10 seconds. One that ends as it should is no longer listed.
    live: bool,
    /// `starting`: it does not know the tags yet, and answers 503; `serving`; or `draining`: it still answers, and is about to end.
    state: &'static str,
    /// The program's version.
    version: String,
    /// Where it answers scans.
    addresses: Vec<String>,
    /// How many tags it holds, of all workspaces.
    tags: u64,
    /// How many positions of the journal it is behind this admin, by its last words; 0: it has applied every edit.
    lag: u64,
    /// When its process started, by its clock.
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// When it was heard last, by the admin's clock.
    #[schema(value_type = String, format = DateTime)]
    last_seen: Timestamp,
}

impl EdgeAnswer {
    fn new(seen: &Seen, applied: &Positions, now: Instant, time: Timestamp) -> Self {
        let heartbeat = &seen.heartbeat;
        Self {
            id: heartbeat.run.edge().to_owned(),
            boot: heartbeat.run.boot(),
            live: seen.is_live(now),
            state: heartbeat.state.as_str(),
            version: heartbeat.version.clone(),
            addresses: heartbeat.addresses.clone(),
            tags: heartbeat.tags,
            lag: lag(&heartbeat.positions, applied),
            started_at: heartbeat.started_at,
            last_seen: time.checked_sub(seen.age(now)).unwrap_or(Timestamp::MIN),
        }
    }
}

/// A page of edges, by id and boot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EdgeList {
    items: Vec<EdgeAnswer>,
    /// Give it as `cursor` to have the next page; null on the last.
    next_cursor: Option<String>,
}

/// Of the topics that edges follow; an edge that is ahead of this admin is not behind.
fn lag(edge: &Positions, admin: &Positions) -> u64 {
    admin
        .iter()
        .filter(|(topic, ..)| Topic::EDGE.contains(topic))
        .map(|(topic, partition, next_offset)| {
            let behind = next_offset - edge.get(topic, partition).unwrap_or(0);
            u64::try_from(behind).unwrap_or(0)
        })
        .sum()
}

/// Opaque, safe in a URL.
fn encode(run: &EdgeRun) -> String {
    URL_SAFE_NO_PAD.encode(run.to_string())
}

fn decode(text: &str) -> Option<EdgeRun> {
    let key = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    EdgeRun::parse(&key).ok()
}
