//! The HTTP API under `/api/v1`: its routes, its document, and the server.

mod alerts;
mod analytics;
mod audit;
mod bulk;
mod document;
mod domains;
mod edges;
mod endpoints;
mod erasures;
mod export;
mod format;
mod history;
mod import;
mod invitations;
mod job;
mod keys;
mod live;
mod once;
mod params;
mod peaks;
mod qr;
mod scans_export;
mod schedule;
mod schema;
mod segment;
mod session;
mod simulate;
mod tags;
mod usage;
mod users;
mod visitors;
mod wait;
mod webhooks;
mod workspaces;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ::tags::Permission::{
    AnalyticsRead, AuditRead, Export, Import, KeysRead, KeysWrite, Operations, ScansErase,
    SettingsRead, SettingsWrite, TagsRead, TagsWrite, UsersRead, UsersWrite,
};
use axum::extract::{DefaultBodyLimit, Extension, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use telemetry::http;
use tokio::sync::Semaphore;
use utoipa::OpenApi;
use utoipa_axum::routes;

pub(crate) use self::alerts::AlertAnswer;
pub(crate) use self::analytics::not_answered;
use self::endpoints::{Endpoints, by_accept};
pub(crate) use self::schema::TagAnswer;
use crate::auth::know_client;
use crate::body::Body;
use crate::inspection::Judging;
use crate::metrics::count;
use crate::problem::Problem;
use crate::service::Admin;

/// How long a client may take to send a request.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For the head, from the connection's opening or the last answer; then the connection is closed.
    pub head: Duration,
    /// For the body, from the end of the head; then the answer is 408 and the connection is closed.
    pub body: Duration,
}

impl Default for Timeouts {
    /// 10 s and 30 s: the largest body, at 70 kbit/s.
    fn default() -> Self {
        Self {
            head: http::HEAD_TIMEOUT,
            body: Duration::from_secs(30),
        }
    }
}

fn routes() -> (Router<Admin>, utoipa::openapi::OpenApi) {
    let (router, mut document) = endpoints().into_parts();
    document::add_refusals(&mut document);
    (router, document)
}

/// Which endpoints there are, and what each asks for.
fn endpoints() -> Endpoints {
    Endpoints::new(document::Document::openapi())
        .needs(TagsWrite, routes!(tags::create))
        .needs(TagsRead, routes!(tags::list))
        .needs(Import, routes!(import::create))
        .needs(Import, routes!(import::get))
        .needs(Export, by_accept(routes!(export::export)))
        .needs(TagsWrite, routes!(bulk::create))
        .needs(TagsWrite, routes!(bulk::get))
        .needs(TagsRead, routes!(tags::get))
        .needs(TagsWrite, routes!(tags::patch, tags::revoke))
        .needs(TagsRead, routes!(history::versions))
        .needs(TagsRead, routes!(history::version))
        .needs(TagsRead, routes!(history::difference))
        .needs(TagsWrite, routes!(tags::rollback))
        .needs(TagsRead, routes!(schedule::get))
        .needs(TagsWrite, routes!(schedule::put, schedule::delete))
        .needs(TagsRead, routes!(simulate::simulate))
        .needs(TagsRead, routes!(qr::svg))
        .needs(TagsRead, routes!(qr::png))
        .needs(AnalyticsRead, by_accept(routes!(analytics::scans)))
        .needs(AnalyticsRead, routes!(peaks::peaks))
        .needs(AnalyticsRead, routes!(visitors::visitors))
        .needs(AnalyticsRead, routes!(live::live))
        .needs(AnalyticsRead, by_accept(routes!(usage::usage)))
        .needs(ScansErase, routes!(erasures::create))
        .needs(AuditRead, by_accept(routes!(audit::list)))
        .needs(AuditRead, routes!(alerts::list))
        .needs(Operations, routes!(workspaces::create))
        .needs(SettingsRead, routes!(workspaces::list))
        .needs(SettingsRead, routes!(workspaces::get))
        .needs(SettingsWrite, routes!(workspaces::patch))
        .needs(
            SettingsWrite,
            routes!(webhooks::put, webhooks::get, webhooks::delete),
        )
        .needs(SettingsWrite, routes!(webhooks::rotate))
        .needs(SettingsWrite, routes!(webhooks::test))
        .needs(KeysRead, routes!(keys::list))
        .needs(KeysWrite, routes!(keys::create))
        .needs(KeysWrite, routes!(keys::revoke))
        .needs(KeysWrite, routes!(keys::rotate))
        .needs(SettingsRead, routes!(domains::list))
        .needs(SettingsWrite, routes!(domains::create))
        .needs(SettingsWrite, routes!(domains::patch, domains::withdraw))
        .needs(SettingsWrite, routes!(domains::verify))
        .needs(UsersRead, routes!(users::list))
        .needs(UsersRead, routes!(users::get))
        .needs(UsersWrite, routes!(users::patch, users::remove))
        .needs(UsersRead, routes!(invitations::list))
        .needs(UsersWrite, routes!(invitations::create))
        .needs(UsersWrite, routes!(invitations::withdraw))
        .open(routes!(invitations::accept))
        .open(routes!(session::create))
        .signed_in(routes!(session::get, session::end))
        .needs(Operations, routes!(edges::list))
}

