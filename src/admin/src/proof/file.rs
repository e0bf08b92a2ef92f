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

/// What is amiss, for people.
pub(super) async fn fetch(
    resolver: &dyn Resolver,
    networks: &[IpNet],
    challenge: &Challenge<'_>,
) -> Result<(), String> {
    let url = challenge.file_url();
    let body = timeout(PATIENCE, ask(resolver, networks, challenge)).await;
    let body = match body {
        Ok(Ok(body)) => body,
        Ok(Err(why)) => return Err(format!("{url} {why}.")),
        Err(_) => {
            return Err(format!(
                "{url} was not answered within {} s.",
                PATIENCE.as_secs()
            ));
        }
    };
    let text = String::from_utf8_lossy(&body);
    if text.lines().any(|line| line.trim() == challenge.token) {
        return Ok(());
    }
    Err(format!(
        "{url} does not have the token in a line of its own."
    ))
}

async fn ask(
    resolver: &dyn Resolver,
    networks: &[IpNet],
    challenge: &Challenge<'_>,
) -> Result<Bytes, String> {
    let host = challenge.domain.as_str();
    let found = resolver.addresses(host, PORT).await;
    let found = found.map_err(|error| format!("cannot be reached: {error}"))?;
    let mut allowed = found
        .iter()
        .filter(|address| is_upstream_address(address.ip(), networks));
    let address = allowed
        .next()
        .ok_or("cannot be reached: its host has no public address")?;
    let stream = TcpStream::connect(address).await;
    let stream = stream.map_err(|error| format!("cannot be reached: {error}"))?;
    let broken = |error: hyper::Error| format!("is not answered in HTTP: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    // Ends with this set, and so with the question: a site that says nothing more is not waited for.
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let request = Request::get(PATH)
        .header(header::HOST, authority(host))
        .header(header::USER_AGENT, "tagwire")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("cannot be asked for: {error}"))?;
    let answer = sender.send_request(request).await.map_err(broken);
    match answer {
        Ok(answer) if answer.status() != StatusCode::OK => {
            let status = answer.status();
            Err(format!(
                "is answered with {status}, not 200; redirects are not followed"
            ))
        }
        Ok(answer) => Limited::new(answer.into_body(), MAX_BYTES)
            .collect()
            .await
            .map(|body| body.to_bytes())
            .map_err(|error| format!("is not a small file: {error}")),
        Err(why) => Err(why),
    }
}

fn authority(host: &str) -> String {
    if host.contains(':') {
        return format!("[{host}]");
    }
    host.to_owned()
}
