//! Why a command was not carried out, in words for people or as JSON.

use std::fmt;
use std::io;

use serde_json::{Value, json};

use super::output::printable;

/// What came in the way.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The API has refused it, with these problem details (RFC 9457).
    Refused(Value),
    /// It did not come to an answer, or to one that is a failure.
    Other(String),
    /// Nobody reads any more what is written, which is no failure.
    NobodyReads,
}

impl Failure {
    pub(crate) fn new(reason: impl fmt::Display) -> Self {
        Self::Other(reason.to_string())
    }

    /// What is printed on standard error.
    pub(crate) fn tell(&self, as_json: bool) -> String {
        match self {
            Self::Refused(problem) if as_json => problem.to_string(),
            Self::Other(reason) if as_json => json!({"detail": reason}).to_string(),
            Self::Refused(problem) => refusal(problem),
            Self::Other(reason) => format!("tagwire: {}", printable(reason)),
            Self::NobodyReads => String::new(),
        }
    }
}

/// The detail, and under it each field that is wrong.
fn refusal(problem: &Value) -> String {
    let text = |value: &Value, name: &str| {
        let text = value[name].as_str().unwrap_or_default();
        printable(text)
    };
    let status = problem["status"].as_u64().unwrap_or_default();
    let mut told = format!("tagwire: {} ({status})", text(problem, "detail"));
    for error in problem["errors"].as_array().into_iter().flatten() {
        told.push_str(&format!(
            "\n  {}: {}",
            text(error, "pointer"),
            text(error, "detail")
        ));
    }
    told
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::NobodyReads,
            _ => Self::new(error),
        }
    }
}
