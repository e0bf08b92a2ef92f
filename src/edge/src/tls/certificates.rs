//! The certificates of a folder, by the names that they are for, while the folder changes: what cannot be used is refused, and what
//! was there before stays.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::SignatureScheme;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::files::{self, Found, PairFiles, PairStamp};
use super::metrics::TlsMetrics;
use super::pair::{Pair, PairError};

/// Why a folder's certificates cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// The folder cannot be read.
    #[error("reading the folder {}: {source}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// There is none.
    #[error("{} holds no certificate; put NAME.crt and NAME.key there, in PEM", folder.display())]
    Empty {
        /// The folder.
        folder: PathBuf,
    },
    /// One of them cannot be used.
    #[error(transparent)]
    Pair(#[from] PairError),
}

/// The pair of this name is for clients that name no server, or one that no certificate is for; without it the first one is, in the
/// order of their names. In the place of one that is not valid now, another for one of its names is shown, or else any that is.
const DEFAULT: &str = "default";

/// What is served, and what it came from.
#[derive(Debug)]
pub(crate) struct Certificates {
    folder: PathBuf,
    provider: Arc<CryptoProvider>,
    metrics: TlsMetrics,
    served: ArcSwap<Served>,
    /// Also keeps two reloads apart.
    known: Mutex<Everything>,
}

/// All that is known.
#[derive(Debug, Default)]
struct Everything {
    pairs: BTreeMap<String, Known>,
    /// The folders that could not be looked into at the last look, and whether the folder itself was away.
    closed: Vec<PathBuf>,
    away: bool,
}

/// A pair of files, as far as it has been looked at.
#[derive(Debug, Default)]
struct Known {
    /// The files' state at the last look.
    seen: PairStamp,
    /// The state that was last read, good or bad, so that each is read and reported once.
    judged: Option<PairStamp>,
    /// Whether that was bad.
    refused: bool,
    good: Option<Arc<Pair>>,
}

/// What handshakes choose from.
#[derive(Debug)]
struct Served {
    /// Wildcards are under their parent, as `.example.com`.
    by_name: HashMap<Box<str>, Vec<Arc<Pair>>>,
    /// For clients that name no server, or one that no certificate is for: the first that will do. At least one.
    defaults: Vec<Arc<Pair>>,
}

impl Certificates {
    pub(crate) fn open(
        folder: &Path,
        provider: Arc<CryptoProvider>,
        metrics: TlsMetrics,
    ) -> Result<Self, CertificatesError> {
        let unreadable = |folder: PathBuf, source| CertificatesError::Folder { folder, source };
        let mut found =
            files::pairs(folder).map_err(|source| unreadable(folder.to_owned(), source))?;
        if found.pairs.is_empty()
            && let Some((name, source)) = found.closed.pop_first()
        {
            return Err(unreadable(folder.join(name), source));
        }
        let mut known = Everything::default();
        for (name, files) in &found.pairs {
            // Taken before reading: a file that changes meanwhile then looks changed at the next look.
            let seen = files.stamp();
            let pair = Arc::new(Pair::read(files, &provider)?);
            tell(name, &pair);
            let known_pair = Known {
                seen,
                judged: Some(seen),
                refused: false,
                good: Some(pair),
            };
            known.pairs.insert(name.clone(), known_pair);
        }
        let served = Served::of(&known.pairs).ok_or_else(|| CertificatesError::Empty {
            folder: folder.to_owned(),
        })?;
        let certificates = Self {
            folder: folder.to_owned(),
            provider,
            metrics,
            served: ArcSwap::from_pointee(served),
            known: Mutex::default(),
        };
        certificates.close(&found, &mut known);
        certificates.show(&known);
        *certificates.lock() = known;
        Ok(certificates)
    }

    /// Takes what has changed before the last look and not since: who is writing two files is not caught between them.
    pub(crate) fn look(&self) {
        self.take(false);
    }

    /// Takes what has changed.
    pub(crate) fn reload(&self) {
        self.take(true);
    }

    fn take(&self, at_once: bool) {
        let mut known = self.lock();
        let folder = self.folder.display();
        let found = files::pairs(&self.folder);
        let found =
            found.and_then(
                |found| match found.pairs.is_empty() && found.closed.is_empty() {
                    true => Err(io::ErrorKind::NotFound.into()),
                    false => Ok(found),
                },
            );
        let found = match found {
            Ok(found) => found,
            // A volume that is away for a moment must not take the certificates with it.
            Err(error) => {
                if at_once || !known.away {
                    tracing::warn!(%folder, %error, "the folder of certificates is away or empty; those from before are served");
                }
                known.away = true;
                self.show(&known);
                return;
            }
        };
        if std::mem::take(&mut known.away) {
            tracing::info!(%folder, "the folder of certificates is there again");
        }
        self.close(&found, &mut known);
        let mut changed = false;
        for (name, files) in &found.pairs {
            let pair = known.pairs.entry(name.clone()).or_default();
            changed |= self.judge(name, files, pair, at_once);
        }
        known.pairs.retain(|name, pair| {
            let gone = !found.pairs.contains_key(name) && !found.hides(name);
            let leaves = gone && (at_once || pair.seen == PairStamp::default());
            if leaves {
                tracing::info!(certificate = name, "a certificate was taken away");
            } else if gone {
                pair.seen = PairStamp::default();
            }
            changed |= leaves;
            !leaves
        });
        if changed && let Some(served) = Served::of(&known.pairs) {
            self.served.store(Arc::new(served));
        }
        self.show(&known);
    }

