//! Why a snapshot was not written or not read.

use std::io;
use std::path::{Path, PathBuf};

use super::frames::FORMAT;

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
    #[error(
        "the file is not a snapshot: it is ignored, and the journal is read from the beginning"
    )]
    NotASnapshot,
    /// It was written by a newer version of the program.
    #[error(
        "the snapshot has format {found}, this build reads {FORMAT}: it is ignored, and the journal is read from the beginning"
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
    /// More tags than a table can hold.
    #[error("the snapshot has more tags than fit into a table: 16 GiB of them")]
    Full,
    /// There is nothing whole to write yet.
    #[error("the table is not complete yet: a snapshot of it would lack tags")]
    Incomplete,
    /// A snapshot is read at the start or into a rebuild.
    #[error("the table is complete: begin a rebuild before reading a snapshot into it")]
    NotFilling,
}

impl SnapshotError {
    /// What the system refused, with the file that it was about.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::NotFound if doing == "open" => Self::Missing {
                path: path.to_owned(),
            },
            _ => Self::Io {
                doing,
                path: path.to_owned(),
                source,
            },
        }
    }

    /// The same with the file's name, where the name was not known.
    pub(super) fn of_file(self, file: &Path) -> Self {
        match self {
            Self::Io { doing, source, .. } => Self::Io {
                doing,
                path: file.to_owned(),
                source,
            },
            other => other,
        }
    }

    pub(super) fn damaged(what: &'static str) -> Self {
        Self::Damaged { what }
    }
}

impl From<io::Error> for SnapshotError {
    fn from(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::Io {
                doing: "read",
                path: PathBuf::new(),
                source,
            },
        }
    }
}
