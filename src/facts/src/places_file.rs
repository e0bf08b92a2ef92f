//! A GeoIP file that is replaced while the program runs: the last good one answers until a newer one has been read and verified.
//! When to look for a newer one, and on which thread, is left to the caller.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::{Places, PlacesError};

/// The places of a file, and of what replaces it.
#[derive(Debug)]
pub struct PlacesFile {
    path: PathBuf,
    current: ArcSwap<Places>,
    /// The state of the file that was last judged, good or bad, so that each is read and reported once. The lock also keeps two
    /// reloads apart.
    judged: Mutex<Option<Stamp>>,
}

/// What a look at the file came to.
#[derive(Debug)]
pub enum Reload {
    /// The file is the one that was last judged.
    Unchanged,
    /// A newer file answers from now on.
    Reloaded,
    /// The file changed, but cannot be used; the last good one goes on answering. Said once for each change of the file.
    Refused(PlacesError),
}

impl PlacesFile {
    /// Opens the file; from here on there always is a good one.
    ///
    /// # Errors
    ///
    /// As [`Places::open`].
    pub fn open(path: impl Into<PathBuf>) -> Result<PlacesFile, PlacesError> {
        let path = path.into();
        // Taken before reading: a file that changes meanwhile then looks changed at the next reload.
        let judged = Mutex::new(Stamp::of(&path));
        let current = ArcSwap::from_pointee(Places::open(&path)?);
        Ok(PlacesFile {
            path,
            current,
            judged,
        })
    }

    /// The places that answer now. Hold them for a batch, not for ever: they keep their database in memory.
    pub fn places(&self) -> Arc<Places> {
        self.current.load_full()
    }

    /// Takes the file anew if it has changed. Cheap when it has not; else it reads and verifies the whole file, with both databases
    /// in memory until then, so call it from a thread that may take seconds.
    pub fn reload_if_changed(&self) -> Reload {
        // A panic elsewhere leaves at worst an older stamp, and the file is judged once more.
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp::of(&self.path);
        if *judged == stamp {
            return Reload::Unchanged;
        }
        *judged = stamp;
        match Places::open(&self.path) {
            Ok(places) => {
                self.current.store(Arc::new(places));
                Reload::Reloaded
            }
            Err(error) => Reload::Refused(error),
        }
    }
}

/// Tells one state of a file from the next, whether it was replaced by renaming or written over. A missing file has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Stamp> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}
