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

/// How far apart heartbeats are on average at least: fifty a second while edits never stop.
const INTERVAL: Duration = Duration::from_millis(20);
/// So many may come in a row after a rest. An edit moves the positions twice, by its record and by its transaction's end: the heartbeat for
/// the one must not hold up the next edit's.
const IN_A_ROW: u32 = 3;
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
        let mut pace = Pace::default();
        let beats = async {
            loop {
                let began = Instant::now();
                let not_before = pace.next_after(began);
                let heartbeat = self.heartbeat();
                trouble.tell(reporter.report(&heartbeat).await);
                tokio::select! {
                    () = self.news_since(&heartbeat, not_before) => {}
                    () = sleep_until(began + IDLE) => {}
                }
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
        let positions = self.applied.positions();
        Heartbeat {
            run: self.about.run.clone(),
            state,
            positions,
            newest: self.applied.newest(),
            refused: self.applied.refused(),
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

    /// Waits until there is something else to say than what was said.
    async fn news_since(&self, said: &Heartbeat, not_before: Instant) {
        sleep_until(not_before).await;
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

/// When the next heartbeat may be sent: a token bucket, kept as the moment at which it is full again.
#[derive(Default)]
struct Pace {
    full_at: Option<Instant>,
}

impl Pace {
    /// Notes a heartbeat, and says when the next may follow.
    fn next_after(&mut self, sent: Instant) -> Instant {
        let full_at = self.full_at.map_or(sent, |full_at| full_at.max(sent)) + INTERVAL;
        self.full_at = Some(full_at);
        let spare = INTERVAL * (IN_A_ROW - 1);
        full_at
            .checked_sub(spare)
            .map_or(sent, |next| next.max(sent))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// When heartbeats are sent, in milliseconds, that have something to say all the time.
    fn paced(pace: &mut Pace, from: Instant, count: usize) -> Vec<u128> {
        let mut next = from;
        let sent = (0..count).map(|_| {
            let sent = next;
            next = pace.next_after(sent);
            sent.duration_since(from).as_millis()
        });
        sent.collect()
    }

    #[test]
    fn three_in_a_row_and_then_one_each_twenty_milliseconds() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert_eq!(paced(&mut pace, start, 6), [0, 0, 0, 20, 40, 60]);
        // A rest fills the bucket again, and no more than that.
        let later = start + Duration::from_secs(3_600);
        assert_eq!(paced(&mut pace, later, 5), [0, 0, 0, 20, 40]);
    }
}