    /// Notes which folders cannot be looked into, and says so once of each. What was served from there still is.
    fn close(&self, found: &Found, known: &mut Everything) {
        let before = std::mem::take(&mut known.closed);
        for (name, error) in &found.closed {
            let folder = self.folder.join(name);
            if !before.contains(&folder) {
                tracing::error!(folder = %folder.display(), %error, "this folder cannot be looked into; certificates from there that were served still are");
            }
            known.closed.push(folder);
        }
        for folder in before
            .iter()
            .filter(|folder| !known.closed.contains(folder))
        {
            tracing::info!(folder = %folder.display(), "this folder can be looked into again, or is gone");
        }
    }

    /// Reads a pair if it has changed; whether there is another one to be served now.
    fn judge(&self, name: &str, files: &PairFiles, known: &mut Known, at_once: bool) -> bool {
        let stamp = files.stamp();
        let at_rest = known.seen == stamp;
        known.seen = stamp;
        let is_judged = known.judged == Some(stamp) && !(at_once && known.refused);
        if is_judged || !(at_rest || at_once) {
            return false;
        }
        known.judged = Some(stamp);
        match Pair::read(files, &self.provider) {
            Ok(pair) => {
                tell(name, &pair);
                known.refused = false;
                known.good = Some(Arc::new(pair));
                true
            }
            Err(error) => {
                let kept = known.good.is_some();
                if matches!(error, PairError::Read { .. }) {
                    known.judged = None; // what was in the way may go without a trace in the files
                }
                if at_once || !std::mem::replace(&mut known.refused, true) {
                    tracing::error!(certificate = name, %error, kept, "a certificate cannot be used; the one before is kept, if there was one");
                }
                known.refused = true;
                false
            }
        }
    }

    fn show(&self, known: &Everything) {
        let Everything {
            pairs,
            closed,
            away,
        } = known;
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let good = || pairs.values().filter_map(|known| known.good.as_deref());
        let refused = pairs.values().filter(|known| known.refused).count();
        let refused = refused + closed.len() + usize::from(*away);
        self.metrics.certificates.set(count(good().count()));
        self.metrics.certificates_refused.set(count(refused));
        let earliest = good().map(|pair| pair.not_after).min();
        self.metrics
            .certificate_expiry
            .set(earliest.unwrap_or_default());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Everything> {
        // A panic elsewhere leaves at worst an older state, and files are judged once more.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Served {
    /// None: there is no certificate at all.
    fn of(known: &BTreeMap<String, Known>) -> Option<Self> {
        let mut by_name: HashMap<Box<str>, Vec<Arc<Pair>>> = HashMap::new();
        let good = || {
            known
                .iter()
                .filter_map(|(name, known)| Some((name, known.good.as_ref()?)))
        };
        for (_, pair) in good() {
            for name in &pair.names {
                let name = name.strip_prefix('*').unwrap_or(name);
                by_name
                    .entry(name.into())
                    .or_default()
                    .push(Arc::clone(pair));
            }
        }
        let is_default = |name: &str| name == DEFAULT || name.strip_suffix("/tls") == Some(DEFAULT);
        let default = good()
            .find(|(name, _)| is_default(name))
            .or_else(|| good().next())?;
        let default = Arc::clone(default.1);
        let mut defaults: Vec<_> = good().map(|(_, pair)| Arc::clone(pair)).collect();
        defaults.sort_by_key(|pair| {
            let replaces = pair.names.iter().any(|name| default.names.contains(name));
            (!Arc::ptr_eq(pair, &default), !replaces)
        });
        Some(Self { by_name, defaults })
    }

    /// Those for exactly this name, and those with a wildcard for its first label (RFC 9525 §6.3).
    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Arc<Pair>> {
        let parent = name.find('.').map_or("", |dot| &name[dot..]);
        let names = [name, parent].into_iter();
        names.filter_map(|name| self.by_name.get(name)).flatten()
    }

    /// Where there are several for a name, of those whose key the client understands (RSA beside ECDSA is for old ones) the one that is
    /// valid now, and is so for the longest: beside it may lie the one that it replaces, and the one that will replace it.
    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let is_understood = |pair: &&Arc<Pair>| pair.certified.key.choose_scheme(schemes).is_some();
        let named = name.into_iter().flat_map(|name| self.named(name));
        let now = jiff::Timestamp::now().as_second();
        let best = named.filter(is_understood).min_by_key(|pair| {
            let is_rsa = pair.certified.key.algorithm() == rustls::SignatureAlgorithm::RSA;
            (!pair.is_valid_at(now), is_rsa, Reverse(pair.not_after))
        });
        let defaults = || self.defaults.iter();
        let chosen = best
            .or_else(|| {
                defaults()
                    .filter(is_understood)
                    .find(|pair| pair.is_valid_at(now))
            })
            .or_else(|| defaults().find(is_understood))
            .or_else(|| defaults().next());
        chosen.map(|pair| Arc::clone(&pair.certified))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let served = self.served.load();
        served.choose(hello.server_name(), hello.signature_schemes())
    }
}

fn tell(name: &str, pair: &Pair) {
    let names = pair.names.join(", ");
    let expires = jiff::Timestamp::from_second(pair.not_after).unwrap_or_default();
    tracing::info!(certificate = name, names, %expires, "took a certificate");
    if expires < jiff::Timestamp::now() {
        tracing::warn!(certificate = name, %expires, "this certificate has expired; clients will refuse it");
    }
}
