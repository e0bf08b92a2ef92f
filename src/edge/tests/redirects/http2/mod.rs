//! HTTP/2 frame by frame, as h2spec does it: what is answered, what is refused, and with which error. Each case names its rule.

mod answers;
mod endings;
mod malformed;

use crate::fixture::Edge;
use crate::http2_frames::*;

const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const COMPRESSION_ERROR: u32 = 9;
const ENHANCE_YOUR_CALM: u32 = 11;

/// How the server takes it.
enum Taken {
    /// The connection ends, with one of these codes where it says one. For most malformed frames the library has the general one,
    /// PROTOCOL_ERROR (§7).
    Ends(&'static [u32]),
    /// The stream ends with one of these codes, and the connection goes on; or it ends too, which is always allowed (§5.4).
    Resets(u32, &'static [u32]),
    /// Nothing comes of it: the next request is answered.
    Ignored,
}
use Taken::{Ends, Ignored, Resets};

fn start() -> Edge {
    Edge::with(crate::fixture::table(), |options| options.h2c = true)
}

fn open(edge: &Edge) -> Http2 {
    Http2::open(edge.server.addresses()[0], b"")
}

#[track_caller]
fn check(cases: Vec<(&str, Vec<u8>, Taken)>) {
    let edge = start();
    let wrong = cases.into_iter().filter_map(|(rule, bytes, taken)| {
        let mut client = open(&edge);
        client.send(&bytes);
        let wrong = wrong(&mut client, &taken)?;
        Some(format!("{rule}: {wrong}"))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What the server did that it should not have.
fn wrong(client: &mut Http2, taken: &Taken) -> Option<String> {
    match taken {
        Ends(codes) => {
            client.send(&frame(PING, 0, 0, b"whatever"));
            let last = client.until(|frame| frame.kind == GOAWAY);
            let is_right = |code| codes.contains(&code) || code == PROTOCOL_ERROR;
            let wrong = last.filter(|goaway| !is_right(goaway.code()));
            let goes_on = || client.next().map(|more| format!("it goes on: {more:?}"));
            wrong.map(|goaway| format!("{goaway:?}")).or_else(goes_on)
        }
        Resets(stream, codes) => {
            let end = client.until(|frame| {
                frame.kind == GOAWAY || frame.kind == RST_STREAM && frame.stream == *stream
            });
            match end {
                None => Some("closed without a word".to_owned()),
                Some(end) if !codes.contains(&end.code()) => Some(format!("{end:?}")),
                Some(end) if end.kind == GOAWAY => None,
                Some(_) => (!client.is_alive(101)).then(|| "the connection ended too".to_owned()),
            }
        }
        Ignored => (!client.is_alive(101)).then(|| "the connection ended".to_owned()),
    }
}

fn headers(stream: u32, flags: u8, list: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, flags, stream, &fields(list))
}

fn with(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [get("/abc"), more.to_vec()].concat()
}

fn without(name: &str) -> Vec<(&'static str, &'static str)> {
    let all = get("/abc").into_iter();
    all.filter(|(given, _)| *given != name).collect()
}
