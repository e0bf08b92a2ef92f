//! The runs of the program that have segments in the folder, or copies of them in the spool. Each holds a lock file of its own for as long as it lives, and so does whoever
//! has taken over what one has left: while a process hands over to another, both use the folder, each its own part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::FlockOperation;

use crate::folder;

/// What the name of a run's lock file ends in.
const LOCK: &str = "boot";
/// What the name of a segment ends in.
const SEGMENT: &str = "segment";

/// The segments in the folder, by the run whose they are; a run may have none.
type Listed = BTreeMap<u64, Vec<PathBuf>>;

/// The runs whose part of the folder is this process's.
pub(crate) struct Boots {
    /// Where the locks are.
    hot: PathBuf,
    spool: Option<PathBuf>,
    /// This process's own, and those that it has taken over.
    held: Mutex<BTreeMap<u64, File>>,
    /// Those that another process held when it was last looked.
    others: Mutex<BTreeSet<u64>>,
}

impl Boots {
    /// Begins a run of this number.
    pub(crate) fn begin(hot: &Path, spool: Option<&Path>, boot: u64) -> io::Result<Self> {
        let boots = Self {
            hot: hot.to_owned(),
            spool: spool.map(Path::to_owned),
            held: Mutex::default(),
            others: Mutex::default(),
        };
        if boots.hold(boot)? {
            boots.note_machine(boot)?;
            return Ok(boots);
        }
        let taken = format!("another process has begun a run of the same number, {boot:016x}");
        Err(io::Error::other(taken))
    }

    /// Whether the machine has not been started anew since that run began, or it does not matter: in memory nothing would be left. A disk has
    /// kept what it happened to write out.
    pub(crate) fn is_of_this_machine(&self, boot: u64) -> bool {
        let machine = machine();
        machine.is_empty()
            || folder::is_in_memory(&self.hot)
            || fs::read(self.lock_file(boot)).is_ok_and(|noted| noted == machine)
    }

    /// In the run's lock file.
    fn note_machine(&self, boot: u64) -> io::Result<()> {
        fs::write(self.lock_file(boot), machine())?;
        File::open(self.lock_file(boot))?.sync_all()?;
        File::open(&self.hot)?.sync_all()
    }

    /// Looks for runs that are not this process's and that have ended, and takes each over; what of it is to be shipped, oldest first.
    pub(crate) fn take_over_ended(&self) -> io::Result<Vec<PathBuf>> {
        self.take_over_listed(|| self.list())
    }

    /// Until its lock is held, a run may make segments and end, and others may begin: so the folder is listed again, until nothing in it is new.
    fn take_over_listed(&self, list: impl Fn() -> io::Result<Listed>) -> io::Result<Vec<PathBuf>> {
        let (mut taken, mut tried) = (BTreeSet::new(), BTreeSet::new());
        let mut listed = loop {
            let listed = list()?;
            let held = |boot: &u64| lock(&self.held).contains_key(boot);
            let new = listed.keys().copied();
            let new: Vec<u64> = new
                .filter(|boot| !tried.contains(boot) && !held(boot))
                .collect();
            if new.is_empty() {
                break listed;
            }
            for boot in new {
                tried.insert(boot);
                if self.hold(boot)? {
                    lock(&self.others).remove(&boot);
                    taken.insert(boot);
                } else {
                    lock(&self.others).insert(boot);
                }
            }
        };
        let mut left = Vec::new();
        for boot in taken {
            let mut of_boot = listed.remove(&boot).unwrap_or_default();
            if of_boot.is_empty() {
                self.forget(boot)?;
            }
            of_boot.sort();
            left.append(&mut of_boot);
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
        let removed = fs::remove_file(self.lock_file(boot));
        drop(held);
        match removed {
            // Whoever had it before did so.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// A spool that cannot be read now is none: its disk must not keep what is in memory from being shipped.
    fn list(&self) -> io::Result<Listed> {
        let mut listed = Listed::new();
        list(&self.hot, &mut listed)?;
        if let Some(spool) = &self.spool
            && let Err(error) = list(spool, &mut listed)
        {
            tracing::error!(spool = %spool.display(), %error, "the spool cannot be looked through: what lies there stays for a later start");
        }
        Ok(listed)
    }

    fn lock_file(&self, boot: u64) -> PathBuf {
        self.hot.join(format!("{boot:016x}.{LOCK}"))
    }

    fn has_segments(&self, boot: u64) -> io::Result<bool> {
        let listed = self.list()?;
        Ok(listed
            .get(&boot)
            .is_some_and(|segments| !segments.is_empty()))
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

fn list(folder: &Path, listed: &mut Listed) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some((boot, kind)) = named(&path) else {
            continue;
        };
        let of_boot = listed.entry(boot).or_default();
        if kind == SEGMENT {
            of_boot.push(path);
        }
    }
    Ok(())
}

/// The file name of a run's segment.
pub(crate) fn segment_name(boot: u64, number: u64) -> String {
    format!("{boot:016x}-{number:08}.{SEGMENT}")
}

/// The file name of a copy of a segment in the spool.
pub(crate) fn copy_name(boot: u64, writer: u32, number: u32) -> String {
    format!("{boot:016x}-{writer:08}-{number:08}.{SEGMENT}")
}

/// Another one each time the machine is started; empty where the system does not tell.
fn machine() -> Vec<u8> {
    fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// Of which run a file is, by its name.
pub(crate) fn boot_of(path: &Path) -> Option<u64> {
    named(path).map(|(boot, _)| boot)
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn make_segment(hot: &Path, boot: u64, number: u64) -> PathBuf {
        let path = hot.join(segment_name(boot, number));
        File::create_new(&path).expect("a file");
        path
    }

    #[test]
    fn what_a_run_makes_and_who_begins_while_the_folder_is_looked_through_is_not_missed() {
        let folder = tempfile::tempdir().expect("a folder");
        let hot = folder.path();
        let own = Boots::begin(hot, None, 9).expect("a run");
        let ending = Boots::begin(hot, None, 1).expect("a run");
        let first = make_segment(hot, 1, 0);
        let meanwhile = RefCell::new(Some(ending));
        let begun = RefCell::new(None);
        let taken = own.take_over_listed(|| {
            let listed = own.list();
            // Between the listing and the lock.
            if let Some(ending) = meanwhile.take() {
                make_segment(hot, 1, 1);
                drop(ending);
                begun.replace(Some(Boots::begin(hot, None, 2).expect("a run")));
            }
            listed
        });
        let second = hot.join(segment_name(1, 1));
        assert_eq!(taken.expect("a folder"), [first, second]);
        assert!(own.others_live(), "the one that has begun is waited for");

        make_segment(hot, 2, 0);
        drop(begun);
        assert_eq!(own.take_over_ended().expect("a folder").len(), 1);
        assert!(!own.others_live());
    }

    #[test]
    fn a_run_of_which_nothing_is_left_is_forgotten_by_whoever_comes_last() {
        let folder = tempfile::tempdir().expect("a folder");
        let own = Boots::begin(folder.path(), None, 9).expect("a run");
        let late = OpenOptions::new().write(true).open(own.lock_file(9));
        drop(own);
        let other = Boots::begin(folder.path(), None, 8).expect("a run");
        lock(&other.held).insert(9, late.expect("opened before it was removed"));
        other.forget(9).expect("it is gone");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}
