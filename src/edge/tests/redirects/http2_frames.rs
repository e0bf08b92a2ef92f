//! A client that speaks HTTP/2 frame by frame, also wrong ones (RFC 9113 §4, §6).

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of a GOAWAY or RST_STREAM.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// A frame as bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&len[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head, payload.to_vec()].concat()
}

/// HPACK literals without indexing and without Huffman coding (RFC 7541 §6.2.2).
pub fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            integer(&mut block, text.len());
            block.extend(text.bytes());
        }
    }
    block
}

/// RFC 7541 §5.1, with a prefix of 7 bits.
fn integer(block: &mut Vec<u8>, number: usize) {
    if number < 127 {
        return block.push(number as u8);
    }
    block.push(127);
    let mut rest = number - 127;
    while rest >= 128 {
        block.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    block.push(rest as u8);
}

/// The fields of a GET.
pub fn get(path: &str) -> Vec<(&str, &str)> {
    vec![
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", crate::fixture::HOST),
        (":path", path),
    ]
}

/// A whole request in one frame.
pub fn request(stream: u32, list: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields(list))
}

/// A connection.
pub struct Http2 {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Http2 {
    /// Connects and says nothing.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        // Only a server that hangs ever meets this.
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            received: Vec::new(),
        }
    }

    /// Connects and opens the connection as RFC 9113 §3.4 wants it, with these settings.
    pub fn open(address: SocketAddr, settings: &[u8]) -> Self {
        let mut client = Self::connect(address);
        client.send(&[PREFACE, &frame(SETTINGS, 0, 0, settings)].concat());
        let first = client.next().unwrap();
        assert_eq!((first.kind, first.flags), (SETTINGS, 0), "RFC 9113 3.4");
        client.send(&frame(SETTINGS, ACK, 0, b""));
        let acknowledged = client.until(|frame| frame.kind == SETTINGS);
        assert_eq!(acknowledged.unwrap().flags, ACK, "RFC 9113 6.5.3");
        client
    }

    /// A server that has closed need not listen to it.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// The next frame; none: the connection has ended.
    pub fn next(&mut self) -> Option<Frame> {
        loop {
            if let [a, b, c, ..] = self.received[..] {
                let len = 9 + u32::from_be_bytes([0, a, b, c]) as usize;
                if self.received.len() >= len {
                    let whole: Vec<u8> = self.received.drain(..len).collect();
                    return Some(Frame {
                        kind: whole[3],
                        flags: whole[4],
                        stream: u32::from_be_bytes(whole[5..9].try_into().unwrap()),
                        payload: whole[9..].to_vec(),
                    });
                }
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(len) => self.received.extend_from_slice(&buffer[..len]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("the server neither answers nor closes: {error}"),
            }
        }
    }

    /// The next frame that is wanted; none: the connection has ended before it.
    pub fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Option<Frame> {
        loop {
            let frame = self.next()?;
            if wanted(&frame) {
                return Some(frame);
            }
        }
    }

    /// The header block of the answer on a stream.
    pub fn answer(&mut self, stream: u32) -> Frame {
        let of_stream = |frame: &Frame| {
            frame.kind == GOAWAY || frame.stream == stream && frame.kind != WINDOW_UPDATE
        };
        let answer = self.until(of_stream);
        let answer = answer.unwrap_or_else(|| panic!("closed without an answer on {stream}"));
        assert_eq!(answer.kind, HEADERS, "{answer:?}");
        answer
    }

    /// Whether a request is answered.
    pub fn is_alive(&mut self, stream: u32) -> bool {
        self.send(&request(stream, &get("/abc")));
        let answer = self.until(|frame| frame.kind == GOAWAY || frame.stream == stream);
        answer.is_some_and(|frame| frame.kind == HEADERS)
    }
}
