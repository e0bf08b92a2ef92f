//! How work beside the redirects is done: at the lowest priority, and in short pieces, so that a worker on the same core neither
//! waits long for it nor loses its caches to it.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use priority::Priority;

/// Starts a thread that yields to all others.
pub(crate) fn spawn(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let builder = thread::Builder::new().name(name.to_owned());
    builder.spawn(move || {
        priority::lower(Priority::Idle);
        work();
    })
}

/// Interrupts work on many records.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    done: usize,
}

impl Pace {
    /// About half a millisecond of copying.
    const PIECE: usize = 4096;
    const REST: Duration = Duration::from_micros(500);

    /// Counts one record. True: a piece is done, and there was a pause.
    pub(crate) fn step(&mut self) -> bool {
        self.done += 1;
        let is_piece = self.done.is_multiple_of(Self::PIECE);
        if is_piece {
            self.rest();
        }
        is_piece
    }

    /// A pause.
    pub(crate) fn rest(&mut self) {
        thread::sleep(Self::REST);
    }
}
