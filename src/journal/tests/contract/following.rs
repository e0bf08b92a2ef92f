//! Reads followers in tests: until something has come, or a deadline that only a fault can reach has passed.

use std::time::{Duration, Instant};

use anyhow::bail;
use journal::{Event, Follower, Positions};
use tags::Change;

const DEADLINE: Duration = Duration::from_secs(60);

/// Everything up to the first event that `last` accepts, which is included.
pub(crate) fn until(
    follower: &mut dyn Follower,
    mut last: impl FnMut(&Event) -> bool,
) -> anyhow::Result<Vec<Event>> {
    tokio::task::block_in_place(|| {
        let deadline = Instant::now() + DEADLINE;
        let mut events = Vec::new();
        while Instant::now() < deadline {
            if let Some(event) = follower.next(Duration::from_millis(200))? {
                let done = last(&event);
                events.push(event);
                if done {
                    return Ok(events);
                }
            }
        }
        bail!("what was waited for did not come; what came: {events:#?}")
    })
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
