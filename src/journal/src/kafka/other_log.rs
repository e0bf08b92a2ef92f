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

/// Why the partition is another than that of which `position` was known at `at`; none where it can be the same.
///
/// It is another where the position lies outside it, and where all of its records are younger than `at` although some lay before
/// the position then. The latter is also so when compaction has replaced every one of them since, which costs one reading too many;
/// and it takes the clocks of its writer and of whoever noted `at` to agree better than the time between the two.
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
    let first_since = |time: i64| -> Result<Option<Offset>, KafkaError> {
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition_offset(name, partition, Offset::Offset(time))?;
        let found = consumer.offsets_for_times(wanted, ANSWER)?;
        Ok(found
            .find_partition(name, partition)
            .map(|element| element.offset()))
    };
    let all_younger = first_since(0)? == first_since(at.as_millisecond())?;
    Ok(all_younger.then(|| {
        format!(
            "all records of {name}/{partition} are younger than {at}, when there were some already"
        )
    }))
}
