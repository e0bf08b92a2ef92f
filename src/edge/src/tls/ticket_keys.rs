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

/// How long a new key of a shared folder only opens tickets, so that no edge makes one that another cannot open: longer than it takes
/// for the file to be on all of them.
const SETTLE: Duration = Duration::from_secs(60);

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

/// The keys.
pub(crate) struct TicketKeys {
    source: Source,
    /// The newest last.
    keys: ArcSwap<Vec<Known>>,
    metrics: TlsMetrics,
}

/// A key, and since when this process knows it.
#[derive(Clone)]
struct Known {
    key: Arc<TicketKey>,
    since: Instant,
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
                let keys = known(keys, &[], Instant::now());
                (Source::Folder(folder, Mutex::new(digest)), keys)
            }
            None => {
                let key = TicketKey::random().map_err(|_| TicketKeysError::Random)?;
                let keys = known(vec![key], &[], Instant::now());
                (Source::Own(Mutex::new(Instant::now())), keys)
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
                let keys = known(keys, &self.keys.load(), Instant::now());
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
        self.store(newest.chain(known(vec![key], &[], now)).collect());
    }

    fn store(&self, keys: Vec<Known>) {
        self.metrics.ticket_keys.set(keys.len() as i64);
        self.keys.store(Arc::new(keys));
    }
}

/// These keys, each known since it was first seen.
fn known(keys: Vec<TicketKey>, before: &[Known], now: Instant) -> Vec<Known> {
    let known = keys.into_iter().map(|key| {
        let same = before.iter().find(|known| known.key.name() == key.name());
        let since = same.map_or(now, |known| known.since);
        let key = Arc::new(key);
        Known { key, since }
    });
    known.collect()
}

/// The key that tickets are made with: the newest that has settled. If none has, as at the start, the one before the newest, which the
/// others have had for longer.
fn sealing(keys: &[Known], now: Instant) -> Option<&Known> {
    let settled = |known: &&Known| now.saturating_duration_since(known.since) >= SETTLE;
    let newest_first = || keys.iter().rev();
    let settled = newest_first().find(settled);
    settled
        .or_else(|| newest_first().nth(1))
        .or_else(|| keys.last())
}

/// The keys that a folder's files are, in the order of their names, and a digest that differs when any of them does.
fn read(folder: &Path) -> Result<(Vec<u8>, Vec<TicketKey>), TicketKeysError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| TicketKeysError::Read { path, source }
    };
    let mut entries = files::entries(folder).map_err(failed(folder))?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let (mut digest, mut keys) = (Context::new(&SHA256), Vec::new());
    // A file system's own folders lie there too (`lost+found`).
    for entry in entries.into_iter().filter(|entry| !entry.path.is_dir()) {
        let content = std::fs::read(&entry.path).map_err(failed(&entry.path))?;
        let key = TicketKey::derive(&content).ok_or(TicketKeysError::Length {
            file: entry.path,
            len: content.len(),
        })?;
        keys.push(key);
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
        let keys = self.keys.load();
        sealing(&keys, Instant::now())?.key.seal(plain, now()).ok()
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys.load();
        let mut keys = keys.iter().rev();
        keys.find_map(|known| known.key.open(cipher, now()))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> TicketKey {
        TicketKey::derive(&[byte; 80]).expect("a key")
    }

    fn seals(keys: &[Known], now: Instant) -> u8 {
        sealing(keys, now).expect("a key").key.name()[0]
    }

    #[test]
    fn a_new_key_makes_tickets_when_the_others_have_had_time_to_see_it() {
        let start = Instant::now();
        let first = known(vec![key(1)], &[], start);
        assert_eq!(seals(&first, start), 1, "there is no other");
        let later = start + SETTLE;
        let both = known(vec![key(1), key(2)], &first, later);
        assert_eq!(seals(&both, later), 1);
        assert_eq!(seals(&both, later + SETTLE / 2), 1);
        assert_eq!(seals(&both, later + SETTLE), 2);
        let without_first = known(vec![key(2)], &both, later);
        assert_eq!(seals(&without_first, later), 2);
        let replaced = known(vec![key(3)], &both, later);
        assert_eq!(seals(&replaced, later), 3);
    }

    #[test]
    fn who_starts_beside_others_makes_tickets_with_the_key_that_they_have_had_for_longer() {
        let start = Instant::now();
        let keys = known(vec![key(1), key(2), key(3)], &[], start);
        assert_eq!(seals(&keys, start), 2);
        assert_eq!(seals(&keys, start + SETTLE), 3);
    }
}
