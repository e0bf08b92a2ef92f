//! The sections of every role: which keys there are, of which kind, and their defaults. `config/*.toml` at the top of the repository
//! explains them to people; what only a cluster needs is in `cluster`.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use admin::{BlocklistAction, DomainProof, PublicUrl, SystemResolver, WebhookOptions};
use edge::RateLimits;
use ipnet::IpNet;
use telemetry::logging::LogFormat;

use super::error::ConfigError;
use super::kinds;
use super::rate_limits;
use super::values::Values;

/// Everything that a person acts on: who migrates a database tells so, which is of interest when it fails.
const DEFAULT_FILTER: &str = "info,rusqlite_migration=warn";

/// This process among others.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// `node.id`: its name in scans and logs.
    pub(crate) id: String,
    /// `node.data_dir`
    pub(crate) data_dir: PathBuf,
    /// `node.public_url`: what short URLs begin with; none: made from the first redirect address.
    pub(crate) public_url: Option<PublicUrl>,
}

impl Node {
    /// For a role that has no redirects of its own from which it could be made.
    pub(crate) fn public_url(&self, role: &'static str) -> Result<&PublicUrl, ConfigError> {
        let url = self.public_url.as_ref();
        url.ok_or_else(|| ConfigError::missing("node.public_url", role, kinds::PUBLIC_URL.allowed))
    }

    pub(crate) fn read(values: &mut Values) -> Result<Self, ConfigError> {
        Ok(Self {
            id: values
                .one("node.id", &kinds::NODE_ID)?
                .map_or_else(host_name, Ok)?,
            data_dir: values
                .one("node.data_dir", &kinds::PATH)?
                .unwrap_or_else(|| "./data".into()),
            public_url: values.one("node.public_url", &kinds::PUBLIC_URL)?,
        })
    }
}

/// The redirect listeners.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    /// `edge.listen`
    pub(crate) listen: Vec<SocketAddr>,
    /// `edge.tls_listen`: the same over TLS.
    pub(crate) tls_listen: Vec<SocketAddr>,
    /// `edge.tls_certificates`: the folder that they lie in.
    pub(crate) tls_certificates: Option<PathBuf>,
    /// `edge.tls_ticket_keys`: the folder that they lie in; none: the process makes its own.
    pub(crate) tls_ticket_keys: Option<PathBuf>,
    /// `edge.tls_handshake_timeout`
    pub(crate) tls_handshake_timeout: Duration,
    /// `edge.h2c`: whether HTTP/2 is spoken in the clear.
    pub(crate) h2c: bool,
    /// `edge.https_port`: where the redirect from HTTP to HTTPS leads.
    pub(crate) https_port: u16,
    /// `edge.backlog`: how many connections may wait to be accepted.
    pub(crate) backlog: u32,
    /// `edge.defer_accept`: whether the kernel keeps connections until their first bytes are there.
    pub(crate) defer_accept: bool,
    /// `edge.max_connections`; none: as many as there may be descriptors, less a reserve.
    pub(crate) max_connections: Option<NonZeroUsize>,
    /// `edge.max_connections_per_address`; none: no limit of its own.
    pub(crate) max_connections_per_address: Option<NonZeroUsize>,
    /// `edge.proxy_protocol_from`: networks whose connections begin with a PROXY protocol header.
    pub(crate) proxy_protocol_from: Vec<IpNet>,
    /// `edge.trusted_proxies`: networks whose forwarding headers count.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// `edge.threads`: none: one for each processor.
    pub(crate) threads: Option<NonZeroUsize>,
    /// `edge.health_path`
    pub(crate) health_path: String,
    /// `edge.drain_delay`: for how long it is answered 503 before nobody listens any more.
    pub(crate) drain_delay: Duration,
    /// `edge.head_timeout`: from a request head's first byte to its last.
    pub(crate) head_timeout: Duration,
    /// `edge.idle_timeout`: of a kept-alive connection between requests.
    pub(crate) idle_timeout: Duration,
    /// `edge.send_timeout`: for the client to take an answer.
    pub(crate) send_timeout: Duration,
    /// `edge.body_timeout`: for the client to send a request's content.
    pub(crate) body_timeout: Duration,
    /// `edge.min_rate`: in bytes a second, of such content and of a site's answer.
    pub(crate) min_rate: u32,
    /// `edge.max_target_bytes`
    pub(crate) max_target_bytes: usize,
    /// `edge.max_header_bytes`: of all header fields together.
    pub(crate) max_header_bytes: usize,
    /// `edge.unknown_codes_per_second`: how many scans of unknown codes are recorded.
    pub(crate) unknown_codes_per_second: u32,
    /// `edge.limits`: how many redirects are answered in a second.
    pub(crate) limits: RateLimits,
}

