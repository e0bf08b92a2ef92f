//! `/api/v1/workspaces/{id}/webhook`: where a workspace's alerts are sent.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use tags::Webhook;
use utoipa::ToSchema;

use super::params::Params;
use super::segment::Segment;
use super::{blocking, to_the_end};
use crate::alerts::Receiver;
use crate::auth::Principal;
use crate::body::Body;
use crate::codes::random_id;
use crate::edits::PutWebhook;
use crate::problem::{Problem, ProblemDetails};
use crate::service::Admin;
use crate::webhooks::{secret_text, test_event};

/// Sets where the alerts of a workspace are sent. A new webhook's secret is shown this once; one that there is keeps its secret, and is
/// called again if it was disabled.
#[utoipa::path(
    put, path = "/api/v1/workspaces/{id}/webhook", tag = "settings", request_body = WebhookFields, params(("id" = String, Path)),
    responses(
        (status = 200, description = "It was changed", body = WebhookAnswer),
        (status = 201, description = "It was made", body = WebhookWithSecret),
        (status = 404, description = "There is no such workspace, or it is another's", body = ProblemDetails),
        (status = 422, description = "A field is not valid", body = ProblemDetails)
    )
)]
pub(crate) async fn put(
    State(admin): State<Admin>,
    who: Principal,
    Segment(id): Segment,
    params: Params,
    body: Body,
) -> Result<Response, Problem> {
    params.allow(&[])?;
    let put = to_the_end(admin.judging(), {
        let admin = admin.clone();
        async move { admin.put_webhook(&who, &id, body).await }
    });
    let PutWebhook { webhook, is_new } = put.await?;
    if is_new {
        let made = Json(WebhookWithSecret::from(&webhook));
        return Ok((StatusCode::CREATED, made).into_response());
    }
    Ok(answer(admin, webhook).await?.into_response())
}

/// Reads where they are sent, and what became of them.
#[utoipa::path(
    get, path = "/api/v1/workspaces/{id}/webhook", tag = "settings", params(("id" = String, Path)),
    responses(
        (status = 200, description = "The webhook, without its secret", body = WebhookAnswer),
        (status = 404, description = "There is none, or the workspace is another's", body = ProblemDetails)
    )
)]
pub(crate) async fn get(
    State(admin): State<Admin>,
    who: Principal,
    Segment(id): Segment,
    params: Params,
) -> Result<Json<WebhookAnswer>, Problem> {
    params.allow(&[])?;
    let webhook = admin.find_webhook(&who, &id)?;
    answer(admin, webhook).await
}

