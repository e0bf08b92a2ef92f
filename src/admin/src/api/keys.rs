//! `/api/v1/keys`: who may use this API, in one workspace.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use tags::{ApiKey, Permission, Permissions};
use utoipa::ToSchema;

use super::once::{Once, made_before, once};
use super::params::Params;
use super::segment::Segment;
use super::to_the_end;
use crate::auth::Principal;
use crate::body::Body;
use crate::edits::NewKey;
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
        (status = 403, description = "The key that asks may not make keys, or has less itself, or ends before", body = ProblemDetails),
        (status = 409, description = "The workspace has as many keys as it may, or the same request is under way", body = ProblemDetails),
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
    params.allow(&[])?;
    Ok(Json(KeyList {
        items: admin
            .tenant(&who)
            .keys()?
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
        (status = 403, description = "The key that asks may not revoke keys, or has less itself", body = ProblemDetails),
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
    params.allow(&[])?;
    to_the_end(
        admin.judging(),
        async move { admin.revoke_key(&who, &id).await },
    )
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a key another secret, which is shown this once.
#[utoipa::path(
    post, path = "/api/v1/keys/{id}/rotate", tag = "settings", request_body = RotationFields, params(("id" = String, Path)),
    responses(
        (status = 200, description = "The key", body = KeyWithSecret),
        (status = 403, description = "The key that asks may not rotate keys, or has less itself, or ends before, or asks by a secret that was replaced", body = ProblemDetails),
        (status = 404, description = "There is none, or it is another workspace's", body = ProblemDetails),
        (status = 409, description = "It has ended", body = ProblemDetails),
        (status = 422, description = "A field is not valid", body = ProblemDetails)
    )
)]
pub(crate) async fn rotate(
    State(admin): State<Admin>,
    who: Principal,
    Segment(id): Segment,
    params: Params,
    body: Body,
) -> Result<Json<KeyWithSecret>, Problem> {
    params.allow(&[])?;
    let new = to_the_end(admin.judging(), async move {
        admin.rotate_key(&who, &id, body).await
    })
    .await?;
    Ok(Json(KeyWithSecret::from(&new)))
}

/// A key, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub(crate) struct KeyAnswer {
    id: String,
    name: String,
    role: &'static str,
    /// What of the role's permissions it has; null: all.
    scopes: Option<Vec<&'static str>>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// From when on it opens nothing.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// Until when the secret before the last rotation opens it too.
    #[schema(value_type = Option<String>, format = DateTime)]
    previous_expires_at: Option<Timestamp>,
    /// Since when it opens nothing any more.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
}

impl From<&ApiKey> for KeyAnswer {
    fn from(key: &ApiKey) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name.clone(),
            role: key.role.as_str(),
            scopes: key.scopes.map(words),
            created_at: key.created_at,
            expires_at: key.expires_at,
            previous_expires_at: key.previous.as_ref().map(|previous| previous.expires_at),
            revoked_at: key.revoked_at,
        }
    }
}

/// A key with its newest secret, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyWithSecret {
    id: String,
    name: String,
    role: &'static str,
    /// What of the role's permissions it has; null: all.
    scopes: Option<Vec<&'static str>>,
    /// From when on it opens nothing.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// Until when the secret before this one opens it too.
    #[schema(value_type = Option<String>, format = DateTime)]
    previous_expires_at: Option<Timestamp>,
    secret: String,
}

impl From<&NewKey> for KeyWithSecret {
    fn from(NewKey { key, secret }: &NewKey) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name.clone(),
            role: key.role.as_str(),
            scopes: key.scopes.map(words),
            expires_at: key.expires_at,
            previous_expires_at: key.previous.as_ref().map(|previous| previous.expires_at),
            secret: secret.clone(),
        }
    }
}

fn words(permissions: Permissions) -> Vec<&'static str> {
    permissions.iter().map(Permission::as_str).collect()
}

/// What a request sets of a key.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents what `Admin::create_key` reads")]
pub(crate) struct NewKeyFields {
    /// At most 200 characters.
    name: String,
    /// `owner`, `editor`, `analyst` or `viewer`: what it may do at most.
    role: String,
    /// What of that it may do: any of `tags:read`, `settings:read`, `analytics:read`, `audit:read`, `export`, `tags:write`, `import`,
    /// `scans:erase`, `settings:write`, `keys:read`, `keys:write`, `users:read`, `users:write`, `operations`. Without it, all.
    #[schema(example = json!(["tags:read", "tags:write"]))]
    scopes: Option<Vec<String>>,
    /// In the future; without it, the key has no end.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// How a key is rotated.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents what `Admin::rotate_key` reads")]
pub(crate) struct RotationFields {
    /// For how long the secret before opens the key too: at most 604800, a week; by default 86400, a day. 0: not at all, for a secret that has
    /// leaked.
    #[schema(maximum = 604800)]
    overlap_seconds: Option<u32>,
}

/// A workspace's keys.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyList {
    items: Vec<KeyAnswer>,
}
