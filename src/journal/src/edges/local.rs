//! What edges say, in memory: the edge and the admin are one process.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{EdgeRun, Edges, EdgesError, EdgesEvent, EdgesFollower, Heartbeat, Reporter};
use crate::FollowError;

/// What the edges of this process say; clones are the same place.
#[derive(Clone, Debug, Default)]
pub struct LocalEdges(Arc<Place>);

#[derive(Debug, Default)]
struct Place {
    said: Mutex<Said>,
    changed: Condvar,
}

/// Each run's last words, with their number among all that were ever said: a slow follower hears the newest alone.
#[derive(Debug, Default)]
struct Said {
    count: u64,
    last: BTreeMap<EdgeRun, (u64, EdgesEvent)>,
}

impl LocalEdges {
    /// Nobody has said anything.
    pub fn new() -> Self {
        Self::default()
    }

    fn say(&self, run: &EdgeRun, event: EdgesEvent) {
        let mut said = self.0.said();
        said.count += 1;
        let number = said.count;
        said.last.insert(run.clone(), (number, event));
        self.0.changed.notify_all();
    }
}

impl Place {
    /// Only ever changed as a whole, so that a panic elsewhere does it no harm.
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Edges for LocalEdges {
    async fn prepare(&self) -> Result<(), EdgesError> {
        Ok(())
    }

    fn reporter(&self) -> Result<Box<dyn Reporter>, EdgesError> {
        Ok(Box::new(self.clone()))
    }

    fn follow(&self) -> Result<Box<dyn EdgesFollower>, FollowError> {
        let before = self.0.said().count;
        Ok(Box::new(LocalFollower {
            place: Arc::clone(&self.0),
            heard: 0,
            before: Some(before),
        }))
    }
}

#[async_trait]
impl Reporter for LocalEdges {
    async fn report(&mut self, heartbeat: &Heartbeat) -> Result<(), EdgesError> {
        let event = EdgesEvent::Heartbeat {
            heartbeat: Box::new(heartbeat.clone()),
            written_at: Timestamp::now(),
        };
        self.say(&heartbeat.run, event);
        Ok(())
    }

    async fn farewell(&mut self, run: &EdgeRun) -> Result<(), EdgesError> {
        self.say(run, EdgesEvent::Farewell(run.clone()));
        Ok(())
    }
}

struct LocalFollower {
    place: Arc<Place>,
    /// The number of the last event that was heard.
    heard: u64,
    /// What had been said when it started, until that has been heard.
    before: Option<u64>,
}

impl LocalFollower {
    fn take(&mut self, said: &Said) -> Option<EdgesEvent> {
        let new = said
            .last
            .values()
            .filter(|(number, _)| *number > self.heard);
        let next = new.min_by_key(|(number, _)| *number);
        if let Some(before) = self.before
            && next.is_none_or(|(number, _)| *number > before)
        {
            self.before = None;
            return Some(EdgesEvent::CaughtUp);
        }
        let (number, event) = next?;
        self.heard = *number;
        Some(event.clone())
    }
}

impl EdgesFollower for LocalFollower {
    fn next(&mut self, wait: Duration) -> Result<Option<EdgesEvent>, FollowError> {
        let place = Arc::clone(&self.place);
        let deadline = Instant::now() + wait;
        let mut said = place.said();
        loop {
            if let Some(event) = self.take(&said) {
                return Ok(Some(event));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let waited = place.changed.wait_timeout(said, left);
            (said, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}
