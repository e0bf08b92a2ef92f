//! The snapshot file: the table of one moment, from which an edge starts while the journal cannot be reached. When to write one,
//! and whether one that was read may be used, is the caller's to judge by its [`SnapshotInfo`].

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use prost::Message;
use tags::{Change, Topic};

use crate::Table;

/// What a snapshot is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// The identifier of the cluster whose journal was read.
    pub cluster: String,
    /// Where to read on, by topic and partition: the next offset. Everything before it is in the snapshot.
    pub positions: Vec<(Topic, i32, i64)>,
    /// When it was taken.
    pub taken_at: Timestamp,
}

/// Why a snapshot was not written or not read. Nothing of a refused file is in the table.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// There is none.
    #[error("there is no snapshot at {path}")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {doing} the snapshot {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file has another beginning than every snapshot.
    #[error("the file is not a snapshot: it is ignored, and replaced by the next one")]
    NotASnapshot,
    /// It was written by a newer version of the program.
    #[error(
        "the snapshot has format {found}, this build reads {FORMAT}: upgrade it, or let it read the journal from the beginning"
    )]
    NewerFormat {
        /// The file's.
        found: u32,
    },
    /// The file ends before the snapshot does.
    #[error("the snapshot is truncated: it is ignored, and the journal is read from the beginning")]
    Truncated,
    /// What is in the file is not what was written to it.
    #[error(
        "the snapshot is damaged ({what}): it is ignored, and the journal is read from the beginning"
    )]
    Damaged {
        /// Where it shows.
        what: &'static str,
    },
    /// There is nothing whole to write yet.
    #[error("the table is not complete yet: a snapshot of it would lack tags")]
    Incomplete,
    /// A snapshot is read at the start or into a rebuild.
    #[error("the table is complete: begin a rebuild before reading a snapshot into it")]
    NotFilling,
}

/// The newest format that this build reads, and the one that it writes.
const FORMAT: u32 = 0;
const MAGIC: [u8; 8] = *b"TWTABLE\n";

impl Table {
    /// Writes what readers see now, as a whole or not at all: under a temporary name in the same folder, synced, then renamed.
    /// Every change before `info.positions` must have been applied. Returns how many tags were written.
    pub fn write_snapshot(&self, path: &Path, info: &SnapshotInfo) -> Result<u64, SnapshotError> {
        let state = self.load();
        if !state.complete {
            return Err(SnapshotError::Incomplete);
        }
        let mut body = Body {
            cluster: info.cluster.clone(),
            taken_at: info.taken_at.as_microsecond(),
            ..Body::default()
        };
        for (topic, partition, offset) in &info.positions {
            body.positions.push(Position {
                topic: topic.as_str().to_owned(),
                partition: *partition,
                offset: *offset,
            });
        }
        body.changes.extend(state.settings.changes().map(entry));
        let overlay = state.overlay.0.pin();
        let unchanged = state
            .base
            .0
            .iter()
            .filter(|(key, _)| overlay.get(*key).is_none());
        let tags = unchanged.chain(overlay.iter()).map(|(_, tag)| tag);
        let before = body.changes.len();
        body.changes
            .extend(tags.map(|tag| entry(Change::Tag(tag.clone()))));
        let written = (body.changes.len() - before) as u64;

        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT.to_le_bytes());
        let body = body.encode_to_vec();
        bytes.extend((body.len() as u64).to_le_bytes());
        bytes.extend(body);
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        replace(path, &bytes).map_err(|source| SnapshotError::Io {
            doing: "write",
            path: path.to_owned(),
            source,
        })?;
        Ok(written)
    }

    /// Reads a snapshot into the base that is being filled, at the start or in a rebuild; [`Table::complete`] publishes it.
    pub fn read_snapshot(&self, path: &Path) -> Result<SnapshotInfo, SnapshotError> {
        if !self.is_filling() {
            return Err(SnapshotError::NotFilling);
        }
        let body = read(path)?;
        let info = body.info()?;
        let changes: Result<Vec<Change>, _> = body.changes.iter().map(Entry::change).collect();
        for change in changes? {
            self.apply(change);
        }
        Ok(info)
    }
}

/// Reads what a snapshot is of, and nothing else.
pub fn read_snapshot_info(path: &Path) -> Result<SnapshotInfo, SnapshotError> {
    read(path)?.info()
}

#[derive(Clone, PartialEq, Message)]
struct Body {
    #[prost(string, tag = "1")]
    cluster: String,
    #[prost(message, repeated, tag = "2")]
    positions: Vec<Position>,
    #[prost(int64, tag = "3")]
    taken_at: i64,
    #[prost(message, repeated, tag = "4")]
    changes: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
struct Position {
    #[prost(string, tag = "1")]
    topic: String,
    #[prost(int32, tag = "2")]
    partition: i32,
    #[prost(int64, tag = "3")]
    offset: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(string, tag = "1")]
    topic: String,
    #[prost(string, tag = "2")]
    key: String,
    #[prost(bytes = "vec", tag = "3")]
    value: Vec<u8>,
}

impl Body {
    fn info(&self) -> Result<SnapshotInfo, SnapshotError> {
        let positions: Result<Vec<_>, SnapshotError> = self
            .positions
            .iter()
            .map(|p| Ok((topic(&p.topic)?, p.partition, p.offset)))
            .collect();
        Ok(SnapshotInfo {
            cluster: self.cluster.clone(),
            positions: positions?,
            taken_at: Timestamp::from_microsecond(self.taken_at).map_err(|_| damaged("time"))?,
        })
    }
}

impl Entry {
    fn change(&self) -> Result<Change, SnapshotError> {
        Change::decode(topic(&self.topic)?, &self.key, &self.value).map_err(|_| damaged("record"))
    }
}

fn entry(change: Change) -> Entry {
    Entry {
        topic: change.topic().as_str().to_owned(),
        key: change.key(),
        value: change.encode(),
    }
}

fn topic(name: &str) -> Result<Topic, SnapshotError> {
    let mut all = Topic::ALL.into_iter();
    all.find(|t| t.as_str() == name).ok_or(damaged("topic"))
}

fn damaged(what: &'static str) -> SnapshotError {
    SnapshotError::Damaged { what }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("partial");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn read(path: &Path) -> Result<Body, SnapshotError> {
    let bytes = fs::read(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => SnapshotError::Missing {
            path: path.to_owned(),
        },
        _ => SnapshotError::Io {
            doing: "read",
            path: path.to_owned(),
            source,
        },
    })?;
    let rest = bytes
        .strip_prefix(&MAGIC)
        .ok_or(SnapshotError::NotASnapshot)?;
    let (format, rest) = rest.split_first_chunk().ok_or(SnapshotError::Truncated)?;
    let found = u32::from_le_bytes(*format);
    if found > FORMAT {
        return Err(SnapshotError::NewerFormat { found });
    }
    let (len, rest) = rest.split_first_chunk().ok_or(SnapshotError::Truncated)?;
    let (body, crc) = rest.split_last_chunk().ok_or(SnapshotError::Truncated)?;
    if (body.len() as u64) < u64::from_le_bytes(*len) {
        return Err(SnapshotError::Truncated);
    }
    if crc32c::crc32c(&bytes[..bytes.len() - 4]) != u32::from_le_bytes(*crc) {
        return Err(damaged("checksum"));
    }
    Body::decode(body).map_err(|_| damaged("content"))
}
