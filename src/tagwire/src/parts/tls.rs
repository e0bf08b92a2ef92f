//! TLS of the redirect listeners: its files are read at start, and looked at again every now and then for newer ones.

use std::sync::Arc;

use ::edge::{Tls, TlsError, TlsOptions};
use prometheus::Registry;

use super::watch::{Watch, WatchError};
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
    #[error(transparent)]
    Thread(#[from] WatchError),
}

/// TLS and the thread that looks after its files, if any listener speaks it.
pub(crate) struct TlsWatch(Option<(Arc<Tls>, Watch)>);

impl TlsWatch {
    pub(crate) fn open(config: &Edge, registry: &Registry) -> Result<Self, TlsWatchError> {
        let Some(options) = tls_options(config)? else {
            return Ok(Self(None));
        };
        let tls = Arc::new(Tls::open(&options, registry)?);
        let watched = Arc::clone(&tls);
        let watch = Watch::start("edge.tls_certificates", Tls::LOOK_EVERY, move || {
            watched.look();
        })?;
        Ok(Self(Some((tls, watch))))
    }

    /// For the listeners.
    pub(crate) fn tls(&self) -> Option<Arc<Tls>> {
        self.0.as_ref().map(|(tls, _)| Arc::clone(tls))
    }

    pub(crate) fn end(self) {
        if let Some((_, watch)) = self.0 {
            watch.end();
        }
    }
}

/// What a configuration asks for; none: no listener speaks TLS.
pub(crate) fn tls_options(config: &Edge) -> Result<Option<TlsOptions>, TlsWatchError> {
    if config.tls_listen.is_empty() {
        return Ok(None);
    }
    let folder = config.tls_certificates.as_ref();
    Ok(Some(TlsOptions {
        ticket_keys: config.tls_ticket_keys.clone(),
        handshake: config.tls_handshake_timeout,
        ..TlsOptions::new(folder.ok_or(TlsWatchError::NoCertificates)?)
    }))
}
