//! `/api/v1/analytics/visitors`: of how many visitors, as far as that can be said without following people.

use analytics::{Bots, VisitorDay, VisitorQuery};
use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::analytics::{not_answered, range, refused, select};
use super::params::Params;
use crate::auth::Principal;
use crate::problem::{Problem, ProblemDetails};
use crate::service::Admin;

const PARAMETERS: [&str; 6] = ["code", "domain", "campaign", "from", "to", "bots"];
/// The range by default.
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The visitors of each day, and their sum.
#[derive(Serialize, ToSchema)]
#[schema(as = VisitorReport)]
pub(crate) struct VisitorsAnswer {
    /// All scans.
    total: u64,
    /// The visitors of each day, summed: who comes on three days counts three times. As many scans are the first of a visitor on that day.
    visitor_days: u64,
    /// The other scans: by a visitor who had scanned on that day before.
    repeated: u64,
    /// The range, `from` inside and `to` outside.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    /// Every day of the range, in UTC.
    series: Vec<VisitorDayAnswer>,
}

/// The visitors of a day.
#[derive(Serialize, ToSchema)]
#[schema(as = VisitorDay)]
pub(crate) struct VisitorDayAnswer {
    #[schema(value_type = String, format = DateTime)]
    start: Timestamp,
    scans: u64,
    /// Different ones. Exact in a standalone; in a cluster an estimate above three thousand, with a standard error of 0.3 %.
    visitors: u64,
    repeated: u64,
}

impl From<VisitorDay> for VisitorDayAnswer {
    fn from(day: VisitorDay) -> Self {
        Self {
            start: day.start,
            scans: day.scans,
            visitors: day.visitors,
            repeated: day.scans - day.visitors,
        }
    }
}

/// Counts visitors day by day.
///
/// A visitor is an address with a User-Agent, known by a hash that is another every day (UTC), so nobody is known again on another day. Many
/// people behind one address of a carrier or an office, with phones of one kind, are one visitor.
#[utoipa::path(
    get, path = "/api/v1/analytics/visitors", tag = "analytics",
    params(
        ("code" = Option<String>, Query, description = "Of one tag"),
        ("domain" = Option<String>, Query, description = "With code: for another than the default"),
        ("campaign" = Option<String>, Query, description = "Of one campaign; with neither, of the whole workspace"),
        ("from" = Option<String>, Query, description = "By default seven days before `to`; at most 50,000 days"),
        ("to" = Option<String>, Query, description = "By default now"),
        ("bots" = Option<String>, Query, description = "exclude (the default), include or only; HEAD and prefetches go with the bots")
    ),
    responses(
        (status = 200, description = "The counts", body = VisitorsAnswer),
        (status = 400, description = "A parameter is not valid", body = ProblemDetails),
        (status = 404, description = "The tag does not exist, or not in this workspace", body = ProblemDetails)
    )
)]
pub(crate) async fn visitors(
    State(admin): State<Admin>,
    who: Principal,
    params: Params,
) -> Result<Json<VisitorsAnswer>, Problem> {
    let params = params.allow(&PARAMETERS)?;
    let select = select(&admin, &who, &params)?;
    let (from, to) = range(&params, admin.now(), WEEK)?;
    let bots = params.parsed::<Bots>("bots")?.unwrap_or_default();
    let query = VisitorQuery::new(select, (from, to), bots)
        .map_err(|error| refused(&params, "from", &error))?;
    let days = admin.store().visitor_days(&who.workspace, &query).await;
    let days = days.map_err(|error| not_answered(&error))?;
    let sum = |of: fn(&VisitorDay) -> u64| days.iter().map(of).sum::<u64>();
    let (total, visitor_days) = (sum(|day| day.scans), sum(|day| day.visitors));
    Ok(Json(VisitorsAnswer {
        total,
        visitor_days,
        repeated: total - visitor_days,
        from,
        to,
        series: days.into_iter().map(Into::into).collect(),
    }))
}
