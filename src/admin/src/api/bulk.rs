//! `/api/v1/tags/bulk`: one change of all tags that fit a filter.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value};
use tags::{Code, Destination, RedirectStatus, Status, Tag};
use utoipa::ToSchema;

use super::import::accepted;
use super::job::JobAnswer;
use super::params::Params;
use super::schema::TagPatch;
use super::segment::Segment;
use crate::auth::Principal;
use crate::body::Body;
use crate::bulk::{Edit, Task, begin};
use crate::draft::Draft;
use crate::edits::READ_ONLY;
use crate::fields::{Fields, Given};
use crate::index::{IndexError, TagFilter};
use crate::problem::{FieldError, Problem, ProblemDetails};
use crate::service::Admin;

/// The longest campaign or label to look for, in characters: more than there may be.
const MAX_FILTER: usize = 2_048;

/// Which tags are changed, and what of them.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents what `read` reads")]
pub(crate) struct BulkEdit {
    /// At least one condition. Revoked tags are left out.
    filter: BulkFilter,
    /// A JSON merge patch (RFC 7396), as `PATCH /tags/{code}` takes it.
    set: TagPatch,
    /// Says what would be changed, with the first examples, and changes nothing.
    dry_run: Option<bool>,
}

/// What narrows the tags, as in a list.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents what `read_filter` reads")]
pub(crate) struct BulkFilter {
    /// Part of the code, name or destination.
    q: Option<String>,
    /// The campaign, exactly.
    campaign: Option<String>,
    /// One of the labels, exactly.
    label: Option<String>,
    /// active or paused.
    status: Option<String>,
}

/// Changes all tags that fit a filter, in the background.
///
/// Each gets a version and an audit entry of its own, as by PATCH. A tag for which the change is not valid is left as it is and told of, as
/// are tags made or changed meanwhile so that they do not fit.
#[utoipa::path(
    post, path = "/api/v1/tags/bulk", tag = "tags", request_body = BulkEdit,
    responses(
        (status = 202, description = "The job, with its end if that came within two seconds", body = JobAnswer, headers(("Location" = String))),
        (status = 415, description = "The body is not JSON", body = ProblemDetails),
        (status = 422, description = "A field is not valid", body = ProblemDetails),
        (status = 429, description = "As many jobs are under way as may be, or as many requests were made in a second", body = ProblemDetails)
    )
)]
pub(crate) async fn create(
    State(admin): State<Admin>,
    who: Principal,
    params: Params,
    body: Body,
) -> Result<Response, Problem> {
    params.allow(&[])?;
    let (edit, dry_run) = read(&admin, &who, body)?;
    let place = admin.jobs().place(&who.workspace, dry_run)?;
    let job = begin(&admin, &who, Task::Edit(edit), dry_run, place)?;
    Ok(accepted(&job, "bulk").await)
}

/// Says how a bulk edit stands.
#[utoipa::path(
    get, path = "/api/v1/tags/bulk/{id}", tag = "tags",
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
    let is_edit = |task: &Task| matches!(task, Task::Edit(_));
    let found = JobAnswer::find(&admin, &who, &id, is_edit);
    found.ok_or_else(|| Problem::not_found("bulk edit"))
}

fn read(admin: &Admin, who: &Principal, body: Body) -> Result<(Edit, bool), Problem> {
    let mut fields = body.fields()?;
    let filter = fields.object("filter");
    let set = fields.object("set");
    let dry_run = fields.boolean("dry_run").value().unwrap_or(false);
    let filter = match filter {
        Given::Value(members) => read_filter(members, &mut fields),
        _ => required(&mut fields, "filter"),
    };
    let set = match set {
        Given::Value(members) => check_set(admin, who, members, &mut fields)?,
        _ => required(&mut fields, "set"),
    };
    fields.finish(&[])?;
    let (Some(filter), Some(set)) = (filter, set) else {
        return Err(Problem::field("set", "is required"));
    };
    let last = admin.tenant(who).newest()?;
    Ok((Edit { filter, set, last }, dry_run))
}

fn required<T>(fields: &mut Fields, name: &'static str) -> Option<T> {
    if !fields.is_refused(name) {
        fields.refuse(name, "is required: an object");
    }
    None
}

fn read_filter(members: Map<String, Value>, fields: &mut Fields) -> Option<TagFilter> {
    let mut inner = Fields::of(members.into_iter().collect());
    let mut text = |name| inner.label(name, MAX_FILTER).value();
    let (text, campaign, label) = (text("q"), text("campaign"), text("label"));
    let status = inner.parsed("status", |word| match word.parse() {
        Ok(status @ (Status::Active | Status::Paused)) => Ok(status),
        _ => Err("must be active or paused: a revoked tag is not changed any more".to_owned()),
    });
    let filter = TagFilter {
        text,
        campaign,
        label,
        status: status.value(),
    };
    let errors = inner.errors(&[]);
    let is_empty = filter == TagFilter::default();
    if errors.is_empty() && is_empty {
        fields.refuse(
            "filter",
            "must name at least one of q, campaign, label, status",
        );
    }
    fields.refuse_in("filter", errors);
    Some(filter)
}

/// Refuses what is valid for no tag, whatever it is like: what is wrong for one whose redirect is temporary and for one whose is permanent.
fn check_set(
    admin: &Admin,
    who: &Principal,
    set: Map<String, Value>,
    fields: &mut Fields,
) -> Result<Option<Map<String, Value>>, Problem> {
    if set.is_empty() {
        fields.refuse("set", "must name at least one field");
    }
    let policy = admin.destination_policy();
    let errors_for = |redirect_status| -> Result<Vec<FieldError>, IndexError> {
        let Some(domain) = admin.tenant(who).domains()?.into_iter().next() else {
            return Ok(Vec::new());
        };
        let code = Code::parse("any").expect("a word of letters is a code");
        let destination =
            Destination::parse("https://example.com/").expect("a plain URL is allowed");
        let tag = Tag {
            redirect_status,
            ..Tag::new(
                who.workspace.clone(),
                domain.name,
                code,
                destination,
                admin.now(),
            )
        };
        let mut inner = Fields::of(set.clone().into_iter().collect());
        Draft::of(&tag).read(&mut inner, &policy, None);
        Ok(inner.errors(&READ_ONLY))
    };
    let permanent = errors_for(RedirectStatus::MovedPermanently)?;
    let mut errors = errors_for(RedirectStatus::Found)?;
    errors.retain(|error| permanent.contains(error));
    fields.refuse_in("set", errors);
    Ok(Some(set))
}
