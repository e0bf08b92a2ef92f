//! What librdkafka says: its log goes to ours, its delivery reports to the publisher, its errors to whoever wants the reason.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{DeliveryResult, ProducerContext};

/// Where a record came to lie, by its number in the transaction, or why it did not.
pub(crate) type Report = (usize, Result<(i32, i64), KafkaError>);

/// Reports that have come, and how many somebody waits for.
#[derive(Debug, Default)]
struct Reports {
    came: Vec<Report>,
    wanted: usize,
}

/// The listening side of one client.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    reports: Mutex<Reports>,
    reported: Condvar,
    /// The last thing that went wrong, for messages; librdkafka's error codes alone say little.
    trouble: Mutex<Option<String>>,
}

impl Listener {
    /// An error with what went wrong last on the way to the brokers.
    pub(crate) fn explain(&self, error: &KafkaError) -> String {
        match &*lock(&self.trouble) {
            Some(trouble) => format!("{error} (last trouble with a broker: {trouble})"),
            None => error.to_string(),
        }
    }

    /// Forgets reports of an earlier transaction.
    pub(crate) fn clear_reports(&self) {
        lock(&self.reports).came.clear();
    }

    /// Waits for `count` reports and takes them; after `wait`, takes those that came.
    pub(crate) fn take_reports(&self, count: usize, wait: Duration) -> Vec<Report> {
        let mut reports = lock(&self.reports);
        reports.wanted = count;
        let waited = self
            .reported
            .wait_timeout_while(reports, wait, |reports| reports.came.len() < count);
        let (mut reports, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut reports.came)
    }
}

impl ClientContext for Listener {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            // A connection that failed, again and again while a broker is away. What matters of it comes as an error too.
            _ if facility == "FAIL" => {
                tracing::debug!(target: "librdkafka", facility, "{message}");
            }
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => {
                tracing::warn!(target: "librdkafka", facility, "{message}");
            }
            RDKafkaLogLevel::Warning
            | RDKafkaLogLevel::Notice
            | RDKafkaLogLevel::Info
            | RDKafkaLogLevel::Debug => {
                tracing::debug!(target: "librdkafka", facility, "{message}");
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            // No trouble at all.
            Some(RDKafkaErrorCode::PartitionEOF) => return,
            // Says less than why the last of them is down.
            Some(RDKafkaErrorCode::AllBrokersDown) => {}
            _ => *lock(&self.trouble) = Some(reason.to_owned()),
        }
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

impl ConsumerContext for Listener {}

impl ProducerContext for Listener {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let place = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(error.clone()),
        };
        let mut reports = lock(&self.reports);
        reports.came.push((number, place));
        // Of a large transaction there are thousands: who waits is woken by the last.
        if reports.came.len() >= reports.wanted {
            self.reported.notify_all();
        }
    }
}

/// Nothing is left half-done under these locks, so that a panic elsewhere does no harm to what they guard.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
