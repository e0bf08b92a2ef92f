//! Logging as a process has it: this test program starts itself again and reads the other's standard error.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Stdio};

use serde_json::Value;
use telemetry::logging::{self, LogError, LogFormat};

const ROLE: &str = "TELEMETRY_TEST_LOGS_WITH_FILTER";

/// The standard error of a process that ran [`the_other_process`] with that filter.
fn standard_error(filter: &str) -> Vec<Value> {
    standard_error_of("the_other_process", filter)
}

fn standard_error_of(process: &str, filter: &str) -> Vec<Value> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([process, "--exact", "--nocapture"])
        .env(ROLE, filter)
        .env_remove("RUST_BACKTRACE")
        .stdout(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect()
}

/// Does nothing unless started by [`standard_error`].
#[test]
fn the_other_process() {
    let Ok(filter) = std::env::var(ROLE) else {
        return;
    };
    logging::init(LogFormat::Auto, &filter).unwrap();
    tracing::info!(tags = 12_000, "table loaded");
    log::warn!(target: "pingora_core::server", "address in use");
    log::info!(target: "pingora_core::server", "peer 203.0.113.7");
    log::debug!(target: "pingora_proxy", "peer 203.0.113.7");
    log::debug!(target: "rdkafka", "max level {}", log::max_level());
    std::thread::Builder::new()
        .name("worker".into())
        .spawn(|| panic!("no\nmore"))
        .unwrap()
        .join()
        .unwrap_err();
    assert!(matches!(
        logging::init(LogFormat::Json, "info"),
        Err(LogError::Installed { .. })
    ));
}

/// Does nothing unless started by [`standard_error_of`].
#[test]
fn the_other_process_that_changes_its_filter() {
    let Ok(first) = std::env::var(ROLE) else {
        return;
    };
    let filter = logging::init(LogFormat::Json, &first).unwrap();
    let log = |time: &str| {
        tracing::info!("information, {time}");
        tracing::debug!("detail, {time}");
        log::debug!(target: "rdkafka", "bridged detail, {time}");
        log::debug!(target: "pingora_proxy", "peer 203.0.113.7, {time}");
    };
    log("at first");
    filter.set("debug").unwrap();
    log("later");
    let refused = filter.set("loud=very").unwrap_err();
    assert!(matches!(refused, LogError::Filter { .. }), "{refused}");
    log("after a refusal");
    filter.set("warn").unwrap();
    log("at last");
}

#[test]
fn a_filter_that_changes_holds_for_what_is_logged_then() {
    let lines = standard_error_of("the_other_process_that_changes_its_filter", "info");
    let messages: Vec<_> = lines.iter().map(|line| &line["message"]).collect();
    assert_eq!(
        messages,
        [
            "information, at first",
            "information, later",
            "detail, later",
            "bridged detail, later",
            "information, after a refusal",
            "detail, after a refusal",
            "bridged detail, after a refusal",
        ]
    );
}

fn find<'a>(lines: &'a [Value], message: &str) -> &'a Value {
    lines
        .iter()
        .find(|line| line["message"] == message)
        .unwrap_or_else(|| panic!("{message} in {lines:?}"))
}

#[test]
fn without_a_terminal_every_line_is_json_also_those_of_the_log_crate() {
    let lines = standard_error("");
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(
        (&lines[0]["message"], &lines[0]["tags"]),
        (&"table loaded".into(), &12_000.into())
    );
    let mut bridged = find(&lines, "address in use").clone();
    bridged["timestamp"].take();
    let expected = r#"{"timestamp": null, "level": "WARN", "target": "pingora_core::server", "message": "address in use"}"#;
    assert_eq!(bridged, serde_json::from_str::<Value>(expected).unwrap());
}

#[test]
fn a_panic_is_one_line_with_place_and_thread() {
    let lines = standard_error("warn");
    let panicked = find(&lines, "panicked: no\nmore");
    assert_eq!(
        (&panicked["level"], &panicked["thread"]),
        (&"ERROR".into(), &"worker".into())
    );
    assert!(
        panicked["location"]
            .as_str()
            .unwrap()
            .contains("logging.rs:"),
        "{panicked}"
    );
    assert_eq!(panicked.get("backtrace"), None);
}

#[test]
fn the_most_verbose_filter_lets_no_peer_address_through() {
    let lines = standard_error("trace,pingora_core=trace,pingora_proxy=trace");
    assert!(
        lines
            .iter()
            .all(|line| !line.to_string().contains("203.0.113.7")),
        "{lines:?}"
    );
    find(&lines, "max level TRACE");
}
