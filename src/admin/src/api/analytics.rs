//! `/api/v1/analytics/scans`: how often, when, by whom.

use analytics::{
    Bots, Dimension, Interval, InvalidQuery, Point, ScanQuery, ScanReport, Select, StoreError,
};
use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tags::Code;
use utoipa::ToSchema;

use super::params::Params;
use crate::auth::Principal;
use crate::edits::TagName;
use crate::problem::{Problem, ProblemDetails};
use crate::service::Admin;

const PARAMETERS: [&str; 8] = [
    "code", "domain", "campaign", "from", "to", "interval", "by", "bots",
];

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
    /// Every interval of the range.
    series: Vec<PointAnswer>,
    /// For each dimension of `by`, its values with their scans, most first.
    #[schema(value_type = std::collections::BTreeMap<String, Vec<ValueAnswer>>)]
    breakdown: Map<String, Value>,
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

/// Counts scans.
#[utoipa::path(
    get, path = "/api/v1/analytics/scans", tag = "analytics",
    params(
        ("code" = Option<String>, Query, description = "Of one tag"),
        ("domain" = Option<String>, Query, description = "With code: for another than the default"),
        ("campaign" = Option<String>, Query, description = "Of one campaign; with neither, of the whole workspace"),
        ("from" = Option<String>, Query, description = "By default a day before `to`"),
        ("to" = Option<String>, Query, description = "By default now"),
        ("interval" = Option<String>, Query, description = "second, minute, hour (the default) or day"),
        ("by" = Option<String>, Query, description = "Comma-separated: country region city device os browser referrer language outcome rule destination campaign code bot_reason"),
        ("bots" = Option<String>, Query, description = "exclude (the default), include or only; HEAD and prefetches go with the bots")
    ),
    responses(
        (status = 200, description = "The counts", body = ReportAnswer),
        (status = 400, description = "A parameter is not valid", body = ProblemDetails),
        (status = 404, description = "The tag does not exist, or not in this workspace", body = ProblemDetails)
    )
)]
pub(crate) async fn scans(
    State(admin): State<Admin>,
    who: Principal,
    params: Params,
) -> Result<Json<ReportAnswer>, Problem> {
    let params = params.allow(&PARAMETERS)?;
    let select = select(&admin, &who, &params)?;
    let to = params.time("to")?;
    // The scan of this very moment belongs to the last 24 hours: a range ends behind the present.
    let to = to.unwrap_or_else(|| after(admin.now()));
    let from = params.time("from")?.unwrap_or_else(|| {
        to.checked_sub(SignedDuration::from_hours(24))
            .unwrap_or(Timestamp::MIN)
    });
    let interval = params
        .parsed::<Interval>("interval")?
        .unwrap_or(Interval::Hour);
    let bots = params.parsed::<Bots>("bots")?.unwrap_or_default();
    let by = dimensions(params.text("by").unwrap_or_default())?;
    let query = ScanQuery::new(select, (from, to), interval, &by, bots).map_err(|error| {
        let parameter = match &error {
            InvalidQuery::TooManyPoints { .. } => "interval",
            // The one of the two that the request has: `from` alone may lie in the future.
            InvalidQuery::Range { .. } if params.text("to").is_none() => "from",
            InvalidQuery::Range { .. } | InvalidQuery::Name { .. } => "to",
        };
        Problem::parameter(parameter, error)
    })?;
    let report = admin.store().scans(&who.workspace, &query).await;
    let report = report.map_err(|error| not_answered(&error))?;
    Ok(Json(answer(&query, report)))
}

/// The scan store did not answer.
pub(super) fn not_answered(error: &StoreError) -> Problem {
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

fn answer(query: &ScanQuery, report: ScanReport) -> ReportAnswer {
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
        series: report.series.into_iter().map(Into::into).collect(),
        breakdown: report
            .breakdown
            .into_iter()
            .map(|(by, found)| (by.as_str().to_owned(), values(found)))
            .collect(),
    }
}

fn after(now: Timestamp) -> Timestamp {
    now.checked_add(SignedDuration::from_micros(1))
        .unwrap_or(now)
}
