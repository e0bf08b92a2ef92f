//! Tells whether a partition is still the one that was read: topics can be deleted and made anew, with other records at the same offsets.
//! Kafka gives each topic an id (KIP-516), which rdkafka does not show.

use std::time::Duration;

use jiff::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::client::Listener;
use crate::Event;

/// How long the brokers have to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// How far the clocks of the journal's writer and of its brokers, which date the ends of transactions, may be apart, in milliseconds.
const SLACK_MS: i64 = 10_000;

/// How far a partition has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reached {
    /// The offset behind the last record.
    pub(super) next_offset: i64,
    /// None: not known.
    pub(super) newest: Option<Newest>,
}

/// No record that was read before this offset is younger, by the clock of the journal's writer. Behind it may lie what has no time here and one
/// for the brokers: the ends of transactions, and what was in those that came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Newest {
    pub(super) before: i64,
    pub(super) at: Timestamp,
}

impl Newest {
    /// Of what was read, where it was a record.
    pub(super) fn of(event: &Event) -> Option<Self> {
        let (_, _, before) = event.position()?;
        let at = event.published_at()?;
        Some(Self { before, at })
    }

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
/// It is another where the position lies outside it, where something before the position is younger than all that was read there, by more than
/// clocks may be apart, and where nothing at all is as old as what was read. A log restored with its old times and at its old offsets is not
/// told from the one before.
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
    let newest = at.as_millisecond();
    let first_since = |millis| first_since(consumer, name, partition, millis);
    // The end of a transaction can be, where the brokers' clocks are ahead.
    let Some(younger) = first_since(newest.saturating_add(1))?.filter(|first| *first < before)
    else {
        return Ok(None);
    };
    let much_younger = first_since(newest.saturating_add(SLACK_MS))?;
    let is_other =
        much_younger.is_some_and(|first| first < before) || first_since(0)? == Some(younger);
    Ok(is_other.then(|| {
        format!(
            "{name}/{partition} has a record at {younger} that is younger than {at}, when {position} had been reached"
        )
    }))
}

/// Where the first entry of a partition lies that has this date or a later one, in milliseconds since 1970; none: there is none.
fn first_since(
    consumer: &BaseConsumer<Listener>,
    name: &str,
    partition: i32,
    millis: i64,
) -> Result<Option<i64>, KafkaError> {
    let mut wanted = TopicPartitionList::new();
    // Who dates something before 1970 is believed, but not by librdkafka.
    wanted.add_partition_offset(name, partition, Offset::Offset(millis.max(0)))?;
    let found = consumer.offsets_for_times(wanted, ANSWER)?;
    let Some(element) = found.find_partition(name, partition) else {
        return Ok(None);
    };
    element.error()?;
    Ok(match element.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    })
}
