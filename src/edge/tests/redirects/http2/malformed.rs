//! Malformed frames and requests, each with its rule: what ends the connection, what the stream alone, and what nothing comes of.

use super::{
    COMPRESSION_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, PROTOCOL_ERROR, STREAM_CLOSED,
    Taken::{Ends, Ignored, Resets},
    check, headers, with, without,
};
use crate::http2_frames::*;

#[test]
fn frames() {
    let settings = |id: u16, value: u32| {
        let payload = [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
        frame(SETTINGS, 0, 0, &payload)
    };
    let increment = |by: u32| by.to_be_bytes();
    let open_stream = headers(1, END_HEADERS, &with(&[("content-length", "5")]));
    let then = |more: Vec<u8>| [open_stream.clone(), more].concat();
    check(vec![
        (
            "4.1 an unknown type is ignored",
            frame(99, 255, 0, b"x"),
            Ignored,
        ),
        (
            "4.1 the reserved bit is ignored",
            frame(PING, 0, 1 << 31, b"12345678"),
            Ignored,
        ),
        (
            "4.2 DATA larger than SETTINGS_MAX_FRAME_SIZE",
            then(frame(DATA, 0, 1, &[0; 16385])),
            Ends(&[FRAME_SIZE_ERROR]),
        ),
        (
            "4.2 HEADERS larger than SETTINGS_MAX_FRAME_SIZE",
            frame(HEADERS, END_HEADERS, 1, &[0; 16385]),
            Ends(&[FRAME_SIZE_ERROR]),
        ),
        (
            "4.3 a header block that cannot be decoded",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 12]),
            Ends(&[COMPRESSION_ERROR, PROTOCOL_ERROR]),
        ),
        (
            "4.3 an index beyond the table",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xbf]),
            Ends(&[COMPRESSION_ERROR, PROTOCOL_ERROR]),
        ),
        (
            "4.3 a frame within a header block",
            [
                headers(1, END_STREAM, &get("/abc")),
                frame(PRIORITY, 0, 1, &[0; 5]),
            ]
            .concat(),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "4.3 another stream within a header block",
            [
                headers(1, END_STREAM, &get("/abc")),
                request(3, &get("/abc")),
            ]
            .concat(),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "5.1 DATA on an idle stream",
            frame(DATA, END_STREAM, 1, b"x"),
            Ends(&[PROTOCOL_ERROR, STREAM_CLOSED]),
        ),
        (
            "5.1 RST_STREAM on an idle stream",
            frame(RST_STREAM, 0, 1, &[0; 4]),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "5.1 WINDOW_UPDATE on an idle stream",
            frame(WINDOW_UPDATE, 0, 1, &increment(1)),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "5.1 DATA after the end",
            [request(1, &get("/abc")), frame(DATA, 0, 1, b"x")].concat(),
            Ends(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
        (
            "5.1.1 an even stream",
            request(2, &get("/abc")),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "5.1.1 a stream lower than the last",
            [request(5, &get("/abc")), request(3, &get("/abc"))].concat(),
            Ends(&[PROTOCOL_ERROR, STREAM_CLOSED]),
        ),
        (
            "6.1 DATA on stream 0",
            frame(DATA, 0, 0, b"x"),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.1 padding longer than DATA",
            then(frame(DATA, PADDED, 1, &[9, 0])),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.2 HEADERS on stream 0",
            request(0, &get("/abc")),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.2 padding longer than HEADERS",
            frame(HEADERS, PADDED | END_HEADERS, 1, &[9, 0]),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.3 PRIORITY on stream 0",
            frame(PRIORITY, 0, 0, &[0; 5]),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.3 PRIORITY of a wrong length",
            frame(PRIORITY, 0, 1, &[0; 4]),
            Ends(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ),
        (
            "6.4 RST_STREAM on stream 0",
            frame(RST_STREAM, 0, 0, &[0; 4]),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.4 RST_STREAM of a wrong length",
            then(frame(RST_STREAM, 0, 1, &[0; 3])),
            Ends(&[FRAME_SIZE_ERROR]),
        ),
        (
            "6.5 SETTINGS on a stream",
            frame(SETTINGS, 0, 1, b""),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.5 an acknowledgement with content",
            frame(SETTINGS, ACK, 0, &[0; 6]),
            Ends(&[FRAME_SIZE_ERROR]),
        ),
        (
            "6.5 SETTINGS of a wrong length",
            frame(SETTINGS, 0, 0, &[0; 5]),
            Ends(&[FRAME_SIZE_ERROR]),
        ),
        (
            "6.5.2 ENABLE_PUSH neither 0 nor 1",
            settings(2, 2),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.5.2 INITIAL_WINDOW_SIZE too large",
            settings(4, 1 << 31),
            Ends(&[FLOW_CONTROL_ERROR]),
        ),
        (
            "6.5.2 MAX_FRAME_SIZE too small",
            settings(5, 16383),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.5.2 MAX_FRAME_SIZE too large",
            settings(5, 1 << 24),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.5.2 an unknown setting is ignored",
            settings(0xfff0, 1),
            Ignored,
        ),
        (
            "6.6 a client does not push",
            frame(PUSH_PROMISE, END_HEADERS, 1, &[0; 4]),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.7 PING on a stream",
            frame(PING, 0, 1, &[0; 8]),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.7 PING of a wrong length",
            frame(PING, 0, 0, &[0; 7]),
            Ends(&[FRAME_SIZE_ERROR]),
        ),
        (
            "6.7 an acknowledgement that nobody asked for",
            frame(PING, ACK, 0, &[0; 8]),
            Ignored,
        ),
        (
            "6.8 GOAWAY on a stream",
            frame(GOAWAY, 0, 1, &[0; 8]),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.9 WINDOW_UPDATE by nothing",
            frame(WINDOW_UPDATE, 0, 0, &increment(0)),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.9 WINDOW_UPDATE of a wrong length",
            frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
            Ends(&[FRAME_SIZE_ERROR]),
        ),
        (
            "6.9.1 a window larger than any",
            frame(WINDOW_UPDATE, 0, 0, &increment(i32::MAX as u32)),
            Ends(&[FLOW_CONTROL_ERROR]),
        ),
        (
            "6.10 CONTINUATION on stream 0",
            frame(CONTINUATION, END_HEADERS, 0, b""),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.10 CONTINUATION without HEADERS",
            frame(CONTINUATION, END_HEADERS, 1, b""),
            Ends(&[PROTOCOL_ERROR]),
        ),
        (
            "6.10 CONTINUATION after the block",
            [
                request(1, &get("/abc")),
                frame(CONTINUATION, END_HEADERS, 1, b""),
            ]
            .concat(),
            Ends(&[PROTOCOL_ERROR]),
        ),
    ]);
}

