//! The counts that a process knows, in a SQLite file: what it starts from when nobody else can be asked.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};
use rusqlite_migration::{M, Migrations};
use tags::{Code, Domain, MaxScans};

use super::Count;
use crate::EdgeRun;

const SCHEMA: &[M<'static>] = &[M::up(
    "CREATE TABLE counts (
         domain TEXT NOT NULL,
         code TEXT NOT NULL,
         series TEXT NOT NULL, -- EDGE/BOOT
         scans INTEGER NOT NULL,
         PRIMARY KEY (domain, code, series)
     ) STRICT, WITHOUT ROWID;",
)];

/// What the file cannot be used for.
#[derive(Debug, thiserror::Error)]
#[error("{what} the counts in {}: {source}; check that the file may be written and that the disk has room", .path.display())]
pub struct CountsFileError {
    what: &'static str,
    path: PathBuf,
    source: Box<rusqlite_migration::Error>,
}

impl CountsFileError {
    /// Whether the file itself is damaged: [`CountsFile::make_anew`] helps then.
    pub fn is_damage(&self) -> bool {
        is_damage(&self.source)
    }
}

/// The file, open. One process has it at a time, or two while one hands over to the other.
pub struct CountsFile {
    path: PathBuf,
    connection: Connection,
}

impl CountsFile {
    /// Opens the file, making it where it is missing. One that is damaged is set aside, since counts are also elsewhere: in the scan log's
    /// folder those of this edge, in Kafka those of all.
    pub fn open(path: &Path) -> Result<Self, CountsFileError> {
        let opened = connect(path).or_else(|error| {
            if !is_damage(&error) {
                return Err(error);
            }
            set_aside(path, &error);
            connect(path)
        });
        let failed = |source| CountsFileError {
            what: "opening",
            path: path.to_owned(),
            source: Box::new(source),
        };
        Ok(Self {
            connection: opened.map_err(failed)?,
            path: path.to_owned(),
        })
    }

    /// Sets a file aside that has turned out to be damaged, and makes an empty one in its place.
    pub fn make_anew(&mut self, damage: &CountsFileError) -> Result<(), CountsFileError> {
        // Closed first: its end would take away what belongs to the new one by its name.
        let nothing = Connection::open_in_memory();
        self.connection = nothing.map_err(|error| self.failed("making anew", error.into()))?;
        set_aside(&self.path, &damage.source);
        self.connection = connect(&self.path).map_err(|error| self.failed("making anew", error))?;
        Ok(())
    }

    /// All that is known.
    pub fn load(&self) -> Result<Vec<Count>, CountsFileError> {
        let load = || -> rusqlite::Result<Vec<Count>> {
            let mut select = self
                .connection
                .prepare("SELECT domain, code, series, scans FROM counts")?;
            let rows = select.query_map([], |row| {
                let text = |column| row.get::<_, String>(column);
                Ok((text(0)?, text(1)?, text(2)?, row.get::<_, i64>(3)?))
            })?;
            let mut counts = Vec::new();
            for row in rows {
                let (domain, code, series, scans) = row?;
                let (Ok(domain), Ok(code), Ok(series), Ok(scans @ 0..=MaxScans::MAX)) = (
                    Domain::parse(&domain),
                    Code::parse(&code),
                    EdgeRun::parse(&series),
                    u64::try_from(scans),
                ) else {
                    tracing::warn!(path = %self.path.display(), domain, code, series, scans, "a count in the file names no tag or is too large, and is passed over");
                    continue;
                };
                counts.push(Count {
                    domain,
                    code,
                    series,
                    scans,
                });
            }
            Ok(counts)
        };
        load().map_err(|error| self.failed("reading", error.into()))
    }

    /// Keeps these, all or none. What is known to be more stays.
    pub fn save(&mut self, counts: &[Count]) -> Result<(), CountsFileError> {
        let save = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            {
                let mut upsert = transaction.prepare_cached(
                    "INSERT INTO counts (domain, code, series, scans) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT DO UPDATE
                     SET scans = max(iif(scans <= ?5, scans, 0), excluded.scans)",
                )?;
                for count in counts {
                    upsert.execute(params![
                        count.domain.as_str(),
                        count.code.as_str(),
                        count.series.to_string(),
                        count.scans.cast_signed(),
                        MaxScans::MAX.cast_signed(),
                    ])?;
                }
            }
            transaction.commit()
        };
        save(&mut self.connection).map_err(|error| self.failed("writing", error.into()))
    }

    fn failed(&self, what: &'static str, error: rusqlite_migration::Error) -> CountsFileError {
        CountsFileError {
            what,
            path: self.path.clone(),
            source: Box::new(error),
        }
    }
}

