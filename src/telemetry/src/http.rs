//! An HTTP/1.1 server that slow clients cannot hold: how routers of ours are served. What they answer, and how long a body may take, is
//! the router's.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::serve::Listener;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

/// How long a request's head may take: over a bad mobile link it comes in well under a second.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves until `shutdown` resolves and the requests under way are answered. Handlers find the peer in
/// [`ConnectInfo<SocketAddr>`](ConnectInfo).
///
/// A connection is closed on which no whole head has come within `head_timeout` of its opening, or of the last answer: so one that is kept
/// alive may be idle no longer either. Failed accepts are retried.
pub async fn serve(
    mut listener: TcpListener,
    router: Router,
    head_timeout: Duration,
    shutdown: impl Future<Output = ()> + Send,
) {
    // HTTP/1 alone: the builder that finds out the version itself waits for the first bytes without a limit.
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(head_timeout);
    let open = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = Listener::accept(&mut listener) => accepted,
            () = &mut shutdown => break,
        };
        let router = TowerToHyperService::new(router.clone());
        let answer = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            router.call(request)
        });
        let connection = open.watch(http.serve_connection(TokioIo::new(stream), answer));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::trace!(%error, "a connection ended early");
            }
        });
    }
    // Whoever comes now is refused, and does not wait in the backlog for an answer that nobody gives.
    drop(listener);
    open.shutdown().await;
}
