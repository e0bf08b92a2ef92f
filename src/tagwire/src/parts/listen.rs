//! Binding a listener before anything is started, so that a port in use ends the process with one line.

use std::io;
use std::net::{SocketAddr, TcpListener};

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("listening on {address}: {source}; choose another {key}, or stop what listens there")]
pub(crate) struct ListenError {
    key: &'static str,
    address: SocketAddr,
    source: io::Error,
}

/// Binds the address that a key gives.
pub(crate) fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, ListenError> {
    let bound = TcpListener::bind(address)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    bound.map_err(|source| ListenError {
        key,
        address,
        source,
    })
}
