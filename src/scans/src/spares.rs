//! Room for the writers: spare segments, recycled or made ahead by a thread of its own, within the log's bound and what the file system has.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use crate::ScanLogError;
use crate::boots::segment_name;
use crate::segment::{Segment, Spare};

/// When the folder is full, how long until it is tried again unasked.
const RETRY: Duration = Duration::from_millis(100);
/// As small as a segment is made when there is no room for a bigger one.
const SMALLEST: u64 = 1024 * 1024;

pub(crate) struct Spares {
    /// Held from the decision to make a segment until it is where it is to be, so that nobody takes the log for full because of one that is on
    /// its way into a slot. Appending never waits for it.
    making: Mutex<()>,
    /// Each locked only for the moment in which a segment is put in or taken out. Twice as many as are kept filled: the others are for recycled
    /// segments, which cost nothing, where a new one costs the kernel a page fault for every 4 KiB.
    slots: Vec<Mutex<Option<Spare>>>,
    /// So many are kept filled.
    ready: usize,
    /// [`Spare::create`], but in the simulator.
    create: fn(PathBuf, u64) -> io::Result<Spare>,
    folder: PathBuf,
    boot: u64,
    made: AtomicU64,
    wanted: u64,
    max_bytes: u64,
    /// Of all segments there are, spare or not.
    bytes: AtomicU64,
    keeper: OnceLock<Thread>,
    /// No segment of the wanted size could be made when it was last tried: the bound is reached, or the file system is full.
    no_room: AtomicBool,
    stopped: AtomicBool,
}

impl Spares {
    pub(crate) fn new(
        folder: PathBuf,
        boot: u64,
        ready: usize,
        wanted: u64,
        max_bytes: u64,
    ) -> Self {
        Self {
            making: Mutex::default(),
            slots: (0..ready * 2).map(|_| Mutex::default()).collect(),
            ready,
            create: Spare::create,
            folder,
            boot,
            made: AtomicU64::new(0),
            wanted,
            max_bytes,
            bytes: AtomicU64::new(0),
            keeper: OnceLock::new(),
            no_room: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        }
    }

    /// The same in memory alone.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn anonymous(boot: u64, ready: usize, wanted: u64, max_bytes: u64) -> Self {
        Self {
            create: Spare::create_anonymous,
            ..Self::new(PathBuf::new(), boot, ready, wanted, max_bytes)
        }
    }

    /// A spare segment, if one is ready. Slots that another thread is at, for the moment that it takes to put a segment in, come last.
    pub(crate) fn take(&self) -> Option<Spare> {
        let free = || {
            self.slots
                .iter()
                .find_map(|slot| slot.try_lock().ok()?.take())
        };
        let spare = free().or_else(|| self.take_waiting())?;
        self.wake();
        Some(spare)
    }

    fn take_waiting(&self) -> Option<Spare> {
        self.slots.iter().find_map(|slot| lock(slot).take())
    }

    /// A segment, made now if none is ready.
    pub(crate) fn take_or_make(&self) -> Result<Spare, ScanLogError> {
        let _making = self.lock_making();
        match self.take_waiting() {
            Some(spare) => {
                self.wake();
                Ok(spare)
            }
            None => self.make()?.ok_or_else(|| ScanLogError::Full {
                hot: self.folder.clone(),
                max_bytes: self.max_bytes,
            }),
        }
    }

    /// Counts segments that an earlier boot made.
    pub(crate) fn adopt(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Keeps a segment of which all is stored for the next writer. Gives it back if there are enough, or if it is not of the wanted size and
    /// one of that can be made: where there is no room for one, whoever else writes there could take what this one leaves.
    pub(crate) fn recycle(&self, segment: Segment) -> Option<Segment> {
        let enough = if segment.bytes() == self.wanted {
            self.slots.len()
        } else if self.has_no_room() {
            self.ready
        } else {
            0
        };
        if self.filled() >= enough {
            return Some(segment);
        }
        self.put(segment.recycle());
        None
    }

    /// A segment's file is gone: there is room for another.
    pub(crate) fn release(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.wake();
    }

    /// Whether writers have fewer segments before them than they should, and no more can be made.
    pub(crate) fn are_short(&self) -> bool {
        self.has_no_room() && self.filled() < self.ready
    }

    fn has_no_room(&self) -> bool {
        // Relaxed: an opinion, which may be a moment old.
        self.no_room.load(Ordering::Relaxed)
    }

    /// Makes one more segment, unless that would go beyond the bound.
    fn make(&self) -> Result<Option<Spare>, ScanLogError> {
        let mut size = self.wanted;
        // Relaxed: a bound, not a handshake; makers take turns.
        if self.bytes.load(Ordering::Relaxed) + size > self.max_bytes {
            self.no_room.store(true, Ordering::Relaxed);
            return Ok(None);
        }
        loop {
            let number = self.made.fetch_add(1, Ordering::Relaxed);
            let path = self.folder.join(segment_name(self.boot, number));
            match (self.create)(path.clone(), size) {
                Ok(spare) => {
                    self.bytes.fetch_add(spare.bytes(), Ordering::Relaxed);
                    self.no_room.store(size < self.wanted, Ordering::Relaxed);
                    return Ok(Some(spare));
                }
                Err(error)
                    if error.kind() == io::ErrorKind::StorageFull && size / 2 >= SMALLEST =>
                {
                    size /= 2
                }
                Err(source) => {
                    self.no_room.store(true, Ordering::Relaxed);
                    return Err(ScanLogError::Segment { path, source });
                }
            }
        }
    }

    /// Makes what is to be ready, as far as there is room.
    pub(crate) fn fill(&self) -> Result<(), ScanLogError> {
        while self.filled() < self.ready {
            let _making = self.lock_making();
            let Some(spare) = self.make()? else {
                return Ok(());
            };
            self.put(spare);
        }
        Ok(())
    }

    fn filled(&self) -> usize {
        self.slots
            .iter()
            .filter(|slot| lock(slot).is_some())
            .count()
    }

    /// Puts a spare into a free slot. If others were quicker, and there is none, it goes.
    fn put(&self, spare: Spare) {
        for slot in &self.slots {
            let mut slot = lock(slot);
            if slot.is_none() {
                *slot = Some(spare);
                return;
            }
        }
        remove(&spare);
        self.bytes.fetch_sub(spare.bytes(), Ordering::Relaxed);
    }

    /// Makes what is to be ready, and sees to it by a thread until the keeper is dropped. That there is no room is no reason to fail: there
    /// will be when something has been shipped.
    pub(crate) fn keep(self: &Arc<Self>) -> Result<Keeper, ScanLogError> {
        match self.fill() {
            Err(ScanLogError::Segment { source, .. })
                if source.kind() == io::ErrorKind::StorageFull => {}
            made => made?,
        }
        let spares = Arc::clone(self);
        let thread = std::thread::Builder::new()
            .name("scan-log-spares".into())
            .spawn(move || spares.run());
        let thread = thread.map_err(|source| ScanLogError::Thread { source })?;
        let _ = self.keeper.set(thread.thread().clone()); // once: `keep` is called by `open` alone
        Ok(Keeper {
            spares: Arc::clone(self),
            thread: Some(thread),
        })
    }

    fn run(&self) {
        let mut complained = false;
        // Acquire: pairs with the Release in `Keeper::drop`.
        while !self.stopped.load(Ordering::Acquire) {
            match self.fill() {
                Ok(()) => complained = false,
                Err(error) if !complained => {
                    tracing::warn!(%error, "no room for another segment of the scan log: scans will be dropped when the writers' are full");
                    complained = true;
                }
                Err(_) => {}
            }
            std::thread::park_timeout(RETRY);
        }
    }

    fn lock_making(&self) -> MutexGuard<'_, ()> {
        self.making
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn wake(&self) {
        if let Some(keeper) = self.keeper.get() {
            keeper.unpark();
        }
    }
}

