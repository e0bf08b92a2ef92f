//! `/api/v1/analytics/peaks`: at which hours of the week.

use std::collections::BTreeMap;

use analytics::{Bots, Interval, Peaks, ScanQuery};
use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tags::Day;
use utoipa::ToSchema;

use super::analytics::{not_answered, range, refused, select, zone};
use super::params::Params;
use crate::auth::Principal;
use crate::problem::{Problem, ProblemDetails};
use crate::service::Admin;

const PARAMETERS: [&str; 7] = [
    "code",
    "domain",
    "campaign",
    "from",
    "to",
    "time_zone",
    "bots",
];
/// The range by default: each hour of the week as often as every other, where no clock is changed.
const FOUR_WEEKS: SignedDuration = SignedDuration::from_hours(28 * 24);

/// The scans of each hour of the week.
#[derive(Serialize, ToSchema)]
#[schema(as = Peaks)]
pub(crate) struct PeaksAnswer {
    total: u64,
    /// The range, `from` inside and `to` outside.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    /// On whose clocks the hours are.
    time_zone: String,
    /// For each of `mon tue wed thu fri sat sun`, the scans of its 24 hours, from midnight; summed over the weeks of the range.
    #[schema(value_type = BTreeMap<String, Vec<u64>>)]
    hours: BTreeMap<&'static str, [u64; 24]>,
}

/// Counts scans by the day of the week and the hour, on the clocks of a time zone.
///
/// Where clocks are set back, an hour that comes twice is one here; where they are set forth, one is missing.
#[utoipa::path(
    get, path = "/api/v1/analytics/peaks", tag = "analytics",
    params(
        ("code" = Option<String>, Query, description = "Of one tag"),
        ("domain" = Option<String>, Query, description = "With code: for another than the default"),
        ("campaign" = Option<String>, Query, description = "Of one campaign; with neither, of the whole workspace"),
        ("from" = Option<String>, Query, description = "By default four weeks before `to`; at most 50,000 hours"),
        ("to" = Option<String>, Query, description = "By default now"),
        ("time_zone" = Option<String>, Query, description = "A name of the IANA database, by default UTC", example = "Europe/Berlin"),
        ("bots" = Option<String>, Query, description = "exclude (the default), include or only; HEAD and prefetches go with the bots")
    ),
    responses(
        (status = 200, description = "The counts", body = PeaksAnswer),
        (status = 400, description = "A parameter is not valid", body = ProblemDetails),
        (status = 404, description = "The tag does not exist, or not in this workspace", body = ProblemDetails)
    )
)]
pub(crate) async fn peaks(
    State(admin): State<Admin>,
    who: Principal,
    params: Params,
) -> Result<Json<PeaksAnswer>, Problem> {
    let params = params.allow(&PARAMETERS)?;
    let select = select(&admin, &who, &params)?;
    let range = range(&params, admin.now(), FOUR_WEEKS)?;
    let zone = zone(&params)?;
    let bots = params.parsed::<Bots>("bots")?.unwrap_or_default();
    let query = ScanQuery::new(select, range, Interval::Hour, &[], bots)
        .and_then(|query| query.in_zone(&zone))
        .map_err(|error| refused(&params, "from", &error))?;
    let report = admin.store().scans(&who.workspace, &query).await;
    let report = report.map_err(|error| not_answered(&error))?;
    let peaks = Peaks::of(&report.series, &zone);
    let peaks = peaks.map_err(|error| refused(&params, "from", &error))?;
    let days = Day::ALL.iter().map(|day| day.as_str());
    Ok(Json(PeaksAnswer {
        total: report.total,
        from: query.from(),
        to: query.to(),
        time_zone: zone.to_string(),
        hours: days.zip(*peaks.hours()).collect(),
    }))
}
