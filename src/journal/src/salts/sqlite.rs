//! The table `salts` in the journal's file: how it is written, so that deleted rows are gone, and how it is followed.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use rusqlite::{Connection, Transaction};
use zeroize::Zeroizing;

use super::wire::day_of;
use super::{Salt, SaltChange, SaltsEvent, SaltsFollower};
use crate::sqlite::database;
use crate::sqlite::wake::Wake;
use crate::{FollowError, JournalMetrics};

/// How often another process's changes are looked for.
const POLL: Duration = Duration::from_millis(500);

/// Part of the writer's transaction.
pub(crate) fn write(transaction: &Transaction<'_>, changes: &[SaltChange]) -> rusqlite::Result<()> {
    let mut insert =
        transaction.prepare_cached("INSERT OR REPLACE INTO salts (day, value) VALUES (?1, ?2)")?;
    let mut delete = transaction.prepare_cached("DELETE FROM salts WHERE day = ?1")?;
    for change in changes {
        match change {
            SaltChange::Publish(salt) => {
                insert.execute((Salt::key(salt.day()), salt.encode().as_slice()))?
            }
            SaltChange::Destroy(day) => delete.execute([Salt::key(*day)])?,
        };
    }
    Ok(())
}

/// Empties the write-ahead log, which still has the pages from before. `secure_delete` has overwritten the rows in the file itself. Where a
/// reader is in the way, the next time does it.
pub(crate) fn forget(connection: &Connection) -> rusqlite::Result<()> {
    let busy: i64 =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy != 0 {
        tracing::debug!("the journal's write-ahead log is in use, and is emptied the next time");
    }
    Ok(())
}

/// A reader with a connection of its own.
pub(crate) struct SqliteSaltsFollower {
    path: PathBuf,
    connection: Connection,
    wake: Arc<Wake>,
    metrics: JournalMetrics,
    ready: VecDeque<SaltsEvent>,
    /// What has been told of.
    known: BTreeMap<Date, Salt>,
    /// What has been refused, as it is.
    refused: BTreeMap<String, Zeroizing<Vec<u8>>>,
    caught_up: bool,
    /// Why the last reading failed.
    failing: Option<String>,
}

impl SqliteSaltsFollower {
    pub(crate) fn start(
        path: &Path,
        wake: Arc<Wake>,
        metrics: JournalMetrics,
    ) -> Result<Self, FollowError> {
        let connection = database::open_reader(path).map_err(|error| FollowError::Start {
            place: path.display().to_string(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            path: path.to_owned(),
            connection,
            wake,
            metrics,
            ready: VecDeque::new(),
            known: BTreeMap::new(),
            refused: BTreeMap::new(),
            caught_up: false,
            failing: None,
        })
    }

    fn read(&mut self) {
        match self.read_table() {
            Ok(()) => {
                if self.failing.take().is_some() {
                    self.ready.push_back(SaltsEvent::Connected);
                }
                if !std::mem::replace(&mut self.caught_up, true) {
                    self.ready.push_back(SaltsEvent::CaughtUp);
                }
            }
            Err(error) => {
                let reason = format!("reading {}: {error}", self.path.display());
                if self.failing.as_ref() != Some(&reason) {
                    self.failing = Some(reason.clone());
                    self.ready.push_back(SaltsEvent::Disconnected { reason });
                }
            }
        }
    }

    fn read_table(&mut self) -> rusqlite::Result<()> {
        let mut select = self
            .connection
            .prepare_cached("SELECT day, value FROM salts ORDER BY day")?;
        let rows = select.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, Zeroizing::new(row.get(1)?)))
        })?;
        let rows = rows.collect::<rusqlite::Result<Vec<(String, Zeroizing<Vec<u8>>)>>>()?;
        let (mut there, mut refused, mut told) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for (key, value) in rows {
            match Salt::decode(&key, &value) {
                Ok(salt) => {
                    if self.known.get(&salt.day()) != Some(&salt) {
                        told.push(SaltsEvent::Salt(salt.clone()));
                    }
                    there.insert(salt.day(), salt);
                }
                Err(error) => {
                    if self.refused.get(&key) != Some(&value) {
                        self.metrics.count_refused();
                        tracing::warn!(day = key, %error, "a row is no salt that this build understands, and was skipped");
                        told.push(SaltsEvent::Refused {
                            day: day_of(&key).ok(),
                            error: error.to_string(),
                        });
                    }
                    refused.insert(key, value);
                }
            }
        }
        let gone = self.known.keys().filter(|day| !there.contains_key(*day));
        let gone = gone.map(|day| SaltsEvent::Destroyed(*day));
        self.ready.extend(gone.chain(told));
        (self.known, self.refused) = (there, refused);
        Ok(())
    }
}

impl SaltsFollower for SqliteSaltsFollower {
    fn next(&mut self, wait: Duration) -> Result<Option<SaltsEvent>, FollowError> {
        let wake = Arc::clone(&self.wake);
        Ok(wake.next(wait, POLL, || {
            if self.ready.is_empty() {
                self.read();
            }
            self.ready.pop_front()
        }))
    }
}
