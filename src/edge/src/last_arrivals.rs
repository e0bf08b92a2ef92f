//! The end of listening: connections that are established and that nobody has accepted are answered. They would be reset with their
//! socket, and a client that has sent its request does not try again.

use std::io;
use std::net::{self, SocketAddr, TcpListener};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;

use pingora_core::apps::ServerApp as _;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::{GetSocketDigest as _, SocketDigest};
use pingora_core::server::ShutdownWatch;
use tokio::net::TcpStream;

use crate::lane::Lane;

/// Accepts what waits on a socket, which does not block. What comes later finds nobody, and is told so by the kernel.
pub(crate) fn accept_all(lane: &Arc<Lane>, listener: &TcpListener, shutdown: &ShutdownWatch) {
    loop {
        match listener.accept() {
            Ok((socket, peer)) => {
                if let Err(error) = serve(lane, socket, peer, shutdown) {
                    tracing::warn!(%error, "a connection of the last moment cannot be served");
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            // It went while it was waiting.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "connections of the last moment cannot be accepted");
                return;
            }
        }
    }
}

fn serve(
    lane: &Arc<Lane>,
    socket: net::TcpStream,
    peer: SocketAddr,
    shutdown: &ShutdownWatch,
) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let digest = SocketDigest::from_raw_fd(socket.as_raw_fd());
    let _ = digest.peer_addr.set(Some(peer.into())); // new, and so not set before
    let mut stream = Stream::from(TcpStream::from_std(socket)?);
    stream.set_socket_digest(digest);
    let (lane, shutdown) = (Arc::clone(lane), shutdown.clone());
    tokio::spawn(async move { lane.process_new(Box::new(stream), &shutdown).await });
    Ok(())
}