/// Takes the webhook away, with all that waits for it.
#[utoipa::path(
    delete, path = "/api/v1/workspaces/{id}/webhook", tag = "settings", params(("id" = String, Path)),
    responses(
        (status = 204, description = "There is none any more"),
        (status = 404, description = "There is none, or the workspace is another's", body = ProblemDetails)
    )
)]
pub(crate) async fn delete(
    State(admin): State<Admin>,
    who: Principal,
    Segment(id): Segment,
    params: Params,
) -> Result<StatusCode, Problem> {
    params.allow(&[])?;
    to_the_end(admin.judging(), async move {
        admin.delete_webhook(&who, &id).await
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives the webhook another secret, which is shown this once.
#[utoipa::path(
    post, path = "/api/v1/workspaces/{id}/webhook/rotate", tag = "settings", request_body = WebhookRotationFields, params(("id" = String, Path)),
    responses(
        (status = 200, description = "The webhook", body = WebhookWithSecret),
        (status = 404, description = "There is none, or the workspace is another's", body = ProblemDetails),
        (status = 422, description = "A field is not valid", body = ProblemDetails)
    )
)]
pub(crate) async fn rotate(
    State(admin): State<Admin>,
    who: Principal,
    Segment(id): Segment,
    params: Params,
    body: Body,
) -> Result<Json<WebhookWithSecret>, Problem> {
    params.allow(&[])?;
    let webhook = to_the_end(admin.judging(), async move {
        admin.rotate_webhook(&who, &id, body).await
    })
    .await?;
    Ok(Json(WebhookWithSecret::from(&webhook)))
}

/// Has an event of type `webhook.test` sent. What becomes of it is in the webhook's answer.
#[utoipa::path(
    post, path = "/api/v1/workspaces/{id}/webhook/test", tag = "settings", params(("id" = String, Path)),
    responses(
        (status = 202, description = "It is sent as soon as it can be", body = SentEvent),
        (status = 404, description = "There is none, or the workspace is another's", body = ProblemDetails),
        (status = 409, description = "It was disabled, as its receiver has answered 410; or too many events wait for it already", body = ProblemDetails)
    )
)]
pub(crate) async fn test(
    State(admin): State<Admin>,
    who: Principal,
    Segment(id): Segment,
    params: Params,
) -> Result<Response, Problem> {
    params.allow(&[])?;
    let webhook = admin.find_webhook(&who, &id)?;
    if webhook.disabled_at.is_some() {
        let detail = "The webhook was disabled, as its receiver has answered with 410 Gone; set it again (PUT) to have it called.";
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let id = random_id("test_").map_err(|error| Problem::internal(&error))?;
    let (workspace, now) = (webhook.workspace, admin.now());
    let event = test_event(&workspace, now).map_err(|error| Problem::internal(&error))?;
    let event_id = id.clone();
    let enqueue = move || {
        let enqueued = admin.alerts().enqueue(&workspace, &event_id, &event, now);
        enqueued.map_err(|error| Problem::internal(&error))
    };
    if !blocking(enqueue).await? {
        let detail = "Too many events wait for the webhook already; see to its receiver first.";
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    Ok((StatusCode::ACCEPTED, Json(SentEvent { id })).into_response())
}

async fn answer(admin: Admin, webhook: Webhook) -> Result<Json<WebhookAnswer>, Problem> {
    let workspace = webhook.workspace.clone();
    let receiver = blocking(move || {
        let receiver = admin.alerts().receiver(&workspace);
        receiver.map_err(|error| Problem::internal(&error))
    });
    Ok(Json(WebhookAnswer::new(&webhook, receiver.await?)))
}

/// Where a workspace's alerts are sent, and what became of them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(crate) struct WebhookAnswer {
    url: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Until when calls are signed by the secret before the last rotation too.
    #[schema(value_type = Option<String>, format = DateTime)]
    previous_expires_at: Option<Timestamp>,
    /// Since when it is not called any more, because its receiver has answered 410; null: it is.
    #[schema(value_type = Option<String>, format = DateTime)]
    disabled_at: Option<Timestamp>,
    /// How many events have still to be delivered.
    waiting: u64,
    /// When the next of those is tried at the earliest.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<Timestamp>,
    /// How many were delivered.
    delivered: u64,
    /// How many were tried for three days in vain, or waited when it was disabled.
    given_up: u64,
    /// How many were never tried, because 10,000 waited already.
    dropped: u64,
    /// When one was delivered last.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_delivered_at: Option<Timestamp>,
    /// The last attempt that failed.
    last_failure: Option<WebhookFailure>,
}

/// An attempt that failed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookFailure {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Why, for people.
    #[schema(
        example = "it was answered with 500 Internal Server Error, and only 2xx is taken for delivered"
    )]
    detail: String,
}

impl WebhookAnswer {
    fn new(webhook: &Webhook, receiver: Receiver) -> Self {
        Self {
            url: webhook.url.to_string(),
            created_at: webhook.created_at,
            previous_expires_at: webhook.previous.as_ref().map(|it| it.expires_at),
            disabled_at: webhook.disabled_at,
            waiting: receiver.waiting,
            next_attempt_at: receiver.next_attempt_at,
            delivered: receiver.delivered,
            given_up: receiver.given_up,
            dropped: receiver.dropped,
            last_delivered_at: receiver.delivered_at,
            last_failure: receiver.last_failure.map(|failure| WebhookFailure {
                at: failure.at,
                detail: failure.detail,
            }),
        }
    }
}

/// A webhook with its newest secret, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookWithSecret {
    url: String,
    /// By which calls are signed: `whsec_` and 32 bytes in base64.
    #[schema(example = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDK7FYj0mWbnM=")]
    secret: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Until when calls are signed by the secret before this one too.
    #[schema(value_type = Option<String>, format = DateTime)]
    previous_expires_at: Option<Timestamp>,
}

impl From<&Webhook> for WebhookWithSecret {
    fn from(webhook: &Webhook) -> Self {
        Self {
            url: webhook.url.to_string(),
            secret: secret_text(&webhook.secret),
            created_at: webhook.created_at,
            previous_expires_at: webhook.previous.as_ref().map(|it| it.expires_at),
        }
    }
}

/// An event that is being sent.
#[derive(Serialize, ToSchema)]
pub(crate) struct SentEvent {
    /// Its `webhook-id`.
    #[schema(example = "test_k3x9m2p7q4wz")]
    id: String,
}

/// What a request sets of a webhook.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents what `Admin::put_webhook` reads")]
pub(crate) struct WebhookFields {
    /// Where alerts are sent: `https` or `http`, a host on the public internet, at most 2048 characters.
    #[schema(example = "https://example.com/hooks/tagwire")]
    url: String,
}

/// How a webhook's secret is rotated.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents what `Admin::rotate_webhook` reads")]
pub(crate) struct WebhookRotationFields {
    /// For how long calls are signed by the secret before too: at most 604800, a week; by default 86400, a day. 0: not at all, for a secret
    /// that has leaked.
    #[schema(maximum = 604800)]
    overlap_seconds: Option<u32>,
}
