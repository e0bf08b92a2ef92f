//! Writes the SQLite journal: one SQL transaction per group of calls, refused once another writer has taken the role.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::database;
use super::wake::Wake;
use crate::group_commit::Committer;
use crate::record::Record;
use crate::salts::sqlite as salts;
use crate::{Positions, PublishError, SaltChange};

/// The writing connection. Each writer has an epoch, and only the newest epoch may write.
pub(crate) struct SqliteCommitter {
    path: PathBuf,
    connection: Connection,
    wake: Arc<Wake>,
    epoch: Option<i64>,
}

impl SqliteCommitter {
    pub(crate) fn new(path: PathBuf, connection: Connection, wake: Arc<Wake>) -> Self {
        Self {
            path,
            connection,
            wake,
            epoch: None,
        }
    }

    fn unavailable(&self, error: &rusqlite::Error) -> PublishError {
        PublishError::Unavailable {
            place: self.path.display().to_string(),
            reason: error.to_string(),
        }
    }

    fn write<T>(
        &mut self,
        writes: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, PublishError> {
        let ours = self.epoch.ok_or(PublishError::NotWriter)?;
        match self.write_as(ours, writes) {
            Ok(Ok(written)) => {
                self.wake.notify();
                Ok(written)
            }
            Ok(Err(newest)) => Err(PublishError::Fenced {
                reason: format!(
                    "another writer opened {} (its epoch is {newest}, ours {ours})",
                    self.path.display()
                ),
            }),
            Err(error) => Err(self.unavailable(&error)),
        }
    }

    /// The newest epoch when it is not `ours`; otherwise what was written.
    fn write_as<T>(
        &mut self,
        ours: i64,
        writes: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Result<T, i64>> {
        // Immediate: nobody else can write, and so become the writer, between the look at the epoch and the commit.
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let newest: i64 =
            transaction.query_row("SELECT epoch FROM writer", [], |row| row.get(0))?;
        if newest != ours {
            return Ok(Err(newest));
        }
        let written = writes(&transaction)?;
        transaction.commit()?;
        Ok(Ok(written))
    }
}

impl Committer for SqliteCommitter {
    fn become_writer(&mut self, _abandoned: &dyn Fn() -> bool) -> Result<(), PublishError> {
        let epoch = self.connection.query_row(
            "UPDATE writer SET epoch = epoch + 1 RETURNING epoch",
            [],
            |row| row.get(0),
        );
        self.epoch = Some(epoch.map_err(|error| self.unavailable(&error))?);
        Ok(())
    }

    fn commit(&mut self, calls: &[Vec<Record>]) -> Result<Vec<Positions>, PublishError> {
        self.write(|transaction| append(transaction, calls, Timestamp::now()))
    }

    fn change_salts(&mut self, changes: &[SaltChange]) -> Result<(), PublishError> {
        self.write(|transaction| salts::write(transaction, changes))?;
        let destroys = |change| matches!(change, &SaltChange::Destroy(_));
        if changes.iter().any(destroys) {
            salts::forget(&self.connection).map_err(|error| self.unavailable(&error))?;
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), PublishError> {
        // A transaction that failed has been rolled back when it was dropped.
        Ok(())
    }
}

fn append(
    transaction: &Transaction<'_>,
    calls: &[Vec<Record>],
    now: Timestamp,
) -> rusqlite::Result<Vec<Positions>> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO records (topic, \"offset\", key, value, published_at) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let mut ends = Positions::default();
    let mut written = Vec::with_capacity(calls.len());
    for records in calls {
        let mut positions = Positions::default();
        for Record { topic, key, value } in records {
            let offset = match ends.get(*topic, 0) {
                Some(offset) => offset,
                None => database::end_of(transaction, *topic)?,
            };
            insert.execute(params![
                topic.as_str(),
                offset,
                key,
                value,
                now.as_microsecond()
            ])?;
            ends.set(*topic, 0, offset + 1);
            positions.set(*topic, 0, offset + 1);
        }
        written.push(positions);
    }
    Ok(written)
}
