//! `/api/v1/analytics/scans`: how often, when, by whom. How its parameters are read that other questions about scans have too.

use analytics::{
    Bots, Dimension, Interval, InvalidQuery, Point, ScanQuery, ScanReport, Select, StoreError,
};
use axum::extract::State;
use axum::http::{HeaderMap, Version};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tags::{Code, Zone};
use utoipa::ToSchema;

use super::format::{FileFormat, has_an_end};
use super::params::Params;
use super::scans_export::{self, ScanAnswer};
use crate::auth::{Asks, Principal};
use crate::edits::TagName;
use crate::problem::{Problem, ProblemDetails};
use crate::service::Admin;
use crate::texts::FIRST_TIME;

const PARAMETERS: [&str; 11] = [
    "code",
    "domain",
    "campaign",
    "from",
    "to",
    "interval",
    "time_zone",
    "by",
    "bots",
    "compare",
    "format",
];
/// Of which an export of the scans themselves has none.
const OF_COUNTS: [&str; 4] = ["interval", "time_zone", "by", "compare"];

/// The range by default.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// How many scans there were.
#[derive(Serialize, ToSchema)]
#[schema(as = ScanReport)]
pub(crate) struct ReportAnswer {
    total: u64,
    /// The range, `from` inside and `to` outside.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    interval: &'static str,
    /// On whose clocks hours, days and weeks are.
    time_zone: String,
    /// Every interval of the range.
    series: Vec<PointAnswer>,
    /// For each dimension of `by`, its values with their scans, most first.
    #[schema(value_type = std::collections::BTreeMap<String, Vec<ValueAnswer>>)]
    breakdown: Map<String, Value>,
    /// With `compare=previous`.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<PreviousAnswer>,
}

/// The period before, with which it is compared.
#[derive(Serialize, ToSchema)]
#[schema(as = PreviousPeriod)]
pub(crate) struct PreviousAnswer {
    total: u64,
    /// By how many per cent the later total is higher, or if negative lower, to a tenth; null where this one is 0.
    change: Option<f64>,
    /// As many local days before the range, where that is of whole ones; otherwise it is as long.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    /// Every interval of it.
    series: Vec<PointAnswer>,
}

/// The scans of one interval.
#[derive(Serialize, ToSchema)]
pub(crate) struct PointAnswer {
    #[schema(value_type = String, format = DateTime)]
    start: Timestamp,
    scans: u64,
}

impl From<Point> for PointAnswer {
    fn from(Point { start, scans }: Point) -> Self {
        Self { start, scans }
    }
}

/// The scans of one value.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the entries of `breakdown`")]
pub(crate) struct ValueAnswer {
    value: String,
    scans: u64,
}