fn lock(slot: &Mutex<Option<Spare>>) -> MutexGuard<'_, Option<Spare>> {
    slot.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Keeps the slots filled; when dropped, it stops and removes the unused segments.
pub(crate) struct Keeper {
    spares: Arc<Spares>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.spares.stopped.store(true, Ordering::Release);
        self.spares.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // it does not panic, and if it did there would be nobody left to tell
        }
        for slot in &self.spares.slots {
            if let Some(spare) = lock(slot).take() {
                remove(&spare);
            }
        }
    }
}

fn remove(spare: &Spare) {
    if let Err(error) = std::fs::remove_file(spare.path()) {
        tracing::warn!(path = %spare.path().display(), %error, "an unused segment was not removed; the next start will");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DropReason;
    use crate::WriterKey;
    use crate::segment::Beginning;

    /// A file system with room for nothing of more than a mebibyte.
    fn create_small(path: PathBuf, bytes: u64) -> io::Result<Spare> {
        match bytes {
            ..=SMALLEST => Spare::create_anonymous(path, bytes),
            _ => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    /// One with room for nothing.
    fn create_none(_: PathBuf, _: u64) -> io::Result<Spare> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn stored(spare: Spare, number: u32) -> Segment {
        let key = WriterKey {
            edge: "edge-1".into(),
            boot: 1,
            writer: 0,
        };
        let beginning = Beginning {
            number,
            first_seq: 0,
            dropped: [0; DropReason::COUNT],
        };
        let writer = spare.begin(&key, &beginning);
        let segment = Arc::clone(writer.segment());
        drop(writer);
        Arc::into_inner(segment).expect("nobody else's")
    }

    #[test]
    fn two_small_segments_go_round_where_the_file_system_has_room_for_no_other() {
        let mut spares = Spares::anonymous(1, 1, 8 << 20, 64 << 20);
        spares.create = create_small;
        let first = spares.take_or_make().expect("a small one");
        spares.fill().expect("another");
        // Somebody else takes what is left.
        spares.create = create_none;
        let mut written = stored(first, 0);
        for number in 1..10 {
            let next = spares.take().expect("a writer that is full finds one");
            assert!(spares.fill().is_err() && spares.are_short());
            assert!(spares.recycle(written).is_none(), "round {number}");
            assert!(!spares.are_short());
            written = stored(next, number);
        }
    }

    #[test]
    fn a_small_segment_gives_way_to_one_of_the_wanted_size_when_there_is_room() {
        let mut spares = Spares::anonymous(1, 1, 8 << 20, 64 << 20);
        spares.create = create_small;
        let small = spares.take_or_make().expect("a small one");
        spares.create = Spare::create_anonymous;
        spares.fill().expect("there is room");
        assert!(spares.recycle(stored(small, 0)).is_some());
        let next = spares.take().expect("made");
        assert_eq!(next.bytes(), 8 << 20);
    }
}
