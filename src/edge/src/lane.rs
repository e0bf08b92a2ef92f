//! The express lane: HTTP/1.x connections, each a [`Connection`] over a stream, with the deadlines of [`Limits`].

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::apps::ServerApp;
use pingora_core::protocols::{ALPN, Shutdown, Ssl, Stream};
use pingora_core::server::ShutdownWatch;
use table::Table;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout, timeout_at};

use crate::admission::Admission;
use crate::connection::{Connection, End, FIRST_BYTES};
use crate::conversation::{Origin, Rules, Worker};
use crate::http2::PREFACE;
use crate::options::Limits;
use crate::tls::Tls;
use crate::upstream::GeneralLane;

/// How long a connection may stay idle while others need its place.
const CROWDED_IDLE: Duration = Duration::from_secs(1);
/// How long what comes before a connection's first request may take from the moment at which the edge stops: a handshake is two round
/// trips.
const LAST_HANDSHAKE: Duration = Duration::from_secs(2);

/// One worker thread's connections.
#[derive(Clone)]
pub(crate) struct Lane {
    pub(crate) admission: Arc<Admission>,
    /// For the connections of listeners that speak TLS.
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) table: Arc<Table>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) worker: Arc<Mutex<Worker>>,
    /// For what is not answered here.
    pub(crate) general: Arc<GeneralLane>,
    /// Whether connections are to be closed after the answer that is due.
    pub(crate) draining: Arc<AtomicBool>,
    /// Dropped with the lane, and so with the last of its connections.
    pub(crate) _open: mpsc::Sender<()>,
}

#[async_trait]
impl ServerApp for Lane {
    async fn process_new(
        self: &Arc<Self>,
        mut stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let peer = peer(&stream);
        let mut admitted = self.admission.admit(peer)?;
        let origin = if self.admission.announces(peer) {
            Box::pin(self.announced(&mut stream, &mut admitted, peer, shutdown)).await?
        } else {
            Origin { peer, tls: false }
        };
        let mut stream = match &self.tls {
            // In a box of its own, so that connections do not hold the space for a handshake as long as they live.
            Some(tls) => Box::pin(until_stopped(tls.accept(stream), shutdown)).await??,
            None => stream,
        };
        let origin = Origin {
            tls: origin.tls || self.tls.is_some(),
            ..origin
        };
        let mut connection = Connection::new(origin);
        if let Some((is_http2, read)) = self.sniffed(&mut stream, shutdown).await? {
            if is_http2 {
                let served = Box::pin(self.serve_http2(stream, read, origin, shutdown.clone()));
                if let Err(error) = served.await {
                    tracing::trace!(%error, "an HTTP/2 connection ended"); // as below
                }
                return None;
            }
            connection.take_back(read, Vec::new(), false);
        }
        if let Err(error) = self.serve(&mut stream, connection, shutdown.clone()).await {
            tracing::trace!(%error, "a connection ended"); // the client's doing, and of no interest to anyone
        } else if self.tls.is_some() {
            let ended = Shutdown::shutdown(&mut *stream);
            let _ = timeout(self.rules.limits.linger, ended).await;
        }
        None
    }
}

