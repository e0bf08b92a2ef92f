//! Follows the SQLite journal: woken at once by this process's writer, and by looking again and again for another process's.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, Row, TransactionBehavior};
use tags::{Change, Topic};

use super::database;
use super::wake::Wake;
use crate::{Event, FollowError, Follower, JournalMetrics, Positions, Since};

/// How often another process's changes are looked for: an indexed query per topic that finds nothing.
const POLL: Duration = Duration::from_millis(100);
/// Records read at a time from each topic.
const BATCH: i64 = 512;

/// A reader with a connection of its own.
pub(crate) struct SqliteFollower {
    path: PathBuf,
    connection: Connection,
    topics: Vec<Topic>,
    positions: Positions,
    wake: Arc<Wake>,
    metrics: JournalMetrics,
    ready: VecDeque<Event>,
    caught_up: bool,
    /// Why the last reading failed.
    failing: Option<String>,
}

impl SqliteFollower {
    pub(crate) fn start(
        path: &Path,
        topics: &[Topic],
        since: Since,
        wake: Arc<Wake>,
        metrics: JournalMetrics,
    ) -> Result<Self, FollowError> {
        let failed = |error: rusqlite::Error| FollowError::Start {
            place: path.display().to_string(),
            reason: error.to_string(),
        };
        let connection = database::open_reader(path).map_err(failed)?;
        let mut topics = topics.to_vec();
        topics.sort_unstable();
        topics.dedup();
        let positions = since.positions;
        check_inside(path, &connection, &topics, &positions)?;
        Ok(Self {
            path: path.to_owned(),
            connection,
            topics,
            positions,
            wake,
            metrics,
            ready: VecDeque::new(),
            caught_up: false,
            failing: None,
        })
    }

    /// Reads some of what there is of every topic.
    fn read(&mut self) {
        match self.read_records() {
            Ok(end_seen) => {
                if self.failing.take().is_some() {
                    self.ready.push_back(Event::Connected);
                }
                if end_seen && !self.caught_up {
                    self.caught_up = true;
                    self.ready.push_back(Event::CaughtUp);
                }
            }
            Err(error) => {
                let reason = format!("reading {}: {error}", self.path.display());
                if self.failing.as_ref() != Some(&reason) {
                    self.failing = Some(reason.clone());
                    self.ready.push_back(Event::Disconnected { reason });
                }
            }
        }
    }

    /// True when nothing was left in any topic, as of one moment: a writer that never rests does not hide the end.
    fn read_records(&mut self) -> rusqlite::Result<bool> {
        // One snapshot for all topics: what a transaction wrote is seen in all of them or in none.
        let snapshot = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Deferred)?;
        let mut statement = snapshot.prepare_cached(
            "SELECT \"offset\", key, value, published_at FROM records
             WHERE topic = ?1 AND \"offset\" >= ?2 ORDER BY \"offset\" LIMIT ?3",
        )?;
        let mut end_seen = true;
        for &topic in &self.topics {
            let from = self.positions.get(topic, 0).unwrap_or(0);
            let mut rows = statement.query((topic.as_str(), from, BATCH))?;
            let mut left = BATCH;
            while let Some(row) = rows.next()? {
                left -= 1;
                let offset = row.get(0)?;
                let place = (topic, 0, offset);
                let (change, published_at) = (change(topic, row), published_at(row));
                let event = Event::of_record(place, change, published_at, &self.metrics);
                self.ready.push_back(event);
                self.positions.set(topic, 0, offset + 1);
            }
            end_seen &= left > 0;
        }
        Ok(end_seen)
    }
}

/// Positions beyond the log's end are of another log, such as one before a backup was restored.
fn check_inside(
    path: &Path,
    connection: &Connection,
    topics: &[Topic],
    positions: &Positions,
) -> Result<(), FollowError> {
    for &topic in topics {
        let end = database::end_of(connection, topic).map_err(|error| FollowError::Start {
            place: path.display().to_string(),
            reason: error.to_string(),
        })?;
        if let Some(beyond) = positions.get(topic, 0).filter(|&position| position > end) {
            return Err(FollowError::OtherLog {
                place: path.display().to_string(),
                reason: format!("position {beyond} of {topic} lies behind its end, {end}"),
                foreign: false,
            });
        }
    }
    Ok(())
}

fn change(topic: Topic, row: &Row<'_>) -> Result<Change, String> {
    let read = || -> rusqlite::Result<(&str, &[u8])> {
        Ok((row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_blob()?))
    };
    let (key, value) = read().map_err(|error| error.to_string())?;
    Change::decode(topic, key, value).map_err(|error| error.to_string())
}

fn published_at(row: &Row<'_>) -> Result<Timestamp, String> {
    let microseconds = row.get(3).map_err(|error| error.to_string())?;
    Timestamp::from_microsecond(microseconds).map_err(|error| error.to_string())
}

impl Follower for SqliteFollower {
    fn next(&mut self, wait: Duration) -> Result<Option<Event>, FollowError> {
        let wake = Arc::clone(&self.wake);
        Ok(wake.next(wait, POLL, || {
            if self.ready.is_empty() {
                self.read();
            }
            self.ready.pop_front()
        }))
    }

    fn at_hand(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }
}