impl Edge {
    pub(crate) fn read(values: &mut Values) -> Result<Self, ConfigError> {
        let defaults = edge::EdgeOptions::new(vec![loopback(8080)]);
        let limits = defaults.limits;
        Ok(Self {
            listen: values
                .non_empty_list("edge.listen", &kinds::ADDRESS)?
                .unwrap_or(defaults.listen),
            tls_listen: values
                .list("edge.tls_listen", &kinds::ADDRESS)?
                .unwrap_or_default(),
            tls_certificates: values.one("edge.tls_certificates", &kinds::PATH)?,
            tls_ticket_keys: values.one("edge.tls_ticket_keys", &kinds::PATH)?,
            tls_handshake_timeout: values
                .one("edge.tls_handshake_timeout", &kinds::SECONDS)?
                .unwrap_or(edge::TlsOptions::new("").handshake),
            h2c: values
                .one("edge.h2c", &kinds::BOOLEAN)?
                .unwrap_or(defaults.h2c),
            https_port: values
                .one("edge.https_port", &kinds::PORT)?
                .unwrap_or(defaults.site.https_port),
            backlog: values
                .one("edge.backlog", &kinds::BACKLOG)?
                .unwrap_or(defaults.sockets.backlog),
            defer_accept: values
                .one("edge.defer_accept", &kinds::SWITCH)?
                .unwrap_or(defaults.sockets.defer_accept),
            max_connections: values.one("edge.max_connections", &kinds::CONNECTIONS)?,
            max_connections_per_address: values
                .one("edge.max_connections_per_address", &kinds::CONNECTIONS)?,
            proxy_protocol_from: values
                .list("edge.proxy_protocol_from", &kinds::NETWORK)?
                .unwrap_or_default(),
            trusted_proxies: values
                .list("edge.trusted_proxies", &kinds::NETWORK)?
                .unwrap_or_default(),
            threads: values.one("edge.threads", &kinds::THREADS)?,
            health_path: values
                .one("edge.health_path", &kinds::HEALTH_PATH)?
                .unwrap_or(defaults.site.health_path),
            drain_delay: values
                .one("edge.drain_delay", &kinds::DELAY)?
                .unwrap_or_default(),
            head_timeout: values
                .one("edge.head_timeout", &kinds::SECONDS)?
                .unwrap_or(limits.head),
            idle_timeout: values
                .one("edge.idle_timeout", &kinds::SECONDS)?
                .unwrap_or(limits.idle),
            send_timeout: values
                .one("edge.send_timeout", &kinds::SECONDS)?
                .unwrap_or(limits.send),
            body_timeout: values
                .one("edge.body_timeout", &kinds::SECONDS)?
                .unwrap_or(limits.body),
            min_rate: values
                .one("edge.min_rate", &kinds::RATE)?
                .unwrap_or(limits.min_rate),
            max_target_bytes: values
                .one("edge.max_target_bytes", &kinds::BYTES)?
                .unwrap_or(limits.target),
            max_header_bytes: values
                .one("edge.max_header_bytes", &kinds::BYTES)?
                .unwrap_or(limits.headers),
            unknown_codes_per_second: values
                .one("edge.unknown_codes_per_second", &kinds::RATE)?
                .unwrap_or(defaults.unknown_codes_per_second),
            limits: rate_limits::read(values)?,
        })
    }
}

/// The HTTP API.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    /// `admin.listen`
    pub(crate) listen: SocketAddr,
    /// `admin.domain_verification`: what a workspace has to show before it may use a domain.
    pub(crate) domain_proof: DomainProof,
    /// `admin.requests_per_second`: how many requests one key or user may make; 0: no limit.
    pub(crate) requests_per_second: u32,
    /// `admin.trusted_proxies`: networks whose forwarding headers count.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// `admin.blocklists`: files with hosts that no tag may lead to.
    pub(crate) blocklists: Vec<PathBuf>,
    /// `admin.blocklist_action`: what is done when tags lead to a host that has been listed since.
    pub(crate) blocklist_action: BlocklistAction,
    /// `admin.alerts_unusual`: whether unusual scans raise alerts.
    pub(crate) unusual_alerts: bool,
    /// `admin.webhook_networks`: networks that are not public and to which alerts may be sent all the same.
    pub(crate) webhooks: WebhookOptions,
}

