//! The scan store over SQLite, for standalone: one file, write-ahead logging, one writing connection, one for questions and one that counts
//! for rollups. The schema is in `schema`, how blocks enter in `insert`, how rollups are derived from them in `rollups`, `count` and `days`, how
//! questions are put in `report`, `visitors`, `export`, `hours`, `ledger` and `usage`, how scans are deleted in `retention`, and
//! visitors erased in `erasure`.

mod count;
mod days;
mod erasure;
mod export;
mod filter;
mod hours;
mod insert;
mod ledger;
mod report;
mod retention;
mod rollups;
mod schema;
mod usage;
mod visitors;

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{Connection, params};
use scans::{ScanId, WriterKey};
use tags::WorkspaceId;
use tokio::sync::{Mutex, mpsc};

use crate::rollups::{HOURS_OF_DAY, HourRange, HoursToRollUp, Which};
use crate::{
    Block, Counted, Erasure, Expiry, Headers, Hour, Kept, Period, Positions, Run, ScanCursor,
    ScanFilter, ScanPage, ScanQuery, ScanReport, ScanStore, ScannedTag, Source, StoreError,
    TagHours, Usage, VisitorDay, VisitorQuery, WriterPosition,
};

/// How often, and how far apart, it is tried to cut off the write-ahead log after an erasure.
const FORGOTTEN_WITHIN: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// A store in a SQLite file.
#[derive(Clone)]
pub struct SqliteStore {
    writing: Arc<Mutex<Connection>>,
    // Questions take their turn among themselves and never hold up a block, nor a block them.
    asking: Arc<Mutex<Connection>>,
    // Nor does what counts for rollups hold up either.
    counting: Arc<Mutex<Connection>>,
    // Whether the write-ahead log has something that was erased.
    to_forget: Arc<AtomicBool>,
}

impl SqliteStore {
    /// Opens the file, and makes it and its tables where they are not there.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut writing = schema::connect(path)?;
        schema::prepare(&mut writing)?;
        let (asking, counting) = (schema::connect(path)?, schema::connect(path)?);
        Ok(Self {
            writing: Arc::new(Mutex::new(writing)),
            asking: Arc::new(Mutex::new(asking)),
            counting: Arc::new(Mutex::new(counting)),
            to_forget: Arc::default(),
        })
    }

    /// Opens the file to ask alone: makes and changes nothing, and is refused where the tables are not as this program knows them.
    pub fn to_ask(path: &Path) -> Result<Self, StoreError> {
        let connection = schema::connect_to_ask(path)?;
        schema::check(&connection)?;
        let connection = Arc::new(Mutex::new(connection));
        Ok(Self {
            writing: Arc::clone(&connection),
            counting: Arc::clone(&connection),
            to_forget: Arc::default(),
            asking: connection,
        })
    }

    /// Cuts off the write-ahead log if it has something that was erased. False: somebody is reading from it.
    async fn forget(&self) -> Result<bool, StoreError> {
        if !self.to_forget.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let to_forget = Arc::clone(&self.to_forget);
        self.on(&self.writing, "forget what was erased", move |connection| {
            let forgotten = erasure::forget(connection)?;
            if forgotten {
                to_forget.store(false, Ordering::Relaxed);
            }
            Ok(forgotten)
        })
        .await
    }

    async fn on<T: Send + 'static>(
        &self,
        connection: &Arc<Mutex<Connection>>,
        doing: &'static str,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        // Whoever waits for a turn takes no thread, and whoever gives up leaves the queue.
        let mut connection = Arc::clone(connection).lock_owned().await;
        let done = tokio::task::spawn_blocking(move || work(&mut connection)).await;
        match done {
            Ok(result) => result.map_err(|e| failure(doing, &e)),
            Err(stopped) => Err(StoreError::Unavailable {
                doing,
                reason: stopped.to_string(),
            }),
        }
    }
}

#[async_trait]
impl ScanStore for SqliteStore {
    async fn insert(&self, block: &Block) -> Result<(), StoreError> {
        let block = block.clone();
        self.on(
            &self.writing,
            "insert a block of scans",
            move |connection| insert::block(connection, &block),
        )
        .await?;
        // What an erasure could not end, since somebody was reading. The block is stored, whatever becomes of that; the next one tries again.
        let _ = self.forget().await;
        Ok(())
    }

    async fn count(&self, runs: &[Run]) -> Result<Counted, StoreError> {
        // The identity is the table's key: there are no duplicates to find.
        let scans = self.stored(runs).await?.len() as u64;
        Ok(Counted { rows: scans, scans })
    }

