//! `/api/v1/alerts`: what somebody should look at, as the admin has found it.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::blocking;
use super::params::Params;
use super::tags::named;
use crate::alerts::{Alert, AlertCursor, AlertFilter, AlertKind, Cause};
use crate::auth::Principal;
use crate::problem::{Problem, ProblemDetails};
use crate::service::Admin;

const DEFAULT_PAGE: u32 = 50;
const MAX_PAGE: u32 = 500;

/// Lists what the admin has found, newest first. The newest 10,000 of a workspace are kept.
#[utoipa::path(
    get, path = "/api/v1/alerts", tag = "history",
    params(
        ("code" = Option<String>, Query, description = "About this tag alone"),
        ("domain" = Option<String>, Query, description = "With `code`: for another than the default"),
        ("kind" = Option<String>, Query, description = "`blocklist`, `rate` or `country`"),
        ("cursor" = Option<String>, Query, description = "next_cursor of the page before"),
        ("limit" = Option<u32>, Query, description = "1 to 500, by default 50", minimum = 1, maximum = 500)
    ),
    responses(
        (status = 200, description = "A page", body = AlertList),
        (status = 404, description = "There is no such tag in this workspace", body = ProblemDetails)
    )
)]
pub(crate) async fn list(
    State(admin): State<Admin>,
    who: Principal,
    params: Params,
) -> Result<Json<AlertList>, Problem> {
    let params = params.allow(&["code", "domain", "kind", "cursor", "limit"])?;
    let tag = match params.text("code") {
        Some(code) => {
            let tag = admin.find_tag(&who, &named(code, &params)?)?;
            Some((tag.domain, tag.code))
        }
        None if params.text("domain").is_some() => {
            return Err(Problem::parameter("domain", "means nothing without code."));
        }
        None => None,
    };
    let kind = params.parsed::<AlertKind>("kind")?;
    let filter = AlertFilter { tag, kind };
    let not_ours = || Problem::parameter("cursor", "is not one that this API gave out.");
    let cursor = params.text("cursor");
    let cursor = cursor.map(|text| AlertCursor::decode(text).ok_or_else(not_ours));
    let cursor = cursor.transpose()?;
    let limit = params.integer("limit", 1, MAX_PAGE)?;
    let limit = limit.unwrap_or(DEFAULT_PAGE) as usize;
    let page = blocking(move || {
        let page = admin.alerts().page(&who.workspace, &filter, cursor, limit);
        page.map_err(|error| Problem::internal(&error))
    });
    let page = page.await?;
    Ok(Json(AlertList {
        items: page.items.into_iter().map(AlertAnswer::from).collect(),
        next_cursor: page.next.map(AlertCursor::encode),
    }))
}

/// Something that somebody should look at. It never changes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Alert)]
pub(crate) struct AlertAnswer {
    #[schema(example = "al_k3x9m2p7q4wz")]
    id: String,
    /// `blocklist`: it leads to a host that has been put on a blocklist since. `rate`: it was scanned far more often in an hour than it usually
    /// is. `country`: it was scanned in an hour from a country from where it usually is not, or by far fewer.
    kind: &'static str,
    /// The tag's domain, or the one that it is about; null: it is about the workspace.
    domain: Option<String>,
    /// The tag's code; null: it is about no tag.
    code: Option<String>,
    #[serde(flatten)]
    cause: CauseAnswer,
    /// When it was found.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Alert> for AlertAnswer {
    fn from(alert: Alert) -> Self {
        let kind = alert.cause.kind().as_str();
        Self {
            id: alert.id,
            kind,
            domain: alert.about.domain.map(|domain| domain.to_string()),
            code: alert.about.code.map(|code| code.to_string()),
            cause: alert.cause.into(),
            created_at: alert.created_at,
        }
    }
}

/// What was found. Each kind has fields of its own.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = AlertCause)]
pub(crate) struct CauseAnswer {
    /// With `blocklist`: the host that it leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    /// With `blocklist`: the name of the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Option<String>,
    /// With `blocklist`: what the list has: the host, or a domain above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<String>,
    /// With `country`: ISO 3166-1 alpha-2.
    #[schema(example = "BR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<String>,
    /// With `rate` and `country`: when the hour begins.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    hour: Option<Timestamp>,
    /// With `rate` and `country`: how many scans by people there were in that hour, with `country` from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    observed: Option<u64>,
    /// With `rate` and `country`: how many there usually are: the median of the hours that it was compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<f64>,
}

impl From<Cause> for CauseAnswer {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Blocklist { host, list, entry } => Self {
                host: Some(host),
                list: Some(list),
                entry: Some(entry),
                ..Self::default()
            },
            Cause::Rate {
                hour,
                observed,
                expected,
            } => Self {
                hour: Some(hour),
                observed: Some(observed),
                expected: Some(expected),
                ..Self::default()
            },
            Cause::Country {
                country,
                hour,
                observed,
                expected,
            } => Self {
                country: Some(country),
                ..Self::from(Cause::Rate {
                    hour,
                    observed,
                    expected,
                })
            },
        }
    }
}

/// A page of alerts, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlertList {
    items: Vec<AlertAnswer>,
    /// Give it as `cursor` to have the next page; null on the last.
    next_cursor: Option<String>,
}
