//! The folder in which an edge's scans lie until they are stored: locked, made of segments, with those of earlier boots adopted.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::boots::Boots;
use crate::ledger::{Account, Accounts, Ledger, LedgerMetrics};
use crate::segment::{LONGEST, MAX_EDGE, Segment};
use crate::spares::{Keeper, Spares};
use crate::spool::{SpoolFolder, SpoolOptions};
use crate::writer::{Begun, Followed};
use crate::{Writer, WriterKey, adoption, folder};

/// Where and how big.
#[derive(Clone, Debug)]
pub struct ScanLogOptions {
    /// The edge's `node.id`, at most 256 bytes.
    pub edge: String,
    /// The folder; best on tmpfs. It is created if need be.
    pub hot: PathBuf,
    /// The size of a segment, at least 64 KiB. Smaller ones are made, down to 1 MiB, when the file system has no room for it.
    pub segment_bytes: u64,
    /// The most that all segments may take, spare ones and those of earlier boots included.
    pub max_bytes: u64,
    /// How many segments are kept ready for writers whose own is full, and how many more of those that are stored. One thread's 200,000 scans a second fill one in 160 ms.
    pub spares: usize,
    /// Where what waits for long is written too; none: memory is all there is.
    pub spool: Option<SpoolOptions>,
}

impl ScanLogOptions {
    /// Segments of 8 MiB, 256 MiB in all, two spare, no spool.
    pub fn new(edge: impl Into<String>, hot: impl Into<PathBuf>) -> Self {
        Self {
            edge: edge.into(),
            hot: hot.into(),
            segment_bytes: 8 << 20,
            max_bytes: 256 << 20,
            spares: 2,
            spool: None,
        }
    }
}

