//! Reads what followers of the journal are told, and what is in it.

use journal::{Event, Follower, Positions};
use tags::Change;

use crate::waiting;

/// Everything up to the first event that `last` accepts, which is included.
pub(crate) fn until(
    follower: &mut dyn Follower,
    last: impl FnMut(&Event) -> bool,
) -> anyhow::Result<Vec<Event>> {
    waiting::until(|wait| Ok(follower.next(wait)?), last)
}

/// Everything up to the end of the log.
pub(crate) fn to_the_end(follower: &mut dyn Follower) -> anyhow::Result<Vec<Event>> {
    until(follower, |event| *event == Event::CaughtUp)
}

/// The next `count` changes and what came with them.
pub(crate) fn changes_coming(
    follower: &mut dyn Follower,
    count: usize,
) -> anyhow::Result<Vec<Event>> {
    let mut left = count;
    until(follower, |event| {
        left -= usize::from(matches!(event, Event::Change { .. }));
        left == 0
    })
}

/// The changes among events.
pub(crate) fn changes(events: &[Event]) -> Vec<Change> {
    let change = |event: &Event| match event {
        Event::Change { change, .. } => Some((**change).clone()),
        _ => None,
    };
    events.iter().filter_map(change).collect()
}

/// The versions of one tag, in the order in which they came.
pub(crate) fn versions(events: &[Event], code: &str) -> Vec<u64> {
    let version = |change| match change {
        Change::Tag(tag) if tag.code.as_str() == code => Some(tag.version.get()),
        _ => None,
    };
    changes(events).into_iter().filter_map(version).collect()
}

/// Where events lead.
pub(crate) fn positions(events: &[Event]) -> Positions {
    events.iter().filter_map(Event::position).collect()
}
