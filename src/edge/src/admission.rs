//! Who is let in: how many connections there may be in all and from one address, counted while they last, and whose word about the
//! client's address is taken. When few places are left, those who only wait are told to leave. What a connection may do is the lane's.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::{ArcSwap, Guard};
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};
use tokio::sync::watch;

use crate::options::Trust;

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// In all.
    pub total: NonZeroUsize,
    /// From one client address, an IPv6 /64 counting as one; none: as many as in all. Proxies that are trusted to name their clients
    /// are no clients: theirs are counted where the PROXY protocol names them, and not at all where only a header of a request does.
    pub per_address: Option<NonZeroUsize>,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            total: NonZeroUsize::MAX,
            per_address: None,
        }
    }
}

/// Why a connection is closed without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There are too many in all.
    Total,
    /// There are too many from its address.
    Address,
    /// It had to begin with a PROXY protocol header, and did not, or not in time.
    ProxyProtocol,
}

impl Refusal {
    const ALL: [Self; 3] = [Self::Total, Self::Address, Self::ProxyProtocol];

    fn as_str(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Address => "address",
            Self::ProxyProtocol => "proxy_protocol",
        }
    }
}

/// The numbers of connections; clones count together.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionMetrics {
    open: IntGauge,
    refused: IntCounterVec,
}

impl ConnectionMetrics {
    /// Makes the numbers and shows them, every reason at zero.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            open: IntGauge::new(
                "tagwire_edge_connections",
                "Open connections of the redirect listeners",
            )?,
            refused: IntCounterVec::new(
                Opts::new(
                    "tagwire_edge_connections_refused_total",
                    "Connections that were closed without an answer: too many in all, too many from one address, no valid PROXY protocol header",
                ),
                &["reason"],
            )?,
        };
        registry.register(Box::new(metrics.open.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        for reason in Refusal::ALL {
            metrics.refused.with_label_values(&[reason.as_str()]);
        }
        Ok(metrics)
    }
}

/// The door, one for all threads.
#[derive(Debug)]
pub(crate) struct Admission {
    total: AtomicUsize,
    /// 0: none.
    per_address: AtomicUsize,
    /// Those who have connections, and how many; kept while there is a limit for it, and as large as there are connections at most.
    clients: Mutex<HashMap<Client, usize>>,
    trust: ArcSwap<Trust>,
    /// Whether few places are left, so that nobody is to keep one for nothing; and whether somebody has found none.
    crowded: AtomicBool,
    full: AtomicBool,
    /// What all connections listen to; each looks at its deadline again when it is sent.
    wake: Weak<watch::Sender<bool>>,
    metrics: ConnectionMetrics,
}

/// A connection that was let in, until it is dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    admission: Arc<Admission>,
    client: Option<Client>,
}

impl Admission {
    pub(crate) fn new(
        limits: ConnectionLimits,
        trust: Trust,
        metrics: ConnectionMetrics,
        wake: Weak<watch::Sender<bool>>,
    ) -> Arc<Self> {
        let admission = Self {
            total: AtomicUsize::new(0),
            per_address: AtomicUsize::new(0),
            clients: Mutex::default(),
            trust: ArcSwap::from_pointee(trust),
            crowded: AtomicBool::default(),
            full: AtomicBool::default(),
            wake,
            metrics,
        };
        admission.set(limits);
        Arc::new(admission)
    }

    /// Other limits from now on; who is in stays.
    pub(crate) fn set(&self, limits: ConnectionLimits) {
        let per_address = limits.per_address.map_or(0, NonZeroUsize::get);
        // Relaxed: each is a number of its own.
        self.total.store(limits.total.get(), Ordering::Relaxed);
        self.per_address.store(per_address, Ordering::Relaxed);
        self.look();
    }

    /// Whether few places are left: the last tenth of them is being taken, and there has not been a fifth since. Limits below ten have no
    /// tenth.
    pub(crate) fn is_crowded(&self) -> bool {
        // Relaxed: nothing is published with it, and a request more or less before it is seen makes no difference.
        self.crowded.load(Ordering::Relaxed)
    }

