//! Fuzz targets: one function for each reader of bytes that others wrote. Each reads any bytes, and panics when something that has to
//! hold does not.
//!
//! `tests/fuzz/run` searches for such bytes; `tests/kept.rs` reads again what is kept in `corpus/`, among it whatever was found before.

mod change;
mod connection;
mod content;
mod destination;
mod heartbeat;
mod http2_request;
mod import;
mod input;
mod proxy_protocol;
mod request_head;
mod rules;
mod rules_json;
mod scan_batch;
pub mod seeds;
mod segment;
mod snapshot;
mod symbol;

/// A reader to be fuzzed.
#[derive(Debug)]
pub struct Target {
    /// The name, and that of its folder in `corpus/`.
    pub name: &'static str,
    /// Reads bytes.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "request_head",
        run: request_head::run,
    },
    Target {
        name: "connection",
        run: connection::run,
    },
    Target {
        name: "content",
        run: content::run,
    },
    Target {
        name: "http2_request",
        run: http2_request::run,
    },
    Target {
        name: "proxy_protocol",
        run: proxy_protocol::run,
    },
    Target {
        name: "snapshot",
        run: snapshot::run,
    },
    Target {
        name: "snapshot_frames",
        run: snapshot::run_sealed,
    },
    Target {
        name: "change",
        run: change::run,
    },
    Target {
        name: "rules",
        run: rules::run,
    },
    Target {
        name: "rules_json",
        run: rules_json::run,
    },
    Target {
        name: "import",
        run: import::run,
    },
    Target {
        name: "heartbeat",
        run: heartbeat::run,
    },
    Target {
        name: "scan_batch",
        run: scan_batch::run,
    },
    Target {
        name: "segment",
        run: segment::run,
    },
    Target {
        name: "destination",
        run: destination::run,
    },
    Target {
        name: "symbol",
        run: symbol::run,
    },
];

/// The target with this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Their names.
pub fn names() -> Vec<&'static str> {
    TARGETS.iter().map(|target| target.name).collect()
}
