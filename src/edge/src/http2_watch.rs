//! Watches the frames of an HTTP/2 connection pass by (RFC 9113 §4.1), for what the HTTP/2 library does not tell: that a frame or a
//! header block has begun and not ended, that a client sends everything but requests, that it does not take what is written.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// What has been seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// What is left of the client's preface (§3.4).
    preface: usize,
    header: [u8; HEADER],
    header_len: usize,
    payload: usize,
    /// Between a HEADERS frame and the end of its block.
    in_block: bool,
    /// Since when a frame, or a block of header fields, has been incomplete. Content may take its time.
    pub(crate) incomplete: Option<Instant>,
    /// Since when the client has not taken what is written.
    pub(crate) stuck: Option<Instant>,
    requests: u64,
    others: u64,
    written: u64,
}

const HEADER: usize = 9;
const PREFACE: usize = 24;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// How many frames that are no requests a connection may send, in all, for each request, and for each so many bytes that it got (it may
/// widen a window for each). A browser sends about one for each request.
const OTHERS: u64 = 1_000;
const OTHERS_PER_REQUEST: u64 = 20;
const BYTES_PER_OTHER: u64 = 512;

impl Seen {
    /// Whether the client sends frames for the sake of it: PING, SETTINGS, PRIORITY, empty DATA and their like (RFC 9113 §10.5).
    pub(crate) fn is_flood(&self) -> bool {
        let fair = OTHERS + self.requests * OTHERS_PER_REQUEST + self.written / BYTES_PER_OTHER;
        self.others > fair
    }

    fn read(&mut self, mut bytes: &[u8], now: Instant) {
        while !bytes.is_empty() {
            if self.preface > 0 {
                self.preface -= take(&mut bytes, self.preface).len();
            } else if self.payload > 0 {
                self.payload -= take(&mut bytes, self.payload).len();
            } else {
                let part = take(&mut bytes, HEADER - self.header_len);
                self.header[self.header_len..][..part.len()].copy_from_slice(part);
                self.header_len += part.len();
                if self.header_len == HEADER {
                    self.begin_frame();
                }
            }
            let is_content = self.payload > 0 && self.header[3] == DATA;
            let whole = self.payload == 0 && self.header_len == 0 && self.preface == 0;
            self.incomplete = match self.incomplete {
                _ if is_content || (whole && !self.in_block) => None,
                since => since.or(Some(now)),
            };
        }
    }

    fn begin_frame(&mut self) {
        self.header_len = 0;
        let [a, b, c, kind, flags, ..] = self.header;
        self.payload = u32::from_be_bytes([0, a, b, c]) as usize;
        let ends = flags & END_HEADERS != 0;
        match kind {
            HEADERS => {
                self.requests += 1;
                self.in_block = !ends;
            }
            DATA if self.payload > 0 => {}
            _ => {
                self.others += 1;
                self.in_block &= !(kind == CONTINUATION && ends);
            }
        }
    }

    fn wrote(&mut self, written: &Poll<io::Result<usize>>, now: impl FnOnce() -> Instant) {
        match written {
            Poll::Ready(Ok(len)) => {
                self.written += *len as u64;
                self.stuck = None;
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.stuck = self.stuck.or_else(|| Some(now())),
        }
    }
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (part, rest) = bytes.split_at(len.min(bytes.len()));
    *bytes = rest;
    part
}

/// The view on a connection that belongs to the HTTP/2 library.
#[derive(Clone, Debug)]
pub(crate) struct Watch(Arc<Mutex<Seen>>);

impl Watch {
    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        // One task has both ends; the lock is for the compiler.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that is watched. Begins with what has been read from it already.
pub(crate) struct Watched<S> {
    stream: S,
    read: Vec<u8>,
    watch: Watch,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, read: Vec<u8>) -> (Self, Watch) {
        let seen = Seen {
            preface: PREFACE,
            ..Seen::default()
        };
        let watch = Watch(Arc::new(Mutex::new(seen)));
        let watched = Self {
            stream,
            read,
            watch: watch.clone(),
        };
        (watched, watch)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = if self.read.is_empty() {
            Pin::new(&mut self.stream).poll_read(cx, buf)
        } else {
            let len = self.read.len().min(buf.remaining());
            buf.put_slice(&self.read[..len]);
            self.read.drain(..len);
            Poll::Ready(Ok(()))
        };
        let new = &buf.filled()[before..];
        if !new.is_empty() {
            self.watch.seen().read(new, Instant::now());
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch.seen().wrote(&written, Instant::now);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch.seen().wrote(&written, Instant::now);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        let as_written = match &flushed {
            Poll::Pending => Poll::Pending,
            Poll::Ready(_) => Poll::Ready(Ok(0)),
        };
        self.watch.seen().wrote(&as_written, Instant::now);
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let len = (payload.len() as u32).to_be_bytes();
        [&len[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    #[test]
    fn a_frame_or_block_is_incomplete_from_its_first_byte_to_its_last() {
        let stream = [
            (frame(4, 0, &[0; 6]), false),
            (frame(HEADERS, 0, b"abc"), true),
            (frame(CONTINUATION, 0, b"abc"), true),
            (frame(CONTINUATION, END_HEADERS, b""), false),
            (frame(HEADERS, END_HEADERS, b"abc"), false),
            (frame(6, 0, &[0; 8]), false),
        ];
        let mut seen = Seen {
            preface: PREFACE,
            ..Seen::default()
        };
        let now = Instant::now();
        for at in 0..PREFACE {
            seen.read(b"P", now);
            assert_eq!(seen.incomplete.is_some(), at + 1 < PREFACE, "{at}");
        }
        for (frame, open_after) in stream {
            for at in 0..frame.len() {
                seen.read(&frame[at..=at], now);
                let last = at + 1 == frame.len();
                assert_eq!(
                    seen.incomplete.is_some(),
                    !last || open_after,
                    "{frame:?} {at}"
                );
            }
        }
        assert_eq!((seen.requests, seen.others), (2, 4));
        seen.read(&frame(DATA, 0, &[0; 100])[..20], now);
        assert_eq!(seen.incomplete, None, "content may take its time");
    }

    #[test]
    fn who_sends_everything_but_requests_floods() {
        let mut seen = Seen::default();
        let now = Instant::now();
        let (ping, request) = (frame(6, 0, &[0; 8]), frame(HEADERS, END_HEADERS, b""));
        for _ in 0..OTHERS {
            seen.read(&ping, now);
        }
        assert!(!seen.is_flood());
        seen.read(&ping, now);
        assert!(seen.is_flood());
        seen.read(&request, now);
        assert!(!seen.is_flood(), "they are few for so many requests");
    }
}
