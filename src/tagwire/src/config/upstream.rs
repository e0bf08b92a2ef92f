//! The section of brands' own sites behind their domains: where edges may go, and how long and how much they may be asked for.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::error::ConfigError;
use super::kinds;
use super::values::Values;

/// Sites behind domains.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    /// `upstream.networks`: networks that are not public and to which a domain's upstream may lead all the same.
    pub(crate) networks: Vec<IpNet>,
    /// `upstream.ca_file`: whom to believe instead of the system's certificate authorities.
    pub(crate) ca_file: Option<PathBuf>,
    /// `upstream.connect_timeout`
    pub(crate) connect_timeout: Duration,
    /// `upstream.read_timeout`: for the answer to begin, and between its pieces.
    pub(crate) read_timeout: Duration,
    /// `upstream.send_timeout`: for the site to take a piece of a request.
    pub(crate) send_timeout: Duration,
    /// `upstream.total_timeout`
    pub(crate) total_timeout: Duration,
    /// `upstream.max_body_bytes`: of a request.
    pub(crate) max_body_bytes: u64,
    /// `upstream.max_requests`: at a time, for one domain.
    pub(crate) max_requests: u32,
    /// `upstream.max_total_requests`: at a time, for all domains together.
    pub(crate) max_total_requests: u32,
}

impl Upstream {
    pub(crate) fn read(values: &mut Values) -> Result<Self, ConfigError> {
        let defaults = edge::UpstreamOptions::default();
        let mut seconds = |key, default| {
            let given = values.one(key, &kinds::SECONDS)?;
            Ok(given.unwrap_or(default))
        };
        Ok(Self {
            connect_timeout: seconds("upstream.connect_timeout", defaults.connect)?,
            read_timeout: seconds("upstream.read_timeout", defaults.read)?,
            send_timeout: seconds("upstream.send_timeout", defaults.send)?,
            total_timeout: seconds("upstream.total_timeout", defaults.total)?,
            networks: values
                .list("upstream.networks", &kinds::NETWORK)?
                .unwrap_or_default(),
            ca_file: values.one("upstream.ca_file", &kinds::PATH)?,
            max_body_bytes: values
                .one("upstream.max_body_bytes", &kinds::BODY_BYTES)?
                .unwrap_or(defaults.max_body),
            max_requests: values
                .one("upstream.max_requests", &kinds::RATE)?
                .unwrap_or(defaults.max_requests),
            max_total_requests: values
                .one("upstream.max_total_requests", &kinds::RATE)?
                .unwrap_or(defaults.max_total_requests),
        })
    }
}
