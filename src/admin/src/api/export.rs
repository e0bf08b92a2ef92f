//! `/api/v1/tags/export`: a workspace's tags as a file that imports unchanged.

use axum::extract::State;
use axum::http::{HeaderMap, Version, header};
use axum::response::{IntoResponse, Response};
use tags::Status;

use super::format::{Lines, has_an_end};
use super::params::Params;
use super::tags::filter;
use crate::auth::Principal;
use crate::bulk::{self, Export};
use crate::problem::{Problem, ProblemDetails};
use crate::service::Admin;

/// Tags as a file, those that were made first at its beginning: what may be set of them, and their status.
///
/// It imports unchanged. Revoked tags are left out, since none can be made. NDJSON, or with `Accept: text/csv` CSV with CRLF, of which cells
/// that a spreadsheet would take for a formula begin with `'`. What is made after the request is not in it.
#[utoipa::path(
    get, path = "/api/v1/tags/export", tag = "tags",
    params(
        ("q" = Option<String>, Query, description = "Part of the code, name or destination"),
        ("campaign" = Option<String>, Query, description = "The campaign, exactly"),
        ("label" = Option<String>, Query, description = "One of the labels, exactly"),
        ("status" = Option<String>, Query, description = "active or paused"),
        ("Accept" = Option<String>, Header, description = "`application/x-ndjson` (the default) or `text/csv`")
    ),
    responses(
        (status = 200, description = "The file", content((String = "application/x-ndjson"), (String = "text/csv"))),
        (status = 406, description = "Neither NDJSON nor CSV is accepted", body = ProblemDetails),
        (status = 426, description = "HTTP/1.0 cannot tell an export that was broken off from a whole one", body = ProblemDetails),
        (status = 429, description = "The workspace, or all together, have as many exports under way as they may, or as many requests were made in a second", body = ProblemDetails)
    )
)]
pub(crate) async fn export(
    State(admin): State<Admin>,
    who: Principal,
    params: Params,
    version: Version,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let params = params.allow(&["q", "campaign", "label", "status"])?;
    let filter = filter(&params)?;
    if filter.status == Some(Status::Revoked) {
        let detail = "must be active or paused: a revoked tag cannot be made again.";
        return Err(Problem::parameter("status", detail));
    }
    let format = Lines::wanted_file(&headers)?;
    has_an_end(version)?;
    let (written, name) = match format {
        Lines::Csv => (bulk::Format::Csv, "attachment; filename=\"tags.csv\""),
        Lines::NdJson => (bulk::Format::Ndjson, "attachment; filename=\"tags.ndjson\""),
    };
    let place = admin.place_for_export(&who.workspace)?;
    let export = Export::begin(&admin, admin.tenant(&who), filter, written, place)?;
    let headers = [
        (header::CONTENT_TYPE, format.content_type()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, export.body()).into_response())
}
