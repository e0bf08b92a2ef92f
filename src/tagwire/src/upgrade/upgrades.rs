//! The running process's side: hears who wants to take its place, one at a time, and ends when that one serves. Whatever else comes, it goes
//! on as before.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::edge::SnapshotOrders;
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::Predecessor;
use super::message::{Channel, Descriptor, HearingError, Message, PROTOCOL};
use super::socket::{self, SocketFile};
use crate::program::{Program, Replaced};

/// How long a connection may take to say hello.
const HELLO: Duration = Duration::from_secs(5);
/// How long the snapshot may take that is written before the offer; the new process begins with the one before, if there is one.
const SNAPSHOT: Duration = Duration::from_secs(30);
/// How long a new process goes on to get ready when the one before ends by itself: those who connect meanwhile wait in the queues.
const LAST_PREPARATIONS: Duration = Duration::from_secs(3);
/// How many connections are heard at a time; others wait.
const AT_ONCE: usize = 8;
/// How long nothing is accepted after it failed.
const PAUSE: Duration = Duration::from_millis(100);

/// What this process hands over.
pub(crate) struct Offer {
    /// The data directory, by which it is found.
    pub(crate) data: PathBuf,
    pub(crate) descriptors: Vec<(Descriptor, OwnedFd)>,
    /// One is written before the offer, so that the new process begins with what this one knows, also while the journal is away.
    pub(crate) snapshots: SnapshotOrders,
}

/// The part that makes upgrades possible: first this process takes the place of another, if there is one; then others may take its own.
pub(crate) struct Upgrades {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// How upgrades ended for this process.
pub(crate) struct Ended {
    /// Whether another process serves in its place.
    pub(crate) replaced: bool,
    /// Whether another one has its listening sockets, and is about to serve.
    pub(crate) followed: bool,
    /// The other end waits until this is closed: for the end of this process.
    until_the_end: Option<Channel>,
}

impl Drop for Ended {
    /// Leaves it to the kernel to close it, which is when every thread of this process has ended.
    fn drop(&mut self) {
        std::mem::forget(self.until_the_end.take());
    }
}

impl Upgrades {
    /// `begin` is told when this process is to accept connections.
    pub(crate) fn start(
        program: &Program,
        offer: Offer,
        predecessor: Option<Predecessor>,
        begin: watch::Sender<bool>,
    ) -> prometheus::Result<Self> {
        let metrics = Metrics::register(&program.registry)?;
        let followed = predecessor.as_ref().map(|predecessor| predecessor.process);
        let phase = followed.map_or(Phase::Open, Phase::Following);
        let Offer {
            data,
            descriptors,
            snapshots,
        } = offer;
        let shared = Arc::new(Shared {
            data,
            snapshots,
            replaced: program.replaced(),
            metrics,
            state: Mutex::new(State {
                descriptors: Some(Arc::new(descriptors)),
                socket: None,
                phase,
            }),
        });
        let (stop, stopping) = watch::channel(false);
        let (running, health) = (Arc::clone(&shared), program.health.clone());
        let task = program.runtime.spawn(async move {
            match predecessor {
                None => running.listen(stopping).await,
                Some(predecessor) => {
                    running
                        .take_over(predecessor, health, begin, stopping)
                        .await
                }
            }
        });
        Ok(Self { shared, stop, task })
    }

