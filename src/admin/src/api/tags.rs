//! `/api/v1/tags`: make, list, read, change, revoke, go back.

use std::fmt::Display;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tags::{Code, Status, Tag, Version};

use super::once::{Once, once};
use super::params::Params;
use super::schema::{EditedTag, NewTag, Revoked, Rollback, TagAnswer, TagList, TagPatch};
use super::segment::Segment;
use super::wait::{Wait, WaitParams};
use super::{listing, to_the_end};
use crate::auth::Principal;
use crate::body::Body;
use crate::edits::{Edited, Precondition, TagName};
use crate::index::{Cursor, TagFilter};
use crate::problem::{Problem, ProblemDetails};
use crate::service::Admin;
use crate::texts::check_text;

const DEFAULT_PAGE: u32 = 50;
const MAX_PAGE: u32 = 500;
/// The longest text to look for, in characters: that of a destination.
const MAX_SEARCH: usize = 2_048;

/// Makes a tag.
#[utoipa::path(
    post, path = "/api/v1/tags", tag = "tags", request_body = NewTag,
    params(
        WaitParams,
        ("Idempotency-Key" = Option<String>, Header, description = "The same request with the same key makes nothing more within 24 h, and is answered as before")
    ),
    responses(
        (status = 201, description = "The tag", body = EditedTag, headers(("ETag" = String), ("Location" = String))),
        (status = 409, description = "The code is taken, or the same request is under way", body = ProblemDetails),
        (status = 422, description = "A field is not valid", body = ProblemDetails)
    )
)]
pub(crate) async fn create(
    State(admin): State<Admin>,
    who: Principal,
    params: Params,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let wait = Wait::read(&params.allow(&Wait::PARAMETERS)?)?;
    let answer =
        |admin: &Admin, tag: &Tag| serde_json::to_vec(&TagAnswer::with_warnings(admin, tag));
    let once = once(&admin, who, &headers, "POST /tags", body, answer, {
        let admin = admin.clone();
        |who, body, keep| async move { admin.create_tag(&who, body, &keep).await }
    });
    match once.await? {
        Once::Made(edited) => {
            let answer = edited_answer(&admin, &edited, wait).await;
            let made = (StatusCode::CREATED, answer).into_response();
            Ok(located(made, &edited.what.domain, &edited.what.code))
        }
        Once::Before(answer) => {
            let name = serde_json::from_slice::<MadeTag>(&answer);
            let MadeTag { domain, code } = name.map_err(|error| Problem::internal(&error))?;
            let made = wait.made_before(&admin, answer).await?;
            Ok(located(versioned(Version::FIRST, made), &domain, &code))
        }
    }
}

/// The name of a tag in an answer.
#[derive(Deserialize)]
struct MadeTag {
    domain: String,
    code: String,
}

/// With the address of the tag that was made.
fn located(mut response: Response, domain: impl Display, code: impl Display) -> Response {
    let location = format!("/api/v1/tags/{code}?domain={domain}");
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Lists tags, newest first.
#[utoipa::path(
    get, path = "/api/v1/tags", tag = "tags",
    params(
        ("q" = Option<String>, Query, description = "Part of the code, name or destination"),
        ("campaign" = Option<String>, Query, description = "The campaign, exactly"),
        ("label" = Option<String>, Query, description = "One of the labels, exactly"),
        ("status" = Option<String>, Query, description = "active, paused or revoked"),
        ("cursor" = Option<String>, Query, description = "next_cursor of the page before"),
        ("limit" = Option<u32>, Query, description = "1 to 500, by default 50", minimum = 1, maximum = 500)
    ),
    responses((status = 200, description = "A page", body = TagList), (status = 400, description = "A parameter is not valid", body = ProblemDetails))
)]
pub(crate) async fn list(
    State(admin): State<Admin>,
    who: Principal,
    params: Params,
) -> Result<Json<TagList>, Problem> {
    let params = params.allow(&["q", "campaign", "label", "status", "cursor", "limit"])?;
    let filter = filter(&params)?;
    let not_ours = || Problem::parameter("cursor", "is not one that this API gave out.");
    let cursor = params
        .text("cursor")
        .map(|text| Cursor::decode(text).ok_or_else(not_ours))
        .transpose()?;
    let limit = params
        .integer("limit", 1, MAX_PAGE)?
        .unwrap_or(DEFAULT_PAGE) as usize;
    let tenant = admin.tenant(&who);
    let page = listing(tenant.list_turns(), move || {
        tenant.tags(&filter, cursor, limit)
    })
    .await?;
    let items = page
        .items
        .iter()
        .map(|tag| TagAnswer::new(&admin, tag))
        .collect();
    Ok(Json(TagList {
        items,
        next_cursor: page.next.as_ref().map(Cursor::encode),
    }))
}

