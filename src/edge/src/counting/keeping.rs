//! Keeps what is known of counts in a file, on a thread of its own, for a start without anybody to ask.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use journal::{CountsFile, CountsFileError};
use priority::{Priority, lower};

use super::{Counted, counts};

/// How far apart changes are written: what the end of the machine takes of an edge's own counts, if others have not heard of them. What a
/// kill would take lies in the scan log's folder.
const INTERVAL: Duration = Duration::from_secs(1);

/// The running thread.
pub(super) struct Keeping {
    /// Told or dropped, the thread ends.
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Keeping {
    pub(super) fn start(counted: Arc<Counted>, file: CountsFile) -> io::Result<Self> {
        let (stop, stopping) = mpsc::channel();
        let mut keeper = Keeper { counted, file };
        let thread = thread::Builder::new()
            .name("edge-counts-file".to_owned())
            .spawn(move || {
                lower(Priority::Upkeep);
                keeper.run(&stopping);
            })?;
        Ok(Self { stop, thread })
    }

    /// Writes what is new a last time, and ends.
    pub(super) fn stop(self) {
        let _ = self.stop.send(()); // fails only when it has ended
        if self.thread.join().is_err() {
            tracing::error!("the thread that keeps counts had panicked");
        }
    }
}

struct Keeper {
    counted: Arc<Counted>,
    file: CountsFile,
}

impl Keeper {
    fn run(&mut self, stopping: &Receiver<()>) {
        while stopping.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
            self.save();
        }
        self.save();
    }

    /// What cannot be written is written with the rest the next time.
    fn save(&mut self) {
        let unsaved = {
            let mut series = self.counted.series();
            series.known.look();
            series.known.unsaved()
        };
        if unsaved.is_empty() {
            return;
        }
        match self.file.save(&counts(&unsaved)) {
            Ok(()) => self.counted.series().known.saved(&unsaved),
            Err(error) => {
                tracing::warn!(%error, "what is known of counts is not kept for the next start");
                if error.is_damage() {
                    self.make_anew(&error);
                }
            }
        }
    }

    /// All that is known is written to the new file the next time.
    fn make_anew(&mut self, damage: &CountsFileError) {
        match self.file.make_anew(damage) {
            Ok(()) => self.counted.series().known.file_is_empty(),
            Err(error) => tracing::error!(%error, "what is known of counts is not kept any more"),
        }
    }
}