fn set_aside(path: &Path, error: &rusqlite_migration::Error) {
    let aside = path.with_extension("damaged");
    tracing::error!(path = %path.display(), %error, aside = %aside.display(), "the file of counts is damaged and is set aside");
    // What fails shows in what is opened next.
    let _ = std::fs::rename(path, &aside);
}

fn connect(path: &Path) -> Result<Connection, rusqlite_migration::Error> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(2))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Every commit is on the disk before it is relied on.
    connection.pragma_update(None, "synchronous", "FULL")?;
    Migrations::from_slice(SCHEMA).to_latest(&mut connection)?;
    // Whatever lies behind the first page has not been looked at so far.
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    match found.as_str() {
        "ok" => Ok(connection),
        _ => {
            let damage = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            Err(rusqlite::Error::SqliteFailure(damage, Some(found)).into())
        }
    }
}

fn is_damage(error: &rusqlite_migration::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    let rusqlite_migration::Error::RusqliteError { err, .. } = error else {
        return false;
    };
    matches!(
        err.sqlite_error_code(),
        Some(DatabaseCorrupt | NotADatabase)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(code: &str, edge: &str, scans: u64) -> Count {
        Count {
            domain: Domain::parse("qr.example.com").expect("valid"),
            code: Code::parse(code).expect("valid"),
            series: EdgeRun::new(edge, 7).expect("valid"),
            scans,
        }
    }

    #[test]
    fn what_was_saved_is_loaded_by_the_next_process_and_never_shrinks() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("counts.sqlite");
        let mut file = CountsFile::open(&path).expect("a file");
        assert_eq!(file.load().expect("readable"), []);
        let (a, b) = (count("a", "edge-1", 5), count("a", "edge-2", 1));
        file.save(&[b.clone(), a.clone()]).expect("room");
        file.save(&[count("a", "edge-1", 3)]).expect("room");
        drop(file);
        let file = CountsFile::open(&path).expect("a file");
        assert_eq!(file.load().expect("readable"), [a, b]);
    }

    #[test]
    fn what_is_no_number_of_scans_is_passed_over_and_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("counts.sqlite");
        let mut file = CountsFile::open(&path).expect("a file");
        let of = |scans| count("a", "edge-1", scans);
        for wrong in [MaxScans::MAX + 1, u64::MAX] {
            file.connection
                .execute("DELETE FROM counts", [])
                .expect("room");
            file.save(&[of(wrong)]).expect("room");
            assert_eq!(file.load().expect("readable"), []);
            file.save(&[of(5)]).expect("room");
            assert_eq!(file.load().expect("readable"), [of(5)]);
        }
    }

    #[test]
    fn a_damaged_file_is_set_aside_for_an_empty_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("counts.sqlite");
        std::fs::write(&path, b"no database at all".repeat(500)).expect("a file");
        let file = CountsFile::open(&path).expect("another file");
        assert_eq!(file.load().expect("readable"), []);
        assert!(folder.path().join("counts.damaged").exists());
    }

    /// Opens a file of several pages, and damages one in the middle.
    fn damage_the_middle(path: &Path) -> Vec<Count> {
        let mut file = CountsFile::open(path).expect("a file");
        let counts: Vec<_> = (0..1_000)
            .map(|number| count(&format!("c{number:04}"), "edge-1", 5))
            .collect();
        file.save(&counts).expect("room");
        drop(file);
        let mut bytes = std::fs::read(path).expect("a file");
        let middle = bytes.len() / 2 / 4_096 * 4_096;
        bytes[middle..middle + 4_096].fill(0xff);
        std::fs::write(path, bytes).expect("room");
        counts
    }

    #[test]
    fn a_file_that_is_damaged_behind_its_first_page_is_set_aside_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("counts.sqlite");
        let counts = damage_the_middle(&path);
        let mut file = CountsFile::open(&path).expect("another file");
        assert_eq!(file.load().expect("readable"), []);
        assert!(folder.path().join("counts.damaged").exists());
        file.save(&counts).expect("room");
        assert_eq!(file.load().expect("readable"), counts);
    }

    #[test]
    fn a_file_that_is_found_to_be_damaged_later_can_be_made_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("counts.sqlite");
        let counts = damage_the_middle(&path);
        let mut file = CountsFile {
            path: path.clone(),
            connection: Connection::open(&path).expect("a file"),
        };
        let damage = file.save(&counts).expect_err("damaged");
        assert!(damage.is_damage(), "{damage}");
        file.make_anew(&damage).expect("another file");
        file.save(&counts).expect("room");
        drop(file);
        let file = CountsFile::open(&path).expect("a file");
        assert_eq!(file.load().expect("readable"), counts);
    }
}
