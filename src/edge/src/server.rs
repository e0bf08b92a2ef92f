//! Starts and stops the redirect listeners, on worker threads of our own, so that a process with other roles keeps its signals and its
//! exit to itself.
//!
//! Each worker thread runs its own single-threaded runtime (no work stealing) and accepts from all listening sockets; a connection
//! stays on its thread. Sockets are bound here, or inherited, before anything starts.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pingora_core::server::ShutdownWatch;
use scans::{ScanLog, Visitors};
use table::Table;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use crate::admission::{Admission, ConnectionLimits};
use crate::arrivals::take_in;
use crate::client::Trust;
use crate::conversation::{Rules, Worker};
use crate::inherited::Inherited;
use crate::lane::Lane;
use crate::last_arrivals;
use crate::metrics::{EdgeMetrics, FLUSH_EVERY};
use crate::options::EdgeOptions;
use crate::record::{Recording, UnknownCap};
use crate::sockets::{self, SocketOptions};
use crate::tls::Tls;
use crate::upstream::{GeneralLane, Upstreams};

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

/// How to end.
#[derive(Clone, Copy, Debug)]
struct Ending {
    deadline: Instant,
    /// Whether another process goes on with the listening sockets, and takes what the kernel keeps to itself there.
    sockets_go_on: bool,
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
        let rules = Arc::new(Rules {
            site: options.site,
            limits: options.limits,
            h2c: options.h2c,
            places: options.places,
            recording: Recording {
                visitors: Visitors::new(metrics.local_salts())
                    .map_err(|error| StartError::Random(error.to_string()))?,
                unknown_codes: UnknownCap::new(options.unknown_codes_per_second),
            },
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

    /// The sockets that it listens on, for the process that takes its place.
    pub fn sockets(&self) -> &[TcpListener] {
        &self.sockets
    }

    /// Other limits from now on, for connections that come; those that are there stay.
    pub fn limit_connections(&self, limits: ConnectionLimits) {
        self.admission.set(limits);
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

impl Ending {
    /// Of a server that was dropped.
    fn at_once() -> Self {
        Self {
            deadline: Instant::now(),
            sockets_go_on: false,
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

/// What all worker threads share.
struct Shared {
    admission: Arc<Admission>,
    table: Arc<Table>,
    rules: Arc<Rules>,
    upstreams: Arc<Upstreams>,
    draining: Arc<AtomicBool>,
    sockets: SocketOptions,
    /// Nothing is accepted before it says so.
    begin: watch::Receiver<bool>,
    stopping: ShutdownWatch,
    /// Set before `stopping` is.
    ending: Arc<OnceLock<Ending>>,
}

/// The listeners of one kind: with TLS or without, and their sockets.
type Listening<'a> = (Option<Arc<Tls>>, &'a [TcpListener]);

/// What a worker thread is made of.
struct WorkerThread {
    /// To accept from, also what is left on them at the end.
    sockets: Vec<(Arc<Lane>, TcpListener)>,
    worker: Arc<Mutex<Worker>>,
    /// Ends when the lane and all its connections have.
    closed: mpsc::Receiver<()>,
    runtime: Runtime,
    options: SocketOptions,
    begin: watch::Receiver<bool>,
    stopping: ShutdownWatch,
    ending: Arc<OnceLock<Ending>>,
}

impl WorkerThread {
    fn new(
        shared: &Shared,
        log: &ScanLog,
        metrics: &EdgeMetrics,
        listening: &[Listening<'_>],
    ) -> Result<Self, StartError> {
        let worker = Worker::new(log.writer(), metrics.express_lane());
        let worker = Arc::new(Mutex::new(worker));
        let (open, closed) = mpsc::channel(1);
        let lane = Lane {
            admission: Arc::clone(&shared.admission),
            tls: None,
            table: Arc::clone(&shared.table),
            rules: Arc::clone(&shared.rules),
            worker: Arc::clone(&worker),
            general: Arc::new(GeneralLane::new(Arc::clone(&shared.upstreams))),
            draining: Arc::clone(&shared.draining),
            _open: open,
        };
        let mut own = Vec::new();
        for (tls, sockets) in listening {
            let lane = Arc::new(Lane {
                tls: tls.clone(),
                ..lane.clone()
            });
            for socket in *sockets {
                let socket = socket.try_clone().map_err(StartError::Worker)?;
                own.push((Arc::clone(&lane), socket));
            }
        }
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StartError::Worker)?;
        Ok(Self {
            sockets: own,
            worker,
            closed,
            runtime,
            options: shared.sockets,
            begin: shared.begin.clone(),
            stopping: shared.stopping.clone(),
            ending: Arc::clone(&shared.ending),
        })
    }

    /// Serves until it is told to stop; whether every connection came to its end.
    fn run(self) -> bool {
        let Self {
            sockets,
            worker,
            mut closed,
            runtime,
            options,
            begin,
            stopping,
            ending,
        } = self;
        let finished = runtime.block_on(async {
            if !*begin.borrow() && !begins(begin, stopping.clone(), &sockets, options).await {
                return true; // who waits in a queue waits for the process that has opened it
            }
            tokio::spawn(flush_metrics(worker.clone()));
            let mut accepting = JoinSet::new();
            for (lane, socket) in &sockets {
                let (lane, stopping) = (Arc::clone(lane), stopping.clone());
                let socket = socket.try_clone();
                accepting.spawn(async move {
                    let arrivals = async { take_in(lane, socket?, stopping).await };
                    if let Err(error) = arrivals.await {
                        tracing::error!(%error, "a listener for redirects ended");
                    }
                });
            }
            while let Some(ended) = accepting.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "a listener for redirects ended");
                }
            }
            let Ending {
                deadline,
                sockets_go_on,
            } = ending.get().copied().unwrap_or_else(Ending::at_once);
            if options.defer_accept && !sockets_go_on {
                last_arrivals::accept_deferred(&sockets, &stopping, deadline.into()).await;
            }
            for (lane, socket) in sockets {
                last_arrivals::accept_all(&lane, &socket, &stopping);
            }
            timeout_at(deadline.into(), closed.recv()).await.is_ok()
        });
        runtime.shutdown_background();
        flush(&worker);
        finished
    }
}

/// Waits until inherited sockets are this process's, and from then on has them listen as it would have opened them. False: it is told to
/// stop before.
async fn begins(
    mut begin: watch::Receiver<bool>,
    mut stopping: ShutdownWatch,
    sockets: &[(Arc<Lane>, TcpListener)],
    options: SocketOptions,
) -> bool {
    let begun = tokio::select! {
        biased;
        _ = stopping.wait_for(|stop| *stop) => false,
        begun = begin.wait_for(|begin| *begin) => begun.is_ok(),
    };
    for (_, socket) in sockets.iter().filter(|_| begun) {
        if let Err(error) = sockets::begin(socket, options) {
            tracing::warn!(%error, "an inherited socket listens as the process before has set it up");
        }
    }
    begun
}

async fn flush_metrics(worker: Arc<Mutex<Worker>>) {
    let mut every = tokio::time::interval(FLUSH_EVERY);
    loop {
        every.tick().await;
        flush(&worker);
    }
}

fn flush(worker: &Mutex<Worker>) {
    worker
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .metrics
        .flush();
}
