//! A record that a reader of the journal could not take, as it is told to others.

use tags::Topic;

/// Of the reason as many characters are kept; it is for people, and travels with every heartbeat.
const MAX_REASON: usize = 200;

/// Where a refused record lies, and why it was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRecord {
    /// Its topic.
    pub topic: Topic,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Why, in one line without control characters.
    pub reason: String,
}

impl RefusedRecord {
    /// The reason is cut and cleaned: it may quote the record.
    pub fn new(topic: Topic, partition: i32, offset: i64, reason: &str) -> Self {
        let printable = |char: char| if char.is_control() { ' ' } else { char };
        Self {
            topic,
            partition,
            offset,
            reason: reason.chars().take(MAX_REASON).map(printable).collect(),
        }
    }
}
