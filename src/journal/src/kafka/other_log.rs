//! Tells whether a partition is still the one that a position is of: topics can be deleted and made anew, with other records at the
//! same offsets.

use std::time::Duration;

use jiff::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::client::Listener;

/// How long the brokers have to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// How far the clocks of the journal's writer and of whoever noted a time may be apart, in milliseconds: a second reading costs more than
/// to overlook a topic that was made anew within so short a time.
const SLACK_MS: i64 = 10_000;

/// Why the partition is another than that of which `position` was known at `at`; none where it can be the same.
///
/// It is another where the position lies outside it, and where something before the position is younger than `at`, when all of that was
/// there already. A log restored with its old times and at its old offsets is not told from the one before.
pub(super) fn other_log(
    consumer: &BaseConsumer<Listener>,
    name: &str,
    partition: i32,
    position: i64,
    at: Option<Timestamp>,
) -> Result<Option<String>, KafkaError> {
    let (start, end) = consumer.fetch_watermarks(name, partition, ANSWER)?;
    if !(start..=end).contains(&position) {
        return Ok(Some(format!(
            "position {position} of {name}/{partition} lies outside it, which is {start} to {end}"
        )));
    }
    let Some(at) = at.filter(|_| position > start) else {
        return Ok(None);
    };
    let mut wanted = TopicPartitionList::new();
    let since = at.as_millisecond().saturating_add(SLACK_MS);
    wanted.add_partition_offset(name, partition, Offset::Offset(since))?;
    let found = consumer.offsets_for_times(wanted, ANSWER)?;
    let younger = found
        .find_partition(name, partition)
        .map(|element| element.offset());
    Ok(match younger {
        Some(Offset::Offset(younger)) if younger < position => Some(format!(
            "{name}/{partition} has a record at {younger} that is younger than {at}, when {position} had been reached"
        )),
        _ => None,
    })
}
