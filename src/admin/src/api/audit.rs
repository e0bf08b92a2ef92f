//! `/api/v1/audit`: who changed what in the workspace, when, and from where. It can be read and never changed.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Version, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::try_unfold;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use tags::{Action, AuditEntry};
use utoipa::ToSchema;

use super::format::{Lines, csv_lines, has_an_end, nd_json_lines};
use super::history::content;
use super::listing;
use super::params::Params;
use super::tags::named;
use crate::auth::Principal;
use crate::difference::{Difference, contents, differences};
use crate::index::{AuditCursor, AuditFilter, AuditPage, Tenant};
use crate::places::Place;
use crate::problem::{Problem, ProblemDetails};
use crate::service::Admin;
use crate::texts::check_text;

const DEFAULT_PAGE: u32 = 50;
const MAX_PAGE: u32 = 500;
/// How many entries of an export are in memory at a time.
const EXPORT_PAGE: usize = 500;
/// The longest id of a key, in characters.
const MAX_ACTOR: usize = 64;
const COLUMNS: [&str; 9] = [
    "at", "actor", "remote", "action", "subject", "domain", "code", "version", "changes",
];

/// Lists who changed what, newest first. With `Accept: application/x-ndjson` or `text/csv` the answer is all of it.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "history",
    params(
        ("code" = Option<String>, Query, description = "Changes of this tag alone"),
        ("domain" = Option<String>, Query, description = "With `code`: for another than the default"),
        ("actor" = Option<String>, Query, description = "Changes by this key or user alone"),
        ("action" = Option<String>, Query, description = "create, update, rollback, rotate, revoke or erase"),
        ("from" = Option<String>, Query, description = "From this moment on, RFC 3339", format = DateTime),
        ("to" = Option<String>, Query, description = "Before this moment, RFC 3339", format = DateTime),
        ("cursor" = Option<String>, Query, description = "next_cursor of the page before; not with an export"),
        ("limit" = Option<u32>, Query, description = "1 to 500, by default 50; not with an export", minimum = 1, maximum = 500),
        ("Accept" = Option<String>, Header, description = "`application/x-ndjson` or `text/csv` for an export")
    ),
    responses(
        (status = 200, description = "A page; or an export, an entry a line", content(
            (AuditList = "application/json"),
            (AuditAnswer = "application/x-ndjson"),
            (String = "text/csv")
        )),
        (status = 404, description = "There is no such tag in this workspace", body = ProblemDetails),
        (status = 406, description = "It is answered as JSON, NDJSON and CSV alone", body = ProblemDetails),
        (status = 426, description = "HTTP/1.0 cannot tell an export that was broken off from a whole one", body = ProblemDetails)
    )
)]
pub(crate) async fn list(
    State(admin): State<Admin>,
    who: Principal,
    params: Params,
    version: Version,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let params = params.allow(&[
        "code", "domain", "actor", "action", "from", "to", "cursor", "limit",
    ])?;
    let lines = Lines::wanted(&headers)?;
    let filter = filter(&admin, &who, &params)?;
    let Some(lines) = lines else {
        let page = page(&admin, &who, &params, filter).await?;
        return Ok(Json(page).into_response());
    };
    for name in ["cursor", "limit"] {
        if params.text(name).is_some() {
            let detail = "belongs to pages; an export is all of it. Narrow it with from and to.";
            return Err(Problem::parameter(name, detail));
        }
    }
    has_an_end(version)?;
    let place = admin.place_for_export(&who.workspace)?;
    let tenant = admin.tenant(&who);
    Ok(export(admin, tenant, filter, lines, place))
}

fn filter(admin: &Admin, who: &Principal, params: &Params) -> Result<AuditFilter, Problem> {
    let (from, to) = (params.time("from")?, params.time("to")?);
    if from.is_some_and(|from| to.is_some_and(|to| to <= from)) {
        return Err(Problem::parameter("to", "must be after from."));
    }
    let action = params.parsed::<Action>("action")?;
    if let Some(actor) = params.text("actor") {
        check_text(actor, MAX_ACTOR).map_err(|detail| Problem::parameter("actor", detail))?;
    }
    let subject = match params.text("code") {
        Some(code) => {
            let tag = admin.find_tag(who, &named(code, params)?)?;
            Some(format!("tag/{}/{}", tag.domain, tag.code))
        }
        None if params.text("domain").is_some() => {
            return Err(Problem::parameter("domain", "means nothing without code."));
        }
        None => None,
    };
    Ok(AuditFilter {
        subject,
        actor: params.text("actor").map(str::to_owned),
        action,
        from,
        to,
    })
}

async fn page(
    admin: &Admin,
    who: &Principal,
    params: &Params,
    filter: AuditFilter,
) -> Result<AuditList, Problem> {
    let not_ours = || Problem::parameter("cursor", "is not one that this API gave out.");
    let cursor = params
        .text("cursor")
        .map(|text| AuditCursor::decode(text).ok_or_else(not_ours))
        .transpose()?;
    let limit = params.integer("limit", 1, MAX_PAGE)?;
    let limit = limit.unwrap_or(DEFAULT_PAGE) as usize;
    let page = read(admin.tenant(who), &filter, cursor, limit).await?;
    let items = page
        .items
        .iter()
        .map(|entry| AuditAnswer::new(admin, entry));
    Ok(AuditList {
        items: items.collect::<Result<_, _>>()?,
        next_cursor: page.next.as_ref().map(AuditCursor::encode),
    })
}

