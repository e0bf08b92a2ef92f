//! `/api/v1/keys`: who may use this API, in one workspace.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tags::Role;

use super::once::{Once, made_before, once};
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
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "The same request with the same key makes nothing more within 24 h, and is answered as before")
    ),
    responses(
        (status = 201, description = "The key", body = KeyWithSecret),
        (status = 409, description = "The same request is under way", body = ProblemDetails),
        (status = 422, description = "A field is not valid", body = ProblemDetails)
    )
)]
pub(crate) async fn create(
    State(admin): State<Admin>,
    who: Principal,
    params: Params,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    who.require(Role::Owner)?;
    params.allow(&[])?;
    let answer = |_: &Admin, new: &_| serde_json::to_vec(&KeyWithSecret::from(new));
    let once = once(&admin, who, &headers, "POST /keys", body, answer, {
        let admin = admin.clone();
        |who, body, keep| async move { admin.create_key(&who, body, &keep).await }
    });
    Ok(match once.await? {
        Once::Before(answer) => made_before(answer),
        Once::Made(new) => (StatusCode::CREATED, Json(KeyWithSecret::from(&new))).into_response(),
    })
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
