//! A thread that looks at files every now and then. What it looks for is its caller's.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The thread, until it is told to end.
pub(crate) struct Watch {
    key: &'static str,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// The thread could not be started.
#[derive(Debug, thiserror::Error)]
#[error("starting the thread that looks after {key}: {source}")]
pub(crate) struct WatchError {
    key: &'static str,
    source: io::Error,
}

impl Watch {
    /// Looks every so often after what the key names; not at once.
    pub(crate) fn start(
        key: &'static str,
        every: Duration,
        mut look: impl FnMut() + Send + 'static,
    ) -> Result<Self, WatchError> {
        let (stop, stopped) = mpsc::channel();
        let watch = move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                look();
            }
        };
        let named = thread::Builder::new().name("files".to_owned());
        let thread = named
            .spawn(watch)
            .map_err(|source| WatchError { key, source })?;
        Ok(Self { key, stop, thread })
    }

    pub(crate) fn end(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            let key = self.key;
            tracing::error!(key, "the thread that looks after these files had panicked");
        }
    }
}
