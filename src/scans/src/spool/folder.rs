//! The spool's folder: whose it is, what lies there, and how much that is.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::FlockOperation;

use super::SpoolOptions;
use super::metrics::SpoolMetrics;
use crate::boots::copy_name;
use crate::segment::Segment;
use crate::{ScanLogError, WriterKey, folder};

pub(crate) struct SpoolFolder {
    path: PathBuf,
    max_bytes: u64,
    pub(super) metrics: SpoolMetrics,
    copies: Mutex<Copies>,
    /// None where the disk would not have it: then another process is not kept away, and nothing can be written anyway.
    _lock: Option<File>,
}

/// The files, with the bytes that each has or will have.
#[derive(Default)]
struct Copies {
    files: HashMap<PathBuf, u64>,
    bytes: u64,
}

impl SpoolFolder {
    /// Makes the folder if need be. Refuses one that is somebody else's, or that the scan log in another folder uses; a disk that fails is no
    /// reason not to start.
    pub(crate) fn open(
        options: &SpoolOptions,
        hot: &Path,
        registry: &prometheus::Registry,
    ) -> Result<Self, ScanLogError> {
        let path = options.folder.clone();
        let metrics = SpoolMetrics::register(registry)?;
        let opened = folder::create_private(&path)
            .and_then(|()| differ(&path, hot))
            .and_then(|()| lock(&path, hot));
        let lock = match opened {
            Ok(Some(lock)) => Some(lock),
            Ok(None) => return Err(ScanLogError::SpoolInUse { spool: path }),
            Err(source) if is_wrong_place(&source) => {
                return Err(ScanLogError::Spool {
                    spool: path,
                    source,
                });
            }
            Err(error) => {
                metrics.count_error();
                metrics.set_available(false);
                tracing::error!(spool = %path.display(), %error, "the scan log's spool cannot be opened: what lies there stays for a later start");
                None
            }
        };
        if folder::is_in_memory(&path) {
            tracing::warn!(spool = %path.display(), "the scan log's spool is on tmpfs: what lies there is lost with the machine");
        }
        Ok(Self {
            path,
            max_bytes: options.max_bytes,
            metrics,
            copies: Mutex::default(),
            _lock: lock,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a file lies in it.
    pub(crate) fn holds(&self, file: &Path) -> bool {
        file.parent() == Some(&self.path)
    }

    /// Where a segment's copy lies, or would lie.
    pub(super) fn copy_path(&self, key: &WriterKey, number: u32) -> PathBuf {
        self.path.join(copy_name(key.boot, key.writer, number))
    }

    /// Whether there is such a copy.
    pub(super) fn has(&self, copy: &Path) -> bool {
        self.copies().files.contains_key(copy)
    }

    /// Takes note of a copy that is there.
    pub(crate) fn count(&self, copy: &Path, bytes: u64) {
        let mut copies = self.copies();
        copies.set(copy, bytes);
        self.metrics.set_bytes(copies.bytes);
    }

    /// Takes room for a copy that is to have so many bytes, if that is within the bound.
    pub(super) fn reserve(&self, copy: &Path, bytes: u64) -> bool {
        let mut copies = self.copies();
        let before = copies.files.get(copy).copied().unwrap_or(0);
        let bytes = bytes.max(before);
        if copies.bytes - before + bytes > self.max_bytes {
            return false;
        }
        copies.set(copy, bytes);
        self.metrics.set_bytes(copies.bytes);
        true
    }

    /// A copy is gone.
    pub(super) fn forget(&self, copy: &Path) {
        let mut copies = self.copies();
        copies.bytes -= copies.files.remove(copy).unwrap_or(0);
        self.metrics.set_bytes(copies.bytes);
    }

    /// Removes a segment's copy, if there is one.
    pub(crate) fn remove_copy(&self, segment: &Segment) -> io::Result<()> {
        let copy = self.copy_path(segment.key(), segment.number());
        match self.has(&copy) {
            true => self.remove(&copy),
            false => Ok(()),
        }
    }

    /// Removes a copy.
    pub(crate) fn remove(&self, copy: &Path) -> io::Result<()> {
        match fs::remove_file(copy) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => {
                self.forget(copy);
                Ok(())
            }
        }
    }

    fn copies(&self) -> MutexGuard<'_, Copies> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Copies {
    fn set(&mut self, copy: &Path, bytes: u64) {
        self.bytes += bytes;
        self.bytes -= self.files.insert(copy.to_owned(), bytes).unwrap_or(0);
    }
}

/// What an operator has to put right, and no disk by itself.
fn is_wrong_place(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, NotADirectory, PermissionDenied};
    matches!(
        error.kind(),
        PermissionDenied | NotADirectory | InvalidInput
    )
}

/// A copy in the folder of what is copied would be taken for another segment.
fn differ(spool: &Path, hot: &Path) -> io::Result<()> {
    if fs::canonicalize(spool)? == fs::canonicalize(hot)? {
        let words = "it is the scan log's own folder";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
    }
    Ok(())
}

/// Takes the spool for the scan log in this folder, or shares it with another process of that one, between which the folder's own lock decides.
/// None: it is that of another folder.
fn lock(spool: &Path, hot: &Path) -> io::Result<Option<File>> {
    let hot = fs::canonicalize(hot)?;
    let hot = hot.as_os_str().as_encoded_bytes();
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(spool.join("lock"))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            file.set_len(0)?;
            file.write_all(hot)?;
        }
        Err(rustix::io::Errno::WOULDBLOCK) => {}
        Err(error) => return Err(error.into()),
    }
    // Between the two locks, another process may come, which has it for a moment alone.
    let mut tries = 0;
    while let Err(error) = rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        tries += 1;
        if error != rustix::io::Errno::WOULDBLOCK {
            return Err(error.into());
        }
        if tries == 10 {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut owner = Vec::new();
    let mut reader = File::open(spool.join("lock"))?;
    reader.read_to_end(&mut owner)?;
    Ok((owner == hot).then_some(file))
}
