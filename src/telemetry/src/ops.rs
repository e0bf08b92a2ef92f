//! The operators' listener: `/livez`, `/readyz` and `/metrics` over HTTP/1.1, GET and HEAD.
//!
//! It answers whoever reaches it: binding it to loopback, or to a network of operators, is the caller's.

use std::future::Future;
use std::io;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::health::Health;
use crate::http;

/// How long answers under way may take once shutdown was asked for: a stuck client must not hold the process.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// Serves until `shutdown` resolves and the answers under way are given.
///
/// - `/livez`: 200 `ok`, as long as the process can answer at all.
/// - `/readyz`: [`Health::readiness`] as JSON, 200 when ready, else 503.
/// - `/metrics`: the registry in the Prometheus text format 0.0.4.
///
/// End it last when draining, so that `/readyz` says so meanwhile.
///
/// # Errors
///
/// None today: failed accepts are retried.
pub async fn serve(
    listener: TcpListener,
    registry: Registry,
    health: Health,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (asked, mut ask) = watch::channel(false);
    let shutdown = async move {
        shutdown.await;
        asked.send_replace(true);
    };
    let server = http::serve(
        listener,
        router(registry, health),
        http::HEAD_TIMEOUT,
        shutdown,
    );
    let overdue = async {
        // An error means that the server has ended, which the other branch sees.
        let _ = ask.wait_for(|asked| *asked).await;
        tokio::time::sleep(SHUTDOWN_GRACE).await;
    };
    tokio::select! {
        () = server => {}
        () = overdue => {}
    }
    Ok(())
}

fn router(registry: Registry, health: Health) -> Router {
    Router::new()
        .route("/livez", get(async || no_store("ok")))
        .route("/readyz", get(readyz).with_state(health))
        .route("/metrics", get(metrics).with_state(registry))
}

async fn readyz(State(health): State<Health>) -> Response {
    let readiness = health.readiness();
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, no_store(Json(readiness))).into_response()
}

async fn metrics(State(registry): State<Registry>) -> Response {
    match TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], no_store(text)).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot write the metrics as text");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("writing the metrics: {error}"),
            )
                .into_response()
        }
    }
}

fn no_store(body: impl IntoResponse) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], body).into_response()
}
