//! The token in a file of the site that is there. The name is a tenant's, and so is what DNS says of it: nothing but public addresses is
//! connected to, no redirect is followed, and little is read.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use tags::is_upstream_address;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Challenge, PATH, Resolver};

/// From looking up the name to the answer's last byte.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most of an answer that is read, in bytes: the tokens of several workspaces.
const MAX_BYTES: usize = 4_096;
/// Where a site is without TLS. Who has it answer over TLS alone uses DNS.
const PORT: u16 = 80;

/// The token was not found, which is all that is told of what was met: where nobody can look but this machine, the name's owner must not look
/// through it.
pub(super) struct NotFound;

/// Why, for the log of who runs the installation.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the host has no address: {0}")]
    NoHost(std::io::Error),
    #[error("the host has no public address")]
    NotPublic,
    #[error("it cannot be connected to: {0}")]
    Connect(std::io::Error),
    #[error("it is not answered in HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("it cannot be asked for: {0}")]
    Request(#[from] axum::http::Error),
    #[error("it is answered with {0}")]
    Status(StatusCode),
    #[error("it is not a small file: {0}")]
    Content(Box<dyn std::error::Error + Send + Sync>),
    #[error("it was not answered in time")]
    Late,
    #[error("it does not have the token in a line of its own")]
    NoToken,
}

/// Whether the file has the token.
pub(super) async fn fetch(
    resolver: &dyn Resolver,
    networks: &[IpNet],
    challenge: &Challenge<'_>,
) -> Result<(), NotFound> {
    let asked = timeout(PATIENCE, ask(resolver, networks, challenge)).await;
    let has_token = |body: Bytes| {
        let text = String::from_utf8_lossy(&body);
        let mut lines = text.lines().map(str::trim);
        lines.any(|line| line == challenge.token)
    };
    let failure = match asked {
        Ok(Ok(body)) if has_token(body.clone()) => return Ok(()),
        Ok(Ok(_)) => Failure::NoToken,
        Ok(Err(failure)) => failure,
        Err(_) => Failure::Late,
    };
    tracing::info!(url = challenge.file_url(), reason = %failure, "a file does not prove a domain");
    Err(NotFound)
}

async fn ask(
    resolver: &dyn Resolver,
    networks: &[IpNet],
    challenge: &Challenge<'_>,
) -> Result<Bytes, Failure> {
    let host = challenge.domain.as_str();
    let found = resolver.addresses(host, PORT).await;
    let found = found.map_err(Failure::NoHost)?;
    let mut allowed = found
        .iter()
        .filter(|address| is_upstream_address(address.ip(), networks));
    let address = allowed.next().ok_or(Failure::NotPublic)?;
    let stream = TcpStream::connect(address).await;
    let stream = stream.map_err(Failure::Connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with this set, and so with the question: a site that says nothing more is not waited for.
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let request = Request::get(PATH)
        .header(header::HOST, authority(host))
        .header(header::USER_AGENT, "tagwire")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    if answer.status() != StatusCode::OK {
        return Err(Failure::Status(answer.status()));
    }
    let body = Limited::new(answer.into_body(), MAX_BYTES).collect().await;
    Ok(body.map_err(Failure::Content)?.to_bytes())
}

fn authority(host: &str) -> String {
    if host.contains(':') {
        return format!("[{host}]");
    }
    host.to_owned()
}
