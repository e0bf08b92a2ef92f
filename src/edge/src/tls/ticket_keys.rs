//! Which keys session tickets are made and opened with: those of a folder that edges share, or this process's own.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{Context, SHA256};
use rustls::server::ProducesTickets;

use super::files;
use super::metrics::TlsMetrics;
use super::ticket::{LIFETIME, TicketKey};

/// Why a folder's keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TicketKeysError {
    /// The folder or a file in it cannot be read.
    #[error("reading {}: {source}", path.display())]
    Read {
        /// What could not be read.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// There is none.
    #[error("{} holds no key; make one with: openssl rand -out {}/$(date +%F).key 80", folder.display(), folder.display())]
    Empty {
        /// The folder.
        folder: PathBuf,
    },
    /// A file is no key.
    #[error("{} has {len} bytes; a key has 80, or 48", file.display())]
    Length {
        /// The file.
        file: PathBuf,
        /// Its length.
        len: usize,
    },
    /// No key could be made.
    #[error("making a key: the operating system gives no random numbers")]
    Random,
}

/// The keys, the one that new tickets are made with last.
pub(crate) struct TicketKeys {
    source: Source,
    keys: ArcSwap<Vec<Arc<TicketKey>>>,
    metrics: TlsMetrics,
}

enum Source {
    /// A folder, and the digest of what its files held at the last look.
    Folder(PathBuf, Mutex<Vec<u8>>),
    /// This process, and when it last made a key.
    Own(Mutex<Instant>),
}

impl TicketKeys {
    pub(crate) fn open(
        folder: Option<PathBuf>,
        metrics: TlsMetrics,
    ) -> Result<Self, TicketKeysError> {
        let (source, keys) = match folder {
            Some(folder) => {
                let (digest, keys) = read(&folder)?;
                (Source::Folder(folder, Mutex::new(digest)), keys)
            }
            None => {
                let key = TicketKey::random().map_err(|_| TicketKeysError::Random)?;
                (Source::Own(Mutex::new(Instant::now())), vec![Arc::new(key)])
            }
        };
        metrics.ticket_keys.set(keys.len() as i64);
        Ok(Self {
            source,
            keys: ArcSwap::from_pointee(keys),
            metrics,
        })
    }

    /// Takes the folder's keys if they have changed, or makes one when the last is old.
    pub(crate) fn look(&self) {
        match &self.source {
            Source::Folder(folder, last) => self.look_at(folder, last),
            Source::Own(made) => self.rotate(made, Instant::now()),
        }
    }

    fn look_at(&self, folder: &Path, last: &Mutex<Vec<u8>>) {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let was_refused = self.metrics.ticket_keys_refused.get() != 0;
        match read(folder) {
            Ok((digest, _)) if digest == *last => self.metrics.ticket_keys_refused.set(0),
            Ok((digest, keys)) => {
                tracing::info!(folder = %folder.display(), keys = keys.len(), "took the keys of session tickets");
                *last = digest;
                self.store(keys);
                self.metrics.ticket_keys_refused.set(0);
            }
            Err(error) if was_refused => tracing::debug!(%error, "still"),
            Err(error) => {
                tracing::error!(%error, "the keys of session tickets cannot be used; those from before are");
                self.metrics.ticket_keys_refused.set(1);
            }
        }
    }

    /// A key makes tickets for as long as a ticket is good, and opens them for as long again.
    fn rotate(&self, made: &Mutex<Instant>, now: Instant) {
        let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(*made) < Duration::from_secs(LIFETIME.into()) {
            return;
        }
        let Ok(key) = TicketKey::random() else {
            return; // the next look tries again; the old key goes on
        };
        *made = now;
        let newest = self.keys.load();
        let newest = newest.iter().rev().take(1).cloned();
        self.store(newest.chain([Arc::new(key)]).collect());
    }

    fn store(&self, keys: Vec<Arc<TicketKey>>) {
        self.metrics.ticket_keys.set(keys.len() as i64);
        self.keys.store(Arc::new(keys));
    }
}

/// The keys that a folder's files are, in the order of their names, and a digest that differs when any of them does.
fn read(folder: &Path) -> Result<(Vec<u8>, Vec<Arc<TicketKey>>), TicketKeysError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| TicketKeysError::Read { path, source }
    };
    let mut entries = files::entries(folder).map_err(failed(folder))?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let (mut digest, mut keys) = (Context::new(&SHA256), Vec::new());
    for entry in entries {
        let content = std::fs::read(&entry.path).map_err(failed(&entry.path))?;
        let key = TicketKey::derive(&content).ok_or(TicketKeysError::Length {
            file: entry.path,
            len: content.len(),
        })?;
        keys.push(Arc::new(key));
        digest.update(&content);
    }
    if keys.is_empty() {
        return Err(TicketKeysError::Empty {
            folder: folder.to_owned(),
        });
    }
    Ok((digest.finish().as_ref().to_vec(), keys))
}

impl ProducesTickets for TicketKeys {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.keys.load().last()?.seal(plain, now()).ok()
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys.load();
        keys.iter().rev().find_map(|key| key.open(cipher, now()))
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketKeys").finish_non_exhaustive() // nothing of the keys
    }
}