/// The OpenAPI 3.1 document, made from the code.
pub fn openapi() -> utoipa::openapi::OpenApi {
    routes().1
}

/// Serves the API on a listening socket until `shutdown` is done; requests under way are answered first. Never fails today.
pub async fn serve(
    listener: tokio::net::TcpListener,
    admin: Admin,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    serve_within(Timeouts::default(), listener, admin, shutdown).await;
    Ok(())
}

/// [`serve`] with other timeouts.
pub async fn serve_within(
    timeouts: Timeouts,
    listener: tokio::net::TcpListener,
    admin: Admin,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let (router, document) = routes();
    let watched = admin.clone();
    let shutdown = async move {
        shutdown.await;
        // These would not end by themselves, and the drain waits for all that is being answered.
        watched.live_scans().close();
    };
    let app = router
        .route(
            "/api/v1/openapi.json",
            routing::get(move || async move { Json(document) }),
        )
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(Body::MAX_BYTES))
        .layer(Extension(timeouts))
        .layer(Extension(admin.clone()))
        .layer(middleware::from_fn(secure))
        .layer(middleware::from_fn_with_state(admin.clone(), count))
        .layer(middleware::from_fn_with_state(admin.clone(), know_client))
        .with_state(admin);
    http::serve(listener, app, timeouts.head, shutdown).await;
}

async fn not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "There is nothing at this path; /api/v1/openapi.json lists what there is.",
    )
}

async fn method_not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "This path does not take this method; see the Allow header.",
    )
}

/// What is answered to one key is nobody else's, and no browser should guess at its type.
async fn secure(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    response
}

/// Runs an edit to its end, even if the client goes away: half an edit is none, and its lock must be held until it can be seen.
async fn to_the_end<T: Send + 'static>(
    judging: Judging,
    edit: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    let edit = async move {
        let edited = edit.await;
        drop(judging);
        edited
    };
    match tokio::spawn(edit).await {
        Ok(result) => result,
        Err(error) => Err(Problem::internal(&error)),
    }
}

/// Runs a list of the index as [`blocking`] does, when it is its turn.
async fn listing<T: Send + 'static, E: Into<Problem> + Send + 'static>(
    turns: Arc<Semaphore>,
    read: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Problem> {
    let turn = turns.acquire_owned().await;
    let turn = turn.map_err(|error| Problem::internal(&error))?;
    blocking(move || {
        let _turn = turn;
        read()
    })
    .await
}

/// Runs what may take long on a thread that may wait.
pub(crate) async fn blocking<T: Send + 'static, E: Into<Problem> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(Into::into),
        Err(error) => Err(Problem::internal(&error)),
    }
}
