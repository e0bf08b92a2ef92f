//! The blocklists that a program goes by: files that are replaced while it runs. Of each, the last good state counts until a newer one has
//! been read whole. When to look for a newer one, and on which thread, is left to the caller.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use stamp::Stamp;

use crate::lines::ReadError;
use crate::{BlocklistError, Hosts};

/// All lists together; without files, no host is on one.
#[derive(Debug, Default)]
pub struct Blocklists {
    current: ArcSwap<Vec<Arc<List>>>,
    /// Its lock also keeps two reloads apart.
    followed: Mutex<Vec<Followed>>,
    changes: AtomicU64,
}

/// A list, by its file's name.
#[derive(Debug)]
struct List {
    name: String,
    hosts: Hosts,
}

/// A file, and what was last made of it.
#[derive(Clone, Debug)]
struct Followed {
    path: PathBuf,
    /// Its state when it was last judged, good or bad, so that each is read and reported once.
    judged: Option<Stamp>,
    list: Arc<List>,
}

/// Where a host is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The name of the list.
    pub list: String,
    /// What the list has: the host, or a domain above it.
    pub entry: String,
}

/// What became of a file that has changed.
#[derive(Debug)]
pub enum Reload {
    /// It counts from now on.
    Taken {
        /// The list's name.
        list: String,
    },
    /// It cannot be used; the last good state of it counts on. Said once for each change of the file.
    Refused(BlocklistError),
}

/// Files that have been read and can be taken over.
#[derive(Debug)]
pub struct Prepared(Vec<Followed>);

impl Blocklists {
    /// Reads these files; those that are followed already are not read again.
    pub fn prepare(&self, paths: &[PathBuf]) -> Result<Prepared, BlocklistError> {
        let known = self.followed().clone();
        let mut files: Vec<Followed> = Vec::with_capacity(paths.len());
        for path in paths {
            let file = match known.iter().find(|file| file.path == *path) {
                Some(file) => file.clone(),
                None => Followed::open(path)?,
            };
            if files.iter().any(|other| other.list.name == file.list.name) {
                let name = file.list.name.clone();
                return Err(BlocklistError::SameName { name });
            }
            files.push(file);
        }
        Ok(Prepared(files))
    }

    /// Follows these files from now on, and no others.
    pub fn follow(&self, Prepared(files): Prepared) {
        let mut followed = self.followed();
        *followed = files;
        self.publish(&followed);
    }

    /// Takes those files anew that have changed. Cheap when none has; else it reads each whole, with both states in memory until then, so
    /// call it from a thread that may take seconds.
    pub fn reload_if_changed(&self) -> Vec<Reload> {
        let mut followed = self.followed();
        let mut reloads = Vec::new();
        for file in followed.iter_mut() {
            let stamp = Stamp::of(&file.path);
            if file.judged == stamp {
                continue;
            }
            file.judged = stamp;
            reloads.push(match List::read(&file.path) {
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

    /// Whether a host, as a destination has it, is on one of the lists.
    pub fn find(&self, host: &str) -> Option<Listed> {
        let lists = self.current.load();
        lists.iter().find_map(|list| {
            let entry = list.hosts.entry_for(host)?.to_owned();
            let list = list.name.clone();
            Some(Listed { list, entry })
        })
    }

    /// How often the lists have changed. Whoever sees a number finds by the lists that made it, or by newer ones.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// The lists' names, each with how many hosts it has.
    pub fn sizes(&self) -> Vec<(String, usize)> {
        let lists = self.current.load();
        let size = |list: &Arc<List>| (list.name.clone(), list.hosts.len());
        lists.iter().map(size).collect()
    }

    fn publish(&self, followed: &[Followed]) {
        let lists = followed.iter().map(|file| Arc::clone(&file.list)).collect();
        self.current.store(Arc::new(lists));
        // Release: the lists come first.
        self.changes.fetch_add(1, Ordering::Release);
    }

    fn followed(&self) -> MutexGuard<'_, Vec<Followed>> {
        // A panic elsewhere leaves at worst an older list beside a newer stamp, which counts until the file's next change.
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Followed {
    fn open(path: &Path) -> Result<Self, BlocklistError> {
        let judged = Stamp::of(path);
        let list = Arc::new(List::read(path)?);
        let path = path.to_owned();
        Ok(Self { path, judged, list })
    }
}

impl List {
    fn read(path: &Path) -> Result<Self, BlocklistError> {
        let unreadable = |source| BlocklistError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(unreadable)?;
        let hosts = Hosts::read(BufReader::with_capacity(1 << 16, file));
        let hosts = hosts.map_err(|error| {
            let path = path.to_owned();
            match error {
                ReadError::Io(source) => BlocklistError::Unreadable { path, source },
                ReadError::Empty => BlocklistError::Empty { path },
                ReadError::TooLong => BlocklistError::TooLong { path },
                ReadError::NotAList {
                    unknown,
                    known,
                    line,
                } => BlocklistError::NotAList {
                    path,
                    unknown,
                    known,
                    line,
                },
            }
        })?;
        let name = path.file_name().unwrap_or(path.as_os_str());
        let name = name.to_string_lossy().into_owned();
        Ok(Self { name, hosts })
    }
}
