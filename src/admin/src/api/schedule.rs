//! `/api/v1/tags/{code}/schedule`: the change of a tag that takes place by itself.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::params::Params;
use super::schema::{EditedTag, NewSchedule, Revoked, ScheduledAnswer};
use super::segment::Segment;
use super::tags::{edited_answer, precondition, tag_name, tag_name_and_wait};
use super::to_the_end;
use super::wait::WaitParams;
use crate::auth::Principal;
use crate::body::Body;
use crate::edits::nothing_scheduled;
use crate::problem::{Problem, ProblemDetails};
use crate::service::Admin;

/// Schedules a change of a tag, in the place of what was scheduled before. Every edge has it beforehand, and so all serve it from the same
/// moment on, whatever is away by then.
#[utoipa::path(
    put, path = "/api/v1/tags/{code}/schedule", tag = "tags", request_body = NewSchedule,
    params(
        WaitParams,
        ("code" = String, Path),
        ("domain" = Option<String>, Query, description = "For another than the default"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that is to be changed")
    ),
    responses(
        (status = 200, description = "The tag, with what is scheduled", body = EditedTag, headers(("ETag" = String))),
        (status = 404, description = "There is none, or not in this workspace", body = ProblemDetails),
        (status = 409, description = "It was revoked", body = ProblemDetails),
        (status = 412, description = "It was changed meanwhile", body = ProblemDetails),
        (status = 422, description = "A field is not valid", body = ProblemDetails)
    )
)]
pub(crate) async fn put(
    State(admin): State<Admin>,
    who: Principal,
    Segment(code): Segment,
    params: Params,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (name, wait) = tag_name_and_wait(&code, params)?;
    let expected = precondition(&headers)?;
    let edited = to_the_end(admin.judging(), {
        let admin = admin.clone();
        async move { admin.schedule_tag(&who, &name, &expected, body).await }
    })
    .await?;
    Ok(edited_answer(&admin, &edited, wait).await)
}

/// Reads what is scheduled.
#[utoipa::path(
    get, path = "/api/v1/tags/{code}/schedule", tag = "tags",
    params(("code" = String, Path), ("domain" = Option<String>, Query, description = "For another than the default")),
    responses(
        (status = 200, description = "The change", body = ScheduledAnswer),
        (status = 404, description = "Nothing is scheduled, or there is no such tag in this workspace", body = ProblemDetails)
    )
)]
pub(crate) async fn get(
    State(admin): State<Admin>,
    who: Principal,
    Segment(code): Segment,
    params: Params,
) -> Result<Json<ScheduledAnswer>, Problem> {
    let tag = admin.find_tag(&who, &tag_name(&code, params)?)?;
    let scheduled = tag.scheduled.as_deref().ok_or_else(nothing_scheduled)?;
    Ok(Json(scheduled.into()))
}

/// Takes back what is scheduled.
#[utoipa::path(
    delete, path = "/api/v1/tags/{code}/schedule", tag = "tags",
    params(
        WaitParams,
        ("code" = String, Path),
        ("domain" = Option<String>, Query, description = "For another than the default"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that is to be changed")
    ),
    responses(
        (status = 200, description = "Nothing is scheduled any more; with `wait`", body = Revoked),
        (status = 204, description = "Nothing is scheduled any more; without `wait`"),
        (status = 404, description = "Nothing is scheduled, or there is no such tag in this workspace", body = ProblemDetails),
        (status = 412, description = "It was changed meanwhile", body = ProblemDetails)
    )
)]
pub(crate) async fn delete(
    State(admin): State<Admin>,
    who: Principal,
    Segment(code): Segment,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (name, wait) = tag_name_and_wait(&code, params)?;
    let expected = precondition(&headers)?;
    let edited = to_the_end(admin.judging(), {
        let admin = admin.clone();
        async move { admin.unschedule_tag(&who, &name, &expected).await }
    })
    .await?;
    Ok(match wait.propagation(&admin, &edited.commit).await {
        Some(propagation) => Json(Revoked { propagation }).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}