async fn read(
    tenant: Tenant,
    filter: &AuditFilter,
    cursor: Option<AuditCursor>,
    limit: usize,
) -> Result<AuditPage, Problem> {
    let filter = filter.clone();
    listing(tenant.list_turns(), move || {
        tenant.audit(&filter, cursor.as_ref(), limit)
    })
    .await
}

/// The whole log, page by page as fast as the client takes it. One that cannot be read to its end is broken off, so that it is not taken for
/// whole.
fn export(
    admin: Admin,
    tenant: Tenant,
    filter: AuditFilter,
    format: Lines,
    place: Place,
) -> Response {
    let begin = Some((true, None::<AuditCursor>));
    let pages = try_unfold(begin, move |next| {
        let _until_it_is_sent = &place;
        let (admin, tenant, filter) = (admin.clone(), tenant.clone(), filter.clone());
        async move {
            let Some((is_first, cursor)) = next else {
                return Ok::<_, std::io::Error>(None);
            };
            let page = read(tenant, &filter, cursor, EXPORT_PAGE).await;
            let lines = page.and_then(|page| {
                let lines = lines(&admin, &page.items, format, is_first)?;
                Ok((lines, page.next.map(|cursor| (false, Some(cursor)))))
            });
            lines
                .map(Some)
                .map_err(|_| std::io::Error::other("the log says why the export ended"))
        }
    });
    let mut response = Body::from_stream(pages).into_response();
    let kind = HeaderValue::from_static(format.content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn lines(
    admin: &Admin,
    entries: &[AuditEntry],
    format: Lines,
    is_first: bool,
) -> Result<Bytes, Problem> {
    let answers = entries.iter().map(|entry| AuditAnswer::new(admin, entry));
    let lines = if format == Lines::Csv {
        let mut rows: Vec<[String; COLUMNS.len()]> = Vec::new();
        if is_first {
            rows.push(COLUMNS.map(str::to_owned));
        }
        for answer in answers {
            let row = answer?.row();
            rows.push(row.map_err(|error| Problem::internal(&error))?);
        }
        csv_lines(rows).map_err(|error| Problem::internal(&error))?
    } else {
        let answers = answers.collect::<Result<Vec<_>, _>>()?;
        nd_json_lines(answers).map_err(|error| Problem::internal(&error))?
    };
    Ok(lines.into())
}

/// One change. It is never changed itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct AuditAnswer {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The key or user that did it.
    actor: String,
    /// The address from which the request came.
    remote: String,
    /// `create`, `update`, `rollback`, `rotate`, `revoke` or `erase`.
    action: &'static str,
    /// What was changed: `tag/DOMAIN/CODE`, `workspace/ID`, `domain/NAME`, `key/ID`, `user/ID`, `invitation/ID`, or `scans/DAY`, of which a
    /// visitor was erased.
    #[schema(example = "tag/qr.example.com/summer")]
    subject: String,
    /// The tag's domain, where the subject is one.
    domain: Option<String>,
    /// The tag's code.
    code: Option<String>,
    /// The version of the tag that it made.
    version: Option<u64>,
    /// What is otherwise than before; of what was made, all that was said of it, and of what is gone, all that it was. Secrets are never among it.
    changes: Vec<Difference>,
}

impl AuditAnswer {
    fn new(admin: &Admin, entry: &AuditEntry) -> Result<Self, Problem> {
        let (before, after) = (entry.before.as_ref(), entry.after.as_ref());
        let changes = match (before, after) {
            (Some(before), Some(after)) => {
                differences(&content(admin, before)?, &content(admin, after)?)
            }
            (None, Some(after)) => contents(&content(admin, after)?),
            (_, None) => changes_of_fields(entry)?,
        };
        Ok(Self {
            at: entry.at,
            actor: entry.actor.clone(),
            remote: entry.remote.clone(),
            action: entry.action.as_str(),
            subject: entry.subject.clone(),
            domain: after.map(|tag| tag.domain.to_string()),
            code: after.map(|tag| tag.code.to_string()),
            version: after.map(|tag| tag.version.get()),
            changes,
        })
    }

    /// Its cells, in the order of [`COLUMNS`]; the changes as JSON.
    fn row(&self) -> Result<[String; COLUMNS.len()], serde_json::Error> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        Ok([
            self.at.to_string(),
            self.actor.clone(),
            self.remote.clone(),
            self.action.to_owned(),
            self.subject.clone(),
            text(&self.domain),
            text(&self.code),
            self.version
                .map(|version| version.to_string())
                .unwrap_or_default(),
            serde_json::to_string(&self.changes)?,
        ])
    }
}

/// What became of a thing that is no tag.
fn changes_of_fields(entry: &AuditEntry) -> Result<Vec<Difference>, Problem> {
    let read = |text: &Option<String>| -> Result<Option<Value>, Problem> {
        let value = text.as_deref().map(serde_json::from_str).transpose();
        value.map_err(|error| Problem::internal(&error))
    };
    Ok(
        match (read(&entry.fields_before)?, read(&entry.fields_after)?) {
            (Some(before), Some(after)) => differences(&before, &after),
            (None, Some(after)) => contents(&after),
            (Some(before), None) => differences(&before, &Value::Object(Map::new())),
            (None, None) => Vec::new(),
        },
    )
}

/// A page of the log, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditList {
    items: Vec<AuditAnswer>,
    /// Give it as `cursor` to have the next page; null on the last.
    next_cursor: Option<String>,
}
