//! Starts and stops the redirect listeners, on worker threads of our own, so that a process with other roles keeps its signals and its
//! exit to itself.
//!
//! Each worker thread runs its own single-threaded runtime (no work stealing) and accepts from all listening sockets; a connection
//! stays on its thread. Sockets are bound here, or inherited, before anything starts. What such a thread does is in `worker_thread`.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use scans::{ScanLog, Visitors};
use table::Table;
use tokio::sync::watch;

use crate::admission::{Admission, ConnectionLimits};
use crate::conversation::Rules;
use crate::inherited::Inherited;
use crate::metrics::EdgeMetrics;
use crate::options::EdgeOptions;
use crate::options::Trust;
use crate::rate_limits::{RateLimiter, RateLimits};
use crate::record::{Recording, UnknownCap};
use crate::sockets::{self, SocketOptions};
use crate::upstream::Upstreams;
use crate::worker_thread::{Ending, Shared, WorkerThread};

/// How long idle connections are kept for one more request when another process has taken the place of this one: load balancers, which keep
/// some, send on each of them more often.
const LAST_CALL: Duration = Duration::from_secs(2);

/// Why the redirect listeners could not start. Nothing is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No address.
    #[error("nowhere to listen for redirects: edge.listen is empty")]
    NoAddress,
    /// TLS without certificates.
    #[error("edge.tls_listen needs edge.tls_certificates")]
    NoCertificates,
    /// An address cannot be listened on.
    #[error(
        "listening for redirects on {address}: {source}; choose another edge.listen, or stop what listens there"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// A worker thread cannot be started.
    #[error("starting the edge's worker threads: {0}")]
    Worker(#[source] io::Error),
    /// There are no random numbers for the visitors' pseudonyms.
    #[error("making the day's visitor key: the operating system gives no random numbers: {0}")]
    Random(String),
}

/// The running redirect listeners. Keep it: dropped, they end without waiting for anyone; [`EdgeServer::shutdown`] waits.
pub struct EdgeServer {
    admission: Arc<Admission>,
    rules: Arc<Rules>,
    /// For whoever takes over from this process; the worker threads have their own.
    sockets: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    tls_addresses: Vec<SocketAddr>,
    draining: Arc<AtomicBool>,
    stop: Arc<watch::Sender<bool>>,
    ending: Arc<OnceLock<Ending>>,
    workers: Vec<JoinHandle<bool>>,
}

/// How a shutdown went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every connection came to its end.
    Finished,
    /// The deadline came first, and cut some off.
    CutOff,
}

impl EdgeServer {
    /// Binds every address, and starts to answer.
    pub fn start(
        options: EdgeOptions,
        table: Arc<Table>,
        log: &ScanLog,
        metrics: &EdgeMetrics,
    ) -> Result<Self, StartError> {
        Self::start_with(Inherited::nothing(), options, table, log, metrics)
    }

    /// Takes the sockets at its addresses from what it inherits, binds those that are not there, closes those that it has no use for, and
    /// starts to answer when that says so.
    pub fn start_with(
        mut inherited: Inherited,
        options: EdgeOptions,
        table: Arc<Table>,
        log: &ScanLog,
        metrics: &EdgeMetrics,
    ) -> Result<Self, StartError> {
        if options.listen.is_empty() && options.tls_listen.is_empty() {
            return Err(StartError::NoAddress);
        }
        let upstreams = Arc::new(Upstreams::new(
            options.upstream,
            &options.limits,
            metrics.upstream.clone(),
        ));
        if options.tls.is_none() && !options.tls_listen.is_empty() {
            return Err(StartError::NoCertificates);
        }
        let (sockets, addresses) = open_all(&options.listen, options.sockets, &mut inherited)?;
        let (tls_sockets, tls_addresses) =
            open_all(&options.tls_listen, options.sockets, &mut inherited)?;
        let listening = [(None, &sockets[..]), (options.tls, &tls_sockets)];
        let (stop, stopping) = watch::channel(false);
        let stop = Arc::new(stop);
        let admission = Admission::new(
            options.connections,
            options.trust,
            metrics.connections.clone(),
            Arc::downgrade(&stop),
        );
        let agents = Arc::clone(&options.agents);
        table.prepare_agents_with(move || {
            if agents.get().is_none() {
                tracing::error!("what browsers say of themselves cannot be read: rules about devices, systems, browsers and bots do not hold");
            }
        });
        let rules = Arc::new(Rules {
            site: options.site,
            limits: options.limits,
            h2c: options.h2c,
            places: options.places,
            crawlers: options.crawlers,
            agents: options.agents,
            tallies: options.tallies,
            recording: Recording {
                visitors: Arc::new(
                    Visitors::new(metrics.local_salts())
                        .map_err(|error| StartError::Random(error.to_string()))?,
                ),
                unknown_codes: UnknownCap::new(options.unknown_codes_per_second),
            },
            rate_limiter: RateLimiter::new(options.rate_limits),
            replaced: OnceLock::new(),
        });
        let shared = Shared {
            admission,
            table,
            rules,
            upstreams,
            draining: Arc::default(),
            sockets: options.sockets,
            begin: inherited.begin(),
            stopping,
            ending: Arc::default(),
        };
        drop(inherited);
        let threads = options
            .threads
            .or_else(|| thread::available_parallelism().ok())
            .map_or(1, NonZeroUsize::get);
        // All is made before the first thread starts, so that a failure leaves nothing running.
        let parts = (0..threads)
            .map(|_| WorkerThread::new(&shared, log, metrics, &listening))
            .collect::<Result<Vec<_>, StartError>>()?;
        let mut server = Self {
            admission: shared.admission,
            rules: shared.rules,
            sockets: [sockets, tls_sockets].into_iter().flatten().collect(),
            addresses,
            tls_addresses,
            draining: shared.draining,
            stop,
            ending: shared.ending,
            workers: Vec::with_capacity(threads),
        };
        for (number, part) in parts.into_iter().enumerate() {
            let started = thread::Builder::new()
                .name(format!("edge-{number}"))
                .spawn(move || part.run());
            match started {
                Ok(worker) => server.workers.push(worker),
                Err(error) => {
                    server.shutdown(Duration::ZERO);
                    return Err(StartError::Worker(error));
                }
            }
        }
        Ok(server)
    }

