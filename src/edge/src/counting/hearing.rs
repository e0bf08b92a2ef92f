//! Hears what other edges have counted, on a thread of its own.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use journal::{Counts, CountsEvent, CountsFollower, FollowError};
use priority::{Priority, lower};

use super::Counted;
use super::known::Source;
use super::tallies::TagKey;

/// How long is waited at once: the delay of a stop.
const POLL: Duration = Duration::from_millis(100);
/// How long after a follower's end the next is started.
const RETRY: Duration = Duration::from_secs(1);
/// How long an edge that starts waits for others' counts before it serves all the same: as long as for the end of the journal.
const PATIENCE: Duration = Duration::from_secs(10);

/// The running thread. It holds nothing that needs an end: it is not waited for.
pub(super) struct Hearing {
    stopped: Arc<AtomicBool>,
}

type OnKnown = Box<dyn FnOnce() + Send>;

impl Hearing {
    pub(super) fn start(
        counted: Arc<Counted>,
        place: Arc<dyn Counts>,
        known: OnKnown,
    ) -> io::Result<Self> {
        let stopped = Arc::<AtomicBool>::default();
        let mut hearer = Hearer {
            counted,
            stopped: Arc::clone(&stopped),
            known: Some(known),
            began: Instant::now(),
        };
        thread::Builder::new()
            .name("edge-counts-in".to_owned())
            .spawn(move || {
                lower(Priority::Delivery);
                hearer.run(&*place);
            })?;
        Ok(Self { stopped })
    }

    pub(super) fn begin_stop(&self) {
        self.stopped.store(true, Ordering::Relaxed); // orders nothing
    }
}

struct Hearer {
    counted: Arc<Counted>,
    stopped: Arc<AtomicBool>,
    /// Until it has been called.
    known: Option<OnKnown>,
    began: Instant,
}

impl Hearer {
    fn run(&mut self, place: &dyn Counts) {
        while !self.stopped.load(Ordering::Relaxed) {
            let ended = match place.follow() {
                Ok(follower) => self.follow(follower),
                Err(error) => Err(error),
            };
            match ended {
                Ok(()) => return,
                Err(error @ FollowError::OtherLog { .. }) => {
                    tracing::warn!(%error, "what edges have counted is told again");
                    self.counted.series().known.place_is_empty();
                }
                Err(error) => {
                    tracing::error!(%error, "hearing of other edges' counts ended; this edge counts on, and tries again");
                }
            }
            self.tell_known();
            thread::sleep(RETRY);
        }
    }

    /// Takes in what comes until it is told to stop.
    fn follow(&mut self, mut follower: Box<dyn CountsFollower>) -> Result<(), FollowError> {
        self.counted.series().known.hears_anew();
        while !self.stopped.load(Ordering::Relaxed) {
            match follower.next(POLL)? {
                None | Some(CountsEvent::Refused { .. }) => {}
                Some(CountsEvent::Count(count)) => {
                    let key = TagKey::new(count.domain, count.code);
                    self.counted
                        .take(&key, &count.series, count.scans, Source::Place);
                }
                Some(CountsEvent::CaughtUp) => {
                    self.counted.caught_up.store(true, Ordering::Relaxed);
                    self.tell_known();
                }
                Some(CountsEvent::Disconnected { reason }) => {
                    tracing::warn!(
                        reason,
                        "other edges' counts cannot be heard; this edge goes by what it has heard"
                    );
                    self.tell_known();
                }
                Some(CountsEvent::Connected) => {
                    tracing::info!("other edges' counts can be heard again");
                }
            }
            if self.known.is_some() && self.began.elapsed() >= PATIENCE {
                tracing::warn!(
                    "other edges' counts have not been heard to their end; this edge goes by what it has heard"
                );
                self.tell_known();
            }
        }
        Ok(())
    }

    fn tell_known(&mut self) {
        if let Some(known) = self.known.take() {
            known();
        }
    }
}
