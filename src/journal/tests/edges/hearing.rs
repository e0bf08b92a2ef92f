//! Reads followers in tests: until something has come, or a deadline that only a fault can reach has passed.

use std::time::{Duration, Instant};

use anyhow::bail;
use journal::{EdgesEvent, EdgesFollower, Heartbeat};

const DEADLINE: Duration = Duration::from_secs(60);

/// Everything up to the first event that `last` accepts, which is included.
pub(crate) fn until(
    follower: &mut dyn EdgesFollower,
    mut last: impl FnMut(&EdgesEvent) -> bool,
) -> anyhow::Result<Vec<EdgesEvent>> {
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
