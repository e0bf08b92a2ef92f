//! Reads followers in tests: until something has come, or a deadline that only a fault can reach has passed.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use anyhow::bail;

const DEADLINE: Duration = Duration::from_secs(60);

/// Everything up to the first event that `last` accepts, which is included. `next` waits so long for an event at most.
pub(crate) fn until<E: Debug>(
    mut next: impl FnMut(Duration) -> anyhow::Result<Option<E>>,
    mut last: impl FnMut(&E) -> bool,
) -> anyhow::Result<Vec<E>> {
    tokio::task::block_in_place(|| {
        let deadline = Instant::now() + DEADLINE;
        let mut events = Vec::new();
        while Instant::now() < deadline {
            if let Some(event) = next(Duration::from_millis(200))? {
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
