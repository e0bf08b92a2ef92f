//! Folds the changes since the base was made into a new base, beside the readers, and frees what no reader holds any more.
//!
//! The overlay that has grown is frozen and stays visible, while changes go into a fresh one. When the new base holds everything of
//! the old base and the frozen overlay, it takes the place of both at once. At its peak, that is twice the base.

use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use crate::arena::Full;
use crate::background::{self, Pace};
use crate::base::{Base, Put};
use crate::overlay::Overlay;
use crate::table::{Shared, State, Writer};

/// Why there is no new base. Readers go on with the old one and its overlays, which are as right, but larger.
#[derive(Debug, thiserror::Error)]
enum FoldError {
    #[error("the changes of the tags do not fit into one base: it holds at most 16 GiB")]
    Full,
    #[error("only {copied} of {held} tags could be copied into a new base")]
    Lost { copied: usize, held: usize },
}

impl From<Full> for FoldError {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

/// Starts a fold if it is time and none is running.
pub(crate) fn start_if_due(shared: &Arc<Shared>, writer: &mut Writer) {
    let now = shared.published.load();
    if writer.in_background || !is_due(shared, &now) {
        return;
    }
    if now.frozen.is_none() {
        let frozen = Some(Arc::clone(&now.live));
        let live = Arc::default();
        shared.publish(
            writer,
            State {
                frozen,
                live,
                ..now.share()
            },
        );
    }
    start(shared, writer);
}

/// Starts the background's thread, which folds what is frozen and frees what has been replaced.
pub(crate) fn start(shared: &Arc<Shared>, writer: &mut Writer) {
    if writer.in_background {
        return;
    }
    let of_thread = Arc::clone(shared);
    match background::spawn("table-fold", move || run(&of_thread)) {
        Ok(_) => writer.in_background = true,
        Err(error) => tracing::warn!(
            %error,
            "cannot start the thread that folds changes into the table; it is tried again with the next change"
        ),
    }
}

fn is_due(shared: &Shared, state: &State) -> bool {
    let changes = state.live.len();
    changes >= shared.fold_at && changes >= state.base.len() / 50 || state.base.is_wasteful()
}

fn run(shared: &Arc<Shared>) {
    loop {
        fold(shared);
        free_retired(shared);
        let mut writer = shared.writer();
        writer.in_background = false;
        // Changes that came meanwhile may be enough for another.
        start_if_due_again(shared, &mut writer);
        if !writer.in_background {
            return;
        }
    }
}

fn start_if_due_again(shared: &Shared, writer: &mut Writer) {
    let now = shared.published.load();
    if now.frozen.is_none() && is_due(shared, &now) {
        let frozen = Some(Arc::clone(&now.live));
        let live = Arc::default();
        shared.publish(
            writer,
            State {
                frozen,
                live,
                ..now.share()
            },
        );
        writer.in_background = true;
    }
}

fn fold(shared: &Shared) {
    // A snapshot holds the base that it writes: with it and two folds, there would be three.
    let _alone = shared
        .background
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let state = shared.published.load_full();
    let Some(frozen) = &state.frozen else { return };
    match folded(&state.base, frozen) {
        Ok(base) => {
            let mut writer = shared.writer();
            let now = shared.published.load();
            // Unless a rebuild has put another base there meanwhile.
            if Arc::ptr_eq(&now.base, &state.base) {
                let base = Arc::new(base);
                shared.publish(
                    &mut writer,
                    State {
                        base,
                        frozen: None,
                        ..now.share()
                    },
                );
                shared.count_fold();
            }
        }
        Err(error) => tracing::error!(%error, "the table keeps its changes unfolded"),
    }
}

/// The old base with the changes of the overlay, which all are newer.
fn folded(old: &Base, changes: &Overlay) -> Result<Base, FoldError> {
    let mut pace = Pace::default();
    let room = old.len() + changes.len();
    let mut new = Base::for_tags(room, old.hasher().clone(), old.names().clone());
    changes.try_for_each(|record, _| {
        pace.step();
        new.put(&record).map(|put| debug_assert_eq!(put, Put::New))
    })?;
    let mut copied = 0;
    for (record, bytes) in old.records() {
        new.copy(&record, bytes)?;
        copied += 1;
        pace.step();
    }
    let held = old.len();
    if copied == held {
        Ok(new)
    } else {
        Err(FoldError::Lost { copied, held })
    }
}

/// Frees the states that readers have let go, and waits for those that they have not: ten seconds, then it is left to the next
/// fold. Here, and not where the last reader lets go, since to free a base takes its time.
fn free_retired(shared: &Shared) {
    const LOOK_AGAIN: Duration = Duration::from_millis(5);
    for _ in 0..2000 {
        if free_retired_now(shared) {
            return;
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// Frees the states that no reader holds any more. Returns whether none is left.
pub(crate) fn free_retired_now(shared: &Shared) -> bool {
    let mut writer = shared.writer();
    let unheld: Vec<State> = writer.take_unheld().collect();
    let none_left = writer.retired.is_empty();
    drop(writer);
    for state in unheld {
        drop((state.frozen, state.live, state.settings));
        if let Some(base) = Arc::into_inner(state.base) {
            base.release(|| Pace::default().rest());
        }
    }
    none_left
}
