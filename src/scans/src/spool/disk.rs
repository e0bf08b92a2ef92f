//! The thread at the spool's disk. Whatever the disk does, nobody waits for it: jobs come in, and what became of them goes out.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use priority::Priority;

use crate::WriterKey;
use crate::folder;
use crate::segment::{Extent, HEADER, NotASegment, Segment};
use crate::source::ToCopy;

/// As much is written at once.
const PIECE: usize = 1 << 20;

pub(super) enum Job {
    /// Writes a part of a segment, and syncs it.
    Copy { path: PathBuf, what: ToCopy },
    /// Reads a copy into memory.
    Load { writer: WriterKey, path: PathBuf },
    /// Removes a copy; the segment is kept until it is gone.
    Remove {
        path: PathBuf,
        segment: Option<Arc<Segment>>,
    },
    /// Leaves one that cannot be read where no start finds it.
    SetAside { path: PathBuf },
}

pub(super) enum Event {
    Copied {
        path: PathBuf,
        writer: WriterKey,
        number: u32,
        to: usize,
        extent: Extent,
        /// With a failure: up to where it is as it was before.
        result: Result<(), (io::Error, usize)>,
    },
    Loaded {
        writer: WriterKey,
        read: Result<Segment, NotASegment>,
    },
    Removed {
        path: PathBuf,
        segment: Option<Arc<Segment>>,
        result: io::Result<()>,
    },
    SetAside {
        path: PathBuf,
    },
}

/// Does what it is told, until nobody tells it anything.
pub(super) fn run(jobs: &Receiver<Job>, events: &Sender<Event>) {
    priority::lower(Priority::Upkeep);
    for job in jobs {
        // Nobody listens any more when the shipper has stopped at once.
        let _ = events.send(done(job));
    }
}

fn done(job: Job) -> Event {
    match job {
        Job::Copy { path, what } => {
            let result = copy(&path, &what).map_err(|error| {
                let kept = undo(&path, &error, what.from);
                (error, kept)
            });
            let ToCopy {
                segment,
                to,
                extent,
                ..
            } = what;
            // The segment is let go before anybody hears of it: then it can be written again.
            let (writer, number) = (segment.key().clone(), segment.number());
            drop(segment);
            Event::Copied {
                path,
                writer,
                number,
                to,
                extent,
                result,
            }
        }
        Job::Load { writer, path } => {
            let read = Segment::read_copy(&path);
            Event::Loaded { writer, read }
        }
        Job::Remove { path, segment } => {
            let result = match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
            Event::Removed {
                path,
                segment,
                result,
            }
        }
        Job::SetAside { path } => {
            let aside = path.with_extension("refused");
            if let Err(error) = fs::rename(&path, &aside) {
                tracing::warn!(path = %path.display(), %error, "a copy that cannot be read was not set aside");
            }
            Event::SetAside { path }
        }
    }
}

/// First the records and a sync, then the header that tells of them: it never tells of one that is not there.
fn copy(path: &Path, what: &ToCopy) -> io::Result<()> {
    let parent = path.parent().unwrap_or(path);
    if what.from == 0 {
        folder::create_private(parent)?;
    }
    let file = OpenOptions::new()
        .write(true)
        .create(what.from == 0)
        .mode(0o600)
        .open(path)?;
    let records = &what.segment.records()[..what.to];
    let mut at = what.from;
    for piece in records[what.from..].chunks(PIECE) {
        file.write_all_at(piece, (HEADER + at) as u64)?;
        at += piece.len();
    }
    if what.from == 0 {
        file.set_len((HEADER + what.to) as u64)?; // whatever was there before
    }
    if what.from < what.to {
        file.sync_data()?;
    }
    let header = what
        .segment
        .copy_header(what.to, what.next_seq, what.extent)?;
    file.write_all_at(&header, 0)?;
    // A header that is one sync behind is still right, where there is one.
    if what.from == 0 || what.extent != Extent::Part {
        file.sync_data()?;
    }
    if what.from == 0 {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// After a failure: a disk that is full keeps what it had; what one that has failed otherwise has kept is not known, so it is written anew. Up to
/// where it is there.
fn undo(path: &Path, error: &io::Error, from: usize) -> usize {
    let full = matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    );
    if full && from > 0 {
        let shortened = OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|file| file.set_len((HEADER + from) as u64));
        if shortened.is_ok() {
            return from;
        }
    }
    let _ = fs::remove_file(path); // it may not be there; if it stays, it is overwritten
    0
}