impl Admin {
    pub(crate) fn read(values: &mut Values) -> Result<Self, ConfigError> {
        let listen = values.one("admin.listen", &kinds::ADDRESS)?;
        let required = values.one("admin.domain_verification", &kinds::REQUIREMENT)?;
        Ok(Self {
            listen: listen.unwrap_or(loopback(8081)),
            domain_proof: if required.unwrap_or(true) {
                DomainProof::Required {
                    resolver: Arc::new(SystemResolver),
                }
            } else {
                DomainProof::Off
            },
            requests_per_second: values
                .one("admin.requests_per_second", &kinds::RATE)?
                .unwrap_or(1_000),
            trusted_proxies: values
                .list("admin.trusted_proxies", &kinds::NETWORK)?
                .unwrap_or_default(),
            blocklists: values
                .list("admin.blocklists", &kinds::PATH)?
                .unwrap_or_default(),
            blocklist_action: values
                .one("admin.blocklist_action", &kinds::BLOCKLIST_ACTION)?
                .unwrap_or_default(),
            unusual_alerts: values
                .one("admin.alerts_unusual", &kinds::BOOLEAN)?
                .unwrap_or(true),
            webhooks: WebhookOptions {
                resolver: Arc::new(SystemResolver),
                networks: values
                    .list("admin.webhook_networks", &kinds::NETWORK)?
                    .unwrap_or_default(),
            },
        })
    }
}

/// The operators' listener.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    /// `metrics.listen`
    pub(crate) listen: SocketAddr,
}

impl Metrics {
    pub(crate) fn read(values: &mut Values) -> Result<Self, ConfigError> {
        let listen = values.one("metrics.listen", &kinds::ADDRESS)?;
        Ok(Self {
            listen: listen.unwrap_or(loopback(9464)),
        })
    }
}

/// Where scans come from.
#[derive(Clone, Debug)]
pub(crate) struct GeoIp {
    /// `geoip.file`; none: places are unknown.
    pub(crate) file: Option<PathBuf>,
}

impl GeoIp {
    pub(crate) fn read(values: &mut Values) -> Result<Self, ConfigError> {
        let file = values.one("geoip.file", &kinds::PATH)?;
        Ok(Self { file })
    }
}

/// Programs that walk the web.
#[derive(Clone, Debug)]
pub(crate) struct Crawlers {
    /// `crawlers.networks`: files with the networks that their operators publish.
    pub(crate) networks: Vec<PathBuf>,
}

impl Crawlers {
    pub(crate) fn read(values: &mut Values) -> Result<Self, ConfigError> {
        let networks = values.list("crawlers.networks", &kinds::PATH)?;
        Ok(Self {
            networks: networks.unwrap_or_default(),
        })
    }
}

/// Where scans lie until they are delivered.
#[derive(Clone, Debug)]
pub(crate) struct ScanLog {
    /// `scan_log.hot`; none: a folder in shared memory that belongs to the data directory.
    pub(crate) hot: Option<PathBuf>,
    /// `scan_log.max_bytes`: of all segments; none: enough for the threads.
    pub(crate) max_bytes: Option<u64>,
    /// `scan_log.spool`; none: `scan_log.spool` in the data directory.
    pub(crate) spool: Option<PathBuf>,
    /// `scan_log.spool_max_bytes`: of all files there; 0: no spool.
    pub(crate) spool_max_bytes: u64,
}

impl ScanLog {
    pub(crate) fn read(values: &mut Values) -> Result<Self, ConfigError> {
        Ok(Self {
            hot: values.one("scan_log.hot", &kinds::PATH)?,
            max_bytes: values.one("scan_log.max_bytes", &kinds::SCAN_LOG_BYTES)?,
            spool: values.one("scan_log.spool", &kinds::PATH)?,
            spool_max_bytes: values
                .one("scan_log.spool_max_bytes", &kinds::SPOOL_BYTES)?
                .unwrap_or(4 << 30),
        })
    }
}

/// Logs.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// `log.format`
    pub(crate) format: LogFormat,
    /// `log.filter`
    pub(crate) filter: String,
}

impl Log {
    pub(crate) fn read(values: &mut Values) -> Result<Self, ConfigError> {
        let default = || DEFAULT_FILTER.to_owned();
        Ok(Self {
            format: values
                .one("log.format", &kinds::LOG_FORMAT)?
                .unwrap_or_default(),
            filter: values
                .one("log.filter", &kinds::LOG_FILTER)?
                .unwrap_or_else(default),
        })
    }
}

/// The end.
#[derive(Clone, Debug)]
pub(crate) struct Drain {
    /// `drain.timeout`: from the signal to the exit.
    pub(crate) timeout: Duration,
}

impl Drain {
    pub(crate) fn read(values: &mut Values) -> Result<Self, ConfigError> {
        let timeout = values.one("drain.timeout", &kinds::SECONDS)?;
        Ok(Self {
            timeout: timeout.unwrap_or(Duration::from_secs(10)),
        })
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn host_name() -> Result<String, ConfigError> {
    let name = hostname::get()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let kind = kinds::NODE_ID;
    (kind.parse)(&name).ok_or(ConfigError::HostName {
        name,
        allowed: kind.allowed,
    })
}
