//! Follows the journal into the table, on a thread of its own. What has been taken in stays when the journal goes away.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use journal::{AppliedSender, Event, FollowError, Follower, Journal, Positions};
use table::Table;
use tags::Topic;

use crate::metrics::EdgeMetrics;

/// What is heard of the feed, for readiness and the program's log. Comes when it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedState {
    /// The whole journal has been read: the table is complete. Comes once.
    Complete,
    /// The journal cannot be reached; the table serves what it has, and is filled on once it can.
    Away {
        /// Why, for people.
        reason: String,
    },
    /// The journal can be reached again.
    Back,
}

/// The running feed.
pub struct Feed {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// How long a follower is waited on at once: the delay of a stop.
const POLL: Duration = Duration::from_millis(100);
/// How long after a follower's end the next is started.
const RETRY: Duration = Duration::from_secs(1);

impl Feed {
    /// Starts to follow from the beginning. `applied` moves on with what readers of the table see; `hears` is called on the feed's
    /// thread.
    pub fn start(
        journal: Arc<dyn Journal>,
        table: Arc<Table>,
        applied: AppliedSender,
        metrics: EdgeMetrics,
        hears: impl Fn(FeedState) + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let positions = Positions::default();
        let taker = Taker {
            table,
            applied,
            metrics,
            hears: Box::new(hears),
            positions,
            abreast: Instant::now(),
            away: false,
        };
        let thread = thread::Builder::new()
            .name("edge-feed".to_owned())
            .spawn(move || run(&*journal, taker, &stopped))?;
        Ok(Self { stop, thread })
    }

    /// Ends it, once what it is applying is applied.
    pub fn stop(self) {
        let _ = self.stop.send(()); // fails only when the thread has ended
        if self.thread.join().is_err() {
            tracing::error!("the thread that follows the journal had panicked");
        }
    }
}

/// Follows until it is told to stop, with a new follower after each that ends.
fn run(journal: &dyn Journal, mut taker: Taker, stopped: &Receiver<()>) {
    loop {
        let ended = match journal.follow(&Topic::EDGE, taker.positions.clone()) {
            Ok(follower) => taker.take_all(follower, stopped),
            Err(error) => Err(error),
        };
        let Err(error) = ended else { return };
        tracing::error!(%error, "following the journal ended; the table keeps what it has, and the edge tries again");
        taker.now_away(error.to_string());
        match stopped.recv_timeout(RETRY) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Takes events into the table.
struct Taker {
    table: Arc<Table>,
    applied: AppliedSender,
    metrics: EdgeMetrics,
    hears: Box<dyn Fn(FeedState) + Send>,
    /// Where the next follower begins.
    positions: Positions,
    /// When there was last nothing left to apply.
    abreast: Instant,
    away: bool,
}

impl Taker {
    /// Ends without an error when it is told to stop.
    fn take_all(
        &mut self,
        mut follower: Box<dyn Follower>,
        stopped: &Receiver<()>,
    ) -> Result<(), FollowError> {
        while let Err(mpsc::TryRecvError::Empty) = stopped.try_recv() {
            match follower.next(POLL)? {
                Some(event) => self.take(event),
                None => self.nothing_new(),
            }
        }
        Ok(())
    }

    fn take(&mut self, event: Event) {
        // A new follower says nothing of the one before, which broke: whatever it reads tells that the journal is there.
        if !matches!(event, Event::Disconnected { .. }) {
            self.now_back();
        }
        let position = event.position();
        match event {
            Event::Change {
                change,
                published_at,
                ..
            } => {
                self.table.apply(*change);
                self.metrics.set_tags(self.table.len());
                let age = Timestamp::now().duration_since(published_at).as_secs_f64();
                self.metrics.set_journal_lag(age.max(0.0));
            }
            Event::CaughtUp => self.complete(),
            Event::Disconnected { reason } => self.now_away(reason),
            // Refusals are counted and logged by the journal: what was there before stays.
            Event::Connected | Event::Refused { .. } | Event::Advanced { .. } => {}
        }
        // Only now: whoever waits for the position looks at the table next.
        if let Some((topic, partition, next_offset)) = position {
            self.positions.advance(topic, partition, next_offset);
            self.applied.advance(topic, partition, next_offset);
        }
    }

    fn complete(&mut self) {
        if self.table.is_complete() {
            return;
        }
        self.table.complete();
        tracing::info!(tags = self.table.len(), "the table of tags is complete");
        (self.hears)(FeedState::Complete);
    }

    fn nothing_new(&mut self) {
        if self.away {
            self.metrics
                .set_journal_lag(self.abreast.elapsed().as_secs_f64());
        } else {
            self.abreast = Instant::now();
            self.metrics.set_journal_lag(0.0);
        }
    }

    fn now_away(&mut self, reason: String) {
        if !self.away {
            tracing::warn!(
                reason,
                tags = self.table.len(),
                "the journal cannot be reached for now; the table keeps what it has"
            );
        }
        self.away = true;
        (self.hears)(FeedState::Away { reason });
    }

    fn now_back(&mut self) {
        if std::mem::take(&mut self.away) {
            tracing::info!("the journal can be reached again");
            (self.hears)(FeedState::Back);
        }
    }
}