#[test]
fn malformed_requests_end_their_stream_alone() {
    let malformed = |list: Vec<(&str, &str)>| request(1, &list);
    let regular_first = [&[("x", "y")][..], &get("/abc")].concat();
    check(vec![
        (
            "8.2.1 a name in capitals",
            malformed(with(&[("X", "y")])),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.2.2 Connection",
            malformed(with(&[("connection", "close")])),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.2.2 Transfer-Encoding",
            malformed(with(&[("transfer-encoding", "chunked")])),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.2.2 Upgrade",
            malformed(with(&[("upgrade", "h2c")])),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.2.2 TE other than trailers",
            malformed(with(&[("te", "gzip")])),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.3 a pseudo-field behind a field",
            malformed(regular_first),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.3 an unknown pseudo-field",
            malformed(with(&[(":x", "y")])),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.3 a pseudo-field of answers",
            malformed(with(&[(":status", "200")])),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.3 a pseudo-field twice",
            malformed(with(&[(":path", "/abc")])),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.3.1 no method",
            malformed(without(":method")),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.3.1 no scheme",
            malformed(without(":scheme")),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.3.1 no path",
            malformed(without(":path")),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.3.1 an empty path",
            malformed(get("")),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
        (
            "8.1.1 less content than said",
            malformed(with(&[("content-length", "5")])),
            Resets(1, &[PROTOCOL_ERROR]),
        ),
    ]);
}
