//! `/api/v1/domains`: the host names that answer a workspace's short URLs.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tags::{DomainSettings, Role};

use super::once::{Once, once};
use super::params::Params;
use super::schema::{DomainAnswer, DomainList, DomainPatch, EditedDomain, NewDomain};
use super::segment::Segment;
use super::to_the_end;
use super::wait::Wait;
use crate::auth::Principal;
use crate::body::Body;
use crate::edits::Edited;
use crate::problem::{Problem, ProblemDetails};
use crate::service::Admin;

/// Adds a domain to the workspace.
#[utoipa::path(
    post, path = "/api/v1/domains", tag = "settings", request_body = NewDomain,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "The same request with the same key makes nothing more within 24 h, and is answered as before"),
        ("wait" = Option<String>, Query, description = "`edges`: answer when every live edge has applied it, with `propagation`"),
        ("wait_timeout" = Option<u32>, Query, description = "With `wait`: seconds, 1 to 60, by default 5. Then the answer is given all the same, and names the edges that have not", minimum = 1, maximum = 60)
    ),
    responses(
        (status = 201, description = "The domain", body = EditedDomain),
        (status = 409, description = "It is in use, or the same request is under way", body = ProblemDetails),
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
    let wait = Wait::read(&params.allow(&Wait::PARAMETERS)?)?;
    let answer = |_: &Admin, domain: &_| serde_json::to_vec(&DomainAnswer::from(domain));
    let once = once(&admin, who, &headers, "POST /domains", body, answer, {
        let admin = admin.clone();
        |who, body, keep| async move { admin.create_domain(&who, body, &keep).await }
    });
    match once.await? {
        Once::Before(answer) => wait.made_before(&admin, answer).await,
        Once::Made(edited) => {
            let answer = edited_answer(&admin, &edited, wait).await;
            Ok((StatusCode::CREATED, Json(answer)).into_response())
        }
    }
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
    patch, path = "/api/v1/domains/{name}", tag = "settings", request_body = DomainPatch,
    params(
        ("name" = String, Path),
        ("wait" = Option<String>, Query, description = "`edges`: answer when every live edge has applied it, with `propagation`"),
        ("wait_timeout" = Option<u32>, Query, description = "With `wait`: seconds, 1 to 60, by default 5. Then the answer is given all the same, and names the edges that have not", minimum = 1, maximum = 60)
    ),
    responses(
        (status = 200, description = "The domain", body = EditedDomain),
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
) -> Result<Json<EditedDomain>, Problem> {
    who.require(Role::Owner)?;
    let wait = Wait::read(&params.allow(&Wait::PARAMETERS)?)?;
    let edited = to_the_end({
        let admin = admin.clone();
        async move { admin.patch_domain(&who, &name, body).await }
    })
    .await?;
    Ok(Json(edited_answer(&admin, &edited, wait).await))
}

/// The answer to an edit, once who was to be waited for has been.
async fn edited_answer(admin: &Admin, edited: &Edited<DomainSettings>, wait: Wait) -> EditedDomain {
    EditedDomain {
        propagation: wait.propagation(admin, &edited.commit).await,
        domain: DomainAnswer::from(&edited.what),
    }
}
