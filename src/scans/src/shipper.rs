//! The thread that follows all writers of a scan log and brings their scans to an outlet.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use priority::Priority;

use crate::pace::CatchUp;
use crate::segment::Segment;
use crate::sources::Sources;
use crate::spool::Spool;
use crate::{Delivered, Delivery, Ledger, Outlet, ScanLog, ScanLogError};

/// The shipper's measures.
#[derive(Clone, Debug)]
pub struct ShipperOptions {
    /// A batch is no bigger, unless a single scan is.
    pub batch_bytes: usize,
    /// How long a scan waits for others to share its batch.
    pub linger: Duration,
    /// How often a writer without scans says where it stands.
    pub idle_interval: Duration,
    /// How long until a batch that failed is sent again.
    pub retry_after: Duration,
    /// How long a drain waits, once every scan is stored, for the writers' last batches, which say where each has ended.
    pub farewell: Duration,
    /// How long until a scan that is not stored is written to the spool too, if the log has one.
    pub spool_after: Duration,
    /// The most of one writer that is on its way.
    pub in_flight_bytes_per_writer: usize,
    /// The most of all writers that is on its way.
    pub in_flight_bytes: usize,
    /// How fast what waits may leave, until the log is drained.
    pub catch_up: CatchUp,
}

impl Default for ShipperOptions {
    fn default() -> Self {
        Self {
            batch_bytes: 64 * 1024 - 512, // the rest is for the head
            linger: Duration::from_millis(5),
            idle_interval: Duration::from_secs(10),
            retry_after: Duration::from_millis(200),
            farewell: Duration::from_secs(1),
            spool_after: Duration::from_secs(2),
            in_flight_bytes_per_writer: 4 << 20,
            in_flight_bytes: 16 << 20,
            catch_up: CatchUp::default(),
        }
    }
}

/// How often it is looked whether a process that hands over has ended, and left something.
const LOOK_FOR_LEFT: Duration = Duration::from_millis(500);

/// The running shipper. When it is dropped it stops at once; what is not stored stays in the log for the next start.
pub struct Shipper {
    commands: Sender<Command>,
    thread: Option<JoinHandle<()>>,
    log: Arc<ScanLog>,
}

enum Command {
    Stop,
    Drain(Instant),
}

impl Shipper {
    /// Starts the thread, at a lower priority than those that answer. A log has one shipper in its life.
    pub fn start(
        log: Arc<ScanLog>,
        outlet: Box<dyn Outlet>,
        options: ShipperOptions,
    ) -> Result<Self, ScanLogError> {
        let (commands, received) = channel();
        let spool = log.spool().map(Arc::clone);
        let spool = spool.map(|folder| Spool::start(folder, options.spool_after));
        let run = Run {
            log: Arc::clone(&log),
            outlet,
            spool: spool.transpose()?,
            options,
            sources: Sources::default(),
            draining: false,
            look_next: Instant::now(),
        };
        let thread = std::thread::Builder::new()
            .name("scan-shipper".into())
            .spawn(move || run.run(&received));
        let thread = thread.map_err(|source| ScanLogError::Thread { source })?;
        Ok(Self {
            commands,
            thread: Some(thread),
            log,
        })
    }

    /// Ships all that is in the log, waits until it is stored or the deadline has come, and ends. Writers should have ended before. What
    /// the answer says is waiting stays in the log for the next start.
    pub fn drain(mut self, deadline: Instant) -> Ledger {
        self.end(Command::Drain(deadline));
        self.log.ledger()
    }

    fn end(&mut self, command: Command) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        let _ = self.commands.send(command); // fails if the thread has ended, which is what is asked
        if thread.join().is_err() {
            tracing::error!(
                "the scan shipper panicked: what it has not shipped stays in the scan log"
            );
        }
    }
}

impl Drop for Shipper {
    fn drop(&mut self) {
        self.end(Command::Stop);
    }
}

struct Run {
    log: Arc<ScanLog>,
    outlet: Box<dyn Outlet>,
    spool: Option<Spool>,
    options: ShipperOptions,
    sources: Sources,
    draining: bool,
    look_next: Instant,
}

