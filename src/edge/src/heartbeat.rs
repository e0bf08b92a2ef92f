//! Says how this edge is and what it has applied, to whoever waits for an edit to be on every edge. It never keeps a redirect waiting, and
//! nothing piles up in it: there is one heartbeat under way, and the next one says what is true by then.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use journal::{Applied, EdgeRun, EdgeState, Edges, EdgesError, Heartbeat, Reporter};
use table::Table;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How far apart heartbeats are at least: fifty a second while edits never stop.
const INTERVAL: Duration = Duration::from_millis(20);
/// How far apart they are at most, so that it is known that the edge lives.
const IDLE: Duration = Duration::from_secs(2);

/// What does not change while the edge runs.
#[derive(Clone, Debug)]
pub struct AboutEdge {
    /// Who it is.
    pub run: EdgeRun,
    /// The program's version.
    pub version: &'static str,
    /// Where it answers scans.
    pub addresses: Vec<SocketAddr>,
}

/// The running heartbeats.
pub struct Heartbeats {
    phase: watch::Sender<Phase>,
    task: JoinHandle<()>,
    runtime: Handle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Draining,
    Over,
}

impl Heartbeats {
    /// Starts them, as a task of `runtime`. `applied` is what redirects go by.
    pub fn start(
        runtime: &Handle,
        edges: &dyn Edges,
        about: AboutEdge,
        table: Arc<Table>,
        applied: Applied,
    ) -> Result<Self, EdgesError> {
        let (phase, watched) = watch::channel(Phase::Running);
        let speaker = Speaker {
            about,
            table,
            applied,
            phase: watched,
            started_at: Timestamp::now(),
        };
        let task = runtime.spawn(speaker.speak(edges.reporter()?));
        Ok(Self {
            phase,
            task,
            runtime: runtime.clone(),
        })
    }

    /// From now on they say that the edge is about to end.
    pub fn begin_drain(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    /// The edge answers nothing any more: says farewell, in the background.
    pub fn begin_farewell(&self) {
        self.phase.send_replace(Phase::Over);
    }

    /// Waits until the farewell has been said, at most so long. Not from within the runtime.
    pub fn end(self, at_most: Duration) {
        self.begin_farewell();
        let ended = self
            .runtime
            .block_on(async { timeout(at_most, self.task).await });
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "the task that says how this edge is panicked")
            }
            Err(_) => tracing::warn!(
                "the farewell of this edge was not delivered in time; it counts as live for some seconds more"
            ),
        }
    }
}

struct Speaker {
    about: AboutEdge,
    table: Arc<Table>,
    applied: Applied,
    phase: watch::Receiver<Phase>,
    started_at: Timestamp,
}

impl Speaker {
    async fn speak(self, mut reporter: Box<dyn Reporter>) {
        let mut trouble = Trouble(false);
        let beats = async {
            loop {
                let began = Instant::now();
                let heartbeat = self.heartbeat();
                trouble.tell(reporter.report(&heartbeat).await);
                self.news_since(&heartbeat, began).await;
            }
        };
        let mut phase = self.phase.clone();
        tokio::select! {
            () = beats => {}
            over = phase.wait_for(|phase| *phase == Phase::Over) => {
                // Dropped without an end: the process is on its way out, and nobody has said that it answers no more.
                if over.is_err() {
                    return;
                }
            }
        }
        trouble.tell(reporter.farewell(&self.about.run).await);
    }

    fn heartbeat(&self) -> Heartbeat {
        let state = match *self.phase.borrow() {
            _ if !self.table.is_complete() => EdgeState::Starting,
            Phase::Running => EdgeState::Serving,
            Phase::Draining | Phase::Over => EdgeState::Draining,
        };
        Heartbeat {
            run: self.about.run.clone(),
            state,
            positions: self.applied.positions(),
            tags: self.table.len() as u64,
            version: self.about.version.to_owned(),
            addresses: self
                .about
                .addresses
                .iter()
                .map(SocketAddr::to_string)
                .collect(),
            started_at: self.started_at,
            sent_at: Timestamp::now(),
        }
    }

    /// Waits until there is something to say again after a heartbeat that was made at that moment.
    async fn news_since(&self, said: &Heartbeat, began: Instant) {
        let news = async {
            sleep_until(began + INTERVAL).await;
            match said.state {
                // While it reads the journal for the first time it moves on without end, which is of no interest to anyone.
                EdgeState::Starting => {
                    while !self.table.is_complete() {
                        sleep(INTERVAL).await;
                    }
                }
                EdgeState::Serving => tokio::select! {
                    () = self.moved_on(said) => {}
                    () = self.draining() => {}
                },
                EdgeState::Draining => self.moved_on(said).await,
            }
        };
        tokio::select! {
            () = news => {}
            () = sleep_until(began + IDLE) => {}
        }
    }

    async fn moved_on(&self, said: &Heartbeat) {
        if self.applied.moved_on_from(&said.positions).await.is_err() {
            // Nothing more will be applied; the idle heartbeats go on.
            std::future::pending().await
        }
    }

    async fn draining(&self) {
        let mut phase = self.phase.clone();
        if phase
            .wait_for(|phase| *phase != Phase::Running)
            .await
            .is_err()
        {
            std::future::pending().await
        }
    }
}

/// Whether the last heartbeat failed, so that a run of failures is one line in the log.
struct Trouble(bool);

impl Trouble {
    fn tell(&mut self, outcome: Result<(), EdgesError>) {
        match outcome {
            Ok(()) if std::mem::take(&mut self.0) => {
                tracing::info!("this edge can say again how it is");
            }
            Ok(()) => {}
            Err(error) => {
                if !std::mem::replace(&mut self.0, true) {
                    tracing::warn!(%error, "this edge cannot say how it is; it serves all the same");
                }
            }
        }
    }
}
