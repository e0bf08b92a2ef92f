//! A worker thread's life: it accepts from all listening sockets, serves its connections, and ends when it is told to.

use std::net::TcpListener;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use pingora_core::server::ShutdownWatch;
use scans::ScanLog;
use table::Table;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use crate::admission::Admission;
use crate::arrivals::take_in;
use crate::conversation::{Rules, Worker};
use crate::lane::Lane;
use crate::last_arrivals;
use crate::metrics::{EdgeMetrics, FLUSH_EVERY};
use crate::server::StartError;
use crate::sockets::{self, SocketOptions};
use crate::tls::Tls;
use crate::upstream::{GeneralLane, Upstreams};

/// What all worker threads share.
pub(crate) struct Shared {
    pub(crate) admission: Arc<Admission>,
    pub(crate) table: Arc<Table>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) draining: Arc<AtomicBool>,
    pub(crate) sockets: SocketOptions,
    /// Nothing is accepted before it says so.
    pub(crate) begin: watch::Receiver<bool>,
    pub(crate) stopping: ShutdownWatch,
    /// Set before `stopping` is.
    pub(crate) ending: Arc<OnceLock<Ending>>,
}

/// How to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub(crate) deadline: Instant,
    /// Whether another process goes on with the listening sockets, and takes what the kernel keeps to itself there.
    pub(crate) sockets_go_on: bool,
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

/// The listeners of one kind: with TLS or without, and their sockets.
pub(crate) type Listening<'a> = (Option<Arc<Tls>>, &'a [TcpListener]);

/// What a worker thread is made of.
pub(crate) struct WorkerThread {
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
    pub(crate) fn new(
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
    pub(crate) fn run(self) -> bool {
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
