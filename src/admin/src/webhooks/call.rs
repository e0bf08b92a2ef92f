//! One attempt to deliver an event. The URL is a tenant's, and so is what DNS says of it: nothing but public addresses is connected to, no
//! redirect is followed, and of the answer only its head is read.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Request, StatusCode, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tags::{Webhook, is_upstream_address};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Position, Url};

use super::WebhookOptions;
use super::signature::signatures;
use crate::alerts::Delivery;

/// From looking up the name to the head of the answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// The most of an answer's head that is read, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Why an event was not delivered, in words for its workspace's owner.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// It is not to be called again.
    #[error("it was answered with 410 Gone")]
    Gone,
    #[error("it was answered with {0}, and redirects are not followed: give the final URL")]
    Redirect(StatusCode),
    #[error("it was answered with {0}, and only 2xx is taken for delivered")]
    Status(StatusCode),
    #[error("it was not answered within 15 s")]
    Late,
    /// What it has instead is not told: whoever cannot look into a network must not look through this machine.
    #[error("its host has no public address")]
    NoAddress,
    #[error("it cannot be connected to: {0}")]
    Connect(std::io::Error),
    #[error("no TLS connection: {0}")]
    Tls(std::io::Error),
    #[error("this machine has no certificate authorities to judge it by: {0}")]
    NoAuthorities(rustls::Error),
    #[error("it is not answered in HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("it cannot be asked for: {0}")]
    Request(#[from] axum::http::Error),
    #[error("its URL has no host that can be connected to")]
    Url,
    #[error("the call came to a fault of this program")]
    Panicked,
}

/// Who calls webhooks.
pub(super) struct Caller {
    options: WebhookOptions,
    /// Made when it is first needed, as it reads the machine's certificate authorities.
    tls: Mutex<Option<TlsConnector>>,
}

impl Caller {
    pub(super) fn new(options: WebhookOptions) -> Self {
        Self {
            options,
            tls: Mutex::new(None),
        }
    }

    /// Sends an event, once.
    pub(super) async fn call(
        &self,
        webhook: &Webhook,
        delivery: &Delivery,
        now: Timestamp,
    ) -> Result<(), CallError> {
        let called = timeout(PATIENCE, self.post(webhook, delivery, now)).await;
        let status = called.unwrap_or(Err(CallError::Late))?;
        match status {
            StatusCode::GONE => Err(CallError::Gone),
            status if status.is_success() => Ok(()),
            status if status.is_redirection() => Err(CallError::Redirect(status)),
            status => Err(CallError::Status(status)),
        }
    }

    async fn post(
        &self,
        webhook: &Webhook,
        delivery: &Delivery,
        now: Timestamp,
    ) -> Result<StatusCode, CallError> {
        let url = Url::parse(webhook.url.as_str()).map_err(|_| CallError::Url)?;
        let secrets = webhook.secrets(now).map(|secret| &secret.0[..]);
        let request = Request::post(&url[Position::BeforePath..Position::AfterQuery])
            .header(
                header::HOST,
                &url[Position::BeforeHost..Position::AfterPort],
            )
            .header(header::USER_AGENT, "tagwire")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .header("webhook-id", &delivery.id)
            .header("webhook-timestamp", now.as_second())
            .header(
                "webhook-signature",
                signatures(secrets, &delivery.id, now, &delivery.body),
            )
            .body(Full::new(Bytes::from(delivery.body.clone())))?;
        let host = bare_host(&url).ok_or(CallError::Url)?;
        let port = url.port_or_known_default().ok_or(CallError::Url)?;
        let addresses = self.public_addresses(host, port).await?;
        // One after the other, until one takes the connection.
        let stream = TcpStream::connect(&addresses[..]).await;
        let stream = stream.map_err(CallError::Connect)?;
        if url.scheme() == "http" {
            return exchange(stream, request).await;
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|_| CallError::Url)?;
        let connector = self.tls().map_err(CallError::NoAuthorities)?;
        let stream = connector.connect(name, stream).await;
        exchange(stream.map_err(CallError::Tls)?, request).await
    }

    /// Each is judged as it will be connected to, so that a name which is looked up anew leads nowhere else.
    async fn public_addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, CallError> {
        let found = match host.parse::<IpAddr>() {
            Ok(address) => Ok(vec![SocketAddr::new(address, port)]),
            Err(_) => self.options.resolver.addresses(host, port).await,
        };
        let mut allowed = found.map_err(|_| CallError::NoAddress)?;
        allowed.retain(|address| is_upstream_address(address.ip(), &self.options.networks));
        if allowed.is_empty() {
            return Err(CallError::NoAddress);
        }
        Ok(allowed)
    }

    fn tls(&self) -> Result<TlsConnector, rustls::Error> {
        // What is in it is set in one step, so that a panic elsewhere does it no harm.
        let mut made = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connector) = &*made {
            return Ok(connector.clone());
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_platform_verifier()?
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        *made = Some(connector.clone());
        Ok(connector)
    }
}

/// A name, or an address without its brackets.
fn bare_host(url: &Url) -> Option<&str> {
    let host = url.host_str()?;
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    Some(bare.unwrap_or(host))
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<StatusCode, CallError> {
    let mut client = http1::Builder::new();
    client.max_buf_size(MAX_HEAD);
    let (mut sender, connection) = client.handshake(TokioIo::new(stream)).await?;
    // Ends with this set, and so with the attempt: what else the receiver has to say is not waited for.
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    Ok(sender.send_request(request).await?.status())
}
