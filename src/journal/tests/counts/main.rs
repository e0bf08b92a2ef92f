//! Counts in Kafka: what one edge tells, others hear; what is no count changes nothing; and the records.
//!
//! Kafka is the real one at `TAGWIRE_TEST_KAFKA`; `tests/run` starts it.

#![allow(
    clippy::unwrap_used,
    reason = "these are tests, also outside the functions marked as one"
)]

mod kafka;
#[path = "../waiting/mod.rs"]
mod waiting;
mod wire_format;

use journal::{Count, EdgeRun};
use tags::{Code, Domain};

fn count(code: &str, edge: &str, boot: u64, scans: u64) -> Count {
    Count {
        domain: Domain::parse("qr.example.com").unwrap(),
        code: Code::parse(code).unwrap(),
        series: EdgeRun::new(edge, boot).unwrap(),
        scans,
    }
}
