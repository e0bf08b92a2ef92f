//! `/api/v1/domains`: the host names that answer a workspace's short URLs.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use tags::Role;

use super::params::Params;
use super::schema::{DomainAnswer, DomainList, DomainPatch, NewDomain};
use super::segment::Segment;
use super::to_the_end;
use crate::auth::Principal;
use crate::body::Body;
use crate::problem::{Problem, ProblemDetails};
use crate::service::Admin;

/// Adds a domain to the workspace.
#[utoipa::path(
    post, path = "/api/v1/domains", tag = "settings", request_body = NewDomain,
    responses(
        (status = 201, description = "The domain", body = DomainAnswer),
        (status = 409, description = "It is in use", body = ProblemDetails),
        (status = 422, description = "A field is not valid", body = ProblemDetails)
    )
)]
pub(crate) async fn create(
    State(admin): State<Admin>,
    who: Principal,
    params: Params,
    body: Body,
) -> Result<(StatusCode, Json<DomainAnswer>), Problem> {
    who.require(Role::Owner)?;
    params.allow(&[])?;
    let domain = to_the_end(async move { admin.create_domain(&who, body).await }).await?;
    Ok((StatusCode::CREATED, Json(DomainAnswer::from(&domain))))
}

/// Lists the domains on which the workspace may make tags.
#[utoipa::path(
    get, path = "/api/v1/domains", tag = "settings",
    responses((status = 200, description = "The domains", body = DomainList))
)]
pub(crate) async fn list(
    State(admin): State<Admin>,
    who: Principal,
    params: Params,
) -> Result<Json<DomainList>, Problem> {
    params.allow(&[])?;
    Ok(Json(DomainList {
        items: admin
            .index()
            .domains(&who.workspace)?
            .iter()
            .map(DomainAnswer::from)
            .collect(),
    }))
}

/// Changes a domain: a JSON merge patch (RFC 7396).
#[utoipa::path(
    patch, path = "/api/v1/domains/{name}", tag = "settings", request_body = DomainPatch, params(("name" = String, Path)),
    responses(
        (status = 200, description = "The domain", body = DomainAnswer),
        (status = 404, description = "There is none, or it is another's", body = ProblemDetails),
        (status = 422, description = "A field is not valid", body = ProblemDetails)
    )
)]
pub(crate) async fn patch(
    State(admin): State<Admin>,
    who: Principal,
    Segment(name): Segment,
    params: Params,
    body: Body,
) -> Result<Json<DomainAnswer>, Problem> {
    who.require(Role::Owner)?;
    params.allow(&[])?;
    let domain = to_the_end(async move { admin.patch_domain(&who, &name, body).await }).await?;
    Ok(Json(DomainAnswer::from(&domain)))
}
