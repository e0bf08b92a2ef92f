//! Panics as log lines, so that what collects logs sees them too.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic;

const TARGET: &str = "panic";

/// Logs every panic as one line with message, place and thread; with a backtrace where `RUST_BACKTRACE` asks for it.
///
/// Where the filter hides errors, the hook that was there before reports it.
pub(crate) fn log_panics() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |panicked| {
        if !tracing::enabled!(target: TARGET, tracing::Level::ERROR) {
            return previous(panicked);
        }
        let location = panicked.location().map(ToString::to_string);
        let backtrace = Backtrace::capture();
        let backtrace =
            (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        tracing::error!(
            target: TARGET,
            location,
            thread = std::thread::current().name(),
            backtrace,
            "panicked: {}",
            message(panicked.payload())
        );
    }));
}

fn message(payload: &dyn Any) -> &str {
    let literal = payload.downcast_ref::<&str>().copied();
    literal
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("with a value that is no text")
}
