//! Keeps the snapshot file: read at the start, written now and then by a thread of its own and at the end. What is in it is `table`'s
//! matter.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use journal::{KnownLog, Positions};
use priority::Priority;
use table::{SnapshotError, SnapshotInfo, SnapshotOrder, Table};

use super::Written;
use crate::metrics::EdgeMetrics;

/// Where the snapshot is kept, and how often it is written.
#[derive(Clone, Debug)]
pub struct SnapshotOptions {
    /// The file.
    pub file: PathBuf,
    /// How long after one the next is written, if anything has changed.
    pub every: Duration,
    /// This build, by its version: behind a snapshot of another, the journal is read again.
    pub build: &'static str,
    /// Whether the file is another process's to write for now, until [`SnapshotOrders::hold`](super::SnapshotOrders::hold) says otherwise.
    pub held: bool,
}

/// Behind a snapshot that is older the journal is read again from its beginning: Kafka's `delete.retention.ms`, after which a compacted
/// topic forgets that something was deleted.
const OUTDATED: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) struct Snapshots {
    options: SnapshotOptions,
    table: Arc<Table>,
    metrics: EdgeMetrics,
    orders: Sender<SnapshotOrder>,
    /// Whether each order's snapshot was written.
    outcomes: Receiver<bool>,
    writer: JoinHandle<()>,
    /// Whether the file is another process's to write.
    held: Arc<AtomicBool>,
    /// What is being written: one at a time.
    ordered: Option<Taken>,
    /// Who waits for that.
    waiting: Vec<Written>,
    /// What the file holds, if this build wrote it.
    written: Option<Taken>,
    /// Until when the file was last known to hold everything, or else since when there is none.
    confirmed_at: Timestamp,
    due: Instant,
}

/// What a snapshot is of.
#[derive(Debug)]
struct Taken {
    positions: Positions,
    at: Timestamp,
}

/// A snapshot that is in the table now.
pub(super) struct Loaded {
    pub(super) positions: Positions,
    pub(super) log: KnownLog,
    pub(super) age: Duration,
    /// Whether it is too old for what is followed on from it to be relied on.
    pub(super) outdated: bool,
    /// Whether another build wrote it.
    pub(super) foreign_build: bool,
}

impl Snapshots {
    pub(super) fn start(
        options: SnapshotOptions,
        held: Arc<AtomicBool>,
        table: Arc<Table>,
        metrics: EdgeMetrics,
    ) -> io::Result<Self> {
        let (orders, taken) = mpsc::channel::<SnapshotOrder>();
        let (tell, outcomes) = mpsc::channel();
        let writer = {
            let (options, table) = (options.clone(), Arc::clone(&table));
            let run = move || {
                priority::lower(Priority::Upkeep);
                for order in taken {
                    let _ = tell.send(write(&options, &table, &order)); // nobody may be waiting any more
                }
            };
            thread::Builder::new()
                .name("edge-snapshot".to_owned())
                .spawn(run)?
        };
        Ok(Self {
            options,
            table,
            metrics,
            orders,
            outcomes,
            writer,
            held,
            ordered: None,
            waiting: Vec::new(),
            written: None,
            confirmed_at: Timestamp::now(),
            due: Instant::now(),
        })
    }

    /// Reads the file into the table, which nobody reads yet. A refused one is counted and logged, and replaced by the next.
    pub(super) fn load(&mut self) -> Option<Loaded> {
        let began = Instant::now();
        let info = match self.table.read_snapshot(&self.options.file) {
            Ok(info) => info,
            Err(SnapshotError::Missing { .. }) => return None,
            Err(error) => {
                self.metrics.count_refused_snapshot(reason(&error));
                tracing::warn!(%error, file = %self.options.file.display(), "the snapshot is not used; the journal is read from its beginning");
                return None;
            }
        };
        let age = since(info.taken_at);
        let outdated = age > OUTDATED;
        if outdated {
            self.metrics.count_refused_snapshot("outdated");
        }
        let foreign_build = info.build != self.options.build;
        tracing::info!(
            tags = self.table.len(),
            age_seconds = age.as_secs(),
            build = info.build,
            took = ?began.elapsed(),
            "read the snapshot"
        );
        self.confirmed_at = info.taken_at;
        let positions = Positions::from_iter(info.positions);
        if !foreign_build {
            self.written = Some(Taken {
                positions: positions.clone(),
                at: info.taken_at,
            });
        }
        Some(Loaded {
            positions,
            log: KnownLog {
                identity: info.cluster,
                at: info.taken_at,
            },
            age,
            outdated,
            foreign_build,
        })
    }

