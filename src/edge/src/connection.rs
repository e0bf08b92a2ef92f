//! One connection between its bytes: what is left of a request that has not come whole, and of answers that the client has not taken.
//! An idle connection holds no buffer: bytes are received into its worker's, answered there, and sent from there at once.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::conversation::{AnsweredScan, Moment, Next, Origin, Worker, converse};
use crate::lane::Lane;
use crate::upstream::Forward;

/// How much is received at once: dozens of requests of a pipelining client.
const RECEIVE: usize = 16 * 1024;

/// How long a new connection has for its first bytes while the edge drains: they come with it, or a round trip later.
pub(crate) const FIRST_BYTES: Duration = Duration::from_secs(1);

/// How many times a connection receives, answers and sends before the others on its thread get their turn.
const ROUNDS: usize = 8;

/// A connection's state.
pub(crate) struct Connection {
    origin: Origin,
    /// What was received and not yet answered.
    input: Vec<u8>,
    /// What was answered and not yet sent, and the scans among it.
    unsent: Vec<u8>,
    answered: Vec<AnsweredScan>,
    /// Since when it is tried to be sent.
    sending: Option<Instant>,
    next: Next,
    /// What the general lane is to answer.
    forward: Option<Box<Forward>>,
    received_at: Instant,
    /// Nothing has come yet.
    new: bool,
    /// When the first byte came of what is in `input`.
    head_began: Option<Instant>,
}

/// How a connection's time on the express lane ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// At once.
    Close,
    /// After what the client is still sending has been read.
    Linger,
    /// It goes to the general lane, see [`Connection::hand_over`].
    Forward,
}

impl Connection {
    pub(crate) fn new(origin: Origin) -> Self {
        Self {
            origin,
            input: Vec::new(),
            unsent: Vec::new(),
            answered: Vec::new(),
            sending: None,
            next: Next::Receive,
            forward: None,
            received_at: Instant::now(),
            new: true,
            head_began: None,
        }
    }

    /// Whether nobody is owed an answer, and nobody is in the middle of asking.
    pub(crate) fn is_idle(&self) -> bool {
        self.input.is_empty() && self.sending.is_none()
    }

    /// Whether nothing has come yet. While the edge drains, that may be because nobody has looked: it is given a moment.
    pub(crate) fn is_new(&self) -> bool {
        self.new
    }

    /// When it has taken too long.
    pub(crate) fn deadline(&self, lane: &Lane) -> Instant {
        let limits = &lane.rules.limits;
        match (self.sending, self.head_began) {
            (None, None) if self.new && lane.is_draining() => {
                self.received_at + limits.idle.min(FIRST_BYTES)
            }
            (Some(since), _) => since + limits.send,
            (None, Some(began)) => began + limits.head,
            (None, None) => self.received_at + lane.idle(),
        }
    }

    /// Receives, answers and sends until there is nothing to do but wait, or others are to have their turn. Also says whether anything was
    /// done.
    pub(crate) fn poll<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        lane: &Lane,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> (Poll<io::Result<End>>, bool) {
        let mut moved = false;
        for _ in 0..ROUNDS {
            let step = if self.sending.is_some() {
                self.poll_send(lane, stream, cx)
            } else if self.next == Next::Answer {
                let input = std::mem::take(&mut self.input);
                let worker = &mut *lane.lock_worker();
                self.answer(lane, worker, &input, stream, cx)
                    .map_ok(|()| None)
            } else {
                self.poll_receive(lane, stream, cx)
            };
            match step {
                Poll::Pending => return (Poll::Pending, moved),
                Poll::Ready(Err(error)) => return (Poll::Ready(Err(error)), moved),
                Poll::Ready(Ok(Some(end))) => return (Poll::Ready(Ok(end)), moved),
                Poll::Ready(Ok(None)) => moved = true,
            }
            let end = match self.next {
                _ if self.sending.is_some() => None,
                Next::Close {
                    may_be_sending: true,
                } => Some(End::Linger),
                Next::Close {
                    may_be_sending: false,
                } => Some(End::Close),
                Next::Forward => Some(End::Forward),
                Next::Receive | Next::Answer => None,
            };
            if let Some(end) = end {
                return (Poll::Ready(Ok(end)), moved);
            }
        }
        cx.waker().wake_by_ref();
        (Poll::Pending, moved)
    }

