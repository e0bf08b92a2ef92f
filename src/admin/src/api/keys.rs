//! `/api/v1/keys`: who may use this API, in one workspace.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use tags::Role;

use super::params::Params;
use super::schema::{KeyAnswer, KeyList, KeyWithSecret, NewKeyFields};
use super::segment::Segment;
use super::to_the_end;
use crate::auth::Principal;
use crate::body::Body;
use crate::problem::{Problem, ProblemDetails};
use crate::service::Admin;

/// Makes a key. Its secret is shown this once.
#[utoipa::path(
    post, path = "/api/v1/keys", tag = "settings", request_body = NewKeyFields,
    responses(
        (status = 201, description = "The key", body = KeyWithSecret),
        (status = 422, description = "A field is not valid", body = ProblemDetails)
    )
)]
pub(crate) async fn create(
    State(admin): State<Admin>,
    who: Principal,
    params: Params,
    body: Body,
) -> Result<(StatusCode, Json<KeyWithSecret>), Problem> {
    who.require(Role::Owner)?;
    params.allow(&[])?;
    let new = to_the_end(async move { admin.create_key(&who, body).await }).await?;
    Ok((StatusCode::CREATED, Json(new.into())))
}

/// Lists the workspace's keys, also revoked ones.
#[utoipa::path(
    get, path = "/api/v1/keys", tag = "settings",
    responses((status = 200, description = "The keys, without secrets", body = KeyList))
)]
pub(crate) async fn list(
    State(admin): State<Admin>,
    who: Principal,
    params: Params,
) -> Result<Json<KeyList>, Problem> {
    who.require(Role::Owner)?;
    params.allow(&[])?;
    Ok(Json(KeyList {
        items: admin
            .index()
            .keys(&who.workspace)?
            .iter()
            .map(KeyAnswer::from)
            .collect(),
    }))
}

/// Revokes a key at once.
#[utoipa::path(
    delete, path = "/api/v1/keys/{id}", tag = "settings", params(("id" = String, Path)),
    responses(
        (status = 204, description = "It is revoked"),
        (status = 404, description = "There is none, or it is another workspace's", body = ProblemDetails),
        (status = 409, description = "It is the last owner's", body = ProblemDetails)
    )
)]
pub(crate) async fn revoke(
    State(admin): State<Admin>,
    who: Principal,
    Segment(id): Segment,
    params: Params,
) -> Result<StatusCode, Problem> {
    who.require(Role::Owner)?;
    params.allow(&[])?;
    to_the_end(async move { admin.revoke_key(&who, &id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}
