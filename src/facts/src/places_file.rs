//! A GeoIP file that is replaced while the program runs: the last good one answers until a newer one has been read and verified.
//! When to look for a newer one, and on which thread, is left to the caller.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};
use stamp::Stamp;

use crate::{Places, PlacesError};

/// The places of a file, and of what replaces it. Without a file no place is known, until one is named.
#[derive(Debug, Default)]
pub struct PlacesFile {
    current: ArcSwap<Places>,
    /// Its lock also keeps two reloads apart.
    followed: Mutex<Followed>,
}

/// Which file is looked at.
#[derive(Debug, Default)]
struct Followed {
    path: Option<PathBuf>,
    /// Its state when it was last judged, good or bad, so that each is read and reported once.
    judged: Option<Stamp>,
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
    /// No file: every place is unknown.
    pub fn none() -> PlacesFile {
        PlacesFile::default()
    }

    /// Opens the file; from here on there always is a good one.
    ///
    /// # Errors
    ///
    /// As [`Places::open`].
    pub fn open(path: impl Into<PathBuf>) -> Result<PlacesFile, PlacesError> {
        let (followed, places) = Followed::open(path.into())?;
        Ok(PlacesFile {
            current: ArcSwap::from_pointee(places),
            followed: Mutex::new(followed),
        })
    }

    /// The places that answer now. Hold them for a batch, not for ever: they keep their database in memory.
    pub fn places(&self) -> Arc<Places> {
        self.current.load_full()
    }

    /// The same for a single look-up, which then costs no count of holders.
    pub fn peek(&self) -> Guard<Arc<Places>> {
        self.current.load()
    }

    /// Takes the file anew if it has changed. Cheap when it has not; else it reads and verifies the whole file, with both databases
    /// in memory until then, so call it from a thread that may take seconds.
    pub fn reload_if_changed(&self) -> Reload {
        let mut followed = self.followed();
        let Some(path) = &followed.path else {
            return Reload::Unchanged;
        };
        let stamp = Stamp::of(path);
        if followed.judged == stamp {
            return Reload::Unchanged;
        }
        let opened = Places::open(path);
        followed.judged = stamp;
        match opened {
            Ok(places) => {
                self.current.store(Arc::new(places));
                Reload::Reloaded
            }
            Err(error) => Reload::Refused(error),
        }
    }

    /// Follows another file from now on, or none. The same file is not opened again.
    ///
    /// # Errors
    ///
    /// As [`Places::open`]: then all stays as it was.
    pub fn follow(&self, path: Option<&Path>) -> Result<(), PlacesError> {
        let mut followed = self.followed();
        if followed.path.as_deref() == path {
            return Ok(());
        }
        let (other, places) = match path {
            Some(path) => Followed::open(path.to_owned())?,
            None => Default::default(),
        };
        *followed = other;
        self.current.store(Arc::new(places));
        Ok(())
    }

    fn followed(&self) -> MutexGuard<'_, Followed> {
        // A panic elsewhere leaves at worst an older stamp, and the file is judged once more.
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Followed {
    fn open(path: PathBuf) -> Result<(Followed, Places), PlacesError> {
        let judged = Stamp::of(&path);
        let places = Places::open(&path)?;
        let path = Some(path);
        Ok((Followed { path, judged }, places))
    }
}