/// Counts scans. With `Accept: application/x-ndjson`, `text/csv` or `application/vnd.apache.parquet` the answer is the scans themselves, which
/// needs `export` too.
#[utoipa::path(
    get, path = "/api/v1/analytics/scans", tag = "analytics",
    params(
        ("code" = Option<String>, Query, description = "Of one tag"),
        ("domain" = Option<String>, Query, description = "With code: for another than the default"),
        ("campaign" = Option<String>, Query, description = "Of one campaign; with neither, of the whole workspace"),
        ("from" = Option<String>, Query, description = "By default a day before `to`"),
        ("to" = Option<String>, Query, description = "By default now"),
        ("interval" = Option<String>, Query, description = "second, minute, hour (the default), day or week, which begins with a Monday; not with an export"),
        ("time_zone" = Option<String>, Query, description = "On whose clocks hours, days and weeks are: a name of the IANA database, by default UTC; not with an export", example = "Europe/Berlin"),
        ("by" = Option<String>, Query, description = "Comma-separated: country region city device os browser referrer language outcome rule destination campaign code bot_reason; not with an export"),
        ("bots" = Option<String>, Query, description = "exclude (the default), include or only; HEAD and prefetches go with the bots"),
        ("compare" = Option<String>, Query, description = "previous: with the period before; not with an export"),
        ("format" = Option<String>, Query, description = "json, ndjson, csv or parquet: as Accept, for who cannot send that; it comes first"),
        ("Accept" = Option<String>, Header, description = "`application/x-ndjson`, `text/csv` or `application/vnd.apache.parquet` for an export")
    ),
    responses(
        (status = 200, description = "The counts; or an export of the scans in the order of their times: a line each, or columns with types", content(
            (ReportAnswer = "application/json"),
            (ScanAnswer = "application/x-ndjson"),
            (String = "text/csv"),
            (Vec<u8> = "application/vnd.apache.parquet")
        )),
        (status = 400, description = "A parameter is not valid", body = ProblemDetails),
        (status = 404, description = "The tag does not exist, or not in this workspace", body = ProblemDetails),
        (status = 406, description = "It is answered as JSON, NDJSON, CSV and Parquet alone", body = ProblemDetails),
        (status = 426, description = "HTTP/1.0 cannot tell lines that were broken off from all of them", body = ProblemDetails),
        (status = 429, description = "The workspace, or all together, have as many exports under way as they may, or as many requests were made in a second", body = ProblemDetails)
    )
)]
pub(crate) async fn scans(
    State(admin): State<Admin>,
    Extension(asks): Extension<Asks>,
    params: Params,
    version: Version,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let params = params.allow(&PARAMETERS)?;
    let Some(format) = FileFormat::wanted(&headers, &params)? else {
        let report = report(&admin, &asks.who, &params).await?;
        return Ok(Json(report).into_response());
    };
    if let Some(name) = OF_COUNTS
        .into_iter()
        .find(|name| params.text(name).is_some())
    {
        let detail = "belongs to counts; an export is the scans themselves.";
        return Err(Problem::parameter(name, detail));
    }
    // A Parquet file that was broken off has no footer.
    if let FileFormat::Lines(_) = format {
        has_an_end(version)?;
    }
    scans_export::export(admin, asks.who, &params, format)
}

async fn report(admin: &Admin, who: &Principal, params: &Params) -> Result<ReportAnswer, Problem> {
    let select = select(admin, who, params)?;
    let range = range(params, admin.now(), DAY)?;
    let interval = params.parsed::<Interval>("interval")?;
    let zone = zone(params)?;
    let bots = params.parsed::<Bots>("bots")?.unwrap_or_default();
    let by = dimensions(params.text("by").unwrap_or_default())?;
    let query = ScanQuery::new(select, range, interval.unwrap_or(Interval::Hour), &by, bots)
        .and_then(|query| query.in_zone(&zone))
        .map_err(|error| refused(params, "interval", &error))?;
    let before = match params.text("compare") {
        None => None,
        Some("previous") => {
            let before = query.previous();
            Some(before.map_err(|error| Problem::parameter("compare", error))?)
        }
        Some(_) => return Err(Problem::parameter("compare", "must be previous.")),
    };
    let store = admin.store();
    let report = store.scans(&who.workspace, &query).await;
    let report = report.map_err(|error| not_answered(&error))?;
    let previous = match before {
        None => None,
        Some(before) => {
            let found = store.scans(&who.workspace, &before).await;
            let found = found.map_err(|error| not_answered(&error))?;
            Some(previous(&before, found, report.total))
        }
    };
    Ok(answer(&query, &zone, report, previous))
}

/// The range that is asked for, by default so long until now.
pub(super) fn range(
    params: &Params,
    now: Timestamp,
    length: SignedDuration,
) -> Result<(Timestamp, Timestamp), Problem> {
    // The scan of this very moment belongs to the last 24 hours: a range ends behind the present.
    let to = params.time("to")?.unwrap_or_else(|| after(now));
    let default = || to.checked_sub(length).unwrap_or(FIRST_TIME);
    let from = params.time("from")?;
    Ok((from.unwrap_or_else(|| default().max(FIRST_TIME)), to))
}

