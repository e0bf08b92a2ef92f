//! The runs of the program that have segments in the folder. Each holds a lock file of its own for as long as it lives, and so does whoever
//! has taken over what one has left: while a process hands over to another, both use the folder, each its own part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::FlockOperation;

/// What the name of a run's lock file ends in.
const LOCK: &str = "boot";
/// What the name of a segment ends in.
const SEGMENT: &str = "segment";

/// The runs whose part of the folder is this process's.
pub(crate) struct Boots {
    hot: PathBuf,
    /// This process's own, and those that it has taken over.
    held: Mutex<BTreeMap<u64, File>>,
    /// Those that another process held when it was last looked.
    others: Mutex<BTreeSet<u64>>,
}

impl Boots {
    /// Begins a run of this number.
    pub(crate) fn begin(hot: &Path, boot: u64) -> io::Result<Self> {
        let boots = Self {
            hot: hot.to_owned(),
            held: Mutex::default(),
            others: Mutex::default(),
        };
        if boots.hold(boot)? {
            return Ok(boots);
        }
        let taken = format!("another process has begun a run of the same number, {boot:016x}");
        Err(io::Error::other(taken))
    }

    /// Looks for runs that are not this process's and that have ended, and takes each over; what of it is to be shipped, oldest first.
    pub(crate) fn take_over_ended(&self) -> io::Result<Vec<PathBuf>> {
        let mut segments: BTreeMap<u64, Vec<PathBuf>> = BTreeMap::new();
        for entry in fs::read_dir(&self.hot)? {
            let path = entry?.path();
            let Some((boot, kind)) = named(&path) else {
                continue;
            };
            let of_boot = segments.entry(boot).or_default();
            if kind == SEGMENT {
                of_boot.push(path);
            }
        }
        let mut left = Vec::new();
        for (boot, mut of_boot) in segments {
            if lock(&self.held).contains_key(&boot) {
                continue;
            }
            if self.hold(boot)? {
                lock(&self.others).remove(&boot);
                if of_boot.is_empty() {
                    self.forget(boot)?;
                }
                of_boot.sort();
                left.append(&mut of_boot);
            } else {
                lock(&self.others).insert(boot);
            }
        }
        Ok(left)
    }

    /// Whether another process has a part of the folder, which is to be taken over when that has ended.
    pub(crate) fn others_live(&self) -> bool {
        !lock(&self.others).is_empty()
    }

    /// Takes the lock of a run, unless a living process has it.
    fn hold(&self, boot: u64) -> io::Result<bool> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.lock_file(boot))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                lock(&self.held).insert(boot, file);
                Ok(true)
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives back the lock of a run of which nothing is left. Its file is removed before it is unlocked: whoever locks it then finds no segment.
    fn forget(&self, boot: u64) -> io::Result<()> {
        let held = lock(&self.held).remove(&boot);
        fs::remove_file(self.lock_file(boot))?;
        drop(held);
        Ok(())
    }

    fn lock_file(&self, boot: u64) -> PathBuf {
        self.hot.join(format!("{boot:016x}.{LOCK}"))
    }

    fn has_segments(&self, boot: u64) -> io::Result<bool> {
        for entry in fs::read_dir(&self.hot)? {
            if named(&entry?.path()) == Some((boot, SEGMENT)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Drop for Boots {
    /// Leaves no lock file of a run of which nothing is left.
    fn drop(&mut self) {
        let held: Vec<u64> = lock(&self.held).keys().copied().collect();
        for boot in held {
            let gone = match self.has_segments(boot) {
                Ok(true) => Ok(()),
                Ok(false) => self.forget(boot),
                Err(error) => Err(error),
            };
            if let Err(error) = gone {
                tracing::debug!(%error, "a lock file of the scan log was not removed; the next start will");
            }
        }
    }
}

/// The file name of a run's segment.
pub(crate) fn segment_name(boot: u64, number: u64) -> String {
    format!("{boot:016x}-{number:08}.{SEGMENT}")
}

/// Of which run a file is, by its name, and whether it is a segment or the run's lock.
fn named(path: &Path) -> Option<(u64, &'static str)> {
    let kind = match path.extension()?.to_str()? {
        LOCK => LOCK,
        SEGMENT => SEGMENT,
        _ => return None,
    };
    let boot = path.file_stem()?.to_str()?.get(..16)?;
    Some((u64::from_str_radix(boot, 16).ok()?, kind))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
