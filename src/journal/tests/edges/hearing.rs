//! Reads what followers of the edges hear, and what is in it.

use journal::{EdgesEvent, EdgesFollower, Heartbeat};

use crate::waiting;

/// Everything up to the first event that `last` accepts, which is included.
pub(crate) fn until(
    follower: &mut dyn EdgesFollower,
    last: impl FnMut(&EdgesEvent) -> bool,
) -> anyhow::Result<Vec<EdgesEvent>> {
    waiting::until(|wait| Ok(follower.next(wait)?), last)
}

pub(crate) fn until_caught_up(follower: &mut dyn EdgesFollower) -> anyhow::Result<Vec<EdgesEvent>> {
    until(follower, |event| *event == EdgesEvent::CaughtUp)
}

/// Everything up to this heartbeat.
pub(crate) fn until_heard(
    follower: &mut dyn EdgesFollower,
    wanted: &Heartbeat,
) -> anyhow::Result<Vec<EdgesEvent>> {
    until(
        follower,
        |event| matches!(event, EdgesEvent::Heartbeat { heartbeat, .. } if **heartbeat == *wanted),
    )
}

/// The heartbeats among events, in order.
pub(crate) fn heartbeats(events: &[EdgesEvent]) -> Vec<Heartbeat> {
    let heartbeat = |event: &EdgesEvent| match event {
        EdgesEvent::Heartbeat { heartbeat, .. } => Some((**heartbeat).clone()),
        _ => None,
    };
    events.iter().filter_map(heartbeat).collect()
}
