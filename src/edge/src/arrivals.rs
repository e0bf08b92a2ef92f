//! Takes in connections. They are accepted here and not by Pingora's service, because in a rush most of them bring one request and go:
//! where no handshake comes first, that is answered at once, before the runtime, its poller or a task hear of the connection. Four
//! system calls are left (accept, receive, send, close) of the nine that the service and its stream made. Also, the service would try
//! again without a pause when the system has no memory or descriptors left for a connection.

use std::io::{self, Read, Write};
use std::net::{self, SocketAddr};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use mio::net::TcpListener;
use pingora_core::apps::ServerApp as _;
use pingora_core::protocols::l4::stream::Stream as SocketStream;
use pingora_core::protocols::{GetSocketDigest, SocketDigest, Stream};
use pingora_core::server::ShutdownWatch;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::connection::{Connection, End};
use crate::conversation::Origin;
use crate::lane::{Lane, linger};

/// How many are taken in before those that are there already get their turn.
const AT_ONCE: usize = 32;
/// How long nothing is accepted after it failed, most likely for want of descriptors: the kernel keeps who comes meanwhile.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes in connections until it is told to stop. Fails when the runtime cannot watch the socket.
pub(crate) async fn take_in(
    lane: Arc<Lane>,
    listener: net::TcpListener,
    mut shutdown: ShutdownWatch,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener);
    // Deprecated for types that lie about their descriptor; its successor is `unsafe`, which is forbidden here.
    #[expect(
        deprecated,
        reason = "a listener keeps its descriptor as long as it lives"
    )]
    let listener = AsyncFd::with_interest(listener, Interest::READABLE)?;
    let mut failing = false;
    loop {
        let mut ready = tokio::select! {
            biased;
            _ = shutdown.wait_for(|stop| *stop) => return Ok(()),
            ready = listener.readable() => ready?,
        };
        for _ in 0..AT_ONCE {
            match listener.get_ref().accept() {
                Ok((socket, peer)) => {
                    failing = false;
                    // A request that panics is one connection's end, and not that of all others on this thread.
                    let welcome = AssertUnwindSafe(|| lane.welcome(socket.into(), peer, &shutdown));
                    if catch_unwind(welcome).is_err() {
                        tracing::error!("a request panicked: its connection is closed");
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    break;
                }
                // It went while it was waiting.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!(%error, "connections cannot be accepted for now; they wait");
                    }
                    tokio::time::sleep(PAUSE).await;
                    break;
                }
            }
        }
        tokio::task::yield_now().await;
    }
}

impl Lane {
    /// Answers what a new connection has brought, and keeps it if there is more to it.
    fn welcome(
        self: &Arc<Self>,
        socket: net::TcpStream,
        peer: SocketAddr,
        shutdown: &ShutdownWatch,
    ) {
        let ip = peer.ip().to_canonical();
        if self.tls.is_some() || self.rules.h2c || self.admission.announces(ip) {
            return self.welcome_slowly(socket, peer, shutdown.clone());
        }
        let Some(admitted) = self.admission.admit(ip) else {
            return;
        };
        let mut connection = Connection::new(Origin {
            peer: ip,
            tls: false,
        });
        let mut fresh = Fresh {
            socket: &socket,
            drained: false,
        };
        let mut nobody = Context::from_waker(Waker::noop());
        let end = match connection.poll(self, &mut fresh, &mut nobody).0 {
            Poll::Ready(Ok(End::Close) | Err(_)) => return,
            Poll::Ready(Ok(end)) => Some(end),
            Poll::Pending => None,
        };
        let (lane, shutdown) = (Arc::clone(self), shutdown.clone());
        tokio::spawn(async move {
            if let Err(error) = lane.keep(socket, peer, connection, end, shutdown).await {
                tracing::trace!(%error, "a connection ended"); // the client's doing, and of no interest to anyone
            }
            drop(admitted);
        });
    }

    /// Serves one that may begin with something else than a request.
    pub(crate) fn welcome_slowly(
        self: &Arc<Self>,
        socket: net::TcpStream,
        peer: SocketAddr,
        shutdown: ShutdownWatch,
    ) {
        let lane = Arc::clone(self);
        tokio::spawn(async move {
            match TcpStream::from_std(socket) {
                Ok(socket) => {
                    lane.process_new(for_pingora(socket, peer), &shutdown).await;
                }
                Err(error) => tracing::warn!(%error, "a connection cannot be served"),
            }
        });
    }

    /// Serves a connection that goes on, or that has come to this end.
    async fn keep(
        &self,
        socket: net::TcpStream,
        peer: SocketAddr,
        mut connection: Connection,
        end: Option<End>,
        shutdown: ShutdownWatch,
    ) -> io::Result<()> {
        let mut socket = TcpStream::from_std(socket)?;
        let end = match end {
            Some(end) => end,
            None => {
                self.answer(&mut socket, &mut connection, shutdown.clone())
                    .await?
            }
        };
        // Boxes, since most connections never get here.
        match end {
            End::Close => Ok(()),
            End::Linger => Box::pin(linger(&mut socket, &self.rules.limits)).await,
            End::Forward => {
                let mut stream = for_pingora(socket, peer);
                Box::pin(self.go_on(&mut stream, connection, end, shutdown)).await
            }
        }
    }
}

/// The connection as Pingora's proxy knows connections.
fn for_pingora(socket: TcpStream, peer: SocketAddr) -> Stream {
    let digest = SocketDigest::from_raw_fd(socket.as_raw_fd());
    let _ = digest.peer_addr.set(Some(peer.into())); // new, and so not set before
    let mut stream = SocketStream::from(socket);
    stream.set_socket_digest(digest);
    Box::new(stream)
}

/// A socket that nobody is woken for yet: what it cannot do at once is tried again when it has been handed to the runtime.
struct Fresh<'a> {
    socket: &'a net::TcpStream,
    /// Something came: what is behind it has to wait, so that nobody keeps those who wait to be accepted waiting.
    drained: bool,
}

impl AsyncRead for Fresh<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.drained {
            return Poll::Pending;
        }
        let room = buffer.initialize_unfilled();
        at_once(self.socket.read(room)).map_ok(|len| {
            self.drained = 0 < len;
            buffer.advance(len);
        })
    }
}

impl AsyncWrite for Fresh<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        at_once(self.socket.write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.shutdown(net::Shutdown::Write))
    }
}

fn at_once<T>(result: io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        done => Poll::Ready(done),
    }
}
