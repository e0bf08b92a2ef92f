//! What an edge can be told: where to listen, whom to trust, how long to wait.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use facts::{CrawlerNetworks, LazyAgents, PlacesFile, TrustedProxies};

use crate::admission::ConnectionLimits;
use crate::counting::Tallies;
use crate::rate_limits::RateLimits;
use crate::sockets::SocketOptions;
use crate::tls::Tls;
use crate::upstream::UpstreamOptions;

/// Whose word about clients' addresses is taken.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Networks whose connections begin with a PROXY protocol header (version 1 or 2), which names the client; nobody else's may.
    pub proxy_protocol_from: TrustedProxies,
    /// Networks whose forwarding headers count.
    pub proxies: TrustedProxies,
}

/// Everything that the redirect listeners need to know.
#[derive(Clone, Debug)]
pub struct EdgeOptions {
    /// Where to listen; port 0 takes a free one, see [`crate::EdgeServer::addresses`].
    pub listen: Vec<SocketAddr>,
    /// Where to listen for TLS, which needs `tls`; port 0 as above, see [`crate::EdgeServer::tls_addresses`].
    pub tls_listen: Vec<SocketAddr>,
    /// What TLS is offered with.
    pub tls: Option<Arc<Tls>>,
    /// Whether clients that know so may speak HTTP/2 on the plain listeners (RFC 9113 §3.3).
    pub h2c: bool,
    /// Worker threads; none: one for each processor that this process may use.
    pub threads: Option<NonZeroUsize>,
    /// How they listen.
    pub sockets: SocketOptions,
    /// How many connections there may be.
    pub connections: ConnectionLimits,
    /// Whom to believe.
    pub trust: Trust,
    /// Where addresses are; whoever gives it keeps it current.
    pub places: Arc<PlacesFile>,
    /// Whose crawlers have which addresses; whoever gives it keeps it current.
    pub crawlers: Arc<CrawlerNetworks>,
    /// What browsers say of themselves.
    pub agents: Arc<LazyAgents>,
    /// How often tags have been scanned whose limit or rules depend on it.
    pub tallies: Arc<Tallies>,
    /// How requests are answered.
    pub site: Site,
    /// What a connection may do, and for how long.
    pub limits: Limits,
    /// How many unknown codes a second are recorded, over all threads; beyond it they are counted as dropped.
    pub unknown_codes_per_second: u32,
    /// How many redirects are answered in a second.
    pub rate_limits: RateLimits,
    /// How requests for the sites behind domains are handled.
    pub upstream: UpstreamOptions,
}

impl EdgeOptions {
    /// The defaults, on these addresses.
    #[must_use]
    pub fn new(listen: Vec<SocketAddr>) -> Self {
        Self {
            listen,
            tls_listen: Vec::new(),
            tls: None,
            h2c: false,
            threads: None,
            sockets: SocketOptions::default(),
            connections: ConnectionLimits::default(),
            trust: Trust::default(),
            places: Arc::default(),
            crawlers: Arc::default(),
            agents: Arc::default(),
            tallies: Arc::default(),
            site: Site::default(),
            limits: Limits::default(),
            unknown_codes_per_second: 1_000,
            rate_limits: RateLimits::default(),
            upstream: UpstreamOptions::default(),
        }
    }
}

/// What is the same for all domains.
#[derive(Clone, Debug)]
pub struct Site {
    /// Whether the default domain answers any Host as long as it is the only one (standalone).
    pub any_host: bool,
    /// The path of the health check, on any Host.
    pub health_path: String,
    /// The port that the redirect from HTTP to HTTPS leads to.
    pub https_port: u16,
    /// What `Retry-After` says while the table is being filled, in seconds.
    pub retry_after: u32,
}

impl Default for Site {
    fn default() -> Self {
        Self {
            any_host: false,
            health_path: "/healthz".to_owned(),
            https_port: 443,
            retry_after: 1,
        }
    }
}

/// What a connection may do, and for how long.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The longest request target, in bytes; beyond it 414.
    pub target: usize,
    /// The longest header section, in bytes; beyond it 431.
    pub headers: usize,
    /// How long a request head may take from its first byte.
    pub head: Duration,
    /// How long a connection may stay idle. Above the 60 s of common load balancers, so that they close first.
    pub idle: Duration,
    /// How long the client may take to receive what is written at once; of a site's answer, see `min_rate`.
    pub send: Duration,
    /// How long a client may be waited for to send the content of a request for a site, see `min_rate`; beyond it 408.
    pub body: Duration,
    /// How many bytes a second a client has to send of such content and to take of a site's answer, on average over the time that it is
    /// waited for: `body` and `send` are what it may take longer. 0: no rate, and they are the time between two pieces.
    pub min_rate: u32,
    /// How long, after an answer that closes, what the client still sends is read and thrown away. Closing at once would make the
    /// kernel reset the connection, and the client lose the answer (RFC 9112 §9.6).
    pub linger: Duration,
    /// How much is read and thrown away at most, in bytes.
    pub linger_bytes: usize,
}

impl Limits {
    /// How many header fields a request may have; beyond it 431.
    pub const FIELDS: usize = 100;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            target: 8 * 1024,
            headers: 32 * 1024,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            send: Duration::from_secs(10),
            // Those of Apache's mod_reqtimeout: body=20,MinRate=500.
            body: Duration::from_secs(20),
            min_rate: 500,
            linger: Duration::from_secs(2),
            linger_bytes: 4 * 1024 * 1024,
        }
    }
}
