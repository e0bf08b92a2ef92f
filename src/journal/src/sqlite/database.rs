//! The journal's SQLite file: how it is opened, and its schema.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use rusqlite_migration::{M, Migrations};
use tags::Topic;

use crate::OpenError;

/// How long to wait for another process's transaction. Its transactions take milliseconds.
const BUSY: Duration = Duration::from_secs(5);

// Records are read by topic and offset and written in order of `id`, so that both trees only ever grow at their ends.
const SCHEMA: &[M<'static>] = &[
    M::up(
        "CREATE TABLE records (
         id INTEGER PRIMARY KEY,
         topic TEXT NOT NULL,
         \"offset\" INTEGER NOT NULL,
         key TEXT NOT NULL,
         value BLOB NOT NULL,
         published_at INTEGER NOT NULL, -- microseconds since 1970-01-01T00:00:00Z
         UNIQUE (topic, \"offset\")
     ) STRICT;
     CREATE TABLE writer (
         one INTEGER PRIMARY KEY CHECK (one = 1),
         epoch INTEGER NOT NULL
     ) STRICT;
     INSERT INTO writer (one, epoch) VALUES (1, 0);",
    ),
    M::up(
        "CREATE TABLE salts (
             day TEXT PRIMARY KEY, -- UTC
             value BLOB NOT NULL
         ) STRICT, WITHOUT ROWID;",
    ),
];

/// Opens the file for writing, making it and its tables where they are missing.
pub(crate) fn open(path: &Path) -> Result<Connection, OpenError> {
    let connect = || -> Result<Connection, rusqlite_migration::Error> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        // Readers do not wait for the writer, nor it for them.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // Every commit is on the disk before it is acknowledged; WAL's default may lose the last ones when the power fails.
        connection.pragma_update(None, "synchronous", "FULL")?;
        // A salt that is deleted is overwritten. Nothing else is ever deleted here.
        connection.pragma_update(None, "secure_delete", true)?;
        Migrations::from_slice(SCHEMA).to_latest(&mut connection)?;
        Ok(connection)
    };
    connect().map_err(|source| match damage(&source) {
        Some(reason) => OpenError::Damaged {
            path: path.to_owned(),
            reason,
        },
        None => OpenError::Database {
            path: path.to_owned(),
            source: Box::new(source),
        },
    })
}

/// What is wrong with the file itself, if that is the error.
fn damage(error: &rusqlite_migration::Error) -> Option<String> {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    let rusqlite_migration::Error::RusqliteError { err, .. } = error else {
        return None;
    };
    matches!(
        err.sqlite_error_code(),
        Some(DatabaseCorrupt | NotADatabase)
    )
    .then(|| err.to_string())
}

/// Opens the file for reading alone.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(BUSY)?;
    // Opened for writing, since a reader of a write-ahead log has to keep its shared index; this keeps it to that.
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// The offset that the next record of a topic has.
pub(crate) fn end_of(connection: &Connection, topic: Topic) -> rusqlite::Result<i64> {
    let last = connection
        .prepare_cached(
            "SELECT \"offset\" FROM records WHERE topic = ?1 ORDER BY \"offset\" DESC LIMIT 1",
        )?
        .query_row([topic.as_str()], |row| row.get::<_, i64>(0))
        .optional()?;
    Ok(last.map_or(0, |offset| offset + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_database_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.sqlite");
        std::fs::write(&path, b"no database at all".repeat(500)).expect("a file");
        let refused = open(&path).expect_err("no database");
        assert!(matches!(refused, OpenError::Damaged { .. }), "{refused}");
        assert!(refused.to_string().contains("restore it from a backup"));
    }
}
