//! What an edge can be told about the sites behind its domains: where they may be, and how long and how much it asks of them.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

/// How requests for upstreams are handled. Each time-out has the meaning of nginx's of that name.
#[derive(Clone, Debug)]
pub struct UpstreamOptions {
    /// Networks that are not public and may be connected to all the same.
    pub networks: Vec<IpNet>,
    /// A PEM file of the certificate authorities to believe; none: the system's.
    pub ca_file: Option<PathBuf>,
    /// For a connection to be there, TLS included.
    pub connect: Duration,
    /// For an answer to begin, and between its pieces.
    pub read: Duration,
    /// For the site to take a piece of a request.
    pub send: Duration,
    /// For all of it.
    pub total: Duration,
    /// The longest request body, in bytes; beyond it 413.
    pub max_body: u64,
    /// How many requests for one domain may be under way, over all threads; beyond it 503.
    pub max_requests: u32,
    /// How many for all domains together. A domain may have as many as are left for the others.
    pub max_total_requests: u32,
}

impl Default for UpstreamOptions {
    fn default() -> Self {
        Self {
            networks: Vec::new(),
            ca_file: None,
            connect: Duration::from_secs(5),
            read: Duration::from_secs(60),
            send: Duration::from_secs(60),
            total: Duration::from_secs(3600),
            max_body: 10 * 1024 * 1024,
            max_requests: 256,
            max_total_requests: 2048,
        }
    }
}
