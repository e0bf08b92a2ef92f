//! `/api/v1/domains`: the host names that answer a workspace's short URLs.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tags::DomainClaim;
use utoipa::ToSchema;

use super::once::{Once, once};
use super::params::Params;
use super::schema::{DomainAnswer, DomainList, DomainPatch, EditedDomain, NewDomain};
use super::segment::Segment;
use super::to_the_end;
use super::wait::{Wait, WaitParams};
use crate::auth::Principal;
use crate::body::Body;
use crate::edits::{Edited, OwnDomain};
use crate::problem::{Problem, ProblemDetails};
use crate::proof::Challenge;
use crate::service::Admin;

/// Adds a domain to the workspace. Unless the workspace is `default`, or the installation asks for no proof, it is `pending` at first, and its
/// `challenge` says how to prove that it is the workspace's.
#[utoipa::path(
    post, path = "/api/v1/domains", tag = "settings", request_body = NewDomain,
    params(
        WaitParams,
        ("Idempotency-Key" = Option<String>, Header, description = "The same request with the same key makes nothing more within 24 h, and is answered as before")
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

/// Lists the domains on which the workspace may make tags, and then those that wait for their proof.
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
    let tenant = admin.tenant(&who);
    let verified = tenant.domains()?.into_iter().map(OwnDomain::Verified);
    let pending = tenant.claims()?.into_iter().map(OwnDomain::Pending);
    let all = verified.chain(pending);
    Ok(Json(DomainList {
        items: all.map(|domain| DomainAnswer::from(&domain)).collect(),
    }))
}

/// Changes a domain: a JSON merge patch (RFC 7396).
#[utoipa::path(
    patch, path = "/api/v1/domains/{name}", tag = "settings", request_body = DomainPatch,
    params(
        WaitParams,
        ("name" = String, Path)
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
    let wait = Wait::read(&params.allow(&Wait::PARAMETERS)?)?;
    let edited = to_the_end(admin.judging(), {
        let admin = admin.clone();
        async move { admin.patch_domain(&who, &name, body).await }
    })
    .await?;
    Ok(Json(edited_answer(&admin, &edited, wait).await))
}

/// Looks for the proof that a domain is the workspace's, and makes it so.
#[utoipa::path(
    post, path = "/api/v1/domains/{name}/verify", tag = "settings",
    params(
        WaitParams,
        ("name" = String, Path)
    ),
    responses(
        (status = 200, description = "It is the workspace's", body = EditedDomain),
        (status = 404, description = "There is none, or it is another's", body = ProblemDetails),
        (status = 409, description = "There is no proof, and `detail` says what was found; or the domain is in use, or leads to a host on a blocklist by now", body = ProblemDetails)
    )
)]
pub(crate) async fn verify(
    State(admin): State<Admin>,
    who: Principal,
    Segment(name): Segment,
    params: Params,
) -> Result<Json<EditedDomain>, Problem> {
    let wait = Wait::read(&params.allow(&Wait::PARAMETERS)?)?;
    let edited = to_the_end(admin.judging(), {
        let admin = admin.clone();
        async move { admin.verify_domain(&who, &name).await }
    })
    .await?;
    Ok(Json(edited_answer(&admin, &edited, wait).await))
}

/// Withdraws a domain that waits for its proof.
#[utoipa::path(
    delete, path = "/api/v1/domains/{name}", tag = "settings", params(("name" = String, Path)),
    responses(
        (status = 204, description = "It is wanted no more"),
        (status = 404, description = "There is none, or it is another's", body = ProblemDetails),
        (status = 409, description = "It is verified: printed codes may lead there", body = ProblemDetails)
    )
)]
pub(crate) async fn withdraw(
    State(admin): State<Admin>,
    who: Principal,
    Segment(name): Segment,
    params: Params,
) -> Result<StatusCode, Problem> {
    params.allow(&[])?;
    to_the_end(admin.judging(), async move {
        admin.withdraw_domain(&who, &name).await
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How a workspace proves that a domain is its own: one of both, then `POST …/verify`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Challenge)]
pub(crate) struct ChallengeAnswer {
    /// The token that both have.
    token: String,
    /// The name of a TXT record whose text is the token.
    #[schema(example = "_tagwire-challenge.qr.example.com")]
    txt_record: String,
    /// The URL of a file that has the token in a line of its own.
    #[schema(example = "http://qr.example.com/.well-known/tagwire-challenge")]
    file_url: String,
}

impl From<&OwnDomain> for DomainAnswer {
    fn from(domain: &OwnDomain) -> Self {
        let answer = Self::from(domain.settings());
        match domain {
            OwnDomain::Verified(_) => answer,
            OwnDomain::Pending(claim) => answer.pending(claim.into()),
        }
    }
}

impl From<&DomainClaim> for ChallengeAnswer {
    fn from(claim: &DomainClaim) -> Self {
        let challenge = Challenge {
            domain: &claim.domain.name,
            token: &claim.token,
        };
        Self {
            token: claim.token.clone(),
            txt_record: challenge.record_name(),
            file_url: challenge.file_url(),
        }
    }
}

/// The answer to an edit, once who was to be waited for has been.
async fn edited_answer(admin: &Admin, edited: &Edited<OwnDomain>, wait: Wait) -> EditedDomain {
    EditedDomain {
        propagation: wait.propagation(admin, &edited.commit).await,
        domain: DomainAnswer::from(&edited.what),
    }
}