    async fn stored(&self, runs: &[Run]) -> Result<HashSet<ScanId>, StoreError> {
        let runs = runs.to_vec();
        self.on(&self.asking, "look for a block's rows", move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT seq FROM scans JOIN writers ON writers.id = scans.writer_id
                 WHERE edge = ?1 AND boot = ?2 AND writer = ?3 AND seq BETWEEN ?4 AND ?5",
            )?;
            let mut stored = HashSet::new();
            for run in runs {
                let key = &run.writer;
                let bound = params![
                    &*key.edge,
                    key.boot as i64,
                    key.writer,
                    run.first as i64,
                    run.last as i64
                ];
                for seq in statement.query_map(bound, |line| line.get::<_, i64>(0))? {
                    stored.insert(key.scan(seq? as u64));
                }
            }
            Ok(stored)
        })
        .await
    }

    async fn end_inserts(&self, _: &Source) -> Result<(), StoreError> {
        // A transaction ends with its process; the file's lock lets no other in.
        Ok(())
    }

    async fn load_positions(
        &self,
        source: &Source,
        up_to: i64,
    ) -> Result<Option<Positions>, StoreError> {
        let source = source.clone();
        self.on(
            &self.asking,
            "load the writers' positions",
            move |connection| positions(connection, source, up_to),
        )
        .await
    }

    async fn save_positions(&self, positions: &Positions) -> Result<(), StoreError> {
        let positions = positions.clone();
        self.on(
            &self.writing,
            "save the writers' positions",
            move |connection| {
                let transaction = connection.transaction()?;
                insert::positions(&transaction, &positions)?;
                transaction.commit()
            },
        )
        .await
    }

    async fn scans(
        &self,
        workspace: &WorkspaceId,
        query: &ScanQuery,
    ) -> Result<ScanReport, StoreError> {
        let (workspace, query) = (workspace.clone(), query.clone());
        self.on(
            &self.asking,
            "answer a question about scans",
            move |connection| report::answer(connection, &workspace, &query),
        )
        .await
    }

    async fn hours_to_roll_up(&self, which: Which) -> Result<HoursToRollUp, StoreError> {
        let now = Timestamp::now();
        self.on(
            &self.asking,
            "look for hours to roll up",
            move |connection| rollups::to_roll_up(connection, which, now),
        )
        .await
    }

    async fn roll_up(&self, hours: &HourRange) -> Result<u64, StoreError> {
        const DOING: &str = "compute an hour's rollup";
        let mut hold = 0;
        for hour in hours.numbers().map(Hour::from_number) {
            let begin = move |connection: &mut Connection| rollups::begin(connection, hour);
            let Some(computing) = self.on(&self.writing, DOING, begin).await? else {
                hold += 1; // it has no scans
                continue;
            };
            let count = move |connection: &mut Connection| count::of_hour(connection, hour);
            let counts = self.on(&self.counting, DOING, count).await?;
            let replace = move |connection: &mut Connection| {
                rollups::replace(connection, hour, computing, &counts)
            };
            hold += u64::from(self.on(&self.writing, DOING, replace).await?);
        }
        Ok(hold)
    }

    async fn roll_up_days(&self) -> Result<u64, StoreError> {
        const DOING: &str = "compute a day's rollup";
        let today = Hour::of(Timestamp::now()).number().div_euclid(HOURS_OF_DAY);
        let begin = move |connection: &mut Connection| days::begin(connection, today);
        let Some(day) = self.on(&self.writing, DOING, begin).await? else {
            return Ok(0);
        };
        // Read and written by turns: neither is in memory as a whole.
        let (lines, mut read) = mpsc::channel(1);
        let reading = self.on(&self.counting, DOING, move |connection| {
            days::read(connection, day, |some| lines.blocking_send(some).is_ok())
        });
        let writing = async move {
            while let Some(lines) = read.recv().await {
                let write = move |connection: &mut Connection| days::write(connection, day, &lines);
                if !self.on(&self.writing, DOING, write).await? {
                    return Ok(false); // an hour's is another meanwhile, or somebody else is at it
                }
            }
            Ok(true)
        };
        let (read, written) = tokio::join!(reading, writing);
        read?;
        let held = match written? {
            true => {
                let hold = move |connection: &mut Connection| days::hold(connection, day);
                self.on(&self.writing, DOING, hold).await?
            }
            false => false,
        };
        Ok(u64::from(held))
    }

    async fn visitor_days(
        &self,
        workspace: &WorkspaceId,
        query: &VisitorQuery,
    ) -> Result<Vec<VisitorDay>, StoreError> {
        let (workspace, query) = (workspace.clone(), query.clone());
        self.on(&self.asking, "count visitors", move |connection| {
            visitors::answer(connection, &workspace, &query)
        })
        .await
    }

    async fn scan_page(
        &self,
        workspace: &WorkspaceId,
        filter: &ScanFilter,
        begin: Option<&ScanCursor>,
        most: usize,
    ) -> Result<ScanPage, StoreError> {
        let (workspace, filter, begin) = (workspace.clone(), filter.clone(), begin.cloned());
        self.on(&self.asking, "read scans one by one", move |connection| {
            export::page(connection, &workspace, &filter, begin, most)
        })
        .await
    }

    async fn busiest(
        &self,
        hour: Hour,
        least: u64,
        most: usize,
    ) -> Result<Vec<ScannedTag>, StoreError> {
        self.on(
            &self.asking,
            "look for the tags that were scanned most",
            move |connection| hours::busiest(connection, hour, least, most),
        )
        .await
    }

    async fn tag_hours(
        &self,
        tags: &[ScannedTag],
        hours: &[Hour],
        since: Hour,
    ) -> Result<Vec<TagHours>, StoreError> {
        let (tags, hours) = (tags.to_vec(), hours.to_vec());
        self.on(
            &self.asking,
            "count scans hour by hour",
            move |connection| hours::of_tags(connection, &tags, &hours, since),
        )
        .await
    }

    async fn headers(&self, period: &Period) -> Result<Headers, StoreError> {
        let period = *period;
        self.on(
            &self.asking,
            "read what the writers say of themselves",
            move |connection| ledger::headers(connection, &period),
        )
        .await
    }

    async fn kept(&self, run: &Run, workspace: Option<&WorkspaceId>) -> Result<Kept, StoreError> {
        let (run, workspace) = (run.clone(), workspace.cloned());
        self.on(&self.asking, "count a writer's scans", move |connection| {
            ledger::kept(connection, &run, workspace.as_ref())
        })
        .await
    }

    async fn expire(
        &self,
        expiries: &[Expiry],
        still: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<u64>, StoreError> {
        let mut expired = 0;
        for expiry in expiries {
            loop {
                if !still() {
                    return Ok(None);
                }
                let expiry = expiry.clone();
                // In small transactions: blocks enter between them.
                let scans = self.on(
                    &self.writing,
                    "delete scans that are kept no longer",
                    move |connection| retention::some(connection, &expiry),
                );
                match scans.await? {
                    0 => break,
                    scans => expired += scans,
                }
            }
        }
        Ok(Some(expired))
    }

    async fn erase(&self, erasure: &Erasure) -> Result<u64, StoreError> {
        const DOING: &str = "erase a visitor";
        let theirs = erasure.clone();
        let rows = self.on(&self.asking, DOING, move |connection| {
            erasure::rows(connection, &theirs)
        });
        let rows = rows.await?;
        let mut erased = 0;
        for some in rows.chunks(erasure::AT_ONCE) {
            let (theirs, some) = (erasure.clone(), some.to_vec());
            // Relaxed: the lock of the connection orders it.
            self.to_forget.store(true, Ordering::Relaxed);
            let done = self.on(&self.writing, DOING, move |connection| {
                erasure::some(connection, &theirs, &some)
            });
            erased += done.await?;
        }
        // Also what an earlier one has left, whoever was reading then.
        for _ in 0..FORGOTTEN_WITHIN {
            if self.forget().await? {
                return Ok(erased);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(StoreError::Unfinished { doing: DOING })
    }

    async fn usage(
        &self,
        days: RangeInclusive<Date>,
        workspace: Option<&WorkspaceId>,
    ) -> Result<Vec<Usage>, StoreError> {
        let workspace = workspace.cloned();
        self.on(
            &self.asking,
            "count what workspaces' scans take",
            move |connection| usage::of_days(connection, &days, workspace.as_ref()),
        )
        .await
    }
}

fn positions(
    connection: &Connection,
    source: Source,
    up_to: i64,
) -> rusqlite::Result<Option<Positions>> {
    let mut statement = connection.prepare_cached(
        "SELECT edge, boot, writer, max(\"offset\"), next_seq, missing, given_up, dropped, seen_ms
         FROM positions JOIN writers ON writers.id = positions.writer_id
         WHERE cluster = ?1 AND topic = ?2 AND \"partition\" = ?3 AND \"offset\" <= ?4 GROUP BY writer_id",
    )?;
    let mut lines = statement.query(params![
        source.cluster,
        source.topic,
        source.partition,
        up_to
    ])?;
    let (mut offset, mut writers) = (None, BTreeMap::new());
    while let Some(line) = lines.next()? {
        let key = WriterKey {
            edge: line.get::<_, String>(0)?.into(),
            boot: line.get::<_, i64>(1)? as u64,
            writer: line.get(2)?,
        };
        offset = offset.max(Some(line.get::<_, i64>(3)?));
        let missing: String = line.get(5)?;
        let missing = serde_json::from_str(&missing).map_err(|e| unreadable(5, e))?;
        let position = WriterPosition {
            next: line.get::<_, i64>(4)? as u64,
            missing,
            given_up: line.get::<_, i64>(6)? as u64,
            dropped: line.get::<_, i64>(7)? as u64,
            seen_ms: line.get(8)?,
        };
        writers.insert(key, position);
    }
    Ok(offset.map(|offset| Positions {
        source,
        offset,
        writers,
    }))
}

/// A column does not have what was put in.
fn unreadable(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}

/// What a person does about a damaged file.
const REPAIR: &str = "with the process ended, restore it from a backup together with its -wal file, or move both away to begin without any scan";

fn failure(doing: &'static str, error: &rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, NotADatabase,
        SystemIoFailure,
    };
    let reason = error.to_string();
    match error.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => StoreError::Refused {
            doing,
            reason: format!("the file is damaged: {reason}; {REPAIR}"),
        },
        Some(CannotOpen | DatabaseBusy | DatabaseLocked | DiskFull | SystemIoFailure) => {
            StoreError::Unavailable { doing, reason }
        }
        _ => StoreError::Refused { doing, reason },
    }
}