/// What narrows a list, of the parameters `q`, `campaign`, `label` and `status`.
pub(super) fn filter(params: &Params) -> Result<TagFilter, Problem> {
    let text = |name: &str| {
        params
            .text(name)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    if let Some(text) = params.text("q") {
        check_text(text, MAX_SEARCH).map_err(|detail| Problem::parameter("q", detail))?;
    }
    Ok(TagFilter {
        text: text("q"),
        campaign: text("campaign"),
        label: text("label"),
        status: params.parsed::<Status>("status")?,
    })
}

/// Reads a tag.
#[utoipa::path(
    get, path = "/api/v1/tags/{code}", tag = "tags",
    params(("code" = String, Path), ("domain" = Option<String>, Query, description = "For another than the default")),
    responses(
        (status = 200, description = "The tag", body = TagAnswer, headers(("ETag" = String))),
        (status = 404, description = "There is none, or not in this workspace", body = ProblemDetails)
    )
)]
pub(crate) async fn get(
    State(admin): State<Admin>,
    who: Principal,
    Segment(code): Segment,
    params: Params,
) -> Result<Response, Problem> {
    let tag = admin.find_tag(&who, &tag_name(&code, params)?)?;
    Ok(answer(&admin, &tag))
}

/// Changes a tag: a JSON merge patch (RFC 7396).
#[utoipa::path(
    patch, path = "/api/v1/tags/{code}", tag = "tags", request_body = TagPatch,
    params(
        WaitParams,
        ("code" = String, Path),
        ("domain" = Option<String>, Query, description = "For another than the default"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that is to be changed")
    ),
    responses(
        (status = 200, description = "The tag", body = EditedTag, headers(("ETag" = String))),
        (status = 404, description = "There is none, or not in this workspace", body = ProblemDetails),
        (status = 409, description = "It was revoked", body = ProblemDetails),
        (status = 412, description = "It was changed meanwhile", body = ProblemDetails),
        (status = 422, description = "A field is not valid", body = ProblemDetails)
    )
)]
pub(crate) async fn patch(
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
        async move { admin.patch_tag(&who, &name, &expected, body).await }
    })
    .await?;
    Ok(edited_answer(&admin, &edited, wait).await)
}