    /// Sees whether that has changed. Who waits is woken when it has become so, and not each time a place is given: there may be
    /// hundreds of thousands.
    fn look(&self) {
        let total = self.total.load(Ordering::Relaxed);
        let open = usize::try_from(self.metrics.open.get()).unwrap_or_default();
        if open > total - total / 10 {
            if !self.crowded.swap(true, Ordering::Relaxed)
                && let Some(wake) = self.wake.upgrade()
            {
                wake.send_modify(|_| ());
            }
        } else if self.is_crowded() && open <= total - total / 5 {
            self.crowded.store(false, Ordering::Relaxed);
            self.full.store(false, Ordering::Relaxed);
        }
    }

    /// Whom to believe from now on.
    pub(crate) fn set_trust(&self, trust: Trust) {
        self.trust.store(Arc::new(trust));
    }

    /// Whom to believe now.
    pub(crate) fn trust(&self) -> Guard<Arc<Trust>> {
        self.trust.load()
    }

    /// Lets a peer in, or counts why not.
    pub(crate) fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Admitted> {
        self.metrics.open.inc();
        let mut admitted = Admitted {
            admission: Arc::clone(self),
            client: None,
        };
        let total = self.total.load(Ordering::Relaxed);
        if usize::try_from(self.metrics.open.get()).is_ok_and(|open| open > total) {
            self.refused(Refusal::Total);
            if !self.full.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    connections = total,
                    "there is no place for another connection: new ones are closed until there is; see edge.max_connections"
                );
            }
            return None;
        }
        self.look();
        (self.announces(peer) || admitted.is_from(peer)).then_some(admitted)
    }

    /// Whether a peer's connections have to begin with a PROXY protocol header. Nobody else's may.
    pub(crate) fn announces(&self, peer: IpAddr) -> bool {
        self.trust().proxy_protocol_from.contain(peer)
    }

    pub(crate) fn refused(&self, reason: Refusal) {
        let counter = self.metrics.refused.with_label_values(&[reason.as_str()]);
        counter.inc();
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<Client, usize>> {
        // Nothing in there can be left half done.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    /// Counts the connection as this client's. False: it has too many.
    pub(crate) fn is_from(&mut self, client: IpAddr) -> bool {
        let most = self.admission.per_address.load(Ordering::Relaxed);
        if most == 0 || self.admission.trust().proxies.contain(client) {
            return true;
        }
        let client = Client::from(client);
        let mut clients = self.admission.clients();
        let open = clients.entry(client).or_default();
        if *open >= most {
            drop(clients);
            self.admission.refused(Refusal::Address);
            return false;
        }
        *open += 1;
        drop(clients);
        self.client = Some(client);
        true
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.admission.metrics.open.dec();
        if self.admission.is_crowded() {
            self.admission.look();
        }
        let Some(client) = self.client else { return };
        if let Entry::Occupied(mut open) = self.admission.clients().entry(client) {
            *open.get_mut() -= 1;
            if *open.get() == 0 {
                open.remove();
            }
        }
    }
}

/// Who counts as one: an IPv4 address, or an IPv6 /64, which is what one customer gets at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    V4([u8; 4]),
    V6([u8; 8]),
}

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use facts::TrustedProxies;

    fn admission(total: usize, per_address: usize) -> Arc<Admission> {
        let networks = |text: &str| TrustedProxies::new(vec![text.parse().unwrap()]);
        let limits = ConnectionLimits {
            total: NonZeroUsize::new(total).unwrap(),
            per_address: NonZeroUsize::new(per_address),
        };
        let metrics = ConnectionMetrics::register(&Registry::new()).unwrap();
        let trust = Trust {
            proxy_protocol_from: networks("10.1.0.0/16"),
            proxies: networks("10.2.0.0/16"),
        };
        Admission::new(limits, trust, metrics, Weak::new())
    }

    fn admit(admission: &Arc<Admission>, peer: &str) -> Option<Admitted> {
        admission.admit(peer.parse().unwrap())
    }

    fn refused(admission: &Admission) -> [u64; 3] {
        Refusal::ALL.map(|reason| {
            let refused = &admission.metrics.refused;
            refused.with_label_values(&[reason.as_str()]).get()
        })
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_has_ended() {
        let admission = admission(2, 0);
        let first = admit(&admission, "192.0.2.1");
        let second = admit(&admission, "192.0.2.1");
        assert!(first.is_some() && second.is_some());
        assert!(admit(&admission, "192.0.2.2").is_none());
        drop(first);
        let third = admit(&admission, "192.0.2.2");
        assert!(third.is_some() && admit(&admission, "192.0.2.3").is_none());
        assert_eq!(refused(&admission), [2, 0, 0]);
        assert_eq!(admission.metrics.open.get(), 2);
    }

    #[test]
    fn places_are_few_from_the_last_tenth_until_a_fifth_is_free() {
        let admission = admission(10, 0);
        let mut held: Vec<_> = (0..9).map(|_| admit(&admission, "192.0.2.1")).collect();
        assert!(!admission.is_crowded());
        held.push(admit(&admission, "192.0.2.1"));
        assert!(admission.is_crowded());
        assert!(admit(&admission, "192.0.2.1").is_none());
        held.pop();
        assert!(admission.is_crowded());
        held.pop();
        assert!(!admission.is_crowded());
        admission.set(ConnectionLimits {
            total: NonZeroUsize::new(8).unwrap(),
            per_address: None,
        });
        assert!(!admission.is_crowded(), "too few to have a tenth");
    }

    #[test]
    fn addresses_have_their_own_limits_and_leave_nothing_behind() {
        let admission = admission(100, 1);
        let held: Vec<_> = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1"]
            .map(|peer| admit(&admission, peer).unwrap())
            .into();
        for peer in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::ffff"] {
            assert!(admit(&admission, peer).is_none(), "{peer}");
        }
        assert_eq!(refused(&admission), [0, 3, 0]);
        drop(held);
        assert!(admission.clients().is_empty());
        assert_eq!(admission.metrics.open.get(), 0);
    }

    #[test]
    fn proxies_are_no_clients_but_those_that_they_announce_are() {
        let admission = admission(100, 1);
        let forwarding: Vec<_> = (0..5).map(|_| admit(&admission, "10.2.0.1")).collect();
        assert!(forwarding.iter().all(Option::is_some));
        let mut announced: Vec<_> = (0..2)
            .map(|_| admit(&admission, "10.1.0.1").unwrap())
            .collect();
        let client = "192.0.2.1".parse().unwrap();
        assert!(admission.announces("10.1.0.1".parse().unwrap()));
        assert!(announced[0].is_from(client) && !announced[1].is_from(client));
        assert!(admit(&admission, "192.0.2.1").is_none(), "also directly");
    }

    #[test]
    fn trust_that_changes_holds_for_those_who_come() {
        let admission = admission(100, 1);
        let announcing = "10.1.0.1".parse().unwrap();
        let _forwarding = [(); 2].map(|()| admit(&admission, "10.2.0.1").unwrap());
        assert!(admission.announces(announcing));
        admission.set_trust(Trust::default());
        assert!(!admission.announces(announcing));
        let stranger = admit(&admission, "10.2.0.1");
        assert!(stranger.is_some() && admit(&admission, "10.2.0.1").is_none());
    }

    #[test]
    fn limits_that_change_hold_for_those_who_come() {
        let admission = admission(1, 0);
        let _first = admit(&admission, "192.0.2.1").unwrap();
        assert!(admit(&admission, "192.0.2.1").is_none());
        admission.set(ConnectionLimits {
            total: NonZeroUsize::MAX,
            per_address: NonZeroUsize::new(1),
        });
        let second = admit(&admission, "192.0.2.1").expect("the first was not counted by address");
        assert!(admit(&admission, "192.0.2.1").is_none());
        admission.set(ConnectionLimits::default());
        drop(second);
        assert!(admission.clients().is_empty());
    }
}
