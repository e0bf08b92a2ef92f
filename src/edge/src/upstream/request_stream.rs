//! A connection for the time of one request: its reader gets the request's head as we wrote it, then its content, and not a byte of
//! what follows. When it is dropped, the connection goes back to where it came from.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use super::content::{ContentError, ContentReader};
use super::failure::Failure;
use super::pace::{Pace, PaceLimit};

/// How much content is received at once.
const RECEIVE: usize = 8 * 1024;

/// How slow the client may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paces {
    /// To send the request's content.
    pub(super) content: PaceLimit,
    /// To take the answer.
    pub(super) answer: PaceLimit,
}

/// The connection and how far the request has come.
pub(super) struct Parts {
    pub(super) stream: Stream,
    /// What was received and not yet passed on; once the content is complete, what follows it.
    pub(super) input: Vec<u8>,
    pub(super) content: ContentReader,
    /// Whether anything has been sent to the client.
    pub(super) answered: bool,
    /// What is wrong with the content, or with how it comes.
    pub(super) fault: Option<Failure>,
    /// What is to be read next, and how much of it has been.
    output: Vec<u8>,
    read: usize,
    content_pace: Pace,
    answer_pace: Pace,
}

/// See the module.
pub(super) struct RequestStream {
    /// There until it is dropped.
    parts: Option<Parts>,
    home: Option<oneshot::Sender<Parts>>,
}

impl RequestStream {
    /// The request with this head, over this connection, of which `input` has been received. The second part gets the connection back.
    pub(super) fn new(
        stream: Stream,
        input: Vec<u8>,
        head: Vec<u8>,
        content: ContentReader,
        paces: &Paces,
    ) -> (Self, oneshot::Receiver<Parts>) {
        let (home, back) = oneshot::channel();
        let parts = Parts {
            stream,
            input,
            content,
            answered: false,
            fault: None,
            output: head,
            read: 0,
            content_pace: Pace::new(paces.content),
            answer_pace: Pace::new(paces.answer),
        };
        let stream = Self {
            parts: Some(parts),
            home: Some(home),
        };
        (stream, back)
    }

    fn parts(&self) -> &Parts {
        self.parts.as_ref().expect("only dropping takes them")
    }

    fn parts_mut(&mut self) -> &mut Parts {
        self.parts.as_mut().expect("only dropping takes them")
    }
}

impl Drop for RequestStream {
    fn drop(&mut self) {
        if let (Some(parts), Some(home)) = (self.parts.take(), self.home.take()) {
            let _ = home.send(parts); // who does not want it back any more lets it be closed
        }
    }
}

impl Parts {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let ready = &self.output[self.read..];
            if !ready.is_empty() {
                let len = ready.len().min(buffer.remaining());
                buffer.put_slice(&ready[..len]);
                self.read += len;
                return Poll::Ready(Ok(()));
            }
            self.output.clear();
            self.read = 0;
            if self.content.is_complete() {
                // Whatever comes now is the next request. Who waits here waits for the answer.
                return Poll::Pending;
            }
            if self.input.is_empty() {
                self.input = Vec::new();
            }
            if let Err(error) = self.content.read(&mut self.input, &mut self.output) {
                self.fault = Some(match error {
                    ContentError::TooLarge => Failure::BodyTooLarge,
                    ContentError::Malformed => Failure::BodyMalformed,
                });
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            if self.output.is_empty() && !self.content.is_complete() {
                ready!(self.poll_receive(cx))?;
            }
        }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [0; RECEIVE];
        let mut received = ReadBuf::new(&mut space);
        let Poll::Ready(outcome) = Pin::new(&mut self.stream).poll_read(cx, &mut received) else {
            return self
                .content_pace
                .poll_too_slow(cx)
                .map(|()| self.too_slow());
        };
        outcome?;
        self.content_pace.moved(received.filled().len());
        if received.filled().is_empty() {
            self.fault = Some(Failure::Client);
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        self.input.extend_from_slice(received.filled());
        Poll::Ready(Ok(()))
    }

    /// Waits for the client to take what it is sent.
    fn poll_taken<T>(
        &mut self,
        taken: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        match taken {
            Poll::Pending => {
                ready!(self.answer_pace.poll_too_slow(cx));
                Poll::Ready(self.too_slow())
            }
            taken => taken,
        }
    }

    fn too_slow<T>(&mut self) -> io::Result<T> {
        self.fault = Some(Failure::ClientTooSlow);
        Err(io::ErrorKind::TimedOut.into())
    }
}

impl AsyncRead for RequestStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().parts_mut().poll_read(cx, buffer)
    }
}

impl AsyncWrite for RequestStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let parts = self.get_mut().parts_mut();
        let written = Pin::new(&mut parts.stream).poll_write(cx, bytes);
        let written = ready!(parts.poll_taken(written, cx))?;
        parts.answer_pace.moved(written);
        parts.answered |= written > 0;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let parts = self.get_mut().parts_mut();
        let flushed = Pin::new(&mut parts.stream).poll_flush(cx);
        ready!(parts.poll_taken(flushed, cx))?;
        parts.answer_pace.moved(0);
        Poll::Ready(Ok(()))
    }

    /// Nothing: the connection is closed by whom it goes back to.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Shutdown for RequestStream {
    async fn shutdown(&mut self) {}
}

impl UniqueID for RequestStream {
    fn id(&self) -> UniqueIDType {
        self.parts().stream.id()
    }
}

// Nothing that is asked of a request for a site depends on the client's TLS.
impl Ssl for RequestStream {}

impl GetTimingDigest for RequestStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.parts().stream.get_timing_digest()
    }
}

impl GetProxyDigest for RequestStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for RequestStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.parts().stream.get_socket_digest()
    }
}

impl Peek for RequestStream {}

impl fmt::Debug for RequestStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestStream") // without the client's address
    }
}
