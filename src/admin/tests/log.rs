//! What the admin logs: in a process of its own, so that all of it is seen and nothing else.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

#[path = "../../facts/tests/mmdb/mod.rs"]
#[allow(dead_code)] // forged files are `facts`' matter
mod mmdb;
#[allow(
    dead_code,
    reason = "shared with the tests over HTTP, which use more of it"
)]
#[path = "http/support.rs"]
mod support;

use std::fmt;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use support::Server;

/// Everything that is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        use fmt::Write;
        writeln!(self.0.lock().unwrap(), "{field}={value:?}").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        attributes.record(&mut self.clone());
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, record: &Record<'_>) {
        record.record(&mut self.clone());
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn the_log_names_the_first_key_s_file_and_no_key_is_ever_in_it() {
    let log = Log::default();
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    let server = Server::start().await;
    let made = server
        .owner()
        .post("/keys", json!({"name": "k", "role": "viewer"}))
        .await
        .created();
    server
        .with_key("not-a-key-of-ours")
        .get("/tags")
        .await
        .problem(401);
    let log = log.0.lock().unwrap();
    assert!(log.contains("admin.key"), "{log}");
    for secret in [
        &server.first_key(),
        made["secret"].as_str().unwrap(),
        "not-a-key-of-ours",
    ] {
        assert!(!log.contains(secret), "{log}");
    }
}
