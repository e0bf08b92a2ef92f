//! Edits come to the journal one after the other where they are of the same key, and are answered when they can be seen.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use journal::{Positions, PublishError};
use tags::Change;

use super::{Admin, Commit, EDIT_LOCKS, Records};
use crate::bulk::Claim;
use crate::problem::Problem;

/// How long to wait before writing again what is in doubt.
const DOUBT_PAUSE: Duration = Duration::from_millis(200);

impl Admin {
    /// Keeps other edits of the same key out until the guard is dropped. Waits for a job that has claimed it.
    pub(crate) async fn lock(&self, key: &str) -> tokio::sync::MutexGuard<'_, ()> {
        loop {
            let lock = self.0.locks[lock_of(key)].lock().await;
            if !self.0.claims.contains(key) {
                return lock;
            }
            drop(lock);
            self.0.claims.released(key).await;
        }
    }

    /// Keeps edits of all these keys out until the claim is dropped, and no others.
    pub(crate) async fn claim(&self, keys: Vec<Arc<str>>) -> Claim {
        let locks: BTreeSet<usize> = keys.iter().map(|key| lock_of(key)).collect();
        let claim = self.0.claims.claim(keys).await;
        // Who has a lock now may not know of the claim, and has it until the edit can be seen.
        for lock in locks {
            drop(self.0.locks[lock].lock().await);
        }
        claim
    }

    /// Publishes changes and waits until they can be seen. The caller holds the lock of what they change.
    pub(crate) async fn publish(&self, changes: Vec<Change>) -> Result<Commit, PublishOutcome> {
        self.require_reader()?;
        let began = Timestamp::now();
        let written = changes.iter().map(Change::topic).collect();
        let publish = || self.0.journal.publish(changes.clone());
        let published = publish_for_certain(publish).await;
        self.note_lead(&published);
        let positions = published?;
        let commit = Commit::now(&positions, Some(began), Records::Written(written));
        self.until_seen(&positions).await?;
        Ok(commit)
    }

    /// Publishes a part of many changes, behind edits for which somebody waits, and says where they lie, just behind the last of them. The
    /// caller holds the claim of what they change until they can be seen.
    pub(crate) async fn write(&self, changes: &[Change]) -> Result<Positions, PublishOutcome> {
        self.require_reader()?;
        publish_for_certain(|| self.0.journal.publish_in_bulk(changes)).await
    }

    /// How long ago this admin was known to be the journal's writer; none: it is not known to be.
    pub(crate) fn since_published(&self) -> Option<Duration> {
        let published = self.0.published.lock();
        let published = *published.unwrap_or_else(PoisonError::into_inner);
        published.map(|at| at.elapsed())
    }

    /// Whether another admin is known to publish by now, or nobody can before a restart.
    pub(crate) fn is_fenced(&self) -> bool {
        self.0.fenced.load(Ordering::Relaxed)
    }

    fn note_lead(&self, published: &Result<Positions, PublishOutcome>) {
        let leads = match published {
            Ok(_) => Some(Instant::now()),
            Err(outcome) if outcome.is_final() => {
                // Relaxed: nothing else depends on when it is seen.
                self.0.fenced.store(true, Ordering::Relaxed);
                None
            }
            Err(_) => return,
        };
        let published = self.0.published.lock();
        *published.unwrap_or_else(PoisonError::into_inner) = leads;
    }

    /// What the index does not show any more must not be changed: the next version would be counted from an old one.
    fn require_reader(&self) -> Result<(), PublishOutcome> {
        match self.0.reader.has_ended() {
            true => Err(PublishOutcome::ReaderEnded),
            false => Ok(()),
        }
    }

    /// Waits until everyone for whom edits wait has applied the journal up to these positions.
    pub(crate) async fn until_seen(&self, positions: &Positions) -> Result<(), PublishOutcome> {
        for visible in &self.0.visible {
            let seen = visible.wait_for(positions).await;
            seen.map_err(PublishOutcome::NotVisible)?;
        }
        Ok(())
    }

    /// What this admin has applied itself.
    pub(crate) fn applied(&self) -> Positions {
        // The first is its own.
        let own = self.0.visible.first();
        own.map(|own| own.applied.positions()).unwrap_or_default()
    }

    /// The commit of an edit that changes nothing: whatever made things as they are has been applied here.
    pub(crate) fn earlier_commit(&self) -> Commit {
        let own = self.0.visible.first();
        let refused_here = own.map(|own| own.applied.refused());
        let records = Records::Earlier {
            refused_here: refused_here.unwrap_or_default(),
        };
        Commit::now(&self.applied(), None, records)
    }
}

/// Publishes the same changes until it is known that they are written, or that they are not. An edit in doubt must not be followed
/// by one that takes its version, of which every reader would keep the first alone; the same one written twice changes nothing.
async fn publish_for_certain<F>(publish: impl Fn() -> F) -> Result<Positions, PublishOutcome>
where
    F: Future<Output = Result<Positions, PublishError>>,
{
    let mut in_doubt = false;
    loop {
        match publish().await {
            Err(error @ PublishError::InDoubt { .. }) => {
                tracing::warn!(%error, "whether a change was written is not known; writing it again");
                in_doubt = true;
            }
            // Of this attempt nothing was written.
            Err(error) if in_doubt && error.is_retryable() => {}
            outcome => return outcome.map_err(PublishOutcome::Refused),
        }
        tokio::time::sleep(DOUBT_PAUSE).await;
    }
}

/// Which of the locks is a key's.
fn lock_of(key: &str) -> usize {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    usize::try_from(hasher.finish() % (EDIT_LOCKS as u64)).unwrap_or(0)
}

/// How a publication that did not succeed ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishOutcome {
    /// Nothing was written, or it is not known.
    #[error(transparent)]
    Refused(PublishError),
    /// Nothing was written, since nobody would apply it.
    #[error(
        "the admin's reader of the journal has ended; see the log for why, and restart the process"
    )]
    ReaderEnded,
    /// It was written, but no one applies it.
    #[error(transparent)]
    NotVisible(journal::Closed),
}

impl PublishOutcome {
    /// Whether another admin publishes by now, or nobody can before a restart.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Refused(error) => matches!(error, PublishError::Fenced { .. }),
            Self::ReaderEnded | Self::NotVisible(_) => true,
        }
    }
}

impl From<PublishOutcome> for Problem {
    fn from(outcome: PublishOutcome) -> Self {
        match outcome {
            PublishOutcome::Refused(error) => error.into(),
            PublishOutcome::ReaderEnded => Self::unavailable(
                "This admin no longer reads its journal and must be restarted; nothing was written.",
            ),
            PublishOutcome::NotVisible(_) => Self::unavailable(
                "The change was published, but this admin no longer reads the journal; read it elsewhere.",
            ),
        }
    }
}
