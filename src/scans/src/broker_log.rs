//! What librdkafka says, into our log. Of a broker that is away it says the same for as long as that lasts, for each of its connections:
//! that is for debugging, and whoever owns the client tells people once.

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

/// Passes one line of librdkafka's on.
pub fn pass_on(level: RDKafkaLogLevel, facility: &str, line: &str) {
    // FAIL is a connection that failed. Everything that matters of it also comes as an error.
    let repeats = facility == "FAIL";
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error
        | RDKafkaLogLevel::Warning
            if !repeats =>
        {
            tracing::warn!(target: "librdkafka", facility, "{line}");
        }
        _ => tracing::debug!(target: "librdkafka", facility, "{line}"),
    }
}

/// For a client whose every error comes as an answer too.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answers;

impl ClientContext for Answers {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        pass_on(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}
