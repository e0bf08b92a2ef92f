//! `/api/v1/workspaces`: tenants.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tags::WorkspaceId;

use super::once::{Once, made_before, once};
use super::params::Params;
use super::schema::{NewWorkspaceAnswer, WorkspaceAnswer, WorkspaceFields, WorkspaceList};
use super::segment::Segment;
use super::to_the_end;
use crate::auth::Principal;
use crate::body::Body;
use crate::problem::{Problem, ProblemDetails};
use crate::service::Admin;

/// Makes a workspace. Its owner's key is shown this once.
#[utoipa::path(
    post, path = "/api/v1/workspaces", tag = "settings", request_body = WorkspaceFields,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "The same request with the same key makes nothing more within 24 h, and is answered as before")
    ),
    responses(
        (status = 409, description = "The same request is under way", body = ProblemDetails),
        (status = 201, description = "The workspace and its first key", body = NewWorkspaceAnswer),
        (status = 403, description = "Only an owner of the workspace `default` may, and by no key or secret that ends", body = ProblemDetails),
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
    params.allow(&[])?;
    let answer = |_: &Admin, new: &_| serde_json::to_vec(&NewWorkspaceAnswer::from(new));
    let once = once(&admin, who, &headers, "POST /workspaces", body, answer, {
        let admin = admin.clone();
        |who, body, keep| async move { admin.create_workspace(&who, body, &keep).await }
    });
    Ok(match once.await? {
        Once::Before(answer) => made_before(answer),
        Once::Made(new) => {
            (StatusCode::CREATED, Json(NewWorkspaceAnswer::from(&new))).into_response()
        }
    })
}

/// Lists the workspaces that the key may see: all, for an owner of `default`; else its own.
#[utoipa::path(
    get, path = "/api/v1/workspaces", tag = "settings",
    responses((status = 200, description = "The workspaces", body = WorkspaceList))
)]
pub(crate) async fn list(
    State(admin): State<Admin>,
    who: Principal,
    params: Params,
) -> Result<Json<WorkspaceList>, Problem> {
    params.allow(&[])?;
    let workspaces = match admin.installation(&who) {
        Ok(installation) => installation.workspaces()?,
        Err(_) => admin.tenant(&who).workspace()?.into_iter().collect(),
    };
    Ok(Json(WorkspaceList {
        items: workspaces.iter().map(WorkspaceAnswer::from).collect(),
    }))
}

/// Reads the key's workspace.
#[utoipa::path(
    get, path = "/api/v1/workspaces/{id}", tag = "settings", params(("id" = String, Path)),
    responses(
        (status = 200, description = "The workspace", body = WorkspaceAnswer),
        (status = 404, description = "There is none, or it is another's", body = ProblemDetails)
    )
)]
pub(crate) async fn get(
    State(admin): State<Admin>,
    who: Principal,
    Segment(id): Segment,
    params: Params,
) -> Result<Json<WorkspaceAnswer>, Problem> {
    params.allow(&[])?;
    let id = WorkspaceId::parse(&id).map_err(|_| Problem::not_found("workspace"))?;
    let workspace = admin.find_workspace(&who, &id)?;
    Ok(Json(WorkspaceAnswer::from(&workspace)))
}

/// Changes the key's workspace, or for an owner of `default` any: a JSON merge patch (RFC 7396). Limits are for an owner of `default` to set.
#[utoipa::path(
    patch, path = "/api/v1/workspaces/{id}", tag = "settings", request_body = WorkspaceFields, params(("id" = String, Path)),
    responses(
        (status = 200, description = "The workspace", body = WorkspaceAnswer),
        (status = 404, description = "There is none, or it is another's", body = ProblemDetails),
        (status = 422, description = "A field is not valid", body = ProblemDetails)
    )
)]
pub(crate) async fn patch(
    State(admin): State<Admin>,
    who: Principal,
    Segment(id): Segment,
    params: Params,
    body: Body,
) -> Result<Json<WorkspaceAnswer>, Problem> {
    params.allow(&[])?;
    let workspace = to_the_end(admin.judging(), async move {
        admin.patch_workspace(&who, &id, body).await
    })
    .await?;
    Ok(Json(WorkspaceAnswer::from(&workspace)))
}