    /// Has one written when it is time and something has changed. `log`: which one the positions are of, and when that was last known.
    pub(super) fn keep(&mut self, positions: &Positions, log: Option<&KnownLog>) {
        while let Ok(written) = self.outcomes.try_recv() {
            self.note(written);
        }
        let stands = self.written.as_ref();
        if let (Some(log), true) = (log, stands.is_some_and(|it| it.positions == *positions)) {
            self.confirmed_at = self.confirmed_at.max(log.at);
        }
        self.show_age();
        if Instant::now() < self.due {
            return;
        }
        self.order(positions, log);
        self.due = Instant::now() + self.options.every;
    }

    /// Has one written now, if something has changed.
    pub(super) fn write_now(
        &mut self,
        positions: &Positions,
        log: Option<&KnownLog>,
        written: Written,
    ) {
        self.order(positions, log);
        if self.ordered.is_some() {
            self.waiting.push(written);
        }
    }

    /// While the journal is read again, the age of what there is grows.
    pub(super) fn show_age(&self) {
        let age = since(self.confirmed_at).as_secs_f64();
        self.metrics.set_snapshot_age(age);
    }

    /// Writes a last one, if something has changed, and waits for it, until then at most. The one before stays if that is too soon.
    pub(super) fn end(mut self, whole: Option<(&Positions, Option<&KnownLog>)>, until: Instant) {
        let mut in_time = self.wait(until);
        if let (true, Some((positions, log))) = (in_time, whole) {
            self.order(positions, log);
            in_time = self.wait(until);
        }
        if !in_time {
            let file = self.options.file.display();
            tracing::error!(%file, "the last snapshot was not written in time: the next start goes on from the one before; a longer drain.timeout gives it more");
            return; // its thread ends with the process
        }
        drop(self.orders);
        if self.writer.join().is_err() {
            tracing::error!("the thread that writes snapshots had panicked");
        }
    }

    /// Waits for what is being written. False: it took too long.
    fn wait(&mut self, until: Instant) -> bool {
        while self.ordered.is_some() {
            let left = until.saturating_duration_since(Instant::now());
            match self.outcomes.recv_timeout(left) {
                Ok(written) => self.note(written),
                Err(mpsc::RecvTimeoutError::Timeout) => return false,
                Err(mpsc::RecvTimeoutError::Disconnected) => self.note(false), // it panicked, and its end is told of
            }
        }
        true
    }

    fn note(&mut self, written: bool) {
        self.waiting.clear();
        let Some(taken) = self.ordered.take() else {
            return;
        };
        if written {
            self.confirmed_at = match self.written {
                Some(_) => self.confirmed_at.max(taken.at),
                None => taken.at,
            };
            self.written = Some(taken);
        }
    }

    /// Whether the file is another process's for now.
    pub(super) fn are_held(&self) -> bool {
        // Relaxed: see `SnapshotOrders::hold`.
        self.held.load(Ordering::Relaxed)
    }

    /// Has one written, unless one is being written, or the file holds this already.
    fn order(&mut self, positions: &Positions, log: Option<&KnownLog>) {
        let Some(log) = log.filter(|_| self.ordered.is_none() && !self.are_held()) else {
            return;
        };
        let unchanged = self.written.as_ref();
        if let Some(written) = unchanged.filter(|written| written.positions == *positions) {
            // It is written again before it is too old to be followed on; while the journal is away, what is known of it grows no younger.
            if since(written.at) < OUTDATED / 4 || log.at <= written.at {
                return;
            }
        }
        let taken = Taken {
            positions: positions.clone(),
            at: log.at,
        };
        let info = SnapshotInfo {
            cluster: log.identity.clone(),
            positions: positions.iter().collect(),
            taken_at: log.at,
            build: self.options.build.to_owned(),
        };
        match self.orders.send(self.table.order_snapshot(info)) {
            Ok(()) => self.ordered = Some(taken),
            Err(_) => tracing::error!("the thread that writes snapshots has ended"),
        }
    }
}

/// How long ago it was; a clock that was set back makes nothing younger than now.
fn since(at: Timestamp) -> Duration {
    Duration::try_from(Timestamp::now().duration_since(at)).unwrap_or_default()
}

fn write(options: &SnapshotOptions, table: &Table, order: &SnapshotOrder) -> bool {
    let began = Instant::now();
    match table.write_ordered_snapshot(&options.file, order) {
        Ok(tags) => {
            tracing::info!(tags, took = ?began.elapsed(), "wrote a snapshot");
            true
        }
        Err(error) => {
            tracing::error!(%error, "no snapshot was written; the one before stays");
            false
        }
    }
}

/// The label of a refused snapshot.
fn reason(error: &SnapshotError) -> &'static str {
    match error {
        SnapshotError::NotASnapshot => "not_a_snapshot",
        SnapshotError::NewerFormat { .. } => "newer_format",
        SnapshotError::Truncated => "truncated",
        SnapshotError::Damaged { .. } => "damaged",
        _ => "unreadable",
    }
}

#[cfg(test)]
mod tests;
