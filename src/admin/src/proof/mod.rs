//! Whether a domain belongs to the workspace that wants it: its owner puts a token where nobody else can, into DNS or onto the site that
//! is there. Certificate authorities ask the same (RFC 8555 §8.3 and §8.4).

mod dns;
mod file;

use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;
use tags::Domain;

pub use self::dns::SystemResolver;

/// Below this name of the domain, DNS has the token in a TXT record.
const RECORD: &str = "_tagwire-challenge";
/// At this path of the domain, over HTTP, a file has the token in a line of its own. It is not part of the path, so that no site repeats it
/// by accident.
const PATH: &str = "/.well-known/tagwire-challenge";

/// What a workspace has to show before it may use a domain.
#[derive(Clone, Debug)]
pub enum DomainProof {
    /// Nothing: all workspaces of the installation trust one another.
    Off,
    /// The token, unless the workspace is `default`: its owners run the installation.
    Required {
        /// Who is asked for it.
        resolver: Arc<dyn Resolver>,
    },
}

/// DNS, as far as a proof needs it.
#[async_trait::async_trait]
pub trait Resolver: Debug + Send + Sync {
    /// The texts of a name's TXT records; none, if there is no such name or record.
    async fn txt(&self, name: &str) -> std::io::Result<Vec<String>>;

    /// Where a host's port is to be connected to.
    async fn addresses(&self, host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>>;
}

/// What the owner of a domain is asked to do: one of both.
#[derive(Clone, Debug)]
pub(crate) struct Challenge<'a> {
    pub(crate) domain: &'a Domain,
    pub(crate) token: &'a str,
}

/// The token is at neither place.
#[derive(Debug, thiserror::Error)]
#[error(
    "The domain is not proven to be yours yet. {dns} And {file_url} is no file with the token in a line of its own, answered with 200 over plain HTTP at a public address, without a redirect, of at most 4,096 bytes, within 10 s."
)]
pub(crate) struct NotProven {
    dns: String,
    file_url: String,
}

impl Challenge<'_> {
    /// The name of the TXT record.
    pub(crate) fn record_name(&self) -> String {
        format!("{RECORD}.{}", self.domain)
    }

    /// Where the file is.
    pub(crate) fn file_url(&self) -> String {
        let host = self.domain.as_str();
        if host.contains(':') {
            return format!("http://[{host}]{PATH}");
        }
        format!("http://{host}{PATH}")
    }

    /// Looks for the token, first in DNS. The file is asked for at public addresses alone, and at those in `networks`.
    pub(crate) async fn prove(
        &self,
        resolver: &dyn Resolver,
        networks: &[IpNet],
    ) -> Result<(), NotProven> {
        let Err(dns) = dns::look_up(resolver, self).await else {
            return Ok(());
        };
        let Err(file::NotFound) = file::fetch(resolver, networks, self).await else {
            return Ok(());
        };
        let file_url = self.file_url();
        Err(NotProven { dns, file_url })
    }
}