/// Why the scan log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScanLogError {
    /// Contradictory options.
    #[error("scan log: {0}")]
    Options(String),
    /// The folder cannot be made or read.
    #[error("cannot use {} as the scan log's folder: {source}; set scan_log.hot to a folder that this user may write", .hot.display())]
    Folder {
        /// The folder.
        hot: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Another process has it.
    #[error("the scan log's folder {} is used by another process: stop that one, or set scan_log.hot to another folder", .hot.display())]
    InUse {
        /// The folder.
        hot: PathBuf,
    },
    /// A mapping there can fault though its blocks are allocated.
    #[error("the scan log's folder {} is on {file_system}, where allocating a file does not reserve its blocks: set scan_log.hot to a folder on tmpfs, ext4 or xfs", .hot.display())]
    FileSystem {
        /// The folder.
        hot: PathBuf,
        /// Its file system.
        file_system: &'static str,
    },
    /// No room, or no right.
    #[error("cannot make segment {}: {source}; free some space there or set scan_log.hot to another folder", .path.display())]
    Segment {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Bounded, and what earlier boots left takes it all.
    #[error("the scan log in {} has reached its bound of {max_bytes} bytes: raise scan_log.max_bytes, or wait until it has been shipped", .hot.display())]
    Full {
        /// The folder.
        hot: PathBuf,
        /// The bound.
        max_bytes: u64,
    },
    /// The spool's folder cannot be made or read.
    #[error("cannot use {} as the scan log's spool: {source}; set scan_log.spool to a folder that this user may write, or scan_log.spool_max_bytes to 0", .spool.display())]
    Spool {
        /// The folder.
        spool: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Another scan log has it.
    #[error("the spool {} is used by the scan log in another folder: stop that process, or set scan_log.spool to another folder", .spool.display())]
    SpoolInUse {
        /// The folder.
        spool: PathBuf,
    },
    /// The system's limits.
    #[error("cannot start a thread of the scan log: {source}")]
    Thread {
        /// The system's reason.
        source: io::Error,
    },
    /// For the boot's number.
    #[error("the operating system has no random numbers: {0}")]
    Random(getrandom::Error),
    /// The ledger's metrics.
    #[error("the ledger's metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// An edge's scan log, open.
pub struct ScanLog {
    edge: Arc<str>,
    boot: u64,
    hot: PathBuf,
    spool: Option<Arc<SpoolFolder>>,
    writers: AtomicU32,
    spares: Arc<Spares>,
    accounts: Accounts,
    begun: Arc<Begun>,
    _keeper: Keeper,
    boots: Boots,
    /// Unlocked when closed, last of all.
    lock: File,
}

impl ScanLog {
    /// Opens the folder, adopts what earlier boots left there, and registers the ledger's metrics.
    pub fn open(
        options: &ScanLogOptions,
        registry: &prometheus::Registry,
    ) -> Result<Arc<Self>, ScanLogError> {
        Self::open_beside(options, None, registry)
    }

    /// As [`ScanLog::open`], beside a process that hands over to this one and has passed its [`ScanLog::lock`]: what that one leaves is
    /// adopted once it has ended.
    pub fn open_beside(
        options: &ScanLogOptions,
        lock: Option<OwnedFd>,
        registry: &prometheus::Registry,
    ) -> Result<Arc<Self>, ScanLogError> {
        if options.edge.is_empty() || options.edge.len() > MAX_EDGE {
            return Err(ScanLogError::Options(format!(
                "the edge's name must have 1 to {MAX_EDGE} bytes"
            )));
        }
        if options.segment_bytes < 64 << 10
            || options.max_bytes < options.segment_bytes * 2
            || options.spares == 0
        {
            return Err(ScanLogError::Options(
                "needs segments of at least 64 KiB, room for two, and one spare".into(),
            ));
        }
        if options.segment_bytes > LONGEST {
            return Err(ScanLogError::Options("segments have 1 GiB at most".into()));
        }
        let hot = options.hot.clone();
        let unusable = |source| ScanLogError::Folder {
            hot: options.hot.clone(),
            source,
        };
        folder::create(&hot)?;
        let lock = folder::lock(&hot, lock)?;
        folder::check_file_system(&hot)?;
        let spool = options.spool.as_ref();
        let spool = spool.map(|spool| SpoolFolder::open(spool, &hot, registry).map(Arc::new));
        let spool = spool.transpose()?;
        // Later boots have higher numbers, as far as the clock does; the low bits keep apart those of the same moment.
        let now = jiff::Timestamp::now().as_microsecond() as u64;
        let boot = (now << 12) | (getrandom::u64().map_err(ScanLogError::Random)? & 0xfff);
        let spares = Arc::new(Spares::new(
            hot.clone(),
            boot,
            options.spares,
            options.segment_bytes,
            options.max_bytes,
        ));
        let accounts = Accounts::default();
        let boots = Boots::begin(&hot, spool.as_deref().map(SpoolFolder::path), boot);
        let boots = boots.map_err(unusable)?;
        let begun = Arc::new(Begun::default());
        let adopted = adoption::adopt(&boots, &spares, &accounts, spool.as_deref());
        begun.add(adopted.map_err(unusable)?);
        let keeper = spares.keep()?;
        registry.register(Box::new(LedgerMetrics::new(accounts.clone())?))?;
        let edge: Arc<str> = Arc::from(options.edge.as_str());
        let writers = AtomicU32::new(0);
        Ok(Arc::new(Self {
            edge,
            boot,
            hot,
            spool,
            writers,
            spares,
            accounts,
            begun,
            _keeper: keeper,
            boots,
            lock,
        }))
    }

    /// A new writer, for a thread that has none yet. Where the log has no room for its first segment, it drops scans, and counts them, until
    /// there is: nobody waits for an answer because of that.
    pub fn writer(&self) -> Writer {
        let writer = self.writers.fetch_add(1, Ordering::Relaxed);
        let key = WriterKey {
            edge: Arc::clone(&self.edge),
            boot: self.boot,
            writer,
        };
        let first = self.spares.take_or_make().inspect_err(|error| {
            tracing::error!(writer = %key, %error, "scans are dropped until the scan log has room");
        });
        Writer::new(
            self.accounts.open(Account::new(key)),
            Arc::clone(&self.spares),
            Arc::clone(&self.begun),
            first.ok(),
        )
    }

    /// The ledger's numbers now.
    pub fn ledger(&self) -> Ledger {
        self.accounts.ledger()
    }

    /// The number of this run.
    pub fn boot(&self) -> u64 {
        self.boot
    }

    /// The edge's name.
    pub(crate) fn edge(&self) -> &str {
        &self.edge
    }

    /// The folder.
    pub(crate) fn hot(&self) -> &Path {
        &self.hot
    }

    /// The folder's lock, for the process that takes over from this one: the folder stays locked until both have closed it.
    pub fn lock(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }

    /// Adopts what others have left that were alive when the folder was opened, and have ended since.
    pub(crate) fn adopt_ended(&self) {
        if !self.boots.others_live() {
            return;
        }
        let spool = self.spool.as_deref();
        match adoption::adopt(&self.boots, &self.spares, &self.accounts, spool) {
            Ok(adopted) => self.begun.add(adopted),
            Err(error) => {
                tracing::warn!(hot = %self.hot.display(), %error, "what an ended process has left in the scan log cannot be taken over now; the next start will");
            }
        }
    }

    /// Where what waits for long is written too.
    pub(crate) fn spool(&self) -> Option<&Arc<SpoolFolder>> {
        self.spool.as_ref()
    }

    /// Whether writers will have no room soon, as no more segments can be made.
    pub(crate) fn is_short(&self) -> bool {
        self.spares.are_short()
    }

    /// Where refused batches are set aside.
    pub(crate) fn rejected(&self) -> PathBuf {
        self.hot.join("rejected")
    }

    /// Writers that no shipper follows yet.
    pub(crate) fn take_begun(&self) -> Vec<Followed> {
        self.begun.take()
    }

    /// Takes back a segment of which everything is stored, to be written again or removed.
    pub(crate) fn retire(&self, segment: Arc<Segment>) {
        let own = segment.key().boot == self.boot;
        match Arc::try_unwrap(segment) {
            Ok(segment) if own => {
                if let Some(segment) = self.spares.recycle(segment) {
                    self.remove(&segment);
                }
            }
            Ok(segment) => self.remove(&segment),
            Err(shared) => self.remove(&shared),
        }
    }

    /// Removes a segment of which everything is stored.
    pub(crate) fn remove(&self, segment: &Segment) {
        if let Err(error) = fs::remove_file(segment.path()) {
            tracing::warn!(path = %segment.path().display(), %error, "a shipped segment was not removed; the next start will");
        }
        self.spares.release(segment.bytes());
    }
}
