//! `/api/v1/tags/{code}/versions` and `…/diff`: how a tag was, and what has changed since.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use tags::{Tag, Version};
use utoipa::ToSchema;

use super::params::Params;
use super::schema::TagAnswer;
use super::segment::Segments;
use super::tags::{named, tag_name, tagged};
use super::{listing, segment::Segment};
use crate::auth::Principal;
use crate::difference::{Difference, differences};
use crate::edits::READ_ONLY;
use crate::problem::{Problem, ProblemDetails};
use crate::service::Admin;

/// Also the most: few tags have as many.
const PAGE: u32 = 500;

/// Lists a tag's versions, newest first.
#[utoipa::path(
    get, path = "/api/v1/tags/{code}/versions", tag = "history",
    params(
        ("code" = String, Path),
        ("domain" = Option<String>, Query, description = "For another than the default"),
        ("cursor" = Option<String>, Query, description = "next_cursor of the page before"),
        ("limit" = Option<u32>, Query, description = "1 to 500, by default 500", minimum = 1, maximum = 500)
    ),
    responses(
        (status = 200, description = "The versions", body = VersionList),
        (status = 404, description = "There is none, or not in this workspace", body = ProblemDetails)
    )
)]
pub(crate) async fn versions(
    State(admin): State<Admin>,
    who: Principal,
    Segment(code): Segment,
    params: Params,
) -> Result<Json<VersionList>, Problem> {
    let params = params.allow(&["domain", "cursor", "limit"])?;
    let not_ours = || Problem::parameter("cursor", "is not one that this API gave out.");
    let before = params
        .text("cursor")
        .map(|text| parse_version(text).ok_or_else(not_ours))
        .transpose()?;
    let limit = params.integer("limit", 1, PAGE)?.unwrap_or(PAGE) as usize;
    let tag = admin.find_tag(&who, &named(&code, &params)?)?;
    let tenant = admin.tenant(&who);
    let read = move || tenant.versions(&tag.domain, &tag.code, before, limit.saturating_add(1));
    // One more than asked for tells whether there is a next page.
    let mut versions = listing(admin.index().list_turns(), read).await?;
    let more = versions.len() > limit;
    versions.truncate(limit);
    let last = versions.last().filter(|_| more);
    Ok(Json(VersionList {
        next_cursor: last.map(|tag| tag.version.to_string()),
        items: versions
            .iter()
            .map(|tag| TagAnswer::new(&admin, tag))
            .collect(),
    }))
}

/// Reads a tag as it was in one of its versions.
#[utoipa::path(
    get, path = "/api/v1/tags/{code}/versions/{version}", tag = "history",
    params(
        ("code" = String, Path),
        ("version" = u64, Path, minimum = 1),
        ("domain" = Option<String>, Query, description = "For another than the default")
    ),
    responses(
        (status = 200, description = "The version", body = TagAnswer, headers(("ETag" = String))),
        (status = 404, description = "There is no such tag in this workspace, or no such version of it", body = ProblemDetails)
    )
)]
pub(crate) async fn version(
    State(admin): State<Admin>,
    who: Principal,
    Segments(path): Segments<2>,
    params: Params,
) -> Result<Response, Problem> {
    let [code, version] = path;
    let tag = admin.find_tag(&who, &tag_name(&code, params)?)?;
    let none = || Problem::not_found("version of this tag");
    let version = parse_version(&version).ok_or_else(none)?;
    let found = admin
        .tenant(&who)
        .version(&tag.domain, &tag.code, version)?;
    let found = found.ok_or_else(none)?;
    Ok(tagged(&found, Json(TagAnswer::new(&admin, &found))))
}

/// Tells what differs between two versions of a tag.
#[utoipa::path(
    get, path = "/api/v1/tags/{code}/diff", tag = "history",
    params(
        ("code" = String, Path),
        ("from" = Option<u64>, Query, description = "A version; by default the one before `to`", minimum = 1),
        ("to" = Option<u64>, Query, description = "A version; by default the newest", minimum = 1),
        ("domain" = Option<String>, Query, description = "For another than the default")
    ),
    responses(
        (status = 200, description = "The differences, field by field", body = VersionDifference),
        (status = 404, description = "There is none, or not in this workspace", body = ProblemDetails)
    )
)]
pub(crate) async fn difference(
    State(admin): State<Admin>,
    who: Principal,
    Segment(code): Segment,
    params: Params,
) -> Result<Json<VersionDifference>, Problem> {
    let params = params.allow(&["domain", "from", "to"])?;
    let (from, to) = (asked(&params, "from")?, asked(&params, "to")?);
    let tag = admin.find_tag(&who, &named(&code, &params)?)?;
    let to = to.unwrap_or(tag.version);
    let from = match from {
        Some(from) => from,
        None => Version::new(to.get() - 1).ok_or_else(|| {
            Problem::parameter("from", "is required: there is no version before the first.")
        })?,
    };
    let read = |name: &str, version: Version| -> Result<Tag, Problem> {
        let found = admin
            .tenant(&who)
            .version(&tag.domain, &tag.code, version)?;
        found.ok_or_else(|| {
            let newest = tag.version;
            Problem::parameter(
                name,
                format!("there is no such version; the newest is {newest}."),
            )
        })
    };
    let (before, after) = (read("from", from)?, read("to", to)?);
    Ok(Json(VersionDifference {
        from: from.get(),
        to: to.get(),
        changes: differences(&content(&admin, &before)?, &content(&admin, &after)?),
    }))
}

/// What requests set of a tag and schedule for it, as its answer shows it: what versions are compared by.
pub(super) fn content(admin: &Admin, tag: &Tag) -> Result<Value, Problem> {
    let answer = serde_json::to_value(TagAnswer::new(admin, tag));
    let mut answer = answer.map_err(|error| Problem::internal(&error))?;
    if let Value::Object(members) = &mut answer {
        members.retain(|name, _| name == "scheduled" || !READ_ONLY.contains(&name.as_str()));
    }
    Ok(answer)
}

fn asked(params: &Params, name: &str) -> Result<Option<Version>, Problem> {
    let wrong = || Problem::parameter(name, "must be the number of a version, from 1.");
    params
        .text(name)
        .map(|text| parse_version(text).ok_or_else(wrong))
        .transpose()
}

/// A version as we write it: `03` and `+3` name none.
fn parse_version(text: &str) -> Option<Version> {
    let version = text.parse().ok().and_then(Version::new);
    version.filter(|version| version.to_string() == text)
}

/// A tag's versions, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VersionList {
    items: Vec<TagAnswer>,
    /// Give it as `cursor` to have the next page; not there on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// What differs between two versions of a tag.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VersionDifference {
    from: u64,
    to: u64,
    /// Field by field. What no request sets, such as the version's number and date, is left out.
    changes: Vec<Difference>,
}
