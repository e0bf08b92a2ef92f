//! `/api/v1/analytics/live`: how often, second by second, as server-sent events (WHATWG HTML §9.2).

use std::time::Duration;

use analytics::{Bots, Point};
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::poll_fn;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::analytics::{PointAnswer, select};
use super::params::Params;
use crate::auth::Asks;
use crate::live_scans::{Begin, Subject, Update, Viewer};
use crate::places::Full;
use crate::problem::{Problem, ProblemDetails};
use crate::service::Admin;
use crate::texts::parse_time;

const PARAMETERS: [&str; 4] = ["code", "domain", "campaign", "bots"];
const LAST_EVENT_ID: &str = "last-event-id";
/// What is said while the scan store does not answer.
const UNAVAILABLE: &str = "The scan store cannot be reached now; redirects go on, scans are kept, and the missing seconds come later.";
/// How long a reader may take for what is told at a time when all buffers are full; then the stream ends, and may be resumed.
const PATIENCE: Duration = Duration::from_secs(10);

type SentEvent = Result<Event, axum::Error>;

/// Counts scans second by second, as server-sent events.
///
/// Event `scans` has a second's scans, as in the series of `/analytics/scans`, and its id is the second's start. The last 60 seconds come at
/// once, or with `Last-Event-ID` those behind it, of the last ten minutes; then each second when it has been over for 1.8 s, once and in
/// order. A scan that is stored later than that is in `/analytics/scans` alone. Event `unavailable` (`{"reason"}`) comes while the scan
/// store does not answer; the seconds that it has kept back follow. The stream ends when whoever asks may no longer read analytics, or
/// reads too slowly.
#[utoipa::path(
    get, path = "/api/v1/analytics/live", tag = "analytics",
    params(
        ("code" = Option<String>, Query, description = "Of one tag"),
        ("domain" = Option<String>, Query, description = "With code: for another than the default"),
        ("campaign" = Option<String>, Query, description = "Of one campaign; with neither, of the whole workspace"),
        ("bots" = Option<String>, Query, description = "exclude (the default), include or only; HEAD and prefetches go with the bots"),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was received, to resume behind it")
    ),
    responses(
        (status = 200, description = "The events, without an end", content((String = "text/event-stream"))),
        (status = 404, description = "The tag does not exist, or not in this workspace", body = ProblemDetails),
        (status = 429, description = "The workspace, or all together, have as many streams open as they may; or the key, the user or all of the workspace have made as many requests as they may in a second", body = ProblemDetails)
    )
)]
pub(crate) async fn live(
    State(admin): State<Admin>,
    Extension(asks): Extension<Asks>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let params = params.allow(&PARAMETERS)?;
    let select = select(&admin, &asks.who, &params)?;
    let bots = params.parsed::<Bots>("bots")?.unwrap_or_default();
    let begin = begin(&headers, admin.now())?;
    let subject = Subject {
        workspace: asks.who.workspace.clone(),
        select,
        bots,
    };
    let viewer = admin.live_scans().watch(subject, begin).map_err(|full| {
        Problem::busy(match full {
            Full::Workspace => "This workspace watches its scans as often as it may at once; end one of its streams, or try again in a moment.",
            Full::All => "Scans are being watched as often as they may at once; try again in a moment.",
        })
    })?;
    let (sender, mut receiver) = mpsc::channel(1);
    tokio::spawn(tell(admin, asks, viewer, sender));
    let events = poll_fn(move |context| receiver.poll_recv(context));
    // nginx would keep events back until it has a buffer full of them.
    Ok(([("x-accel-buffering", "no")], Sse::new(events)).into_response())
}

/// Where the client wants to go on.
fn begin(headers: &HeaderMap, now: Timestamp) -> Result<Begin, Problem> {
    // Empty: no event with an id has been received.
    let id = headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty());
    let Some(id) = id else {
        return Ok(Begin::Newest);
    };
    match id.to_str().ok().map(parse_time) {
        // A second that is still to come has not been received.
        Some(Ok(second)) => Ok(Begin::After(second.min(now))),
        _ => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "Last-Event-ID must be the id of an event of this stream, a second such as 2026-12-24T18:00:00Z; leave it out to begin anew.",
        )),
    }
}

/// Sends what is told, until the client has gone or does not read, or may no longer.
async fn tell(admin: Admin, asks: Asks, mut viewer: Viewer, sender: mpsc::Sender<SentEvent>) {
    loop {
        let update = tokio::select! {
            () = sender.closed() => return,
            update = viewer.next() => update,
        };
        let Some(update) = update else { return };
        let may_still = admin.require_ready().and_then(|()| asks.may_still(&admin));
        if may_still.is_err() {
            return;
        }
        let sending = async {
            for event in events(update) {
                sender.send(event).await?;
            }
            Ok::<_, mpsc::error::SendError<SentEvent>>(())
        };
        if !matches!(timeout(PATIENCE, sending).await, Ok(Ok(()))) {
            return;
        }
    }
}

fn events(update: Update) -> Vec<SentEvent> {
    match update {
        Update::Points(points) => {
            let event = |point: Point| {
                let event = Event::default().event("scans");
                let event = event.id(point.start.to_string());
                event.json_data(PointAnswer::from(point))
            };
            points.into_iter().map(event).collect()
        }
        Update::Unavailable => {
            let event = Event::default().event("unavailable");
            vec![event.json_data(json!({"reason": UNAVAILABLE}))]
        }
    }
}