    /// Nothing is handed over any more. First of all in a drain: what is left here of the listening sockets is closed.
    pub(crate) fn end(self, program: &Program) -> Ended {
        // Who comes from here on is told by the data directory's lock that this process still runs. Before another process hears that this
        // one ends, and makes a socket of its own; one that has taken its place may be making it right now, in the place of this one.
        let mut state = self.shared.lock();
        let is_replaced = matches!(state.phase, Phase::Replaced(_));
        if let Some(socket) = state.socket.take().filter(|_| !is_replaced) {
            socket.remove();
        }
        drop(state);
        let _ = self.stop.send(true); // fails when the task has ended
        if let Err(error) = program.runtime.block_on(self.task) {
            tracing::error!(%error, "the task that hears of upgrades panicked");
        }
        let mut state = self.shared.lock();
        state.descriptors = None;
        let replaced = matches!(state.phase, Phase::Replaced(_));
        let until_the_end = match std::mem::replace(&mut state.phase, Phase::Open) {
            Phase::Replaced(channel) | Phase::Ending(channel) => Some(channel),
            Phase::Following(_) | Phase::Open | Phase::Offered(_) => None,
        };
        Ended {
            replaced,
            followed: until_the_end.is_some() && !replaced,
            until_the_end,
        }
    }
}

struct Shared {
    data: PathBuf,
    snapshots: SnapshotOrders,
    replaced: Replaced,
    metrics: Metrics,
    state: Mutex<State>,
}

struct State {
    /// None: this process ends, and has closed them.
    descriptors: Option<Descriptors>,
    /// Where this process is found.
    socket: Option<SocketFile>,
    phase: Phase,
}

enum Phase {
    /// The process whose place this one took, or takes, still runs.
    Following(i32),
    /// Whoever comes may take this one's place.
    Open,
    /// This process has the offer.
    Offered(i32),
    /// At the other end is the one that serves now.
    Replaced(Channel),
    /// This process ends without; at the other end is one that wanted to take its place.
    Ending(Channel),
}

impl Shared {
    /// Takes the place of the process before, when this one is ready or that one ends by itself; then others may take this one's.
    async fn take_over(
        self: &Arc<Self>,
        mut predecessor: Predecessor,
        health: telemetry::Health,
        begin: watch::Sender<bool>,
        mut stopping: watch::Receiver<bool>,
    ) {
        let process = predecessor.process;
        tracing::info!(
            process,
            version = predecessor.version,
            "taking the place of a running edge: it serves until this one is ready"
        );
        let ready = tokio::select! {
            biased;
            () = told_to_stop(&mut stopping) => return,
            () = health.until_ready() => true,
            () = predecessor.is_ending() => false,
        };
        if !ready {
            tokio::select! {
                biased;
                () = told_to_stop(&mut stopping) => return,
                () = health.until_ready() => {}
                () = sleep(LAST_PREPARATIONS) => {}
            }
        }
        begin.send_replace(true);
        self.metrics.predecessor.set(1);
        let told = match ready {
            true => predecessor.told_to_end().await.is_ok(),
            false => false,
        };
        match told {
            true => tracing::info!(
                process,
                "serving in the place of the edge before, which drains"
            ),
            false => tracing::warn!(
                process,
                "the edge before has ended before this one took its place: this one serves as it is"
            ),
        }
        let mut stopped = stopping.clone();
        let ended = async {
            tokio::select! {
                biased;
                () = told_to_stop(&mut stopped) => return,
                () = predecessor.has_ended() => {}
            }
            tracing::info!(process, "the edge before has ended");
            self.lock().phase = Phase::Open;
            self.metrics.predecessor.set(0);
            self.snapshots.hold(false);
        };
        tokio::join!(ended, self.listen(stopping));
    }

