//! What the simulator needs of what is private here: an edge's writers, scan log and shipper in memory, without a thread, a file or a clock,
//! that can be killed between any two steps. Nothing that serves uses it. See `src/sink/tests/simulator`.

mod disk;

use std::sync::Arc;
use std::time::Instant;

use crate::adoption::{Found, Known, take_over};
use crate::ledger::{Account, Accounts};
use crate::segment::{NotASegment, Segment};
use crate::sources::Sources;
use crate::spares::Spares;
use crate::writer::Begun;
use crate::{Delivery, Dropped, Ledger, NewScan, Outlet, ShipperOptions, Writer, WriterKey};

pub use disk::Disk;

/// How big.
#[derive(Clone, Debug)]
pub struct EdgeOptions {
    /// A segment's size.
    pub segment_bytes: u64,
    /// The most that all segments may take.
    pub max_bytes: u64,
    /// How many segments are kept ready.
    pub spares: usize,
    /// The shipper's.
    pub shipper: ShipperOptions,
}

/// One run of an edge.
pub struct Edge {
    name: Arc<str>,
    boot: u64,
    options: EdgeOptions,
    spares: Arc<Spares>,
    accounts: Accounts,
    begun: Arc<Begun>,
    sources: Sources,
    writers: Vec<Writer>,
    disk: Disk,
}

/// The segments that a run leaves that was killed.
#[derive(Default)]
pub struct Remains(Vec<crate::segment::Left>);

impl Edge {
    /// Begins a run, which adopts what others have left.
    pub fn begin(
        name: &str,
        boot: u64,
        options: EdgeOptions,
        remains: Remains,
        mut disk: Disk,
    ) -> Result<Self, String> {
        let EdgeOptions {
            spares,
            segment_bytes,
            max_bytes,
            ..
        } = options;
        let spares = Arc::new(Spares::anonymous(boot, spares, segment_bytes, max_bytes));
        let (accounts, begun) = (Accounts::default(), Arc::new(Begun::default()));
        let left = remains
            .0
            .into_iter()
            .map(|left| left.adopt().map(|left| Found::InMemory(Arc::new(left))));
        let left: Result<Vec<_>, NotASegment> = left.collect();
        let mut left = left.map_err(|error| error.to_string())?;
        let mut known = Known::default();
        let on_disk = disk.take_over(&left, &mut known);
        left.extend(on_disk.map_err(|error| error.to_string())?);
        let taken = take_over(left, &known, &spares, &accounts);
        for segment in &taken.done {
            disk.remove(segment);
        }
        begun.add(taken.followed);
        let edge = Self {
            name: Arc::from(name),
            boot,
            options,
            spares,
            accounts,
            begun,
            sources: Sources::default(),
            writers: Vec::new(),
            disk,
        };
        edge.make_spares()?;
        Ok(edge)
    }

    /// Begins a writer; the first is number 0.
    pub fn add_writer(&mut self) -> WriterKey {
        let key = WriterKey {
            edge: Arc::clone(&self.name),
            boot: self.boot,
            writer: self.writers.len() as u32,
        };
        let first = self.spares.take_or_make().ok();
        let account = self.accounts.open(Account::new(key.clone()));
        let (spares, begun) = (Arc::clone(&self.spares), Arc::clone(&self.begun));
        self.writers
            .push(Writer::new(account, spares, begun, first));
        key
    }

    /// See [`Writer::append`].
    pub fn append(&mut self, writer: usize, scan: &NewScan<'_>) -> Result<u64, Dropped> {
        self.writers[writer].append(scan)
    }

    /// See [`Writer::drop_unknown`].
    pub fn drop_unknown(&mut self, writer: usize) {
        self.writers[writer].drop_unknown();
    }

    /// Ends the writers: nothing is answered any more, and what there is is shipped to its end.
    pub fn drain(&mut self) {
        self.writers.clear();
    }

    /// Whether the writers have ended.
    pub fn is_draining(&self) -> bool {
        self.writers.is_empty()
    }

    /// What the thread does that keeps segments ready.
    pub fn make_spares(&self) -> Result<(), String> {
        self.spares.fill().map_err(|error| error.to_string())
    }

    /// One round of the shipper.
    pub fn ship(&mut self, outlet: &mut dyn Outlet, now: Instant) {
        let draining = self.is_draining();
        self.sources.follow(self.begun.take(), now);
        let stored = self
            .sources
            .ship(outlet, &self.options.shipper, draining, now);
        for segment in stored {
            self.disk.remove(&segment);
            retire(&self.spares, segment, self.boot);
        }
    }

    /// The shipper hears what became of a batch. Whether it was a batch that it knows, and now sets aside.
    pub fn settle(&mut self, delivery: &Delivery, now: Instant) -> bool {
        let again_at = now + self.options.shipper.retry_after;
        self.sources.settle(delivery, again_at).is_some()
    }

    /// Each writer's numbers, and of those that are adopted.
    pub fn ledgers(&self) -> Vec<(WriterKey, Ledger)> {
        self.accounts.by_writer()
    }

    /// Whether every writer has ended and all of it is stored, its last batch included.
    pub fn is_drained(&self) -> bool {
        self.is_draining() && self.sources.all_closed()
    }

    /// The end of a drain. What it leaves, if anything.
    pub fn end(mut self) -> Result<(), String> {
        let writers = self.sources.count();
        let stored: Vec<_> = self.sources.take_last_stored().collect();
        for segment in &stored {
            self.disk.remove(segment);
        }
        let on_disk: Vec<_> = self.disk.names().collect();
        match writers - stored.len() {
            0 if on_disk.is_empty() => Ok(()),
            writers => Err(format!("{writers} writers' segments, on disk {on_disk:?}")),
        }
    }

    /// `kill -9`, or the end of a drain. What it leaves in memory, and on disk.
    pub fn kill(mut self, now: Instant) -> (Remains, Disk) {
        self.sources.follow(self.begun.take(), now);
        let segments = self.sources.into_segments();
        self.writers.clear();
        let segments = segments.into_iter().filter_map(Arc::into_inner);
        let in_memory = segments.filter(|segment| !segment.is_copy());
        let remains = Remains(in_memory.map(Segment::into_left).collect());
        (remains, self.disk)
    }
}

/// A segment of which nothing is needed any more is written again, if it is this run's, or goes.
fn retire(spares: &Spares, segment: Arc<Segment>, boot: u64) {
    if segment.is_copy() {
        return;
    }
    let (own, bytes) = (segment.key().boot == boot, segment.bytes());
    let kept = match Arc::try_unwrap(segment) {
        Ok(segment) if own => spares.recycle(segment).is_none(),
        _ => false,
    };
    if !kept {
        spares.release(bytes);
    }
}

impl Remains {
    /// Whether the next run finds nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Damages a record of each segment that is not acknowledged and is chosen, in the byte that is told.
    pub fn damage(
        self,
        mut choose: impl FnMut(&WriterKey, u64) -> Option<usize>,
    ) -> Result<Self, String> {
        let damaged = self.0.into_iter().map(|left| left.damage(&mut choose));
        let damaged: Result<_, NotASegment> = damaged.collect();
        damaged.map(Self).map_err(|error| error.to_string())
    }
}
