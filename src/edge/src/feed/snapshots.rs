//! Keeps the snapshot file: read at the start, written now and then by a thread of its own and at the end. What is in it is `table`'s
//! matter.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use journal::{KnownLog, Positions};
use table::{SnapshotError, SnapshotInfo, Table};

use crate::metrics::EdgeMetrics;

/// Where the snapshot is kept, and how often it is written.
#[derive(Clone, Debug)]
pub struct SnapshotOptions {
    /// The file.
    pub file: PathBuf,
    /// How long after one the next is written, if anything has changed.
    pub every: Duration,
}

/// From a snapshot that is older the journal is not followed on, but read from its beginning: Kafka's `delete.retention.ms`, after
/// which a compacted topic forgets that something was deleted.
const OUTDATED: Duration = Duration::from_secs(24 * 60 * 60);

/// How much lower its thread's priority is (nice) than that of those that answer.
const NICE: i32 = 10;

pub(super) struct Snapshots {
    options: SnapshotOptions,
    table: Arc<Table>,
    metrics: EdgeMetrics,
    orders: SyncSender<SnapshotInfo>,
    writer: JoinHandle<()>,
    /// Whether the last order has failed, and what it was for is still to be written.
    failed: Arc<AtomicBool>,
    /// What was written last, or is being.
    written: Option<Positions>,
    /// When the newest was taken, or else since when there is none.
    taken_at: Timestamp,
    due: Instant,
}

/// A snapshot that is in the table now.
pub(super) struct Loaded {
    pub(super) positions: Positions,
    pub(super) log: KnownLog,
    pub(super) age: Duration,
    /// Whether it is too old to be followed on.
    pub(super) outdated: bool,
}

impl Snapshots {
    pub(super) fn start(
        options: SnapshotOptions,
        table: Arc<Table>,
        metrics: EdgeMetrics,
    ) -> io::Result<Self> {
        let (orders, taken) = mpsc::sync_channel::<SnapshotInfo>(1);
        let failed = Arc::<AtomicBool>::default();
        let writer = {
            let (options, table, failed) =
                (options.clone(), Arc::clone(&table), Arc::clone(&failed));
            let run = move || {
                lower_priority();
                for info in taken {
                    // Relaxed: a hint, which is looked at again and again.
                    failed.store(!write(&options, &table, &info), Ordering::Relaxed);
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
            writer,
            failed,
            written: None,
            taken_at: Timestamp::now(),
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
        let age = Timestamp::now().duration_since(info.taken_at);
        let age = Duration::try_from(age).unwrap_or_default();
        let outdated = age > OUTDATED;
        if outdated {
            self.metrics.count_refused_snapshot("outdated");
        }
        tracing::info!(
            tags = self.table.len(),
            age_seconds = age.as_secs(),
            took = ?began.elapsed(),
            "read the snapshot"
        );
        self.taken_at = info.taken_at;
        let positions = Positions::from_iter(info.positions);
        self.written = Some(positions.clone());
        Some(Loaded {
            positions,
            log: KnownLog {
                identity: info.cluster,
                at: info.taken_at,
            },
            age,
            outdated,
        })
    }

    /// Has one written when it is time and something has changed.
    pub(super) fn keep(&mut self, positions: &Positions, log: Option<&KnownLog>) {
        let age = Timestamp::now().duration_since(self.taken_at);
        self.metrics.set_snapshot_age(age.as_secs_f64().max(0.0));
        if Instant::now() < self.due {
            return;
        }
        self.order(positions, log);
        self.due = Instant::now() + self.options.every;
    }

    /// Writes a last one, if something has changed, and waits for it.
    pub(super) fn end(mut self, whole: Option<(&Positions, Option<&KnownLog>)>) {
        if let Some((positions, log)) = whole {
            self.order(positions, log);
        }
        drop(self.orders);
        if self.writer.join().is_err() {
            tracing::error!("the thread that writes snapshots had panicked");
        }
    }

    fn order(&mut self, positions: &Positions, log: Option<&KnownLog>) {
        // One that is unchanged is written again before it is too old to be followed on.
        let age = Timestamp::now().duration_since(self.taken_at);
        let fresh = Duration::try_from(age).is_ok_and(|age| age < OUTDATED / 4);
        let stands = fresh
            && self.written.as_ref() == Some(positions)
            && !self.failed.load(Ordering::Relaxed);
        // While the journal is away, what is known of it grows no younger.
        let nothing_heard = log.is_some_and(|log| log.at <= self.taken_at);
        let Some(log) = log.filter(|_| !stands && !nothing_heard) else {
            return;
        };
        let info = SnapshotInfo {
            cluster: log.identity.clone(),
            positions: positions.iter().collect(),
            taken_at: log.at,
        };
        let taken_at = info.taken_at;
        match self.orders.try_send(info) {
            Ok(()) => {
                self.written = Some(positions.clone());
                self.taken_at = taken_at;
            }
            Err(TrySendError::Full(_)) => {} // the one before is still being written: the next time, then
            Err(TrySendError::Disconnected(_)) => {
                tracing::error!("the thread that writes snapshots has ended")
            }
        }
    }
}

fn write(options: &SnapshotOptions, table: &Table, info: &SnapshotInfo) -> bool {
    let began = Instant::now();
    match table.write_snapshot(&options.file, info) {
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

/// A snapshot has time; redirects have not.
fn lower_priority() {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "the thread that writes snapshots runs at the priority of the others");
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
