//! TLS, ended here by rustls with aws-lc-rs: what is offered to clients, and the handshake. Certificates are `certificates`' matter,
//! session tickets `ticket_keys`', and what goes through the connection afterwards is the lanes'.

mod certificates;
mod files;
mod metrics;
mod pair;
mod stream;
mod ticket;
mod ticket_keys;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pingora_core::protocols::Stream;
use prometheus::Registry;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ServerConfig};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use certificates::Certificates;
pub use certificates::CertificatesError;
use metrics::{Handshake, TlsMetrics};
pub use pair::PairError;
use stream::TlsStream;
use ticket_keys::TicketKeys;
pub use ticket_keys::TicketKeysError;

/// What [`Tls`] needs to know.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    /// The folder of certificates and keys.
    pub certificates: PathBuf,
    /// The folder of keys for session tickets, which edges share; none: keys of this process alone.
    pub ticket_keys: Option<PathBuf>,
    /// How long a handshake may take.
    pub handshake: Duration,
}

impl TlsOptions {
    /// The defaults, with this folder of certificates.
    #[must_use]
    pub fn new(certificates: impl Into<PathBuf>) -> Self {
        Self {
            certificates: certificates.into(),
            ticket_keys: None,
            handshake: Duration::from_secs(10),
        }
    }
}

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There are no certificates, or not all are good.
    #[error("edge.tls_certificates: {0}")]
    Certificates(#[from] CertificatesError),
    /// The keys for session tickets are not good.
    #[error("edge.tls_ticket_keys: {0}")]
    TicketKeys(#[from] TicketKeysError),
    /// The cryptographic library refuses what it is asked for.
    #[error("setting up TLS: {0}")]
    Protocol(#[from] rustls::Error),
    /// The metrics are there already.
    #[error("registering the metrics of TLS: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// What TLS connections are accepted with, and the files that it follows.
#[derive(Debug)]
pub struct Tls {
    config: Arc<ServerConfig>,
    handshake: Duration,
    certificates: Arc<Certificates>,
    ticket_keys: Arc<TicketKeys>,
    metrics: TlsMetrics,
}

/// Preferred first: the hybrid with ML-KEM, since what is recorded today may be decrypted tomorrow; P-256 and P-384 for clients that
/// have nothing else.
const GROUPS: [&dyn SupportedKxGroup; 4] = [
    kx_group::X25519MLKEM768,
    kx_group::X25519,
    kx_group::SECP256R1,
    kx_group::SECP384R1,
];

/// A client uses a ticket once (RFC 8446 §C.4), and whoever scans a code makes one connection: more would be bytes for nothing.
const TICKETS: usize = 1;

impl Tls {
    /// Reads every file. A certificate that cannot be used is an error here; later on it is refused and the one before stays.
    pub fn open(options: &TlsOptions, registry: &Registry) -> Result<Self, TlsError> {
        let provider = Arc::new(CryptoProvider {
            kx_groups: GROUPS.to_vec(),
            ..aws_lc_rs::default_provider()
        });
        let metrics = TlsMetrics::register(registry)?;
        let certificates = Certificates::open(
            &options.certificates,
            Arc::clone(&provider),
            metrics.clone(),
        )?;
        let certificates = Arc::new(certificates);
        let ticket_keys = Arc::new(TicketKeys::open(
            options.ticket_keys.clone(),
            metrics.clone(),
        )?);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificates) as _);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Nothing is kept on the server: a ticket is good on every edge that has its key, and thousands of strangers fill no memory.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Arc::clone(&ticket_keys) as _;
        config.send_tls13_tickets = TICKETS;
        // RFC 9149: a client that asks for fewer, or for none, costs less.
        config.max_tls13_tickets = TICKETS;
        // RFC 8446 §8: early data can be replayed, and a replay would be a scan that nobody made.
        config.max_early_data_size = 0;
        Ok(Self {
            config: Arc::new(config),
            handshake: options.handshake,
            certificates,
            ticket_keys,
            metrics,
        })
    }

    /// Looks whether files have changed, and takes those that have and have come to rest since the last look. Call it every
    /// [`Tls::LOOK_EVERY`]; it reads files.
    pub fn look(&self) {
        self.certificates.look();
        self.ticket_keys.look();
    }

    /// How often to [`Tls::look`].
    pub const LOOK_EVERY: Duration = Duration::from_secs(2);

    /// Takes what has changed now, whether it has come to rest or not: for an operator who says so.
    pub fn reload(&self) {
        self.certificates.reload();
        self.ticket_keys.look();
    }

    /// Shakes hands. None: it did not come to a connection.
    pub(crate) async fn accept(&self, stream: Stream) -> Option<Stream> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        let accepted = match timeout(self.handshake, acceptor.accept(stream)).await {
            Ok(Ok(accepted)) => accepted,
            Ok(Err(error)) => {
                tracing::trace!(%error, "a TLS handshake failed"); // the client's doing
                self.metrics.count(Handshake::Failed);
                return None;
            }
            Err(_) => {
                self.metrics.count(Handshake::TimedOut);
                return None;
            }
        };
        self.metrics
            .count(match accepted.get_ref().1.handshake_kind() {
                Some(HandshakeKind::Resumed) => Handshake::Resumed,
                _ => Handshake::Full,
            });
        Some(Box::new(TlsStream::new(accepted)))
    }
}