/// The zone that is asked for.
pub(super) fn zone(params: &Params) -> Result<Zone, Problem> {
    let zone = params.text("time_zone").map(Zone::parse).transpose();
    let zone = zone.map_err(|error| Problem::parameter("time_zone", error));
    Ok(zone?.unwrap_or_else(Zone::utc))
}

/// A question that cannot be asked; `length` is the parameter by which the series is too long.
pub(super) fn refused(params: &Params, length: &str, error: &InvalidQuery) -> Problem {
    let parameter = match error {
        InvalidQuery::TooManyPoints { .. } => length,
        InvalidQuery::Zone(_) => "time_zone",
        // The one of the two that the request has: `from` alone may lie in the future.
        InvalidQuery::Range { .. } if params.text("to").is_none() => "from",
        InvalidQuery::Range { .. }
        | InvalidQuery::NothingBefore { .. }
        | InvalidQuery::Name { .. } => "to",
    };
    Problem::parameter(parameter, error)
}

/// The scan store did not answer.
pub(crate) fn not_answered(error: &StoreError) -> Problem {
    match error {
        StoreError::Unavailable { .. } => {
            tracing::warn!(%error, "analytics are not available");
            Problem::unavailable(
                "The scan store cannot be reached now; redirects go on and scans are kept.",
            )
        }
        error => Problem::internal(error),
    }
}

/// Which scans are asked for: by `code` and `domain`, by `campaign`, or all of the workspace's.
pub(super) fn select(admin: &Admin, who: &Principal, params: &Params) -> Result<Select, Problem> {
    match (params.text("code"), params.text("campaign")) {
        (Some(_), Some(_)) => Err(Problem::parameter(
            "campaign",
            "cannot be combined with code; ask for one of them.",
        )),
        (Some(code), None) => {
            let code = Code::parse(code).map_err(|_| Problem::not_found("tag"))?;
            let tag = admin.find_tag(
                who,
                &TagName {
                    domain: params.domain()?,
                    code,
                },
            )?;
            Ok(Select::Code {
                domain: tag.domain,
                code: tag.code,
            })
        }
        (None, _) if params.text("domain").is_some() => {
            Err(Problem::parameter("domain", "goes with code."))
        }
        (None, Some(campaign)) => Ok(Select::Campaign(campaign.to_owned())),
        (None, None) => Ok(Select::Workspace),
    }
}

fn dimensions(text: &str) -> Result<Vec<Dimension>, Problem> {
    let words = text
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty());
    words
        .map(|word| {
            word.parse()
                .map_err(|error: InvalidQuery| Problem::parameter("by", error))
        })
        .collect()
}

fn answer(
    query: &ScanQuery,
    zone: &Zone,
    report: ScanReport,
    previous: Option<PreviousAnswer>,
) -> ReportAnswer {
    let values = |values: Vec<(String, u64)>| -> Value {
        values
            .into_iter()
            .map(|(value, scans)| json!({"value": value, "scans": scans}))
            .collect()
    };
    ReportAnswer {
        total: report.total,
        from: query.from(),
        to: query.to(),
        interval: query.interval().as_str(),
        time_zone: zone.to_string(),
        series: report.series.into_iter().map(Into::into).collect(),
        breakdown: report
            .breakdown
            .into_iter()
            .map(|(by, found)| (by.as_str().to_owned(), values(found)))
            .collect(),
        previous,
    }
}

fn previous(query: &ScanQuery, report: ScanReport, later: u64) -> PreviousAnswer {
    let (before, later) = (report.total as f64, later as f64);
    let change = (later - before) / before * 100.0;
    PreviousAnswer {
        total: report.total,
        change: (report.total > 0).then_some((change * 10.0).round() / 10.0),
        from: query.from(),
        to: query.to(),
        series: report.series.into_iter().map(Into::into).collect(),
    }
}

fn after(now: Timestamp) -> Timestamp {
    now.checked_add(SignedDuration::from_micros(1))
        .unwrap_or(now)
}