    /// Hears who comes, until it is told to stop.
    async fn listen(self: &Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let listener = match socket::listen(&self.data) {
            Ok((listener, file)) => {
                self.lock().socket = Some(file);
                listener
            }
            Err(error) => {
                let socket = socket::path(&self.data);
                tracing::warn!(%error, socket = %socket.display(), "no other process can take the place of this one: its socket cannot be made");
                return;
            }
        };
        let mut conversations = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = told_to_stop(&mut stopping) => break,
                Some(_) = conversations.join_next() => {} // one that panicked has taken nothing with it
                stream = accept(&listener), if conversations.len() < AT_ONCE => {
                    let (shared, stopping) = (Arc::clone(self), stopping.clone());
                    conversations.spawn(async move { shared.converse(stream, stopping).await });
                }
            }
        }
        // They have been told too, and wait for nothing else.
        while conversations.join_next().await.is_some() {}
    }

    async fn converse(&self, stream: UnixStream, mut stopping: watch::Receiver<bool>) {
        let mut channel = Channel::new(stream);
        let process = tokio::select! {
            biased;
            () = told_to_stop(&mut stopping) => return,
            greeted = self.greeted(&mut channel) => greeted,
        };
        let offered = match process {
            Ok(process) => self.offer(process),
            Err(reason) => Err(reason),
        };
        let (turn, descriptors, process) = match offered {
            Ok(offered) => offered,
            Err(reason) => {
                tracing::warn!(reason, "an upgrade is refused; this process goes on");
                self.metrics.upgrades.with_label_values(&["refused"]).inc();
                let _ = channel.send(&Message::Refused { reason }, &[]).await; // it may be gone
                return;
            }
        };
        let message = tokio::select! {
            biased;
            () = told_to_stop(&mut stopping) => {
                let _ = channel.send(&Message::Ending, &[]).await; // it may be gone
                self.lock().phase = Phase::Ending(channel);
                return;
            }
            message = self.hand_over(&mut channel, descriptors) => message,
        };
        match message {
            Ok(Message::Serving) => {
                tracing::info!(process, "another process serves in the place of this one");
                self.snapshots.hold(true);
                self.lock().phase = Phase::Replaced(channel);
                self.replaced.tell();
            }
            // Another may come as soon as it is said.
            Ok(other) => {
                drop(turn);
                self.abandoned(process, &format!("it says {other:?}"));
            }
            Err(error) => {
                drop(turn);
                self.abandoned(process, &error.to_string());
            }
        }
    }

    /// Hears the first words, and gives the number of the process that says them.
    async fn greeted(&self, channel: &mut Channel) -> Result<i32, String> {
        let peer = channel.peer().map_err(|error| error.to_string())?;
        if peer.uid() != rustix::process::geteuid().as_raw() {
            return Err("it is a process of another user".to_owned());
        }
        match timeout(HELLO, channel.receive()).await {
            Ok(Ok(Message::Hello { protocol, .. })) if protocol == PROTOCOL => {
                Ok(peer.pid().unwrap_or_default())
            }
            Ok(Ok(Message::Hello { protocol, version })) => Err(format!(
                "version {version} speaks protocol {protocol} for upgrades, and version {} speaks {PROTOCOL}: stop this edge, and start the other",
                env!("CARGO_PKG_VERSION")
            )),
            Ok(Ok(_)) => Err("it does not say hello first".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("it has not said hello within {HELLO:?}")),
        }
    }

    /// Takes the turn, of which there is one.
    fn offer(&self, process: i32) -> Result<(Turn<'_>, Descriptors, i32), String> {
        let mut state = self.lock();
        let Some(descriptors) = state.descriptors.clone() else {
            return Err("this process is ending".to_owned());
        };
        match state.phase {
            Phase::Open => {}
            Phase::Following(before) => {
                return Err(format!("the process before, {before}, has not ended yet"));
            }
            Phase::Offered(other) => {
                return Err(format!("process {other} is about to take its place"));
            }
            Phase::Replaced(_) | Phase::Ending(_) => {
                return Err("this process is ending".to_owned());
            }
        }
        state.phase = Phase::Offered(process);
        tracing::info!(
            process,
            "another process is about to take the place of this one, which serves until then"
        );
        Ok((Turn(self), descriptors, process))
    }

    /// Gives what there is to give, and waits for what becomes of it.
    async fn hand_over(
        &self,
        channel: &mut Channel,
        descriptors: Descriptors,
    ) -> Result<Message, HearingError> {
        if timeout(SNAPSHOT, self.snapshots.write()).await.is_err() {
            tracing::warn!(
                "no snapshot could be written in time for the process that is about to take the place of this one"
            );
        }
        let message = Message::Offer {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            descriptors: descriptors.iter().map(|(what, _)| *what).collect(),
        };
        let beside: Vec<BorrowedFd<'_>> = descriptors.iter().map(|(_, fd)| fd.as_fd()).collect();
        channel.send(&message, &beside).await?;
        drop(beside);
        drop(descriptors);
        channel.receive().await
    }

    fn abandoned(&self, process: i32, why: &str) {
        tracing::warn!(
            process,
            why,
            "the process that was about to take the place of this one does not; this one goes on"
        );
        let upgrades = &self.metrics.upgrades;
        upgrades.with_label_values(&["abandoned"]).inc();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Descriptors = Arc<Vec<(Descriptor, OwnedFd)>>;

/// Gives the turn back, unless something has come of it.
struct Turn<'a>(&'a Shared);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if matches!(state.phase, Phase::Offered(_)) {
            state.phase = Phase::Open;
        }
    }
}

/// Also when nobody can tell any more.
async fn told_to_stop(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

async fn accept(listener: &UnixListener) -> UnixStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::debug!(%error, "a connection of an upgrade cannot be accepted for now");
                sleep(PAUSE).await;
            }
        }
    }
}

struct Metrics {
    upgrades: IntCounterVec,
    predecessor: IntGauge,
}

impl Metrics {
    fn register(registry: &Registry) -> prometheus::Result<Self> {
        let upgrades = IntCounterVec::new(
            Opts::new(
                "tagwire_edge_upgrades_total",
                "Attempts to take the place of this process that came to nothing, by outcome",
            ),
            &["outcome"],
        )?;
        for outcome in ["refused", "abandoned"] {
            upgrades.with_label_values(&[outcome]);
        }
        let predecessor = IntGauge::new(
            "tagwire_edge_predecessor_draining",
            "1 while the process whose place this one has taken still answers what it was asked",
        )?;
        registry.register(Box::new(upgrades.clone()))?;
        registry.register(Box::new(predecessor.clone()))?;
        Ok(Self {
            upgrades,
            predecessor,
        })
    }
}
