//! `/api/v1/users`: the people of a workspace.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use tags::User;
use utoipa::ToSchema;

use super::params::Params;
use super::segment::Segment;
use super::to_the_end;
use crate::auth::Principal;
use crate::body::Body;
use crate::problem::{Problem, ProblemDetails};
use crate::service::Admin;

/// Lists the workspace's users.
#[utoipa::path(
    get, path = "/api/v1/users", tag = "settings",
    responses((status = 200, description = "The users", body = UserList))
)]
pub(crate) async fn list(
    State(admin): State<Admin>,
    who: Principal,
    params: Params,
) -> Result<Json<UserList>, Problem> {
    params.allow(&[])?;
    let users = admin.tenant(&who).users()?;
    Ok(Json(UserList {
        items: users.iter().map(UserAnswer::from).collect(),
    }))
}

/// Reads a user.
#[utoipa::path(
    get, path = "/api/v1/users/{id}", tag = "settings", params(("id" = String, Path)),
    responses(
        (status = 200, description = "The user", body = UserAnswer),
        (status = 404, description = "There is none, or it is another workspace's", body = ProblemDetails)
    )
)]
pub(crate) async fn get(
    State(admin): State<Admin>,
    who: Principal,
    Segment(id): Segment,
    params: Params,
) -> Result<Json<UserAnswer>, Problem> {
    params.allow(&[])?;
    let user = admin.find_user(&who, &id)?;
    Ok(Json(UserAnswer::from(&user)))
}

/// Changes a user: a JSON merge patch (RFC 7396).
#[utoipa::path(
    patch, path = "/api/v1/users/{id}", tag = "settings", request_body = UserPatch, params(("id" = String, Path)),
    responses(
        (status = 200, description = "The user", body = UserAnswer),
        (status = 403, description = "Who asks may not change users, or may less than this one may or would, or gives more by a key that ends", body = ProblemDetails),
        (status = 404, description = "There is none, or it is another workspace's", body = ProblemDetails),
        (status = 409, description = "It is the last owner", body = ProblemDetails),
        (status = 422, description = "A field is not valid", body = ProblemDetails)
    )
)]
pub(crate) async fn patch(
    State(admin): State<Admin>,
    who: Principal,
    Segment(id): Segment,
    params: Params,
    body: Body,
) -> Result<Json<UserAnswer>, Problem> {
    params.allow(&[])?;
    let user = to_the_end(admin.judging(), async move {
        admin.patch_user(&who, &id, body).await
    })
    .await?;
    Ok(Json(UserAnswer::from(&user)))
}

/// Takes a user out of the workspace; their sessions end at once.
#[utoipa::path(
    delete, path = "/api/v1/users/{id}", tag = "settings", params(("id" = String, Path)),
    responses(
        (status = 204, description = "They may no longer sign in"),
        (status = 403, description = "Who asks may not change users, or may less than this one", body = ProblemDetails),
        (status = 404, description = "There is none, or it is another workspace's", body = ProblemDetails),
        (status = 409, description = "It is the last owner", body = ProblemDetails)
    )
)]
pub(crate) async fn remove(
    State(admin): State<Admin>,
    who: Principal,
    Segment(id): Segment,
    params: Params,
) -> Result<StatusCode, Problem> {
    params.allow(&[])?;
    to_the_end(admin.judging(), async move {
        admin.remove_user(&who, &id).await
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A person in one workspace.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub(crate) struct UserAnswer {
    id: String,
    workspace: String,
    email: String,
    name: String,
    role: &'static str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<&User> for UserAnswer {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.to_string(),
            workspace: user.workspace.to_string(),
            email: user.email.to_string(),
            name: user.name.clone(),
            role: user.role.as_str(),
            created_at: user.created_at,
        }
    }
}

/// What a request changes of a user.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents what `Admin::patch_user` reads")]
pub(crate) struct UserPatch {
    /// At most 200 characters.
    name: Option<String>,
    /// `owner`, `editor`, `analyst` or `viewer`.
    role: Option<String>,
}

/// A workspace's users.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserList {
    items: Vec<UserAnswer>,
}
