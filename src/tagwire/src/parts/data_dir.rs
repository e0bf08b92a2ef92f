//! The data directory: made where it is missing, written to once to see that it can be, and held by one process at a time, or by two of which
//! one takes the place of the other.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// A data directory that this process holds until it is dropped.
#[derive(Debug)]
pub(crate) struct DataDir {
    shown: PathBuf,
    canonical: PathBuf,
    lock: OwnedFd,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    #[error(
        "data directory {} cannot be used: {source}; set node.data_dir (--data-dir) to a directory that this user may write",
        path.display()
    )]
    Unusable { path: PathBuf, source: io::Error },
    #[error(
        "data directory {} is used by another tagwire process; stop it, or set node.data_dir (--data-dir) to another",
        path.display()
    )]
    InUse { path: PathBuf },
}

impl DataDir {
    pub(crate) fn hold(path: &Path) -> Result<Self, DataDirError> {
        Self::hold_with(path, None)
    }

    /// As above, together with the process that has handed over this lock, if it is the one of this directory.
    pub(crate) fn hold_with(path: &Path, handed: Option<OwnedFd>) -> Result<Self, DataDirError> {
        let unusable = |source| DataDirError::Unusable {
            path: path.to_owned(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(unusable)?;
        let canonical = path.canonicalize().map_err(unusable)?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(canonical.join("lock"));
        let lock = lock.map_err(unusable)?;
        let lock = match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => OwnedFd::from(lock),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let in_use = || DataDirError::InUse {
                    path: path.to_owned(),
                };
                let handed = handed.filter(|handed| is_same(handed, &lock));
                handed.ok_or_else(in_use)?
            }
            Err(error) => return Err(unusable(error.into())),
        };
        probe(&canonical).map_err(unusable)?;
        Ok(Self {
            shown: path.to_owned(),
            canonical,
            lock,
        })
    }

    /// Its lock, for the process that takes the place of this one.
    pub(crate) fn lock(&self) -> io::Result<OwnedFd> {
        self.lock.try_clone()
    }

    /// Where it is, without links and dots.
    pub(crate) fn path(&self) -> &Path {
        &self.canonical
    }

    /// As it was given, for people.
    pub(crate) fn shown(&self) -> &Path {
        &self.shown
    }
}

fn is_same(one: &impl AsFd, other: &impl AsFd) -> bool {
    let (one, other) = (rustix::fs::fstat(one), rustix::fs::fstat(other));
    matches!((one, other), (Ok(one), Ok(other)) if (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}

/// A lock file of an earlier run may be writable where nothing new can be made, and a disk may be full.
fn probe(directory: &Path) -> io::Result<()> {
    let path = directory.join("probe");
    std::fs::write(
        &path,
        b"Written at start to see whether this directory can be written.\n",
    )?;
    std::fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_missing_directory_is_made_for_its_owner_alone() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let data = DataDir::hold(&path).unwrap();
        let mode = std::fs::metadata(data.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let left: Vec<_> = std::fs::read_dir(&path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["lock"]);
    }

    #[test]
    fn a_directory_is_held_until_it_is_dropped() {
        let path = tempfile::tempdir().unwrap();
        let data = DataDir::hold(path.path()).unwrap();
        let refused = DataDir::hold(&path.path().join("."))
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("is used by another tagwire process"),
            "{refused}"
        );
        drop(data);
        DataDir::hold(path.path()).unwrap();
    }

    #[test]
    fn a_directory_that_is_handed_over_is_held_until_both_have_dropped_it() {
        let (path, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = DataDir::hold(path.path()).unwrap();
        let another = DataDir::hold(other.path()).unwrap();
        let foreign = Some(another.lock().unwrap());
        DataDir::hold_with(path.path(), foreign).unwrap_err();
        let second = DataDir::hold_with(path.path(), Some(first.lock().unwrap())).unwrap();
        drop(first);
        DataDir::hold(path.path()).unwrap_err();
        drop(second);
        DataDir::hold(path.path()).unwrap();
    }
}
