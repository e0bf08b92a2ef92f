//! Tells other edges what this one has counted, on a thread of its own. What cannot be told now is told later, as much as it is by then:
//! nothing piles up.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use journal::CountsPublisher;
use priority::{Priority, lower};

use super::{Counted, counts};

/// How far apart an edge tells its counts: with the rate of scans and the number of edges, the bound on how far a limit is overshot.
const INTERVAL: Duration = Duration::from_millis(200);
/// How long after a failure it is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How many are told at once.
const TOGETHER: usize = 10_000;

/// The running thread.
pub(super) struct Telling {
    /// Told or dropped, the thread ends.
    stop: Sender<()>,
    ended: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Telling {
    pub(super) fn start(
        counted: Arc<Counted>,
        publisher: Box<dyn CountsPublisher>,
    ) -> io::Result<Self> {
        let (stop, stopping) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let teller = Teller {
            counted,
            publisher,
            has_told: false,
            failing_since: None,
        };
        let thread = thread::Builder::new()
            .name("edge-counts".to_owned())
            .spawn(move || {
                lower(Priority::Delivery);
                teller.run(&stopping);
                drop(end);
            })?;
        Ok(Self {
            stop,
            ended,
            thread,
        })
    }

    /// Has what is new told a last time.
    pub(super) fn begin_stop(&self) {
        let _ = self.stop.send(()); // fails only when it has ended
    }

    /// Waits for the end until then at most.
    pub(super) fn stop(self, until: Instant) {
        self.begin_stop();
        let left = until.saturating_duration_since(Instant::now());
        match self.ended.recv_timeout(left) {
            Err(RecvTimeoutError::Timeout) => tracing::warn!(
                "what this edge has counted last was not told in time; the next start tells it"
            ),
            _ => {
                if self.thread.join().is_err() {
                    tracing::error!("the thread that tells what was counted had panicked");
                }
            }
        }
    }
}

struct Teller {
    counted: Arc<Counted>,
    publisher: Box<dyn CountsPublisher>,
    /// Whether anything has been told, and so the place is there.
    has_told: bool,
    /// Since when every attempt has failed: a run of failures is one line in the log.
    failing_since: Option<Instant>,
}

impl Teller {
    fn run(mut self, stopping: &Receiver<()>) {
        loop {
            let began = Instant::now();
            let more = self.tell();
            let pause = match (self.failing_since, more) {
                (Some(_), _) => RETRY,
                (None, true) => Duration::ZERO,
                (None, false) => INTERVAL.saturating_sub(began.elapsed()),
            };
            match stopping.recv_timeout(pause) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        while self.tell() {}
    }

    /// Tells what is to be told. Whether there is more.
    fn tell(&mut self) -> bool {
        if self.counted.others_live() {
            self.counted.take_folder();
        }
        let with_others = self.counted.caught_up.load(Ordering::Relaxed);
        let untold = {
            let mut series = self.counted.series();
            series.known.look();
            series.known.untold(with_others, TOGETHER)
        };
        // The first time also nothing, for the place to be there when others look for it.
        let told = match self.has_told && untold.is_empty() {
            true => Ok(()),
            false => self.publisher.publish(&counts(&untold)),
        };
        match told {
            Ok(()) => {
                if self.failing_since.take().is_some() {
                    tracing::info!("this edge can tell others again what it has counted");
                }
                self.has_told = true;
                self.counted.series().known.told(&untold);
                self.counted.metrics.published.inc_by(untold.len() as u64);
            }
            Err(error) if self.failing_since.is_none() => {
                self.failing_since = Some(Instant::now());
                tracing::warn!(%error, "this edge cannot tell others what it has counted; it counts on by itself");
            }
            Err(_) => {}
        }
        let is_behind = self.counted.series().known.has_untold();
        let lag = self.failing_since.filter(|_| is_behind);
        let lag = lag.map_or(Duration::ZERO, |since| since.elapsed());
        self.counted.metrics.lag.set(lag.as_secs_f64());
        self.failing_since.is_none() && untold.len() == TOGETHER
    }
}
