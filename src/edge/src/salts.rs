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
    /// Starts to follow; `known` is called once, as soon as today's salt is
    /// known, or cannot be.
    pub fn start(
        place: Arc<dyn Salts>,
        visitors: Arc<Visitors>,
        metrics: EdgeMetrics,
        known: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let stopped = Arc::<AtomicBool>::default();
        let mut hearer = Hearer {
            told: metrics.local_salts().get(),
            visitors,
            metrics,
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
    /// The clock was put back to a day whose salt may have been forgotten.
    ClockPutBack,
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
                Ok(Left::ClockPutBack) => continue,
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
                    let shared = self.visitors.share(Timestamp::now(), salt.day(), key);
                    if shared == Shared::InPlaceOfOurs {
                        tracing::info!(
                            day = %salt.day(),
                            "the day's shared salt has come and is used from now on: whom this edge has seen before counts as another visitor"
                        );
                    }
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
                return Ok(Left::ClockPutBack);
            }
        }
        Ok(Left::Stopped)
    }

    /// Forgets what is over, and says when the edge had to do with a salt of its own. Whether the clock was put back by a day.
    fn look_at_the_clock(&mut self) -> bool {
        let local = self.metrics.local_salts().get();
        if local > self.told {
            self.told = local;
            tracing::warn!(
                "there is no shared salt for the day: this edge uses a random one, so that the day's visitors are comparable within this process alone"
            );
        }
        let now = Timestamp::now();
        let today = Offset::UTC.to_datetime(now).date();
        let before = self.today.replace(today);
        if before != Some(today) {
            self.visitors.forget(now);
        }
        let shared = self.visitors.shared_days(now);
        self.metrics.set_shared_salts(shared);
        before.is_some_and(|before| today < before)
    }

    fn tell_known(&mut self) {
        if let Some(known) = self.known.take() {
            known();
        }
    }
}
