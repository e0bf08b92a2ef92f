//! `/api/v1/tags/import`: tags from a file, and what became of it.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Timeouts;
use super::job::JobAnswer;
use super::params::Params;
use super::segment::Segment;
use crate::auth::Principal;
use crate::bulk::{Format, Job, Task, Upload};
use crate::problem::{Problem, ProblemDetails};
use crate::service::Admin;

/// A short job is answered with its end, a long one after this.
const PATIENCE: Duration = Duration::from_secs(2);

/// Makes the tags of a file, in the background.
///
/// A line is a tag as `POST /tags` takes one, and `code` is required. NDJSON has a JSON object a line. CSV
/// (RFC 4180, UTF-8) has a header with the fields' names; an empty cell is an absent field, `labels` are separated by commas, rules are JSON,
/// and a leading `'` before `=`, `+`, `-`, `@`, tab or CR is taken off.
///
/// The file is judged in chunks of 10,000 lines (of fewer where they have more than 8 MiB). A chunk with a line that is not valid is not
/// written, the others are. A tag that is there as its line says is left as it is, so that the same file sent again makes what is missing; one
/// that differs is an error.
#[utoipa::path(
    post, path = "/api/v1/tags/import", tag = "tags",
    request_body(content((String = "application/x-ndjson"), (String = "text/csv")), description = "At most 1 GiB, of lines of at most 256 KiB"),
    params(("dry_run" = Option<bool>, Query, description = "`true`: says what would be done, and does nothing")),
    responses(
        (status = 202, description = "The job, with its end if that came within two seconds", body = JobAnswer, headers(("Location" = String))),
        (status = 413, description = "The file is too large", body = ProblemDetails),
        (status = 415, description = "The file is neither NDJSON nor CSV, or is compressed", body = ProblemDetails),
        (status = 429, description = "As many jobs are under way as may be, or as many requests were made in a second", body = ProblemDetails)
    )
)]
pub(crate) async fn create(
    State(admin): State<Admin>,
    Extension(timeouts): Extension<Timeouts>,
    who: Principal,
    params: Params,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let params = params.allow(&["dry_run"])?;
    let dry_run = params.boolean("dry_run")?.unwrap_or(false);
    let unsupported = |detail: &str| Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail);
    let format = Format::of_body(&headers).ok_or_else(|| {
        unsupported("The body must be NDJSON or CSV in UTF-8: send 'Content-Type: application/x-ndjson' or 'text/csv'.")
    })?;
    let is_identity =
        |encoding: &HeaderValue| encoding.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .all(is_identity)
    {
        return Err(unsupported(
            "The body must not be compressed: send it without Content-Encoding.",
        ));
    }
    let place = admin.jobs().place(&who.workspace, dry_run)?;
    let upload = Upload {
        format,
        dry_run,
        body,
        patience: timeouts.body,
    };
    let job = upload.begin(&admin, &who, place).await?;
    Ok(accepted(&job, "import").await)
}

/// Says how an import stands.
#[utoipa::path(
    get, path = "/api/v1/tags/import/{id}", tag = "tags",
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "The job", body = JobAnswer),
        (status = 404, description = "There is none in this workspace, or it is told of no more", body = ProblemDetails)
    )
)]
pub(crate) async fn get(
    State(admin): State<Admin>,
    who: Principal,
    Segment(id): Segment,
    params: Params,
) -> Result<Json<JobAnswer>, Problem> {
    params.allow(&[])?;
    let is_import = |task: &Task| matches!(task, Task::Import { .. });
    let found = JobAnswer::find(&admin, &who, &id, is_import);
    found.ok_or_else(|| Problem::not_found("import"))
}

/// The answer to a request that has begun a job.
pub(super) async fn accepted(job: &Job, kind: &str) -> Response {
    // Whether it ended or not, its record is the answer.
    let _ = tokio::time::timeout(PATIENCE, job.ended()).await;
    let record = job.record();
    let location = format!("/api/v1/tags/{kind}/{}", record.id);
    let mut response = (StatusCode::ACCEPTED, Json(JobAnswer::from(record))).into_response();
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
