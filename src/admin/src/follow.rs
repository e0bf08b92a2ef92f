//! The thread that reads the journal into the index.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use journal::{Applied, AppliedSender, Closed, Event, FollowError, Follower};
use tags::Change;
use tokio::sync::watch;

use crate::index::{Index, IndexError};

/// How many changes go into one transaction of the index while it catches up. A page is written once in a transaction, however many of its
/// changes are on it.
const BATCH: usize = 8_000;
/// How long the thread sleeps in the follower when nothing comes.
const IDLE: Duration = Duration::from_millis(500);

/// What the thread tells as it goes on. It owns this, so that whoever waits for it learns when it has ended.
pub(crate) struct Progress {
    // Dropped first: who is told by `applied` that there is no more to come knows of the end already.
    caught_up: watch::Sender<bool>,
    applied: AppliedSender,
}

/// The other side: what is known of the thread.
#[derive(Clone)]
pub(crate) struct Reader {
    caught_up: watch::Receiver<bool>,
}

impl Progress {
    pub(crate) fn new() -> (Self, Reader, Applied) {
        let (caught_up, reader) = watch::channel(false);
        let (sender, applied) = Applied::new();
        let progress = Self {
            caught_up,
            applied: sender,
        };
        (progress, Reader { caught_up: reader }, applied)
    }
}

impl Reader {
    /// Waits until everything that was in the journal at the start has been taken in.
    pub(crate) async fn caught_up(&self) -> Result<(), Closed> {
        let mut caught_up = self.caught_up.clone();
        let seen = caught_up.wait_for(|caught_up| *caught_up).await;
        seen.map(|_| ()).map_err(|_| Closed)
    }

    /// Whether the thread has ended, for whatever reason.
    pub(crate) fn has_ended(&self) -> bool {
        self.caught_up.has_changed().is_err()
    }

    /// Waits for the thread's end.
    pub(crate) async fn ended(&self) {
        let mut caught_up = self.caught_up.clone();
        while caught_up.changed().await.is_ok() {}
    }
}

#[derive(Debug, thiserror::Error)]
enum ApplyError {
    #[error(transparent)]
    Follow(#[from] FollowError),
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// Starts the thread. It ends with the process, or when the journal or the index can no longer be used, which is logged.
pub(crate) fn start(
    follower: Box<dyn Follower>,
    index: Arc<Index>,
    progress: Progress,
) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name("admin-index".into())
        .spawn(move || {
            let Err(error) = run(follower, &index, progress);
            tracing::error!(%error, "the admin no longer reads the journal; restart it");
        })?;
    Ok(())
}

fn run(
    mut follower: Box<dyn Follower>,
    index: &Index,
    progress: Progress,
) -> Result<Infallible, ApplyError> {
    let mut events = Vec::new();
    loop {
        // Wait for the first, then take what has already come: one edit is applied at once, a backlog in large transactions.
        let mut next = follower.next(IDLE)?;
        while let Some(event) = next {
            events.push(event);
            next = if events.len() < BATCH {
                follower.next(Duration::ZERO)?
            } else {
                None
            };
        }
        apply(&mut events, index, &progress)?;
    }
}

fn apply(events: &mut Vec<Event>, index: &Index, progress: &Progress) -> Result<(), ApplyError> {
    let mut changes: Vec<Change> = Vec::with_capacity(events.len());
    let mut positions = Vec::with_capacity(events.len());
    let mut refused = Vec::new();
    let mut caught_up = false;
    for event in events.drain(..) {
        positions.extend(event.position());
        refused.extend(event.refused());
        match event {
            Event::Change { change, .. } => changes.push(*change),
            Event::CaughtUp => caught_up = true,
            Event::Disconnected { reason } => {
                tracing::warn!(%reason, "the journal cannot be reached; edits wait")
            }
            Event::Connected => tracing::info!("the journal can be reached"),
            Event::Stalled { partitions } => tracing::warn!(
                ?partitions,
                "partitions of the journal that cannot be read for now, where edits wait; none: all can be read"
            ),
            // Counted and logged by the journal, with its coordinates.
            Event::Refused { .. } | Event::Advanced { .. } => {}
        }
    }
    if !changes.is_empty() {
        index.apply(&changes)?;
    }
    for record in refused {
        progress.applied.refused(record);
    }
    progress.applied.advance_all(&positions, None);
    if caught_up {
        progress.caught_up.send_replace(true);
    }
    Ok(())
}
