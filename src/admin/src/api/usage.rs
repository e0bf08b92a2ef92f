//! `/api/v1/usage`: what workspaces use, day by day, so that costs can be told apart.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use analytics::{Day, Usage};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::Offset;
use serde::Serialize;
use tags::WorkspaceId;
use utoipa::ToSchema;

use super::analytics::not_answered;
use super::format::{Lines, csv_lines, nd_json_lines};
use super::params::Params;
use crate::auth::Principal;
use crate::index::Tenant;
use crate::problem::{Problem, ProblemDetails};
use crate::service::Admin;

/// A quarter of a year.
const MOST_DAYS: usize = 92;
const COLUMNS: [&str; 5] = ["workspace", "day", "scans", "tags", "stored_bytes"];

/// Usage by workspace and day.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageList)]
pub(crate) struct UsageList {
    /// By workspace, then by day.
    items: Vec<UsageAnswer>,
}

/// What a workspace used on a day.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Usage)]
pub(crate) struct UsageAnswer {
    workspace: String,
    /// In UTC.
    #[schema(value_type = String, format = Date)]
    day: Date,
    /// Scans that were made on it and are stored, those by bots and of unknown codes too.
    scans: u64,
    /// Tags that the workspace had made by its end, those that were revoked since too.
    tags: u64,
    /// What those scans take in the scan store, in bytes: as much as its average row of the month does.
    stored_bytes: u64,
}

/// Tells what the workspace used on each day, or what all did. Days are UTC's.
#[utoipa::path(
    get, path = "/api/v1/usage", tag = "analytics",
    params(
        ("from" = Option<String>, Query, description = "The first day; by default the month's first of `to`", format = Date),
        ("to" = Option<String>, Query, description = "The last day; by default today. At most 92 days", format = Date),
        ("workspaces" = Option<String>, Query, description = "`all`: of all workspaces, for who runs the installation; days on which one used nothing are left out"),
        ("Accept" = Option<String>, Header, description = "`application/x-ndjson` or `text/csv`: an item a line")
    ),
    responses(
        (status = 200, description = "The usage", content(
            (UsageList = "application/json"),
            (UsageAnswer = "application/x-ndjson"),
            (String = "text/csv")
        )),
        (status = 400, description = "A parameter is not valid", body = ProblemDetails),
        (status = 406, description = "It is answered as JSON, NDJSON and CSV alone", body = ProblemDetails)
    )
)]
pub(crate) async fn usage(
    State(admin): State<Admin>,
    who: Principal,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let params = params.allow(&["from", "to", "workspaces"])?;
    let lines = Lines::wanted(&headers)?;
    let days = days(&admin, &params)?;
    let items = match params.text("workspaces") {
        None => of_one(&admin, &who, days).await?,
        Some("all") => of_all(&admin, &who, days).await?,
        Some(_) => {
            return Err(Problem::parameter(
                "workspaces",
                "must be all, or left out.",
            ));
        }
    };
    answer(items, lines)
}

fn days(admin: &Admin, params: &Params) -> Result<RangeInclusive<Date>, Problem> {
    let day = |name| {
        let parse = |text: &str| {
            let day = text.parse::<Date>().ok();
            // Nothing but the one form.
            let day = day.filter(|day| day.to_string() == text);
            day.ok_or_else(|| Problem::parameter(name, "must be a day such as 2026-11-29."))
        };
        params.text(name).map(parse).transpose()
    };
    let today = || Offset::UTC.to_datetime(admin.now()).date();
    let to = day("to")?.unwrap_or_else(today);
    let from = day("from")?.unwrap_or_else(|| to.first_of_month());
    if from > to {
        let later = if params.text("to").is_some() {
            "to"
        } else {
            "from"
        };
        let detail = format!("the days would be from {from} to {to}, which are none.");
        return Err(Problem::parameter(later, detail));
    }
    let days = from..=to;
    if each(&days).nth(MOST_DAYS).is_some() {
        let detail = format!("at most {MOST_DAYS} days are answered; ask for fewer at a time.");
        return Err(Problem::parameter("from", detail));
    }
    Ok(days)
}