    /// Where it listens, in the order of the options, with the ports that were given for 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where it listens for TLS.
    pub fn tls_addresses(&self) -> &[SocketAddr] {
        &self.tls_addresses
    }

    /// What scans' visitors are known by, for who brings the days' salts.
    pub fn visitors(&self) -> Arc<Visitors> {
        Arc::clone(&self.rules.recording.visitors)
    }

    /// The sockets that it listens on, for the process that takes its place.
    pub fn sockets(&self) -> &[TcpListener] {
        &self.sockets
    }

    /// Other limits from now on, for connections that come; those that are there stay.
    pub fn limit_connections(&self, limits: ConnectionLimits) {
        self.admission.set(limits);
    }

    /// Other limits of redirects from now on.
    pub fn limit_rates(&self, limits: RateLimits) {
        self.rules.rate_limiter.set(limits);
    }

    /// Whom to believe from now on: about connections that come, and requests.
    pub fn trust(&self, trust: Trust) {
        self.admission.set_trust(trust);
    }

    /// Tells load balancers and clients to go elsewhere: the health check says 503, and every answer closes its connection. New
    /// connections are still answered. For the time before [`EdgeServer::shutdown`] that load balancers need to notice.
    pub fn begin_drain(&self) {
        // Relaxed: nothing else is published with it.
        self.draining.store(true, Ordering::Relaxed);
    }

    /// As [`EdgeServer::shutdown`], when another process answers in the place of this one, from the same sockets. Load balancers, who ask
    /// on a connection that is still open, are not told to go elsewhere; and since there is no hurry, idle connections are closed with the
    /// answer to their next request if one comes soon, so that none is closed under a request that is on its way.
    pub fn give_way(self, within: Duration) -> Drained {
        let last_call = Instant::now() + LAST_CALL.min(within / 2);
        let _ = self.rules.replaced.set(last_call.into()); // once, since it ends with this
        self.end(within, true)
    }

    /// As [`EdgeServer::shutdown`], when another process is about to answer from the same sockets, but does not yet.
    pub fn leave(self, within: Duration) -> Drained {
        self.end(within, true)
    }

    /// Stops listening, closes idle connections, answers what is being asked, and ends the worker threads; after `within` it cuts off
    /// what is left. Blocks; every scan has been appended to its scan log when it returns.
    pub fn shutdown(self, within: Duration) -> Drained {
        self.end(within, false)
    }

    fn end(mut self, within: Duration, sockets_go_on: bool) -> Drained {
        self.begin_drain();
        self.sockets.clear();
        let _ = self.ending.set(Ending {
            deadline: Instant::now() + within,
            sockets_go_on,
        });
        let _ = self.stop.send(true); // fails only when every worker has ended
        // All are waited for, whatever the first one says.
        let ends: Vec<bool> = self
            .workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or(false))
            .collect();
        if ends.into_iter().all(|finished| finished) {
            Drained::Finished
        } else {
            Drained::CutOff
        }
    }
}

/// Listening sockets and where they are.
fn open_all(
    given: &[SocketAddr],
    options: SocketOptions,
    inherited: &mut Inherited,
) -> Result<(Vec<TcpListener>, Vec<SocketAddr>), StartError> {
    let sockets = given
        .iter()
        .map(|&address| {
            let taken = inherited.take(address).map(Ok);
            let opened = taken.unwrap_or_else(|| sockets::open(address, options));
            opened.map_err(|source| StartError::Bind { address, source })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let addresses = sockets
        .iter()
        .map(TcpListener::local_addr)
        .collect::<Result<Vec<_>, _>>()
        .map_err(StartError::Worker)?;
    Ok((sockets, addresses))
}
