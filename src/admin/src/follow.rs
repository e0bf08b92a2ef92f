//! The thread that reads the journal into the index.

use std::sync::Arc;
use std::time::Duration;

use journal::{Applied, AppliedSender, Closed, Event, FollowError, Follower};
use tags::Change;
use tokio::sync::watch;

use crate::index::{Index, IndexError};

/// How many changes go into one transaction of the index while it catches up.
const BATCH: usize = 2_000;
/// How long the thread sleeps in the follower when nothing comes.
const IDLE: Duration = Duration::from_millis(500);

/// How far the thread has come.
pub(crate) struct FollowState {
    applied: AppliedSender,
    caught_up: watch::Sender<Progress>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Reading,
    CaughtUp,
    Ended,
}

impl FollowState {
    pub(crate) fn new() -> (Self, Applied) {
        let (sender, applied) = Applied::new();
        (
            Self {
                applied: sender,
                caught_up: watch::Sender::new(Progress::Reading),
            },
            applied,
        )
    }

    /// Waits until everything that was in the journal at the start has been applied.
    pub(crate) async fn caught_up(&self) -> Result<(), Closed> {
        let mut progress = self.caught_up.subscribe();
        let seen = progress
            .wait_for(|progress| *progress != Progress::Reading)
            .await
            .map_err(|_| Closed)?;
        if *seen == Progress::CaughtUp {
            Ok(())
        } else {
            Err(Closed)
        }
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
    state: Arc<FollowState>,
) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name("admin-index".into())
        .spawn(move || {
            if let Err(error) = run(follower, &index, &state) {
                tracing::error!(%error, "the admin no longer reads the journal; restart it");
                state.caught_up.send_if_modified(|progress| {
                    let reading = *progress == Progress::Reading;
                    *progress = if reading { Progress::Ended } else { *progress };
                    reading
                });
            }
        })?;
    Ok(())
}

fn run(
    mut follower: Box<dyn Follower>,
    index: &Index,
    state: &FollowState,
) -> Result<(), ApplyError> {
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
        apply(&mut events, index, state)?;
    }
}

fn apply(events: &mut Vec<Event>, index: &Index, state: &FollowState) -> Result<(), ApplyError> {
    let mut changes: Vec<Change> = Vec::with_capacity(events.len());
    let mut positions = Vec::with_capacity(events.len());
    let mut caught_up = false;
    for event in events.drain(..) {
        positions.extend(event.position());
        match event {
            Event::Change { change, .. } => changes.push(*change),
            Event::CaughtUp => caught_up = true,
            Event::Disconnected { reason } => {
                tracing::warn!(%reason, "the journal cannot be reached; edits wait")
            }
            Event::Connected => tracing::info!("the journal can be reached"),
            // Counted and logged by the journal, with its coordinates.
            Event::Refused { .. } | Event::Advanced { .. } => {}
        }
    }
    if !changes.is_empty() {
        index.apply(&changes)?;
    }
    for (topic, partition, next_offset) in positions {
        state.applied.advance(topic, partition, next_offset);
    }
    if caught_up {
        state.caught_up.send_replace(Progress::CaughtUp);
    }
    Ok(())
}
