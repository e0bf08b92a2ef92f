//! Follows the journal into the table, on a thread of its own, from the last snapshot where there is a good one. What has been taken in
//! stays when the journal goes away.

mod rebuild;
mod snapshots;
mod taker;
mod turn;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use journal::{AppliedSender, FollowError, Journal};
use table::Table;
use tags::Topic;
use tokio::sync::oneshot;

pub use self::snapshots::SnapshotOptions;
use self::snapshots::Snapshots;
use self::taker::{Done, Taker};
use crate::metrics::EdgeMetrics;

/// What is heard of the feed, for readiness and the program's log. Comes when it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedState {
    /// The table is complete: the whole journal has been read, or, while it cannot be reached, a snapshot of it. Comes once.
    Complete,
    /// The journal cannot be reached, or not be read on; the table serves what it has, and is filled on once it can.
    Away {
        /// Why, for people.
        reason: String,
    },
    /// The journal can be reached again.
    Back,
}

/// The running feed.
pub struct Feed {
    snapshots: SnapshotOrders,
    /// Set before it is told to stop.
    deadline: Arc<OnceLock<Instant>>,
    thread: JoinHandle<()>,
}

/// Whether and when a feed writes its snapshot file, for whoever knows of another process that does.
#[derive(Clone)]
pub struct SnapshotOrders {
    orders: Sender<Order>,
    /// Whether the file is another process's to write.
    held: Arc<AtomicBool>,
}

/// What a feed is told beside what it follows.
enum Order {
    /// To write a snapshot now, if anything has changed, and to say when it has.
    Snapshot(Written),
    /// To end.
    Stop,
}

/// Dropped when a snapshot is written, or will not be.
type Written = oneshot::Sender<()>;

/// How long a follower is waited on at once: the delay of a stop.
const POLL: Duration = Duration::from_millis(100);
/// How long the last snapshot may take if nobody says.
const LAST_SNAPSHOT: Duration = Duration::from_secs(60);
/// How long after a follower's end the next is started.
const RETRY: Duration = Duration::from_secs(1);
/// The same, where the table has no room for what comes next.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(30);

impl Feed {
    /// Starts to follow, from the snapshot or else from the beginning. `applied` moves on with what readers of the table see; `hears` is
    /// called on the feed's thread.
    pub fn start(
        journal: Arc<dyn Journal>,
        table: Arc<Table>,
        applied: AppliedSender,
        metrics: EdgeMetrics,
        snapshots: Option<SnapshotOptions>,
        hears: impl Fn(FeedState) + Send + 'static,
    ) -> io::Result<Self> {
        let (orders, ordered) = mpsc::channel();
        let held = snapshots.as_ref().is_some_and(|options| options.held);
        let held = Arc::new(AtomicBool::new(held));
        let snapshots = snapshots
            .map(|options| {
                let held = Arc::clone(&held);
                Snapshots::start(options, held, Arc::clone(&table), metrics.clone())
            })
            .transpose()?;
        let taker = Taker::new(table, applied, metrics, snapshots, Box::new(hears));
        let deadline = Arc::<OnceLock<Instant>>::default();
        let until = Arc::clone(&deadline);
        let thread = thread::Builder::new()
            .name("edge-feed".to_owned())
            .spawn(move || {
                let taker = run(&*journal, taker, &ordered);
                let until = until.get().copied();
                taker.end(until.unwrap_or_else(|| Instant::now() + LAST_SNAPSHOT));
            })?;
        Ok(Self {
            snapshots: SnapshotOrders { orders, held },
            deadline,
            thread,
        })
    }

    /// For whoever has to say when snapshots are written.
    pub fn snapshots(&self) -> SnapshotOrders {
        self.snapshots.clone()
    }

    /// Begins to end it: what it is applying is applied, and a last snapshot is written, until then at most.
    pub fn begin_stop(&self, until: Instant) {
        let _ = self.deadline.set(until); // the first holds
        let _ = self.snapshots.orders.send(Order::Stop); // fails only when the thread has ended
    }

    /// Ends it, and waits for that.
    pub fn stop(self) {
        let _ = self.snapshots.orders.send(Order::Stop); // as above
        if self.thread.join().is_err() {
            tracing::error!("the thread that follows the journal had panicked");
        }
    }
}

impl SnapshotOrders {
    /// None is written from now on, since the file is another process's; or they are again.
    pub fn hold(&self, hold: bool) {
        // Relaxed: one more, which is under way, is whole all the same.
        self.held.store(hold, Ordering::Relaxed);
    }

    /// Has what has changed since the last one written now, and waits until it is.
    pub async fn write(&self) {
        let (written, done) = oneshot::channel();
        let _ = self.orders.send(Order::Snapshot(written)); // fails only when the feed has ended
        let _ = done.await; // fails when there is nothing to write
    }
}

/// Follows until it is told to stop, with a new follower after each that ends.
fn run(journal: &dyn Journal, mut taker: Taker, orders: &Receiver<Order>) -> Taker {
    taker.load_snapshot();
    loop {
        let ended = match journal.follow(&Topic::EDGE, taker.since()) {
            Ok(follower) => taker.take_all(journal, follower, orders),
            Err(error) => Err(error),
        };
        let mut pause = RETRY;
        match ended {
            Ok(Done::Stopped) => return taker,
            Ok(Done::Full) => {
                taker.now_full();
                pause = RETRY_WHEN_FULL;
            }
            Err(ref error @ FollowError::OtherLog { foreign, .. }) => {
                taker.begin_again(error, foreign);
            }
            Err(error) => {
                tracing::error!(%error, "following the journal ended; the table keeps what it has, and the edge tries again");
                taker.now_away(error.to_string());
            }
        }
        match orders.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Order::Snapshot(written)) => taker.write_snapshot(written),
            Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return taker,
        }
    }
}
