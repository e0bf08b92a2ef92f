//! Heartbeats of edges: what is accepted is written and read as the same.

use journal::{EdgeRun, Heartbeat, HeartbeatError};

pub(crate) fn run(bytes: &[u8]) {
    let Err(HeartbeatError::Key { expected }) = Heartbeat::decode("", bytes) else {
        return;
    };
    let heartbeat = Heartbeat::decode(&expected, bytes).expect("it is its key");
    assert_eq!(EdgeRun::parse(&expected).as_ref(), Ok(&heartbeat.run));
    let again = Heartbeat::decode(&expected, &heartbeat.encode());
    assert_eq!(again.ok(), Some(heartbeat));
}
