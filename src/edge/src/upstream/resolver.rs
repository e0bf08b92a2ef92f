//! The addresses of sites: looked up off the worker threads, once for all who ask at the same time, and kept for seconds. DNS is the
//! tenant's, so what it says is judged each time: a name that leads into the operator's network leads nowhere.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use tags::is_upstream_address;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, timeout};

use super::failure::Failure;

/// How long addresses are used. The system's resolver does not tell how long they are good for; a change of DNS shows after this.
const FRESH: Duration = Duration::from_secs(10);
/// How long a name without addresses is not asked for again.
const FAILED: Duration = Duration::from_secs(1);
/// How long the resolver may take: it asks several servers, one after the other, with more patience than a visitor has.
const LOOK_UP: Duration = Duration::from_secs(5);
/// For how long addresses may stand in for a resolver that gives none.
const STALE: Duration = Duration::from_secs(600);
/// How many names are kept: one for each domain with a site, and there are hardly more.
const NAMES: usize = 4_096;

type Name = (Box<str>, u16);

/// What is known of all names, for all worker threads.
pub(super) struct Resolver {
    networks: Vec<IpNet>,
    names: Mutex<HashMap<Name, Arc<AsyncMutex<Known>>>>,
}

/// What is known of a name.
#[derive(Default)]
struct Known {
    addresses: Option<(Arc<[SocketAddr]>, Instant)>,
    failed: Option<(Failure, Instant)>,
}

impl Resolver {
    /// Allows public addresses and these networks'.
    pub(super) fn new(networks: Vec<IpNet>) -> Self {
        Self {
            networks,
            names: Mutex::default(),
        }
    }

    /// The addresses of a host, a name or an address, that may be connected to; at least one.
    pub(super) async fn resolve(
        &self,
        host: &str,
        port: u16,
    ) -> Result<Arc<[SocketAddr]>, Failure> {
        let known = self.known(host, port);
        // Held while looking up, so that a thousand requests for one site ask once.
        let mut known = known.lock().await;
        let now = Instant::now();
        match (&known.addresses, &known.failed) {
            (Some((addresses, since)), _) if now - *since < FRESH => return Ok(addresses.clone()),
            (addresses, Some((failure, since))) if now - *since < FAILED => {
                return addresses
                    .as_ref()
                    .filter(|(_, since)| now - *since < STALE)
                    .map_or(Err(*failure), |(addresses, _)| Ok(addresses.clone()));
            }
            _ => {}
        }
        match self.look_up(host, port).await {
            Ok(addresses) => {
                known.addresses = Some((addresses.clone(), Instant::now()));
                known.failed = None;
                Ok(addresses)
            }
            Err(failure) => {
                known.failed = Some((failure, Instant::now()));
                let usable = |(_, since): &&(Arc<[SocketAddr]>, Instant)| now - *since < STALE;
                // An answer that is refused is an answer: what the name led to before is over.
                let stale = known.addresses.as_ref().filter(usable);
                match (failure, stale) {
                    (Failure::Unresolved, Some((addresses, _))) => Ok(addresses.clone()),
                    _ => {
                        known.addresses = None;
                        Err(failure)
                    }
                }
            }
        }
    }

    async fn look_up(&self, host: &str, port: u16) -> Result<Arc<[SocketAddr]>, Failure> {
        let looking = timeout(LOOK_UP, tokio::net::lookup_host((host, port))).await;
        let found = looking.map_err(|_| Failure::Unresolved)?;
        let found: Vec<SocketAddr> = found.map_err(|_| Failure::Unresolved)?.collect();
        if found.is_empty() {
            return Err(Failure::Unresolved);
        }
        let allowed: Arc<[SocketAddr]> = found
            .into_iter()
            .filter(|address| is_upstream_address(address.ip(), &self.networks))
            .collect();
        if allowed.is_empty() {
            tracing::warn!(
                host,
                "an upstream's addresses are not public and in none of upstream.networks: nothing is asked of it"
            );
            return Err(Failure::Refused);
        }
        Ok(allowed)
    }

    fn known(&self, host: &str, port: u16) -> Arc<AsyncMutex<Known>> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= NAMES {
            names.clear(); // all are looked up again, which is what a few seconds would have done anyway
        }
        Arc::clone(names.entry((host.into(), port)).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_outside_the_public_internet_is_refused_unless_its_network_is_opened() {
        let closed = Resolver::new(Vec::new());
        let opened = Resolver::new(vec!["127.0.0.0/8".parse().expect("a network")]);
        for host in ["127.0.0.1", "::ffff:127.0.0.1"] {
            assert_eq!(closed.resolve(host, 80).await, Err(Failure::Refused));
            assert!(opened.resolve(host, 80).await.is_ok(), "{host}");
        }
        for host in ["10.0.0.1", "169.254.169.254", "::1"] {
            assert_eq!(opened.resolve(host, 80).await, Err(Failure::Refused));
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_refused_like_the_address_itself() {
        let closed = Resolver::new(Vec::new());
        assert_eq!(closed.resolve("localhost", 80).await, Err(Failure::Refused));
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_has_no_address() {
        let resolver = Resolver::new(Vec::new());
        let failure = resolver.resolve("no-such-name.invalid", 80).await;
        assert_eq!(failure, Err(Failure::Unresolved));
    }
}
