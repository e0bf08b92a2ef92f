//! A file of numbers, mapped: whoever counts in it counts on after a kill. All of it is atomics (rule 4 of the module above), by anyone.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use memmap2::MmapRaw;
use rustix::fs::FallocateFlags;

/// Numbers that begin at 0.
pub(crate) enum Words {
    /// In a file, which outlives the process.
    Mapped(MmapRaw),
    /// In memory alone.
    Unkept(Box<[AtomicU64]>),
}

impl Words {
    /// So many in a file, which is made where it is missing; what is there stays. Its error is `StorageFull` when there is no room.
    pub(crate) fn open(path: &Path, count: usize) -> io::Result<Self> {
        let bytes = count * size_of::<AtomicU64>();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        // Whatever is there: none of its blocks may be missing (rule 1).
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes as u64)?;
        let map = memmap2::MmapOptions::new().len(bytes).map_raw(&file)?;
        let words = Self::Mapped(map);
        // So that no request meets a page that has not been touched.
        for word in words.all() {
            word.fetch_add(0, std::sync::atomic::Ordering::Relaxed);
        }
        Ok(words)
    }

    /// One that is lost with the process.
    pub(crate) fn unkept() -> Self {
        Self::Unkept(Box::new([AtomicU64::new(0)]))
    }

    pub(crate) fn all(&self) -> &[AtomicU64] {
        match self {
            Self::Mapped(map) => {
                let count = map.len() / size_of::<AtomicU64>();
                // SAFETY: all of it lies in the mapping, which is aligned to pages (rule 1); any bytes are valid atomics, and are shared as such
                // (rule 4).
                unsafe { std::slice::from_raw_parts(map.as_ptr().cast::<AtomicU64>(), count) }
            }
            Self::Unkept(words) => words,
        }
    }
}
