//! Tells whether a partition is still the one that was read: topics can be deleted and made anew, with other records at the same offsets.
//! Kafka gives each topic an id (KIP-516), which rdkafka does not show.

use std::time::Duration;

use jiff::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::client::Listener;

/// How long the brokers have to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// How far the clocks of the journal's writer, of its brokers, which date the ends of transactions, and of whoever noted a time may be apart, in
/// milliseconds: a second reading costs more than to overlook a topic that was made anew within so short a time.
const SLACK_MS: i64 = 10_000;

/// How far a partition has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reached {
    /// The offset behind the last record.
    pub(super) next_offset: i64,
    /// None: not known.
    pub(super) newest: Option<Newest>,
}

/// Nothing that was read before this offset is younger, by the clock of the journal's writer. Behind it may lie what has no time here and one
/// for the brokers: what was refused, and the ends of transactions that came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Newest {
    pub(super) before: i64,
    pub(super) at: Timestamp,
}

impl Newest {
    /// Of both together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            before: self.before.max(other.before),
            at: self.at.max(other.at),
        }
    }
}

/// Why the partition is another than that which has been read so far; none where it can be the same.
///
/// It is another where the position lies outside it, and where something before the position is younger than all that was read there. A log
/// restored with its old times and at its old offsets is not told from the one before.
pub(super) fn other_log(
    consumer: &BaseConsumer<Listener>,
    name: &str,
    partition: i32,
    reached: Reached,
) -> Result<Option<String>, KafkaError> {
    let position = reached.next_offset;
    let (start, end) = consumer.fetch_watermarks(name, partition, ANSWER)?;
    if !(start..=end).contains(&position) {
        return Ok(Some(format!(
            "position {position} of {name}/{partition} lies outside it, which is {start} to {end}"
        )));
    }
    let Some(Newest { before, at }) = reached.newest.filter(|newest| newest.before > start) else {
        return Ok(None);
    };
    let mut wanted = TopicPartitionList::new();
    let since = at.as_millisecond().saturating_add(SLACK_MS);
    wanted.add_partition_offset(name, partition, Offset::Offset(since))?;
    let found = consumer.offsets_for_times(wanted, ANSWER)?;
    let Some(element) = found.find_partition(name, partition) else {
        return Ok(None);
    };
    element.error()?;
    Ok(match element.offset() {
        Offset::Offset(younger) if younger < before => Some(format!(
            "{name}/{partition} has a record at {younger} that is younger than {at}, when {position} had been reached"
        )),
        _ => None,
    })
}
