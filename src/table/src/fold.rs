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
use crate::shared::{Shared, State, Writer};

/// A fold is due when the records of the overlay are as long as this, however few they are. With rules a record has up to 100 KiB, so that
/// as many changes as a fold otherwise waits for would take gigabytes; of ordinary records, this is more than a quarter of a million.
const FOLD_AT_BYTES: usize = 64 << 20;

/// Why there is no new base. Readers go on with the old one and its overlays, which are as right, but larger.
#[derive(Debug, thiserror::Error)]
enum FoldError {
    #[error("the changes of the tags do not fit into one base: it holds at most 16 GiB")]
    Full,
    #[error("only {copied} of {held} tags could be copied into a new base")]
    Lost { copied: usize, held: usize },
    #[error("a rebuild has begun, which needs the memory")]
    GaveWay,
}

impl From<Full> for FoldError {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

/// Starts a fold if it is time and none is running.
pub(crate) fn start_if_due(shared: &Arc<Shared>, writer: &mut Writer) {
    if !writer.in_background && freeze_if_due(shared, writer) {
        start(shared, writer);
    }
}

/// Freezes the overlay if it is time for a fold, and says whether it is.
fn freeze_if_due(shared: &Shared, writer: &mut Writer) -> bool {
    let now = shared.published.load();
    if !is_due(shared, writer, &now) {
        return false;
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
    true
}

/// Starts the background's thread, which folds what is frozen and frees what has been replaced; or has it go on when it would end.
pub(crate) fn start(shared: &Arc<Shared>, writer: &mut Writer) {
    if writer.in_background {
        writer.goes_on = true;
        return;
    }
    let of_thread = Arc::clone(shared);
    match background::spawn("table-fold", move || run(&of_thread)) {
        Ok(_) => (writer.in_background, writer.start_failed) = (true, false),
        Err(_) if writer.start_failed => {} // it has been said
        Err(error) => {
            writer.start_failed = true;
            tracing::warn!(
            %error,
            "cannot start the thread that folds changes into the table and frees what they replaced; it is tried again with the next change"
            );
        }
    }
}

fn is_due(shared: &Shared, writer: &Writer, state: &State) -> bool {
    if writer.is_rebuilding() {
        return false;
    }
    let failed_at = writer.fold_failed_at;
    let (now, before) = (state.live.size(), failed_at.unwrap_or_default());
    let changes = now.changes.saturating_sub(before.changes);
    let many = changes >= shared.fold_at && changes >= state.base.len() / 50
        || now.bytes.saturating_sub(before.bytes) >= FOLD_AT_BYTES;
    // What is frozen waits where no thread could be started, or a fold gave way to a rebuild that was then given up itself.
    many || failed_at.is_none() && (state.frozen.is_some() || state.base.is_wasteful())
}

fn run(shared: &Arc<Shared>) {
    loop {
        fold(shared);
        free_retired(shared);
        if ends(shared) {
            return;
        }
    }
}

/// Whether the background's thread may end: nothing came while it was at work that it is to do.
fn ends(shared: &Shared) -> bool {
    let mut writer = shared.writer();
    // Changes may be enough for another fold, and a base may have been replaced since it was last looked for those.
    let is_due = freeze_if_due(shared, &mut writer);
    let goes_on = std::mem::take(&mut writer.goes_on) || is_due;
    writer.in_background = goes_on;
    !goes_on
}

fn fold(shared: &Shared) {
    // A snapshot holds the base that it writes: with it and two folds, there would be three.
    let _alone = shared
        .background
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let state = shared.published.load_full();
    let Some(frozen) = &state.frozen else { return };
    match folded(&state.base, frozen, || shared.writer().is_rebuilding()) {
        Ok(base) => {
            let mut writer = shared.writer();
            writer.fold_failed_at = None;
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
        Err(FoldError::GaveWay) => tracing::debug!("a fold gave way to a rebuild"),
        Err(error) => {
            let mut writer = shared.writer();
            writer.fold_failed_at = Some(shared.published.load().live.size());
            tracing::error!(%error, "the table keeps its changes unfolded; it is tried again with as many more");
        }
    }
}

/// The old base with the changes of the overlay, which all are newer, unless it is to `give_way`.
fn folded(old: &Base, changes: &Overlay, give_way: impl Fn() -> bool) -> Result<Base, FoldError> {
    let mut pace = Pace::default();
    let mut step = || match pace.step() && give_way() {
        true => Err(FoldError::GaveWay),
        false => Ok(()),
    };
    let room = old.len() + changes.len();
    let mut new = Base::for_tags(room, old.hasher().clone(), old.names().clone(), old.room());
    changes.try_for_each(|record, _| {
        step()?;
        let put = new.put(&record)?;
        debug_assert_eq!(put, Put::New);
        Ok::<_, FoldError>(())
    })?;
    let mut copied = 0;
    for (record, bytes) in old.records() {
        new.copy(&record, bytes)?;
        copied += 1;
        step()?;
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use jiff::Timestamp;
    use tags::{Change, Code, Destination, Domain, Tag, WorkspaceId};

    use super::*;
    use crate::Table;
    use crate::arena::Room;
    use crate::key::KeyHasher;
    use crate::names::Names;
    use crate::record::Record;

    fn tag(number: usize) -> Tag {
        Tag::new(
            WorkspaceId::default_workspace(),
            Domain::parse("a.example.com").expect("a domain"),
            Code::parse(&format!("c{number}")).expect("a code"),
            Destination::parse("https://example.com/").expect("a destination"),
            Timestamp::UNIX_EPOCH,
        )
    }

    fn wait_until(what: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !what() {
            assert!(Instant::now() < deadline, "it does not come about");
            thread::yield_now();
        }
    }

    #[test]
    fn a_base_that_is_replaced_while_the_thread_is_about_to_end_is_freed_all_the_same() {
        let table = Table::new();
        table.complete();
        wait_until(|| !table.is_folding());
        // A thread that has just looked for what is to be freed.
        table.shared.writer().in_background = true;
        table.begin_rebuild();
        table.complete();
        assert!(!ends(&table.shared), "it is to look again");
        free_retired(&table.shared);
        assert!(ends(&table.shared));
        assert!(table.shared.writer().retired.is_empty());
    }

    #[test]
    fn changes_of_a_fold_that_gave_way_are_folded_when_the_rebuild_is_given_up() {
        let table = Table::with_fold_at(1);
        for number in 0..10_000 {
            table.apply(Change::Tag(tag(number)));
        }
        table.complete();
        wait_until(|| !table.is_folding());
        let background = table.shared.background.lock().expect("no panic");
        for number in 10_000..10_200 {
            table.apply(Change::Tag(tag(number)));
        }
        table.begin_rebuild();
        drop(background);
        wait_until(|| !table.is_folding());
        assert_eq!(table.folds(), 0);
        table.abandon_rebuild();
        wait_until(|| table.folds() > 0 && !table.is_folding());
        assert!(table.load().frozen.is_none());
    }

    #[test]
    fn few_changes_are_folded_when_their_records_are_long() {
        let table = Table::with_fold_at(usize::MAX);
        table.complete();
        const LONG: usize = 2_000;
        let url = format!("https://example.com/{}", "x".repeat(LONG));
        let url = tags::Destination::parse(&url).expect("a destination");
        let long = |number, version| Tag {
            version: tags::Version::new(version).expect("a version"),
            destination: url.clone(),
            ..tag(number)
        };
        // What is replaced does not count.
        for version in 1..6_000 {
            table.apply(Change::Tag(long(0, version)));
        }
        let size = table.load().live.size();
        assert_eq!((size.changes, table.folds()), (1, 0));
        assert!((LONG..2 * LONG).contains(&size.bytes), "{size:?}");
        for number in 1..=FOLD_AT_BYTES / LONG {
            table.apply(Change::Tag(long(number, 1)));
        }
        wait_until(|| table.folds() > 0 && !table.is_folding());
        assert!(table.load().live.len() < FOLD_AT_BYTES / LONG / 2);
    }

    #[test]
    fn a_fold_gives_way_to_a_rebuild() {
        let hasher = KeyHasher::default();
        let mut base = Base::for_tags(0, hasher, Names::default(), Room::default());
        for number in 0..10_000 {
            base.put(&Record::of(&tag(number))).expect("room");
        }
        let changes = Overlay::default();
        let gave_way = folded(&base, &changes, || true);
        assert!(matches!(gave_way, Err(FoldError::GaveWay)));
        let whole = folded(&base, &changes, || false);
        assert_eq!(whole.expect("room").len(), 10_000);
    }
}
