//! `/api/v1/invitations`: how people come into a workspace.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use tags::Invitation;
use utoipa::ToSchema;

use super::once::{Once, made_before, once};
use super::params::Params;
use super::segment::Segment;
use super::to_the_end;
use super::users::UserAnswer;
use crate::auth::{Principal, Remote};
use crate::body::Body;
use crate::edits::NewInvitation;
use crate::problem::{Problem, ProblemDetails};
use crate::service::Admin;

/// Invites someone into the workspace. The token, by which they accept within a week, is shown this once; it is for who invites to send.
#[utoipa::path(
    post, path = "/api/v1/invitations", tag = "settings", request_body = InvitationFields,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "The same request with the same key makes nothing more within 24 h, and is answered as before")
    ),
    responses(
        (status = 201, description = "The invitation", body = InvitationWithToken),
        (status = 403, description = "Who asks may not invite, or may less than this role, or asks with a key that ends", body = ProblemDetails),
        (status = 409, description = "They are a user already, or too many invitations wait, or the same request is under way", body = ProblemDetails),
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
    let answer = |_: &Admin, new: &_| serde_json::to_vec(&InvitationWithToken::from(new));
    let once = once(&admin, who, &headers, "POST /invitations", body, answer, {
        let admin = admin.clone();
        |who, body, keep| async move { admin.invite(&who, body, &keep).await }
    });
    Ok(match once.await? {
        Once::Before(answer) => made_before(answer),
        Once::Made(new) => {
            (StatusCode::CREATED, Json(InvitationWithToken::from(&new))).into_response()
        }
    })
}

/// Lists the invitations that were neither accepted nor withdrawn.
#[utoipa::path(
    get, path = "/api/v1/invitations", tag = "settings",
    responses((status = 200, description = "The invitations, without tokens", body = InvitationList))
)]
pub(crate) async fn list(
    State(admin): State<Admin>,
    who: Principal,
    params: Params,
) -> Result<Json<InvitationList>, Problem> {
    params.allow(&[])?;
    let invitations = admin.tenant(&who).invitations()?;
    Ok(Json(InvitationList {
        items: invitations.iter().map(InvitationAnswer::from).collect(),
    }))
}

/// Withdraws an invitation at once.
#[utoipa::path(
    delete, path = "/api/v1/invitations/{id}", tag = "settings", params(("id" = String, Path)),
    responses(
        (status = 204, description = "It cannot be accepted any more"),
        (status = 404, description = "There is none, it is over, or it is another workspace's", body = ProblemDetails)
    )
)]
pub(crate) async fn withdraw(
    State(admin): State<Admin>,
    who: Principal,
    Segment(id): Segment,
    params: Params,
) -> Result<StatusCode, Problem> {
    params.allow(&[])?;
    to_the_end(admin.judging(), async move {
        admin.withdraw_invitation(&who, &id).await
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Accepts an invitation: whoever has its token becomes a user of the workspace, and the token is of no more use.
#[utoipa::path(
    post, path = "/api/v1/invitations/accept", tag = "settings", request_body = AcceptanceFields,
    responses(
        (status = 201, description = "The user", body = UserAnswer),
        (status = 404, description = "There is no such invitation, or it is over", body = ProblemDetails),
        (status = 422, description = "A field is not valid", body = ProblemDetails)
    )
)]
pub(crate) async fn accept(
    State(admin): State<Admin>,
    Remote(remote): Remote,
    params: Params,
    body: Body,
) -> Result<(StatusCode, Json<UserAnswer>), Problem> {
    params.allow(&[])?;
    let user = to_the_end(admin.judging(), async move {
        admin.accept_invitation(&remote, body).await
    })
    .await?;
    Ok((StatusCode::CREATED, Json(UserAnswer::from(&user))))
}

/// An invitation, without its token.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Invitation)]
pub(crate) struct InvitationAnswer {
    id: String,
    email: String,
    role: &'static str,
    /// The key or user that invites.
    invited_by: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// From when on it cannot be accepted.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

impl From<&Invitation> for InvitationAnswer {
    fn from(invitation: &Invitation) -> Self {
        Self {
            id: invitation.id.to_string(),
            email: invitation.email.to_string(),
            role: invitation.role.as_str(),
            invited_by: invitation.invited_by.clone(),
            created_at: invitation.created_at,
            expires_at: invitation.expires_at,
        }
    }
}

/// An invitation with its token, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvitationWithToken {
    #[serde(flatten)]
    invitation: InvitationAnswer,
    token: String,
}

impl From<&NewInvitation> for InvitationWithToken {
    fn from(new: &NewInvitation) -> Self {
        Self {
            invitation: InvitationAnswer::from(&new.invitation),
            token: new.token.clone(),
        }
    }
}

/// Who is invited.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents what `Admin::invite` reads")]
pub(crate) struct InvitationFields {
    #[schema(example = "ada@example.com")]
    email: String,
    /// `owner`, `editor`, `analyst` or `viewer`.
    role: String,
}

/// How an invitation is accepted.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents what `Admin::accept_invitation` reads")]
pub(crate) struct AcceptanceFields {
    /// The invitation's.
    token: String,
    /// At most 200 characters.
    name: String,
    /// 12 to 256 characters.
    #[schema(min_length = 12, max_length = 256)]
    password: String,
}

/// A workspace's invitations.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InvitationList {
    items: Vec<InvitationAnswer>,
}
