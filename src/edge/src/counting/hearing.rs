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
/// How long an edge that starts waits, without hearing anything, before it serves all the same: as long as for the journal. What comes is
/// heard to its end, however long that takes, since each count that is missed brings used-up scans back.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same while it is known that nothing can be heard.
const PATIENCE_AWAY: Duration = Duration::from_secs(2);

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
            heard_at: Instant::now(),
            away: false,
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
    /// When something was heard last, or this began.
    heard_at: Instant,
    /// Whether nothing can be heard for now.
    away: bool,
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
            self.away = true;
            self.give_up_in_time();
            thread::sleep(RETRY);
        }
    }

    /// Takes in what comes until it is told to stop.
    fn follow(&mut self, mut follower: Box<dyn CountsFollower>) -> Result<(), FollowError> {
        self.counted.series().known.hears_anew();
        while !self.stopped.load(Ordering::Relaxed) {
            match follower.next(POLL)? {
                None => {}
                Some(CountsEvent::Refused { .. }) => self.hears(),
                Some(CountsEvent::Count(count)) => {
                    self.hears();
                    let key = TagKey::new(count.domain, count.code);
                    self.counted
                        .take(&key, &count.series, count.scans, Source::Place);
                }
                Some(CountsEvent::CaughtUp) => {
                    self.hears();
                    self.counted.caught_up.store(true, Ordering::Relaxed);
                    self.tell_known();
                }
                Some(CountsEvent::Disconnected { reason }) => {
                    tracing::warn!(
                        reason,
                        "other edges' counts cannot be heard; this edge goes by what it has heard"
                    );
                    self.away = true;
                }
                Some(CountsEvent::Connected) => {
                    self.hears();
                    tracing::info!("other edges' counts can be heard again");
                }
            }
            self.give_up_in_time();
        }
        Ok(())
    }

    fn hears(&mut self) {
        self.heard_at = Instant::now();
        self.away = false;
    }

    /// Has the edge serve with what it has heard, when nothing has come for too long.
    fn give_up_in_time(&mut self) {
        let patience = match self.away {
            true => PATIENCE_AWAY,
            false => PATIENCE,
        };
        if self.known.is_some() && self.heard_at.elapsed() >= patience {
            tracing::warn!(
                "other edges' counts have not been heard to their end; this edge goes by what it has heard"
            );
            self.tell_known();
        }
    }

    fn tell_known(&mut self) {
        if let Some(known) = self.known.take() {
            known();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use journal::{Count, EdgeRun};
    use prometheus::Registry;
    use tags::{Code, Domain};

    use super::super::known::Known;
    use super::super::{CountingMetrics, Series};
    use super::*;

    /// What is heard, one after the other, by who is not ready before the last of it.
    struct Script {
        events: VecDeque<CountsEvent>,
        ready: Arc<AtomicBool>,
        stopped: Arc<AtomicBool>,
    }

    impl CountsFollower for Script {
        fn next(&mut self, _: Duration) -> Result<Option<CountsEvent>, FollowError> {
            let left = self.events.len();
            let ready = self.ready.load(Ordering::Relaxed);
            assert!(left == 0 || !ready, "ready with {left} left");
            self.stopped.store(left <= 1, Ordering::Relaxed);
            Ok(self.events.pop_front())
        }
    }

    /// Whether an edge is ready that has heard nothing for so long, and then this.
    fn is_ready_after<const N: usize>(silence: Duration, events: [CountsEvent; N]) -> bool {
        let ready = Arc::new(AtomicBool::new(false));
        let stopped = Arc::new(AtomicBool::new(false));
        let own = EdgeRun::new("own", 1).expect("a run");
        let metrics = CountingMetrics::register(&Registry::new()).expect("no other");
        let counted = Counted {
            tallies: Arc::default(),
            series: Mutex::new(Series {
                known: Known::new(own),
                log: None,
                folder_fails: false,
            }),
            metrics,
            caught_up: AtomicBool::new(false),
        };
        let known = Arc::clone(&ready);
        let mut hearer = Hearer {
            counted: Arc::new(counted),
            stopped: Arc::clone(&stopped),
            known: Some(Box::new(move || known.store(true, Ordering::Relaxed))),
            heard_at: Instant::now() - silence,
            away: false,
        };
        let script = Script {
            events: events.into(),
            ready: Arc::clone(&ready),
            stopped,
        };
        hearer.follow(Box::new(script)).expect("no error");
        ready.load(Ordering::Relaxed)
    }

    fn count() -> CountsEvent {
        CountsEvent::Count(Count {
            domain: Domain::parse("qr.example.com").expect("valid"),
            code: Code::parse("a").expect("valid"),
            series: EdgeRun::new("x", 1).expect("a run"),
            scans: 1,
        })
    }

    fn disconnected() -> CountsEvent {
        let reason = "no broker".to_owned();
        CountsEvent::Disconnected { reason }
    }

    #[test]
    fn an_edge_is_ready_when_it_has_heard_all() {
        let events = [
            count(),
            disconnected(),
            CountsEvent::Connected,
            count(),
            CountsEvent::CaughtUp,
        ];
        assert!(is_ready_after(Duration::ZERO, events));
    }

    #[test]
    fn an_edge_waits_as_long_as_something_comes() {
        assert!(!is_ready_after(Duration::ZERO, [disconnected()]));
        assert!(is_ready_after(PATIENCE_AWAY, [disconnected()]));
        assert!(!is_ready_after(PATIENCE, [count()]));
        assert!(!is_ready_after(PATIENCE, [count(), disconnected()]));
        assert!(is_ready_after(PATIENCE, []));
    }
}
