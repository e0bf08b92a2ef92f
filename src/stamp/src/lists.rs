//! Several lists of one kind, each from a file that is replaced while the program runs: of each, the last good state counts until a newer
//! one has been read whole. When to look for a newer one, and on which thread, is left to the caller.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use crate::Stamp;

/// What a file is read into.
pub trait List: Sized {
    /// Why a file cannot be used.
    type Error;

    /// Reads a file whole.
    ///
    /// # Errors
    ///
    /// When it cannot be used.
    fn from_file(path: &Path) -> Result<Self, Self::Error>;

    /// How many entries it has.
    fn size(&self) -> usize;

    /// Lists are told apart by their files' names, and two have this one.
    fn same_name(name: String) -> Self::Error;
}

/// All lists together: many read them while one replaces them.
#[derive(Debug)]
pub struct Lists<L> {
    current: ArcSwap<Vec<Arc<Named<L>>>>,
    /// Its lock also keeps two reloads apart.
    followed: Mutex<Vec<Followed<L>>>,
    changes: AtomicU64,
}

/// A list, by its file's name.
#[derive(Debug)]
struct Named<L> {
    name: String,
    list: L,
}

/// A file, and what was last made of it.
#[derive(Debug)]
struct Followed<L> {
    path: PathBuf,
    /// Its state when it was last judged, good or bad, so that each is read and reported once.
    judged: Option<Stamp>,
    list: Arc<Named<L>>,
}

/// Files that have been read and can be taken over.
#[derive(Debug)]
pub struct Prepared<L>(Vec<Followed<L>>);

/// What became of a file that has changed.
#[derive(Debug)]
pub enum Reload<E> {
    /// It counts from now on.
    Taken {
        /// The list's name.
        list: String,
    },
    /// It cannot be used; the last good state of it counts on. Said once for each change of the file.
    Refused(E),
}

impl<L: List> Lists<L> {
    /// Reads these files; those that are followed already are not read again.
    ///
    /// # Errors
    ///
    /// Of the first that cannot be used, or of two with one name; what is followed stays as it was.
    pub fn prepare(&self, paths: &[PathBuf]) -> Result<Prepared<L>, L::Error> {
        let known = self.followed().clone();
        let mut files: Vec<Followed<L>> = Vec::with_capacity(paths.len());
        for path in paths {
            let file = match known.iter().find(|file| file.path == *path) {
                Some(file) => file.clone(),
                None => Followed::open(path)?,
            };
            let name = &file.list.name;
            if files.iter().any(|other| other.list.name == *name) {
                return Err(L::same_name(name.clone()));
            }
            files.push(file);
        }
        Ok(Prepared(files))
    }

    /// Follows these files from now on, and no others.
    pub fn follow(&self, Prepared(files): Prepared<L>) {
        let mut followed = self.followed();
        *followed = files;
        self.publish(&followed);
    }

    /// Takes those files anew that have changed. Cheap when none has; else it reads each whole, with both states in memory until then, so
    /// call it from a thread that may take seconds.
    pub fn reload_if_changed(&self) -> Vec<Reload<L::Error>> {
        let mut followed = self.followed();
        let mut reloads = Vec::new();
        for file in followed.iter_mut() {
            let stamp = Stamp::of(&file.path);
            if file.judged == stamp {
                continue;
            }
            file.judged = stamp;
            reloads.push(match Named::read(&file.path) {
                Ok(list) => {
                    file.list = Arc::new(list);
                    let list = file.list.name.clone();
                    Reload::Taken { list }
                }
                Err(error) => Reload::Refused(error),
            });
        }
        if reloads
            .iter()
            .any(|reload| matches!(reload, Reload::Taken { .. }))
        {
            self.publish(&followed);
        }
        reloads
    }

    /// What the first list that has something gives, asked with its name, in the order of the files.
    pub fn find<T>(&self, mut find: impl FnMut(&str, &L) -> Option<T>) -> Option<T> {
        let lists = self.current.load();
        lists
            .iter()
            .find_map(|named| find(&named.name, &named.list))
    }

    /// How often the lists have changed. Whoever sees a number finds by the lists that made it, or by newer ones.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// The lists' names, each with how many entries it has.
    pub fn sizes(&self) -> Vec<(String, usize)> {
        let lists = self.current.load();
        let size = |named: &Arc<Named<L>>| (named.name.clone(), named.list.size());
        lists.iter().map(size).collect()
    }

    fn publish(&self, followed: &[Followed<L>]) {
        let lists = followed.iter().map(|file| Arc::clone(&file.list)).collect();
        self.current.store(Arc::new(lists));
        // Release: the lists come first.
        self.changes.fetch_add(1, Ordering::Release);
    }

    fn followed(&self) -> MutexGuard<'_, Vec<Followed<L>>> {
        // A panic elsewhere leaves at worst an older list beside a newer stamp, which counts until the file's next change.
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L> Default for Lists<L> {
    /// No lists.
    fn default() -> Self {
        Self {
            current: ArcSwap::default(),
            followed: Mutex::default(),
            changes: AtomicU64::new(0),
        }
    }
}

impl<L: List> Followed<L> {
    fn open(path: &Path) -> Result<Self, L::Error> {
        let judged = Stamp::of(path);
        let list = Arc::new(Named::read(path)?);
        let path = path.to_owned();
        Ok(Self { path, judged, list })
    }
}

impl<L> Clone for Followed<L> {
    fn clone(&self) -> Self {
        Self {
            path: self.path.clone(),
            judged: self.judged,
            list: Arc::clone(&self.list),
        }
    }
}

impl<L: List> Named<L> {
    fn read(path: &Path) -> Result<Self, L::Error> {
        let list = L::from_file(path)?;
        let name = path.file_name().unwrap_or(path.as_os_str());
        let name = name.to_string_lossy().into_owned();
        Ok(Self { name, list })
    }
}