fn each(days: &RangeInclusive<Date>) -> impl Iterator<Item = Date> {
    let last = *days.end();
    days.start()
        .series(1.day())
        .take_while(move |day| *day <= last)
}

async fn of_one(
    admin: &Admin,
    who: &Principal,
    days: RangeInclusive<Date>,
) -> Result<Vec<UsageAnswer>, Problem> {
    let usage = admin.store().usage(days.clone(), Some(&who.workspace));
    let usage = usage.await.map_err(|error| not_answered(&error))?;
    let usage = by_day(&usage);
    tell(admin, &who.workspace, &days, &usage)
}

async fn of_all(
    admin: &Admin,
    who: &Principal,
    days: RangeInclusive<Date>,
) -> Result<Vec<UsageAnswer>, Problem> {
    let workspaces = admin.installation(who)?.workspaces()?;
    let usage = admin.store().usage(days.clone(), None);
    let usage = usage.await.map_err(|error| not_answered(&error))?;
    let usage = by_day(&usage);
    let mut items = Vec::new();
    for workspace in &workspaces {
        let told = tell(admin, &workspace.id, &days, &usage)?.into_iter();
        items.extend(told.filter(|item| item.scans > 0 || item.tags > 0));
    }
    Ok(items)
}

type ByDay<'a> = HashMap<(&'a WorkspaceId, Date), &'a Usage>;

fn by_day(usage: &[Usage]) -> ByDay<'_> {
    let keyed = usage.iter().map(|it| ((&it.workspace, it.day), it));
    keyed.collect()
}

/// A workspace's days, each of them.
fn tell(
    admin: &Admin,
    workspace: &WorkspaceId,
    days: &RangeInclusive<Date>,
    usage: &ByDay<'_>,
) -> Result<Vec<UsageAnswer>, Problem> {
    let tenant = Tenant::new(admin.index().clone(), workspace.clone());
    let mut made = tenant.tags_made()?.into_iter().peekable();
    let mut tags = 0;
    let mut items = Vec::new();
    for day in each(days) {
        let until = Day::of_date(day);
        while let Some((_, more)) = made.next_if(|(made_on, _)| *made_on <= until) {
            tags += more;
        }
        let of_day = usage.get(&(workspace, day));
        items.push(UsageAnswer {
            workspace: workspace.to_string(),
            day,
            scans: of_day.map_or(0, |it| it.scans),
            tags,
            stored_bytes: of_day.map_or(0, |it| it.stored_bytes),
        });
    }
    Ok(items)
}

fn answer(items: Vec<UsageAnswer>, lines: Option<Lines>) -> Result<Response, Problem> {
    let Some(lines) = lines else {
        return Ok(Json(UsageList { items }).into_response());
    };
    let text = match lines {
        Lines::Csv => csv(&items).map_err(|error| Problem::internal(&error))?,
        Lines::NdJson => nd_json_lines(&items).map_err(|error| Problem::internal(&error))?,
    };
    Ok(([(header::CONTENT_TYPE, lines.content_type())], text).into_response())
}

fn csv(items: &[UsageAnswer]) -> Result<Vec<u8>, csv::Error> {
    let row = |item: &UsageAnswer| {
        let [scans, tags, bytes] = [item.scans, item.tags, item.stored_bytes];
        let [scans, tags, bytes] = [scans.to_string(), tags.to_string(), bytes.to_string()];
        [
            item.workspace.clone(),
            item.day.to_string(),
            scans,
            tags,
            bytes,
        ]
    };
    let header = [COLUMNS.map(str::to_owned)].into_iter();
    csv_lines(header.chain(items.iter().map(row)))
}