impl Lane {
    /// Whether the connection is HTTP/2's, and what had to be read to know. The outer none: it ended; the inner: it is not.
    async fn sniffed(
        &self,
        stream: &mut Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Option<(bool, Vec<u8>)>> {
        if self.tls.is_some() {
            let agreed = Ssl::selected_alpn_proto(&**stream) == Some(ALPN::H2);
            return Some(agreed.then(|| (true, Vec::new())));
        }
        if !self.rules.h2c {
            return Some(None);
        }
        Some(Some(Box::pin(self.preface(stream, shutdown)).await?))
    }

    /// Reads until it is clear whether the connection begins with HTTP/2's preface. While the edge stops, what has been sent is still
    /// answered, as it is on a connection that is not looked at like this.
    async fn preface(
        &self,
        stream: &mut Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<(bool, Vec<u8>)> {
        let limits = &self.rules.limits;
        let mut shutdown = shutdown.clone();
        let mut read = Vec::with_capacity(PREFACE.len());
        let accepted_at = Instant::now();
        let mut began = None;
        while read.len() < PREFACE.len() && PREFACE.starts_with(&read) {
            let stops = *shutdown.borrow_and_update();
            let deadline = match began {
                Some(began) => began + limits.head,
                None if stops => accepted_at + limits.idle.min(FIRST_BYTES),
                None => accepted_at + self.idle(),
            };
            let rest = (PREFACE.len() - read.len()) as u64;
            let mut next = (&mut *stream).take(rest);
            let received = tokio::select! {
                biased;
                received = timeout_at(deadline, next.read_buf(&mut read)) => received.ok()?.ok()?,
                // There is less time now, or as much again; or nobody is there to wait for it.
                changed = shutdown.changed() => {
                    changed.ok()?;
                    continue;
                }
            };
            if received == 0 {
                return None;
            }
            began = began.or_else(|| Some(Instant::now()));
        }
        Some((read == PREFACE, read))
    }

    /// Serves a connection to its end. What it awaits is small, as a hundred thousand idle ones are each as large.
    pub(crate) async fn serve(
        &self,
        stream: &mut Stream,
        mut connection: Connection,
        shutdown: ShutdownWatch,
    ) -> io::Result<()> {
        let end = self
            .answer(stream, &mut connection, shutdown.clone())
            .await?;
        self.go_on(stream, connection, end, shutdown).await
    }

    /// Serves a connection that has come to this end of its time on the express lane; it may come back.
    pub(crate) async fn go_on(
        &self,
        stream: &mut Stream,
        mut connection: Connection,
        mut end: End,
        shutdown: ShutdownWatch,
    ) -> io::Result<()> {
        loop {
            match end {
                End::Close => return Ok(()),
                End::Linger => return Box::pin(linger(stream, &self.rules.limits)).await,
                End::Forward => {}
            }
            let handed_over = Box::pin(self.hand_over(stream, &mut connection, &shutdown));
            end = match handed_over.await {
                Some(ended) => ended,
                None => {
                    self.answer(stream, &mut connection, shutdown.clone())
                        .await?
                }
            };
        }
    }

    /// Answers from memory until the connection ends, or a request is the general lane's.
    pub(crate) async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        connection: &mut Connection,
        mut shutdown: ShutdownWatch,
    ) -> io::Result<End> {
        let last_call = &self.rules.replaced;
        let deadline_of = |connection: &Connection| {
            let deadline = connection.deadline(self);
            let last_call = last_call.get().filter(|_| connection.is_idle());
            last_call.map_or(deadline, |last_call| deadline.min(*last_call))
        };
        let mut timer = pin!(sleep_until(deadline_of(connection)));
        let mut told = shutdown.clone();
        let mut shut_down = pin!(async move {
            let _ = shutdown.wait_for(|stop| *stop).await;
        });
        let (mut timed, mut heard, mut stopped) = (false, false, false);
        poll_fn(|cx| {
            let (poll, moved) = connection.poll(self, stream, cx);
            if poll.is_ready() {
                return poll;
            }
            // Where the stream woke this task, the others still know whom to wake: they are asked only if they have spoken too. Who is in the
            // middle of a request is answered first.
            if connection.is_idle() {
                if !(moved && heard) || told.has_changed().unwrap_or(true) {
                    heard = true;
                    told.mark_unchanged();
                    stopped = stopped || shut_down.as_mut().poll(cx).is_ready();
                }
                if stopped && !connection.is_new() && last_call.get().is_none() {
                    return Poll::Ready(Ok(End::Close));
                }
            }
            // Only now: whoever says from here on that there is less time is heard.
            let deadline = deadline_of(connection);
            if !(moved && timed) || timer.is_elapsed() || deadline < timer.deadline() {
                timed = true;
                if passed(deadline, timer.as_mut(), cx) {
                    return Poll::Ready(Ok(End::Close));
                }
            }
            Poll::Pending
        })
        .await
    }

    pub(crate) fn is_draining(&self) -> bool {
        // Relaxed: nothing else is published with it, and a request more or less before it is seen makes no difference.
        self.draining.load(Ordering::Relaxed)
    }

    /// How long a connection may stay idle now.
    pub(crate) fn idle(&self) -> Duration {
        let idle = self.rules.limits.idle;
        match self.admission.is_crowded() {
            true => idle.min(CROWDED_IDLE),
            false => idle,
        }
    }

    pub(crate) fn lock_worker(&self) -> MutexGuard<'_, Worker> {
        // A request that panicked has left nothing that the next would trip over: the scan log is written record by record.
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for what comes before a connection's first request, which has a deadline of its own; when the edge stops, for a moment only.
/// None: it is over.
pub(crate) async fn until_stopped<T>(
    work: impl Future<Output = T>,
    shutdown: &ShutdownWatch,
) -> Option<T> {
    let mut shutdown = shutdown.clone();
    let stopped = async {
        let _ = shutdown.wait_for(|stop| *stop).await;
        sleep(LAST_HANDSHAKE).await;
    };
    tokio::select! {
        biased;
        done = work => Some(done),
        () = stopped => None,
    }
}

/// Who is at the other end of the connection.
fn peer(stream: &Stream) -> IpAddr {
    let digest = stream.get_socket_digest();
    let peer = digest.and_then(|digest| digest.peer_addr()?.as_inet().copied());
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip())
}

/// Whether the deadline has come. The timer is moved only when it has to be: earlier, or when it went off too early. Most waits are
/// over long before, and a timer that stays where it is costs them nothing.
pub(crate) fn passed(deadline: Instant, mut timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> bool {
    if deadline < timer.deadline() {
        timer.as_mut().reset(deadline);
    }
    while timer.as_mut().poll(cx).is_ready() {
        if Instant::now() >= deadline {
            return true;
        }
        timer.as_mut().reset(deadline);
    }
    false
}

/// How much is thrown away at once.
const DRAIN: usize = 4 * 1024;

/// Says that nothing more will come, and reads what the client is still sending, within limits: closing with unread bytes would
/// reset the connection, and the answer with it (RFC 9112 §9.6).
pub(crate) async fn linger<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    limits: &Limits,
) -> io::Result<()> {
    let drained = async {
        stream.shutdown().await?;
        let (mut buffer, mut drained) = (vec![0; DRAIN], 0);
        while drained < limits.linger_bytes {
            match stream.read(&mut buffer).await? {
                0 => break,
                received => drained += received,
            }
        }
        Ok(())
    };
    timeout(limits.linger, drained).await.unwrap_or(Ok(()))
}