/// Revokes a tag for ever; its code stays taken.
#[utoipa::path(
    delete, path = "/api/v1/tags/{code}", tag = "tags",
    params(
        WaitParams,
        ("code" = String, Path),
        ("domain" = Option<String>, Query, description = "For another than the default"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that is to be revoked")
    ),
    responses(
        (status = 200, description = "It is revoked; with `wait`", body = Revoked),
        (status = 204, description = "It is revoked; without `wait`"),
        (status = 404, description = "There is none, or not in this workspace", body = ProblemDetails),
        (status = 412, description = "It was changed meanwhile", body = ProblemDetails)
    )
)]
pub(crate) async fn revoke(
    State(admin): State<Admin>,
    who: Principal,
    Segment(code): Segment,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (name, wait) = tag_name_and_wait(&code, params)?;
    let expected = precondition(&headers)?;
    let commit = to_the_end(admin.judging(), {
        let admin = admin.clone();
        async move { admin.revoke_tag(&who, &name, &expected).await }
    })
    .await?;
    Ok(match wait.propagation(&admin, &commit).await {
        Some(propagation) => Json(Revoked { propagation }).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

/// Makes the content of an earlier version the newest one.
#[utoipa::path(
    post, path = "/api/v1/tags/{code}/rollback", tag = "tags", request_body = Rollback,
    params(
        WaitParams,
        ("code" = String, Path),
        ("domain" = Option<String>, Query, description = "For another than the default"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that is to be replaced")
    ),
    responses(
        (status = 200, description = "The tag", body = EditedTag, headers(("ETag" = String))),
        (status = 404, description = "There is none, or not in this workspace", body = ProblemDetails),
        (status = 409, description = "It was revoked", body = ProblemDetails),
        (status = 412, description = "It was changed meanwhile", body = ProblemDetails),
        (status = 422, description = "There is no such version, or a destination in it is no longer allowed", body = ProblemDetails)
    )
)]
pub(crate) async fn rollback(
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
        async move { admin.roll_back_tag(&who, &name, &expected, body).await }
    })
    .await?;
    Ok(edited_answer(&admin, &edited, wait).await)
}

/// The tag that a path and `?domain=` name. What no code can be does not exist.
pub(super) fn tag_name(code: &str, params: Params) -> Result<TagName, Problem> {
    named(code, &params.allow(&["domain"])?)
}

/// The same for an edit, with what it waits for.
pub(super) fn tag_name_and_wait(code: &str, params: Params) -> Result<(TagName, Wait), Problem> {
    let [wait, timeout] = Wait::PARAMETERS;
    let params = params.allow(&["domain", wait, timeout])?;
    Ok((named(code, &params)?, Wait::read(&params)?))
}

pub(super) fn named(code: &str, params: &Params) -> Result<TagName, Problem> {
    let domain = params.domain()?;
    let code = Code::parse(code).map_err(|_| Problem::not_found("tag"))?;
    Ok(TagName { domain, code })
}

fn answer(admin: &Admin, tag: &Tag) -> Response {
    tagged(tag, Json(TagAnswer::with_warnings(admin, tag)))
}

/// The answer to an edit, once who was to be waited for has been.
pub(super) async fn edited_answer(admin: &Admin, edited: &Edited<Tag>, wait: Wait) -> Response {
    let body = EditedTag {
        propagation: wait.propagation(admin, &edited.commit).await,
        tag: TagAnswer::with_warnings(admin, &edited.what),
    };
    tagged(&edited.what, Json(body))
}

pub(super) fn tagged(tag: &Tag, body: impl IntoResponse) -> Response {
    versioned(tag.version, body)
}

fn versioned(version: Version, body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

/// Reads `If-Match` (RFC 9110 §13.1.1). Our entity tags are versions; another's matches none, so it asks for no version at all.
pub(super) fn precondition(headers: &HeaderMap) -> Result<Precondition, Problem> {
    let mut versions = Vec::new();
    let mut given = false;
    for value in headers.get_all(header::IF_MATCH) {
        given = true;
        let unreadable = |_| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "The If-Match header is not readable text.",
            )
        };
        for entity_tag in value
            .to_str()
            .map_err(unreadable)?
            .split(',')
            .map(str::trim)
        {
            if entity_tag == "*" {
                return Ok(Precondition::None);
            }
            let opaque = entity_tag.trim_matches('"');
            let version = opaque.parse().ok().and_then(Version::new);
            // `03` and `+3` are other entity tags than ours.
            versions.extend(version.filter(|version| version.to_string() == opaque));
        }
    }
    Ok(if given {
        Precondition::OneOf(versions)
    } else {
        Precondition::None
    })
}