impl Run {
    fn run(mut self, commands: &Receiver<Command>) {
        priority::lower(Priority::Delivery);
        let (mut deadline, mut ends): (Option<Instant>, Option<Instant>) = (None, None);
        let mut next_round = Instant::now();
        loop {
            match commands.try_recv() {
                Ok(Command::Drain(by)) => {
                    self.draining = true;
                    ends = Some(by);
                    deadline = Some(by - self.time_for_disk(by));
                }
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {}
            }
            for delivery in self
                .outlet
                .poll(next_round.saturating_duration_since(Instant::now()))
            {
                self.settle(&delivery);
            }
            let now = Instant::now();
            if now < next_round {
                continue;
            }
            next_round = now + self.options.linger;
            self.ship(now);
            if self.draining && self.log.ledger().waiting() == 0 {
                // The next start sends a last batch that did not get through; no scan depends on it.
                let farewell = now + self.options.farewell;
                deadline = deadline.map(|deadline| deadline.min(farewell));
            }
            let done = self.draining && self.sources.all_closed();
            if done || deadline.is_some_and(|deadline| now >= deadline) {
                let until = ends.unwrap_or(now);
                if !done {
                    self.spool_the_rest(until);
                }
                self.remove_stored(until);
                return;
            }
        }
    }

    fn ship(&mut self, now: Instant) {
        if now >= self.look_next && !self.draining {
            self.look_next = now + LOOK_FOR_LEFT;
            self.log.adopt_ended();
        }
        self.sources.follow(self.log.take_begun(), now);
        let outlet = &mut *self.outlet;
        let stored = self.sources.ship(outlet, &self.options, self.draining, now);
        for segment in stored {
            match &mut self.spool {
                Some(spool) => spool.stored(segment, &self.log),
                None => self.log.retire(segment),
            }
        }
        if let Some(spool) = &mut self.spool {
            spool.round(&mut self.sources, &self.log, self.draining, now);
        }
    }

    /// What a drain that ends at this time leaves for the last writing to the spool.
    fn time_for_disk(&self, by: Instant) -> Duration {
        let left = by.saturating_duration_since(Instant::now());
        match &self.spool {
            Some(_) => self.options.farewell.min(left / 4),
            None => Duration::ZERO,
        }
    }

    /// What the next start is to find though the machine may be started anew in between.
    fn spool_the_rest(&mut self, until: Instant) {
        let Some(spool) = &mut self.spool else {
            return;
        };
        if spool.finish(&mut self.sources, &self.log, until) {
            tracing::info!(
                "what is not delivered is in the spool: the next start ships it, also when the machine is started anew"
            );
        } else {
            tracing::warn!(
                "not all that is not delivered could be written to the spool: the rest is lost if the machine is started anew"
            );
        }
    }

    /// Leaves nothing behind of writers whose every scan is stored.
    fn remove_stored(&mut self, until: Instant) {
        if let Some(spool) = &mut self.spool {
            spool.let_go(&mut self.sources, &self.log, until);
        }
        let stored: Vec<_> = self.sources.take_last_stored().collect();
        if let Some(spool) = &mut self.spool {
            spool.remove_copies(stored.iter(), &mut self.sources, &self.log, until);
        }
        // With a copy that is still there it stays: a copy alone would be taken for what is left.
        let has_copy = |segment: &Segment| {
            let spool = self.spool.as_ref();
            spool.is_some_and(|spool| spool.has_copy(segment))
        };
        for segment in stored.iter().filter(|segment| !has_copy(segment)) {
            self.log.remove(segment);
        }
    }

    fn settle(&mut self, delivery: &Delivery) {
        let again_at = Instant::now() + self.options.retry_after;
        let refused = self.sources.settle(delivery, again_at);
        match &delivery.outcome {
            Delivered::Stored { .. } => {}
            Delivered::Failed { reason } => {
                tracing::debug!(writer = %delivery.writer, first_seq = delivery.first_seq, reason, "a batch is sent again");
            }
            Delivered::Refused { reason } => {
                let (writer, first_seq, scans) =
                    (&delivery.writer, delivery.first_seq, delivery.count);
                tracing::error!(%writer, first_seq, scans, reason, "a batch was refused: it is set aside, and its scans count as dropped");
                if let Some(bytes) = refused
                    && let Err(error) = set_aside(&self.log.rejected(), delivery, &bytes)
                {
                    tracing::error!(%writer, first_seq, %error, "a refused batch could not be set aside");
                }
            }
        }
    }
}

/// Keeps a refused batch for people to look at.
fn set_aside(folder: &Path, delivery: &Delivery, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let name = format!(
        "{:016x}-{}-{}.batch",
        delivery.writer.boot, delivery.writer.writer, delivery.first_seq
    );
    std::fs::write(folder.join(name), bytes)
}
