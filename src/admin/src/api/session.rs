//! `/api/v1/session`: signing in with a browser, and out again.

use std::time::Instant;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use tags::{Email, PasswordHash, User, WorkspaceId};
use utoipa::ToSchema;

use super::params::Params;
use super::users::UserAnswer;
use crate::auth::Remote;
use crate::body::Body;
use crate::fields::Given;
use crate::index::Tenant;
use crate::problem::{Problem, ProblemDetails};
use crate::service::Admin;
use crate::sessions::{COOKIE, Session, SignedIn, session_token};

/// What an unknown person's password is compared with, so that it takes as long as a known one's. No password matches it.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Signs a user in: the answer sets a cookie, which is good for twelve hours, and a token that has to come with every write.
#[utoipa::path(
    post, path = "/api/v1/session", tag = "settings", request_body = Credentials,
    responses(
        (status = 201, description = "The session", body = SessionAnswer, headers(("Set-Cookie" = String))),
        (status = 401, description = "The workspace, address or password is wrong", body = ProblemDetails),
        (status = 422, description = "A field is not valid", body = ProblemDetails),
        (status = 429, description = "Too many attempts; see `Retry-After`", body = ProblemDetails, headers(("Retry-After" = u64)))
    )
)]
pub(crate) async fn create(
    State(admin): State<Admin>,
    Remote(remote): Remote,
    params: Params,
    body: Body,
) -> Result<Response, Problem> {
    params.allow(&[])?;
    let mut fields = body.fields()?;
    let workspace = fields.word::<WorkspaceId>("workspace");
    let workspace = workspace
        .value()
        .unwrap_or_else(WorkspaceId::default_workspace);
    let email = fields.word::<Email>("email");
    let password = fields.text("password");
    for (name, missing) in [
        ("email", !fields.has("email") || email == Given::Null),
        (
            "password",
            !fields.has("password") || password == Given::Null,
        ),
    ] {
        if missing {
            fields.refuse(name, "is required");
        }
    }
    fields.finish(&[])?;
    let (Some(email), Some(password)) = (email.value(), password.value()) else {
        return Err(Problem::field("password", "is required"));
    };
    let account = (workspace.as_str(), email.as_str());
    let begun = admin.attempts().begin(account, &remote, Instant::now());
    begun.map_err(Problem::too_many)?;
    let tenant = Tenant::new(admin.index().clone(), workspace.clone());
    let user = tenant.user_by_email(&email)?;
    let kept = user.as_ref().map(|user| user.password.clone());
    let kept = kept.unwrap_or_else(|| PasswordHash(NOBODY.to_owned()));
    let matches = admin.passwords().verify(password, kept).await?;
    let Some(user) = user.filter(|_| matches) else {
        return Err(Problem::unauthorized(
            "The workspace, the address or the password is wrong.",
        ));
    };
    admin.attempts().succeeded(account, &remote);
    let begun = admin.sessions().begin(&user, admin.now());
    let (token, session) = begun.map_err(|error| Problem::internal(&error))?;
    let answer = (
        StatusCode::CREATED,
        Json(SessionAnswer::new(&user, session)),
    );
    // Of this host and HTTPS alone, out of reach of scripts, and not sent with what other sites make a browser do.
    with_cookie(
        answer,
        &format!("{COOKIE}={token}; Path=/; Secure; HttpOnly; SameSite=Lax"),
    )
}

/// Tells who is signed in, with the token for writes.
#[utoipa::path(
    get, path = "/api/v1/session", tag = "settings",
    responses((status = 200, description = "The session", body = SessionAnswer))
)]
pub(crate) async fn get(
    Extension(SignedIn { user, session }): Extension<SignedIn>,
    params: Params,
) -> Result<Json<SessionAnswer>, Problem> {
    params.allow(&[])?;
    Ok(Json(SessionAnswer::new(&user, session)))
}

/// Signs out.
#[utoipa::path(
    delete, path = "/api/v1/session", tag = "settings",
    params(("X-CSRF-Token" = Option<String>, Header, description = "The session's `csrf_token`")),
    responses((status = 204, description = "The session has ended"))
)]
pub(crate) async fn end(
    State(admin): State<Admin>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, Problem> {
    params.allow(&[])?;
    if let Some(token) = session_token(&headers) {
        admin.sessions().end(&token);
    }
    let forget = format!("{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
    with_cookie(StatusCode::NO_CONTENT, &forget)
}

fn with_cookie(answer: impl IntoResponse, cookie: &str) -> Result<Response, Problem> {
    let cookie = HeaderValue::from_str(cookie).map_err(|error| Problem::internal(&error))?;
    let mut response = answer.into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// A session.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(crate) struct SessionAnswer {
    user: UserAnswer,
    /// Has to come with every write, as `X-CSRF-Token`.
    csrf_token: String,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

impl SessionAnswer {
    fn new(user: &User, session: Session) -> Self {
        Self {
            user: UserAnswer::from(user),
            csrf_token: session.csrf_token,
            expires_at: session.expires_at,
        }
    }
}

/// Who signs in.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents what `create` reads")]
pub(crate) struct Credentials {
    /// The workspace's id; without it, `default`.
    workspace: Option<String>,
    #[schema(example = "ada@example.com")]
    email: String,
    password: String,
}
