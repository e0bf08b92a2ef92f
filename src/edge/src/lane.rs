//! The express lane: HTTP/1.x connections, each a [`Conversation`] over a Pingora stream, with the deadlines of [`Limits`].

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use pingora_core::apps::ServerApp;
use pingora_core::protocols::Stream;
use pingora_core::server::ShutdownWatch;
use table::Table;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::conversation::{Conversation, Moment, Next, Rules, Worker};
use crate::options::Limits;

/// How much is received at once: several requests of a pipelining client, or one of a browser.
const RECEIVE: usize = 4 * 1024;

/// One worker thread's connections.
pub(crate) struct Lane {
    pub(crate) table: Arc<Table>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) worker: Arc<Mutex<Worker>>,
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
        let digest = stream.get_socket_digest();
        let peer = digest
            .as_ref()
            .and_then(|digest| digest.peer_addr()?.as_inet().copied());
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        if let Err(error) = self.serve(&mut stream, peer, shutdown.clone()).await {
            tracing::trace!(%error, "a connection ended"); // the client's doing, and of no interest to anyone
        }
        None
    }
}

impl Lane {
    async fn serve(
        &self,
        stream: &mut Stream,
        peer: IpAddr,
        mut shutdown: ShutdownWatch,
    ) -> io::Result<()> {
        let limits = &self.rules.limits;
        let mut conversation = Conversation::new(peer);
        let mut shut_down = pin!(async move {
            let _ = shutdown.wait_for(|stop| *stop).await;
        });
        let mut received_at = Instant::now();
        let mut timer = pin!(sleep_until(received_at + limits.idle));
        let mut head_began = None;
        loop {
            let (next, answered) = self.answer(&mut conversation);
            if answered {
                timeout(limits.send, send(stream, &conversation.output)).await??;
                conversation.sent(&self.lock_worker(), received_at.elapsed());
            }
            match next {
                Next::Answer => continue,
                Next::Close {
                    may_be_sending: false,
                } => return Ok(()),
                Next::Close {
                    may_be_sending: true,
                } => return linger(stream, &mut conversation.input, limits).await,
                Next::Receive => {}
            }
            // What is left of the input came with the last bytes, unless no request was complete in them either.
            let idle = conversation.input.is_empty();
            head_began = match head_began {
                _ if idle => None,
                Some(began) if !answered => Some(began),
                _ => Some(received_at),
            };
            let deadline = head_began
                .map_or_else(|| Instant::now() + limits.idle, |began| began + limits.head);
            conversation.input.reserve(RECEIVE);
            let received = tokio::select! {
                biased;
                received = stream.read_buf(&mut conversation.input) => received?,
                () = until(deadline, timer.as_mut()) => return Ok(()),
                // Nobody is owed an answer. Who is in the middle of a request is answered first.
                () = &mut shut_down, if idle => return Ok(()),
            };
            if received == 0 {
                return Ok(());
            }
            received_at = Instant::now();
        }
    }

    /// Answers what has come in, from one state of the table. Also says whether there is anything to send.
    fn answer(&self, conversation: &mut Conversation) -> (Next, bool) {
        if conversation.input.is_empty() {
            return (Next::Receive, false);
        }
        let state = self.table.load();
        let moment = Moment {
            view: &state.pin(),
            rules: &self.rules,
            now: Timestamp::now(),
            draining: self.is_draining(),
        };
        let next = conversation.answer(&moment, &mut self.lock_worker());
        (next, !conversation.output.is_empty())
    }

    fn is_draining(&self) -> bool {
        // Relaxed: nothing else is published with it, and a request more or less before it is seen makes no difference.
        self.draining.load(Ordering::Relaxed)
    }

    fn lock_worker(&self) -> MutexGuard<'_, Worker> {
        // A request that panicked has left nothing that the next would trip over: the scan log is written record by record.
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until `deadline` on a timer that is moved only when it has to be: earlier, or when it went off too early. Most waits are
/// over long before, and a timer that stays where it is costs them nothing.
async fn until(deadline: Instant, mut timer: Pin<&mut Sleep>) {
    if deadline < timer.deadline() {
        timer.as_mut().reset(deadline);
    }
    loop {
        timer.as_mut().await;
        if Instant::now() >= deadline {
            return;
        }
        timer.as_mut().reset(deadline);
    }
}

async fn send(stream: &mut Stream, output: &[u8]) -> io::Result<()> {
    stream.write_all(output).await?;
    stream.flush().await
}

/// Says that nothing more will come, and reads what the client is still sending, within limits: closing with unread bytes would
/// reset the connection, and the answer with it (RFC 9112 §9.6).
async fn linger(stream: &mut Stream, buffer: &mut Vec<u8>, limits: &Limits) -> io::Result<()> {
    let drained = async {
        stream.shutdown().await?;
        let mut drained = 0;
        while drained < limits.linger_bytes {
            buffer.clear();
            buffer.reserve(RECEIVE);
            match stream.read_buf(buffer).await? {
                0 => break,
                received => drained += received,
            }
        }
        Ok(())
    };
    timeout(limits.linger, drained).await.unwrap_or(Ok(()))
}
