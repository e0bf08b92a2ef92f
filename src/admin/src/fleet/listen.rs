//! The thread that hears what edges say.

use std::io;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use journal::{Edges, EdgesEvent, FollowError};

use super::Fleet;

/// How long the thread sleeps when nothing is said: the delay of its end.
const IDLE: Duration = Duration::from_millis(500);
/// How long after a follower's end the next is started.
const RETRY: Duration = Duration::from_secs(1);
/// How often those are forgotten who have been silent for long.
const FORGET: Duration = Duration::from_secs(60);

/// Starts the thread. It ends with the fleet.
pub(crate) fn listen(edges: Arc<dyn Edges>, fleet: &Arc<Fleet>) -> io::Result<()> {
    let fleet = Arc::downgrade(fleet);
    thread::Builder::new()
        .name("admin-edges".to_owned())
        .spawn(move || {
            while let Err(error) = hear(&*edges, &fleet) {
                tracing::error!(%error, "what edges say cannot be heard; trying again");
                thread::sleep(RETRY);
            }
        })?;
    Ok(())
}

/// Ends without an error when there is no fleet any more.
fn hear(edges: &dyn Edges, fleet: &Weak<Fleet>) -> Result<(), FollowError> {
    let mut follower = edges.follow()?;
    let Some(begun) = fleet.upgrade() else {
        return Ok(());
    };
    begun.begin();
    drop(begun);
    let mut forgot = Instant::now();
    loop {
        let event = follower.next(IDLE)?;
        let Some(fleet) = fleet.upgrade() else {
            return Ok(());
        };
        let now = Instant::now();
        if let Some(event) = event {
            tell(&event);
            fleet.take(event, now);
        }
        if now.duration_since(forgot) > FORGET {
            fleet.forget(now);
            forgot = now;
        }
    }
}

fn tell(event: &EdgesEvent) {
    match event {
        EdgesEvent::Disconnected { reason } => {
            tracing::warn!(reason, "what edges say cannot be heard for now");
        }
        EdgesEvent::Connected => tracing::info!("what edges say can be heard again"),
        _ => {}
    }
}
