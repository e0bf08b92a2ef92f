//! TLS of the redirect listeners: its files are read at start, and looked at again every now and then for newer ones.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};

use ::edge::{Tls, TlsError, TlsOptions};
use prometheus::Registry;

use crate::config::Edge;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsWatchError {
    #[error(
        "edge.tls_listen is set, and edge.tls_certificates, the folder of certificates, is not"
    )]
    NoCertificates,
    #[error(transparent)]
    Open(#[from] TlsError),
    #[error("starting the thread that looks after edge.tls_certificates: {0}")]
    Thread(io::Error),
}

/// TLS and the thread that looks after its files, if any listener speaks it.
pub(crate) struct TlsWatch(Option<Watched>);

struct Watched {
    tls: Arc<Tls>,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl TlsWatch {
    pub(crate) fn open(config: &Edge, registry: &Registry) -> Result<Self, TlsWatchError> {
        if config.tls_listen.is_empty() {
            return Ok(Self(None));
        }
        let folder = config.tls_certificates.as_ref();
        let options = TlsOptions {
            ticket_keys: config.tls_ticket_keys.clone(),
            handshake: config.tls_handshake_timeout,
            ..TlsOptions::new(folder.ok_or(TlsWatchError::NoCertificates)?)
        };
        let tls = Arc::new(Tls::open(&options, registry)?);
        let (stop, stopped) = mpsc::channel();
        let watched = Arc::clone(&tls);
        let watch = move || {
            while stopped.recv_timeout(Tls::LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                watched.look();
            }
        };
        let thread = thread::Builder::new()
            .name("tls-files".to_owned())
            .spawn(watch)
            .map_err(TlsWatchError::Thread)?;
        Ok(Self(Some(Watched { tls, stop, thread })))
    }

    /// For the listeners.
    pub(crate) fn tls(&self) -> Option<Arc<Tls>> {
        self.0.as_ref().map(|watched| Arc::clone(&watched.tls))
    }

    pub(crate) fn end(self) {
        let Some(watched) = self.0 else { return };
        drop(watched.stop);
        if watched.thread.join().is_err() {
            tracing::error!("the thread that looks after edge.tls_certificates had panicked");
        }
    }
}
