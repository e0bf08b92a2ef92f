//! The end of listening: connections that are established and that nobody has accepted are answered. They would be reset with their
//! socket, and a client that has sent its request does not try again.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use pingora_core::server::ShutdownWatch;
use tokio::time::{Instant, sleep_until};

use crate::lane::Lane;
use crate::sockets;

/// For how long the kernel gives connections out that it had kept until their first bytes (`TCP_DEFER_ACCEPT`): who has connected within
/// the last second has spoken by then, or been asked again by the kernel (the first time-out of a SYN-ACK, RFC 6298 §2).
const GIVING_OUT: Duration = Duration::from_millis(1_100);
/// How often it is looked for them.
const LOOK: Duration = Duration::from_millis(5);

/// Accepts what waits on the sockets, and what the kernel still keeps to itself, until it is over or the deadline has come. Only for sockets
/// that nobody goes on with: they are changed for whoever else has them, and a successor takes what the kernel keeps.
pub(crate) async fn accept_deferred(
    listening: &[(Arc<Lane>, TcpListener)],
    shutdown: &ShutdownWatch,
    deadline: Instant,
) {
    for (_, socket) in listening {
        if let Err(error) = sockets::defer_no_longer(socket) {
            tracing::warn!(%error, "clients that have connected and not spoken yet are cut off");
        }
    }
    let until = deadline.min(Instant::now() + GIVING_OUT);
    while Instant::now() < until {
        for (lane, socket) in listening {
            accept_all(lane, socket, shutdown);
        }
        sleep_until(until.min(Instant::now() + LOOK)).await;
    }
}

/// Accepts what waits on a socket, which does not block. What comes later finds nobody, and is told so by the kernel.
pub(crate) fn accept_all(lane: &Arc<Lane>, listener: &TcpListener, shutdown: &ShutdownWatch) {
    loop {
        match listener.accept() {
            Ok((socket, peer)) => match socket.set_nonblocking(true) {
                Ok(()) => lane.welcome_slowly(socket, peer, shutdown.clone()),
                Err(error) => {
                    tracing::warn!(%error, "a connection of the last moment cannot be served");
                }
            },
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
