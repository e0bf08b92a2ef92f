//! `/api/v1/erasures`: taking from a day's scans whatever tells of one visitor.

use axum::Json;
use axum::extract::State;
use jiff::civil::Date;
use serde::Serialize;
use utoipa::ToSchema;

use super::params::Params;
use super::to_the_end;
use crate::auth::Principal;
use crate::body::Body;
use crate::edits::Erased;
use crate::problem::{Problem, ProblemDetails};
use crate::service::Admin;

/// Erases a visitor: empties, in the workspace's scans of a day, the hash, the network, the User-Agent, the languages, the referrer, and
/// what was made of them: device, system, browser and place. The scans stay and are counted as before. It can be asked until the end of the day
/// after (UTC). It is of what is stored by then: scans of that day that are stored later are erased by asking again.
#[utoipa::path(
    post, path = "/api/v1/erasures", tag = "analytics", request_body = ErasureFields,
    responses(
        (status = 200, description = "It is done", body = ErasureAnswer),
        (status = 429, description = "This workspace has an erasure under way, or all have as many as there may be", body = ProblemDetails),
        (status = 422, description = "A field is not valid; of a day that cannot be erased, the detail says which can be", body = ProblemDetails)
    )
)]
pub(crate) async fn create(
    State(admin): State<Admin>,
    who: Principal,
    params: Params,
    body: Body,
) -> Result<Json<ErasureAnswer>, Problem> {
    params.allow(&[])?;
    let judging = admin.judging();
    let Erased { day, scans } =
        to_the_end(
            judging,
            async move { admin.erase_visitor(&who, body).await },
        )
        .await?;
    Ok(Json(ErasureAnswer { day, scans }))
}

/// Whom to erase. It is in no log, no file and no answer.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents what `Admin::erase_visitor` reads")]
pub(crate) struct ErasureFields {
    /// The visitor's address, IPv4 or IPv6, as the edge saw it.
    #[schema(example = "203.0.113.9")]
    address: String,
    /// Their User-Agent to the letter; empty: they sent none. One that is not UTF-8 cannot be said here.
    user_agent: String,
    /// Yesterday or today, in UTC.
    #[schema(format = Date)]
    day: String,
}

/// What was erased.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Erasure)]
pub(crate) struct ErasureAnswer {
    #[schema(value_type = String, format = Date)]
    day: Date,
    /// How many scans told of the visitor until now.
    scans: u64,
}