    /// What goes to the general lane: the request, and what was received behind its head.
    pub(crate) fn hand_over(&mut self) -> Option<(Box<Forward>, Vec<u8>)> {
        let forward = self.forward.take()?;
        Some((forward, std::mem::take(&mut self.input)))
    }

    /// Back from there: `input` has been received and not answered, `answer` is to be sent first.
    pub(crate) fn take_back(&mut self, input: Vec<u8>, answer: Vec<u8>, closes: bool) {
        let now = Instant::now();
        self.next = match () {
            () if closes => Next::Close {
                may_be_sending: true,
            },
            () if input.is_empty() => Next::Receive,
            () => Next::Answer,
        };
        self.sending = (!answer.is_empty()).then_some(now);
        (self.input, self.unsent) = (input, answer);
        (self.received_at, self.head_began, self.new) = (now, None, false);
    }

    fn poll_receive<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        lane: &Lane,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<End>>> {
        let worker = &mut *lane.lock_worker();
        // Lent for the time of a request; a request that panics takes it along.
        let mut received = std::mem::take(&mut worker.received);
        if received.is_empty() {
            received = vec![0; RECEIVE].into();
        }
        let mut buffer = ReadBuf::new(&mut received);
        let outcome = match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Poll::Ready(Ok(Some(End::Close))),
            Poll::Ready(Ok(())) => {
                (self.received_at, self.new) = (Instant::now(), false);
                let bytes = buffer.filled();
                let answered = if self.input.is_empty() {
                    self.answer(lane, worker, bytes, stream, cx)
                } else {
                    let mut input = std::mem::take(&mut self.input);
                    input.extend_from_slice(bytes);
                    self.answer(lane, worker, &input, stream, cx)
                };
                answered.map_ok(|()| None)
            }
            other => other.map_ok(|()| None),
        };
        worker.received = received;
        outcome
    }

    /// Answers what is complete in the input, sends as much as the client takes at once, and keeps what is left of both.
    fn answer<S: AsyncWrite + Unpin>(
        &mut self,
        lane: &Lane,
        worker: &mut Worker,
        input: &[u8],
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        worker.output.clear();
        worker.answered.clear();
        let (state, trust) = (lane.table.load(), lane.admission.trust());
        let moment = Moment {
            view: &state.pin(),
            rules: &lane.rules,
            trusted: &trust.proxies,
            now: Timestamp::now(),
            draining: lane.is_draining(),
            crowded: lane.admission.is_crowded(),
        };
        let (used, next) = converse(input, self.origin, &moment, worker);
        self.next = next;
        self.forward = worker.forward.take();
        self.keep(&input[used..], used > 0);
        if worker.output.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let sent = poll_write_all(stream, &worker.output, cx)?;
        let flushed = sent == worker.output.len() && Pin::new(stream).poll_flush(cx)?.is_ready();
        if flushed {
            worker.sent(&worker.answered, self.received_at.elapsed());
        } else {
            self.sending = Some(Instant::now());
            self.unsent.extend_from_slice(&worker.output[sent..]);
            self.answered.append(&mut worker.answered);
        }
        Poll::Ready(Ok(()))
    }

    /// What is left of the input came with the last bytes, unless no request was complete in them either.
    fn keep(&mut self, rest: &[u8], answered: bool) {
        self.input = rest.to_vec();
        self.head_began = match self.head_began {
            _ if rest.is_empty() => None,
            Some(began) if !answered => Some(began),
            _ => Some(self.received_at),
        };
    }

    fn poll_send<S: AsyncWrite + Unpin>(
        &mut self,
        lane: &Lane,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<End>>> {
        let sent = poll_write_all(stream, &self.unsent, cx)?;
        self.unsent.drain(..sent);
        if !self.unsent.is_empty() {
            return Poll::Pending;
        }
        ready!(Pin::new(stream).poll_flush(cx))?;
        let took = self.received_at.elapsed();
        lane.lock_worker().sent(&self.answered, took);
        (self.unsent, self.answered, self.sending) = (Vec::new(), Vec::new(), None);
        Poll::Ready(Ok(None))
    }
}

/// Writes as much as is taken; if that is not all, the task is woken when more is.
fn poll_write_all<S: AsyncWrite + Unpin>(
    stream: &mut S,
    bytes: &[u8],
    cx: &mut Context<'_>,
) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match Pin::new(&mut *stream).poll_write(cx, &bytes[sent..])? {
            Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(more) => sent += more,
            Poll::Pending => break,
        }
    }
    Ok(sent)
}
