//! The scan log's folder: that no other process uses it, but one that hands over, and that its file system keeps what a mapping relies on.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::FlockOperation;

use crate::ScanLogError;

/// Makes the folder if need be, and its content this user's alone. One that another user has laid in our way is refused: in `/dev/shm` anybody
/// may make folders.
pub(crate) fn create(hot: &Path) -> Result<(), ScanLogError> {
    create_private(hot).map_err(|source| ScanLogError::Folder {
        hot: hot.to_owned(),
        source,
    })
}

/// The same of any folder.
pub(crate) fn create_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    if fs::metadata(folder)?.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it belongs to another user",
        ));
    }
    fs::set_permissions(folder, Permissions::from_mode(0o700))
}

/// Locked for as long as the file is open, whatever becomes of the process. `handed` is the lock of a process that hands over to this one:
/// if it is of this folder, the two hold it together.
pub(crate) fn lock(hot: &Path, handed: Option<OwnedFd>) -> Result<File, ScanLogError> {
    let folder = |source| ScanLogError::Folder {
        hot: hot.to_owned(),
        source,
    };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(hot.join("lock"))
        .map_err(folder)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let handed = handed.map(File::from);
            match handed.filter(|handed| is_same(handed, &file)) {
                Some(handed) => Ok(handed),
                None => Err(ScanLogError::InUse {
                    hot: hot.to_owned(),
                }),
            }
        }
        Err(error) => Err(folder(error.into())),
    }
}

fn is_same(one: &File, other: &File) -> bool {
    let file = |file: &File| file.metadata().map(|of| (of.dev(), of.ino()));
    matches!((file(one), file(other)), (Ok(one), Ok(other)) if one == other)
}

/// From `linux/magic.h`.
const TMPFS: u64 = 0x0102_1994;

/// Whether what lies in a folder is gone with the machine.
pub(crate) fn is_in_memory(folder: &Path) -> bool {
    rustix::fs::statfs(folder).is_ok_and(|stat| stat.f_type as u64 & 0xffff_ffff == TMPFS)
}

/// The numbers are from `linux/magic.h` and the file systems' own sources.
pub(crate) fn check_file_system(hot: &Path) -> Result<(), ScanLogError> {
    let stat = rustix::fs::statfs(hot).map_err(|error| ScanLogError::Folder {
        hot: hot.to_owned(),
        source: error.into(),
    })?;
    let refused = |file_system| {
        Err(ScanLogError::FileSystem {
            hot: hot.to_owned(),
            file_system,
        })
    };
    match stat.f_type as u64 & 0xffff_ffff {
        TMPFS => Ok(()),
        0x9123_683e => refused("btrfs"),
        0x2fc1_2fc1 => refused("zfs"),
        0x6969 => refused("nfs"),
        _ => {
            tracing::warn!(hot = %hot.display(), "the scan log's folder is not on tmpfs: redirects may wait for its disk");
            Ok(())
        }
    }
}
