//! The thread that hears what edges say, and sees to it that there is a place where they can.

use std::io;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use journal::{Edges, EdgesError, EdgesEvent, FollowError};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::Fleet;

/// How long the thread sleeps when nothing is said: the delay of its end.
const IDLE: Duration = Duration::from_millis(500);
/// How long after a follower's end the next is started.
const RETRY: Duration = Duration::from_secs(1);
/// How far apart it is seen to the place, while nothing is heard.
const SEE_TO: Duration = Duration::from_secs(5);
/// How often those are forgotten who have been silent for long.
const FORGET: Duration = Duration::from_secs(60);

/// Starts the thread. It ends with the fleet. To be called within the runtime, as tasks of which it is seen to the place.
pub(crate) fn listen(edges: Arc<dyn Edges>, fleet: &Arc<Fleet>) -> io::Result<()> {
    let fleet = Arc::downgrade(fleet);
    let mut place = Place {
        edges,
        runtime: Handle::current(),
        seen_to: None,
    };
    thread::Builder::new()
        .name("admin-edges".to_owned())
        .spawn(move || {
            while let Err(error) = hear(&mut place, &fleet) {
                tracing::error!(%error, "what edges say cannot be heard; trying again");
                place.see_to(Instant::now());
                thread::sleep(RETRY);
            }
        })?;
    Ok(())
}

/// Ends without an error when there is no fleet any more.
fn hear(place: &mut Place, fleet: &Weak<Fleet>) -> Result<(), FollowError> {
    let mut follower = place.edges.follow()?;
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
        if fleet.is_deaf(now) {
            place.see_to(now);
        }
        if now.duration_since(forgot) > FORGET {
            fleet.forget(now);
            forgot = now;
        }
    }
}

/// Where edges say how they are: somebody may delete it.
struct Place {
    edges: Arc<dyn Edges>,
    runtime: Handle,
    /// When it was last seen to, by what.
    seen_to: Option<(Instant, JoinHandle<()>)>,
}

impl Place {
    /// Makes it again where it is missing, in the background: the brokers may take long to answer.
    fn see_to(&mut self, now: Instant) {
        if let Some((at, task)) = &self.seen_to
            && (!task.is_finished() || now.duration_since(*at) < SEE_TO)
        {
            return;
        }
        let edges = Arc::clone(&self.edges);
        let task = self.runtime.spawn(async move {
            match edges.prepare().await {
                Ok(()) => {}
                // That the brokers are away has been said by the follower.
                Err(error @ EdgesError::Unavailable { .. }) => {
                    tracing::debug!(%error, "seeing to the place where edges say how they are");
                }
                Err(error) => tracing::error!(%error, "what edges say cannot be heard"),
            }
        });
        self.seen_to = Some((now, task));
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
