//! Watches the frames of an HTTP/2 connection pass by (RFC 9113 §4.1), for what the HTTP/2 library does not tell: that a frame or a
//! header block has begun and not ended, that a client sends everything but requests, or mostly malformed ones, that it does not take
//! what is written.

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
    received: Frames,
    /// Between a HEADERS frame and the end of its block.
    in_block: bool,
    /// Since when a frame, or a block of header fields, has been incomplete. Content may take its time.
    pub(crate) incomplete: Option<Instant>,
    /// Since when the client has not taken what is written.
    pub(crate) stuck: Option<Instant>,
    requests: u64,
    others: u64,
    written: u64,
    sent: Frames,
    /// Of the RST_STREAM that is being written.
    code: u32,
    /// The streams that were reset for what the client did.
    faults: u64,
}

/// The frames of one direction.
#[derive(Debug, Default)]
struct Frames {
    header: [u8; HEADER],
    header_len: usize,
    /// What is left of the frame's payload.
    payload: usize,
}

/// What has been taken from the bytes of a direction.
enum Taken<'a> {
    /// A part of a header.
    Part,
    /// The last of a header.
    Header,
    Payload(&'a [u8]),
}

impl Frames {
    /// Takes what belongs together.
    fn take<'a>(&mut self, bytes: &mut &'a [u8]) -> Taken<'a> {
        if self.payload > 0 {
            let part = take(bytes, self.payload);
            self.payload -= part.len();
            return Taken::Payload(part);
        }
        let part = take(bytes, HEADER - self.header_len);
        self.header[self.header_len..][..part.len()].copy_from_slice(part);
        self.header_len += part.len();
        if self.header_len < HEADER {
            return Taken::Part;
        }
        self.header_len = 0;
        let [a, b, c, ..] = self.header;
        self.payload = u32::from_be_bytes([0, a, b, c]) as usize;
        Taken::Header
    }

    fn kind(&self) -> u8 {
        self.header[3]
    }

    fn flags(&self) -> u8 {
        self.header[4]
    }

    /// Whether a frame has ended and none begun.
    fn are_whole(&self) -> bool {
        self.payload == 0 && self.header_len == 0
    }
}

const HEADER: usize = 9;
const PREFACE: usize = 24;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// How many frames that are no requests a connection may send, in all, for each request, and for each so many bytes that it got (it may
/// widen a window for each). A browser sends about one for each request.
const OTHERS: u64 = 1_000;
const OTHERS_PER_REQUEST: u64 = 20;
const BYTES_PER_OTHER: u64 = 512;

/// How many streams may be reset for what the client did there, beyond half of all: one visitor of a proxy that shares its connection
/// must not take it from the others.
const FAULTS: u64 = 100;
/// PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR (RFC 9113 §7).
const CLIENTS_FAULT: [u32; 4] = [1, 3, 5, 6];

impl Seen {
    /// Whether the client sends frames for the sake of it: PING, SETTINGS, PRIORITY, empty DATA and their like (RFC 9113 §10.5).
    pub(crate) fn is_flood(&self) -> bool {
        let fair = OTHERS + self.requests * OTHERS_PER_REQUEST + self.written / BYTES_PER_OTHER;
        self.others > fair
    }

    /// Whether most of what the client asks is malformed.
    pub(crate) fn is_mostly_malformed(&self) -> bool {
        self.faults > FAULTS && self.faults * 2 > self.requests
    }

    fn read(&mut self, mut bytes: &[u8], now: Instant) {
        while !bytes.is_empty() {
            if self.preface > 0 {
                self.preface -= take(&mut bytes, self.preface).len();
            } else if let Taken::Header = self.received.take(&mut bytes) {
                self.begin_frame();
            }
            let is_content = self.received.payload > 0 && self.received.kind() == DATA;
            let whole = self.received.are_whole() && self.preface == 0;
            self.incomplete = match self.incomplete {
                _ if is_content || (whole && !self.in_block) => None,
                since => since.or(Some(now)),
            };
        }
    }

    fn begin_frame(&mut self) {
        let kind = self.received.kind();
        let ends = self.received.flags() & END_HEADERS != 0;
        match kind {
            HEADERS => {
                self.requests += 1;
                self.in_block = !ends;
            }
            DATA if self.received.payload > 0 => {}
            _ => {
                self.others += 1;
                self.in_block &= !(kind == CONTINUATION && ends);
            }
        }
    }

    /// Of these bytes, as many have been written.
    fn wrote<'a>(
        &mut self,
        bytes: impl IntoIterator<Item = &'a [u8]>,
        written: &Poll<io::Result<usize>>,
        now: impl FnOnce() -> Instant,
    ) {
        match written {
            Poll::Ready(Ok(len)) => {
                self.written += *len as u64;
                self.stuck = None;
                let mut left = *len;
                for bytes in bytes {
                    let bytes = &bytes[..left.min(bytes.len())];
                    left -= bytes.len();
                    self.write(bytes);
                }
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.stuck = self.stuck.or_else(|| Some(now())),
        }
    }

    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let Taken::Payload(part) = self.sent.take(&mut bytes) else {
                continue;
            };
            if self.sent.kind() == RST_STREAM {
                let code = part
                    .iter()
                    .fold(self.code, |code, byte| code << 8 | u32::from(*byte));
                let is_whole = self.sent.payload == 0;
                self.faults += u64::from(is_whole && CLIENTS_FAULT.contains(&code));
                self.code = if is_whole { 0 } else { code };
            }
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
        self.watch.seen().wrote([buf], &written, Instant::now);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        let bytes = bufs.iter().map(|buf| &**buf);
        self.watch.seen().wrote(bytes, &written, Instant::now);
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
        self.watch.seen().wrote([], &as_written, Instant::now);
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
    fn who_asks_mostly_what_is_malformed_is_told_from_one_who_shares_a_connection_with_such() {
        let now = Instant::now();
        let request = frame(HEADERS, END_HEADERS, b"");
        let reset = |code: u32| frame(RST_STREAM, 0, &code.to_be_bytes());
        let mut seen = Seen::default();
        let answers = [frame(4, 0, &[0; 6]), frame(DATA, 0, &[1; 300])].concat();
        for _ in 0..=FAULTS {
            assert!(!seen.is_mostly_malformed());
            seen.read(&request, now);
            // In pieces, as a socket takes them.
            for piece in [&answers[..], &reset(1), &reset(0), &reset(8)]
                .concat()
                .chunks(7)
            {
                seen.wrote(
                    [piece, &b"unwritten"[..]],
                    &Poll::Ready(Ok(piece.len())),
                    || now,
                );
            }
        }
        assert!(seen.is_mostly_malformed());
        for _ in 0..=FAULTS {
            seen.read(&request, now);
        }
        assert!(!seen.is_mostly_malformed());
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
