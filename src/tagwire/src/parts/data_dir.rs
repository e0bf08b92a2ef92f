//! The data directory: made where it is missing, written to once to see that it can be, and held by one process at a time.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// A data directory that this process holds until it is dropped.
#[derive(Debug)]
pub(crate) struct DataDir {
    shown: PathBuf,
    canonical: PathBuf,
    _lock: File,
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
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(DataDirError::InUse {
                    path: path.to_owned(),
                });
            }
            Err(error) => return Err(unusable(error.into())),
        }
        probe(&canonical).map_err(unusable)?;
        Ok(Self {
            shown: path.to_owned(),
            canonical,
            _lock: lock,
        })
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
}
