//! Follows the days' shared salts into memory, on a thread of its own, so that no request ever waits for one; and forgets those that are over.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use journal::{FollowError, Salts, SaltsEvent, SaltsFollower};
use priority::{Priority, lower};
use scans::{Shared, VisitorKey, Visitors};

use crate::metrics::EdgeMetrics;

/// How long is waited at once: the delay of a stop, and of what is said of a salt of the edge's own.
const POLL: Duration = Duration::from_millis(500);
/// How long after a follower's end the next is started.
const RETRY: Duration = Duration::from_secs(1);
/// How long an edge that starts waits for the salts before it serves all the same, with one of its own.
const PATIENCE: Duration = Duration::from_secs(10);

/// The running thread. It holds nothing that needs an end: it is not waited for.
pub struct SharedSalts {
    stopped: Arc<AtomicBool>,
}

impl SharedSalts {
    /// Starts to follow, by this clock; `known` is called once, as soon as today's salt is known, or cannot be.
    pub fn start(
        place: Arc<dyn Salts>,
        visitors: Arc<Visitors>,
        metrics: EdgeMetrics,
        clock: impl Fn() -> Timestamp + Send + 'static,
        known: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let stopped = Arc::<AtomicBool>::default();
        let mut hearer = Hearer {
            told: metrics.local_salts().get(),
            visitors,
            metrics,
            clock: Box::new(clock),
            stopped: Arc::clone(&stopped),
            known: Some(Box::new(known)),
            began: Instant::now(),
            today: None,
        };
        thread::Builder::new()
            .name("edge-salts".to_owned())
            .spawn(move || {
                lower(Priority::Delivery);
                hearer.run(&*place);
            })?;
        Ok(Self { stopped })
    }

    /// Begins to end it.
    pub fn begin_stop(&self) {
        self.stopped.store(true, Ordering::Relaxed); // orders nothing
    }
}

struct Hearer {
    visitors: Arc<Visitors>,
    metrics: EdgeMetrics,
    clock: Box<dyn Fn() -> Timestamp + Send>,
    /// How many local salts have been told of.
    told: u64,
    stopped: Arc<AtomicBool>,
    /// Until it has been called.
    known: Option<Box<dyn FnOnce() + Send>>,
    began: Instant,
    /// By the last look at the clock.
    today: Option<Date>,
}

/// Why a follower is left.
enum Left {
    /// It is the end.
    Stopped,
    /// Salts that were passed over, or forgotten, may be wanted now: all are read again.
    ReadAgain,
}

impl Hearer {
    fn run(&mut self, place: &dyn Salts) {
        while !self.stopped.load(Ordering::Relaxed) {
            let left = match place.follow_salts() {
                Ok(follower) => self.follow(follower),
                Err(error) => Err(error),
            };
            match left {
                Ok(Left::Stopped) => return,
                Ok(Left::ReadAgain) => continue,
                Err(error @ FollowError::OtherLog { .. }) => {
                    tracing::warn!(%error, "the days' salts are read again");
                }
                Err(error) => {
                    tracing::error!(%error, "hearing of the days' salts ended; this edge goes on with those it knows, and tries again");
                }
            }
            self.tell_known();
            self.look_at_the_clock();
            thread::sleep(RETRY);
        }
    }

    /// Takes in what comes.
    fn follow(&mut self, mut follower: Box<dyn SaltsFollower>) -> Result<Left, FollowError> {
        while !self.stopped.load(Ordering::Relaxed) {
            match follower.next(POLL)? {
                None | Some(SaltsEvent::Refused { .. }) => {}
                Some(SaltsEvent::Salt(salt)) => {
                    let key = VisitorKey::from_secret(salt.secret());
                    let shared = self.visitors.share((self.clock)(), salt.day(), key);
                    self.tell_of(shared, salt.day());
                }
                // What is over is forgotten by the calendar, whether or not this is ever heard.
                Some(SaltsEvent::Destroyed(_)) => {}
                Some(SaltsEvent::CaughtUp) => self.tell_known(),
                Some(SaltsEvent::Disconnected { reason }) => {
                    tracing::warn!(
                        reason,
                        "the days' salts cannot be heard; this edge goes on with those it knows"
                    );
                    self.tell_known();
                }
                Some(SaltsEvent::Connected) => {
                    tracing::info!("the days' salts can be heard again");
                }
            }
            if self.began.elapsed() >= PATIENCE {
                self.tell_known();
            }
            if self.look_at_the_clock() {
                return Ok(Left::ReadAgain);
            }
        }
        Ok(Left::Stopped)
    }

    fn tell_of(&self, shared: Shared, day: Date) {
        match shared {
            Shared::InPlaceOfOurs => tracing::info!(
                %day,
                "the day's shared salt has come and is used from now on: whom this edge has seen before counts as another visitor"
            ),
            Shared::InPlaceOfAnother => {
                self.metrics.count_replaced_salt();
                tracing::warn!(
                    %day,
                    "the day has another shared salt than before, which is used from now on: whom edges have seen before counts as another visitor"
                );
            }
            Shared::Taken | Shared::OutOfTime => {}
        }
    }

    /// Forgets what is over, and says when the edge had to do with a salt of its own. Whether all have to be read again: the clock has jumped,
    /// so that some were passed over or forgotten that are wanted now; or today's was missing, which may have been for the same reason.
    fn look_at_the_clock(&mut self) -> bool {
        let now = (self.clock)();
        let today = Offset::UTC.to_datetime(now).date();
        let before = self.today.replace(today);
        let follows = |before: Date| today == before || Some(today) == before.tomorrow().ok();
        let jumped = before.is_some_and(|before| !follows(before));
        // A clock that has jumped may be right again in a moment.
        if !jumped {
            self.visitors.forget(now);
        }
        self.metrics
            .set_shared_salts(self.visitors.shared_days(now));
        let local = self.metrics.local_salts().get();
        let made = std::mem::replace(&mut self.told, local) < local;
        if made {
            tracing::warn!(
                "there is no shared salt for the day: this edge uses a random one, so that the day's visitors are comparable within this process alone"
            );
        }
        jumped || made
    }

    fn tell_known(&mut self) {
        if let Some(known) = self.known.take() {
            known();
        }
    }
}
