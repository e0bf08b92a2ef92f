//! Heartbeats to send in tests.

use jiff::Timestamp;
use journal::{EdgeRun, EdgeState, Heartbeat, Positions, RefusedRecord};
use tags::Topic;

pub(crate) fn run(edge: &str, boot: u64) -> EdgeRun {
    EdgeRun::new(edge, boot).unwrap()
}

/// A heartbeat with every field set.
pub(crate) fn heartbeat(edge: &str, boot: u64, next_offset: i64) -> Heartbeat {
    let time = |second: i64| Timestamp::from_microsecond(second * 1_000_000 + 123_456).unwrap();
    Heartbeat {
        run: run(edge, boot),
        state: EdgeState::Serving,
        positions: Positions::from_iter([
            (Topic::Tags, 0, next_offset),
            (Topic::Tags, 7, i64::MAX),
            (Topic::Settings, 0, 3),
        ]),
        tags: 1_000_000,
        version: "0.1.0".to_owned(),
        addresses: vec!["127.0.0.1:8080".to_owned(), "[::1]:8080".to_owned()],
        started_at: time(1_700_000_000),
        sent_at: time(1_700_000_100),
        newest: Some(time(1_700_000_099)),
        refused: vec![RefusedRecord::new(Topic::Tags, 7, 4, "not understood")],
    }
}
