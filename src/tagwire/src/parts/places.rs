//! The GeoIP file: opened at start, and looked at again every now and then for a newer one.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use facts::{PlacesError, PlacesFile, Reload};

use crate::config::GeoIp;

const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Why there are no places.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlacesWatchError {
    #[error("geoip.file: {0}")]
    Open(#[from] PlacesError),
    #[error("starting the thread that looks after geoip.file: {0}")]
    Thread(io::Error),
}

/// The file that is watched, if one is configured.
pub(crate) struct PlacesWatch(Option<Watched>);

struct Watched {
    file: Arc<PlacesFile>,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl PlacesWatch {
    pub(crate) fn open(config: &GeoIp) -> Result<Self, PlacesWatchError> {
        let Some(path) = &config.file else {
            return Ok(Self(None));
        };
        let file = Arc::new(PlacesFile::open(path)?);
        let (stop, stopped) = mpsc::channel();
        let (watched, path) = (Arc::clone(&file), path.display().to_string());
        let watch = move || {
            while stopped.recv_timeout(LOOK_AGAIN) == Err(RecvTimeoutError::Timeout) {
                match watched.reload_if_changed() {
                    Reload::Unchanged => {}
                    Reload::Reloaded => tracing::info!(file = path, "took a newer GeoIP file"),
                    Reload::Refused(error) => {
                        tracing::error!(file = path, %error, "the GeoIP file changed but cannot be used; the last good one stays")
                    }
                }
            }
        };
        let thread = thread::Builder::new()
            .name("places".to_owned())
            .spawn(watch)
            .map_err(PlacesWatchError::Thread)?;
        Ok(Self(Some(Watched { file, stop, thread })))
    }

    /// For whoever looks places up.
    pub(crate) fn file(&self) -> Option<Arc<PlacesFile>> {
        self.0.as_ref().map(|watched| Arc::clone(&watched.file))
    }

    pub(crate) fn end(self) {
        let Some(watched) = self.0 else { return };
        drop(watched.stop);
        if watched.thread.join().is_err() {
            tracing::error!("the thread that looks after geoip.file had panicked");
        }
    }
}
