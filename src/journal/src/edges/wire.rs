//! A heartbeat in protobuf, as `proto/edges.proto` lays it down, and the way to and from the checked types.

use jiff::Timestamp;
use prost::Message;
use tags::{Topic, major_format};

use super::{EdgeRun, EdgeState, Heartbeat, InvalidEdgeRun};
use crate::{Positions, RefusedRecord};

/// The newest major format that this build reads, and the one that it writes.
const MAJOR: u32 = 1;
/// The largest record: a thousand partitions and addresses. Larger ones are nobody's heartbeat, and would be kept in memory.
const MAX_BYTES: usize = 64 * 1024;

/// Why a record is no heartbeat.
#[derive(Debug, thiserror::Error)]
pub enum HeartbeatError {
    /// Not protobuf, or other types in it.
    #[error("the record is not a valid protobuf message: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// Larger than any heartbeat.
    #[error("the record has {bytes} bytes, a heartbeat has {MAX_BYTES} at most")]
    TooLarge {
        /// The record's.
        bytes: usize,
    },
    /// From the future.
    #[error("the record has major format {found}, this build reads {MAJOR}: upgrade the admin")]
    Major {
        /// The record's.
        found: u32,
    },
    /// A field's content is not allowed.
    #[error("field {field}: {reason}")]
    Field {
        /// Its name in the `.proto` file.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// No edge has this name.
    #[error(transparent)]
    Run(#[from] InvalidEdgeRun),
    /// The record was published under another's key.
    #[error("the record belongs under key '{expected}'")]
    Key {
        /// What its content says.
        expected: String,
    },
}

impl Heartbeat {
    /// The record's value; its key is [`EdgeRun`]'s.
    pub fn encode(&self) -> Vec<u8> {
        HeartbeatRecord::from(self).encode_to_vec()
    }

    /// Reads a record back. A record that is not valid, or of a newer major format, is refused whole.
    pub fn decode(key: &str, value: &[u8]) -> Result<Self, HeartbeatError> {
        if value.len() > MAX_BYTES {
            return Err(HeartbeatError::TooLarge { bytes: value.len() });
        }
        let found = major_format(value)?;
        if found != MAJOR {
            return Err(HeartbeatError::Major { found });
        }
        let heartbeat = Self::try_from(HeartbeatRecord::decode(value)?)?;
        let expected = heartbeat.run.to_string();
        if expected == key {
            Ok(heartbeat)
        } else {
            Err(HeartbeatError::Key { expected })
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum StateRecord {
    Unspecified = 0,
    Starting = 1,
    Serving = 2,
    Draining = 3,
}

#[derive(Clone, PartialEq, Message)]
struct HeartbeatRecord {
    #[prost(uint32, tag = "1")]
    major: u32,
    #[prost(string, tag = "2")]
    edge: String,
    #[prost(uint64, tag = "3")]
    boot: u64,
    #[prost(enumeration = "StateRecord", tag = "4")]
    state: i32,
    #[prost(message, repeated, tag = "5")]
    positions: Vec<PositionRecord>,
    #[prost(uint64, tag = "6")]
    tags: u64,
    #[prost(string, tag = "7")]
    version: String,
    #[prost(string, repeated, tag = "8")]
    addresses: Vec<String>,
    #[prost(int64, tag = "9")]
    started_at: i64,
    #[prost(int64, tag = "10")]
    sent_at: i64,
    #[prost(int64, tag = "11")]
    newest: i64,
    #[prost(message, repeated, tag = "12")]
    refused: Vec<RefusalRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct PositionRecord {
    #[prost(string, tag = "1")]
    topic: String,
    #[prost(int32, tag = "2")]
    partition: i32,
    #[prost(int64, tag = "3")]
    next_offset: i64,
}

#[derive(Clone, PartialEq, Message)]
struct RefusalRecord {
    #[prost(string, tag = "1")]
    topic: String,
    #[prost(int32, tag = "2")]
    partition: i32,
    #[prost(int64, tag = "3")]
    offset: i64,
    #[prost(string, tag = "4")]
    reason: String,
}

impl From<&Heartbeat> for HeartbeatRecord {
    fn from(heartbeat: &Heartbeat) -> Self {
        let position = |(topic, partition, next_offset): (Topic, i32, i64)| PositionRecord {
            topic: topic.as_str().to_owned(),
            partition,
            next_offset,
        };
        let refused = |record: &RefusedRecord| RefusalRecord {
            topic: record.topic.as_str().to_owned(),
            partition: record.partition,
            offset: record.offset,
            reason: record.reason.clone(),
        };
        let state = match heartbeat.state {
            EdgeState::Starting => StateRecord::Starting,
            EdgeState::Serving => StateRecord::Serving,
            EdgeState::Draining => StateRecord::Draining,
        };
        Self {
            major: MAJOR,
            edge: heartbeat.run.edge().to_owned(),
            boot: heartbeat.run.boot_number(),
            state: state.into(),
            positions: heartbeat.positions.iter().map(position).collect(),
            tags: heartbeat.tags,
            version: heartbeat.version.clone(),
            addresses: heartbeat.addresses.clone(),
            started_at: heartbeat.started_at.as_microsecond(),
            sent_at: heartbeat.sent_at.as_microsecond(),
            newest: heartbeat.newest.map_or(0, Timestamp::as_microsecond),
            refused: heartbeat.refused.iter().map(refused).collect(),
        }
    }
}

impl TryFrom<HeartbeatRecord> for Heartbeat {
    type Error = HeartbeatError;

    fn try_from(record: HeartbeatRecord) -> Result<Self, HeartbeatError> {
        let state = match StateRecord::try_from(record.state) {
            Ok(StateRecord::Starting) => EdgeState::Starting,
            Ok(StateRecord::Serving) => EdgeState::Serving,
            Ok(StateRecord::Draining) => EdgeState::Draining,
            Ok(StateRecord::Unspecified) | Err(_) => {
                return Err(HeartbeatError::Field {
                    field: "state",
                    reason: format!("{} is no state of an edge", record.state),
                });
            }
        };
        Ok(Self {
            run: EdgeRun::new(record.edge, record.boot)?,
            state,
            positions: positions(&record.positions)?,
            refused: refused(&record.refused)?,
            newest: match record.newest {
                0 => None,
                newest => Some(time("newest", newest)?),
            },
            tags: record.tags,
            version: text("version", record.version)?,
            addresses: record
                .addresses
                .into_iter()
                .map(|address| text("addresses", address))
                .collect::<Result<_, _>>()?,
            started_at: time("started_at", record.started_at)?,
            sent_at: time("sent_at", record.sent_at)?,
        })
    }
}

fn positions(records: &[PositionRecord]) -> Result<Positions, HeartbeatError> {
    let mut positions = Positions::default();
    for record in records {
        let Some(topic) = topic(&record.topic) else {
            continue;
        };
        if record.partition < 0 || record.next_offset < 0 {
            return Err(HeartbeatError::Field {
                field: "positions",
                reason: format!(
                    "{} {} of topic {topic} is negative",
                    record.partition, record.next_offset
                ),
            });
        }
        positions.advance(topic, record.partition, record.next_offset);
    }
    Ok(positions)
}

fn refused(records: &[RefusalRecord]) -> Result<Vec<RefusedRecord>, HeartbeatError> {
    let mut refused = Vec::new();
    for record in records {
        let Some(topic) = topic(&record.topic) else {
            continue;
        };
        if record.partition < 0 || record.offset < 0 {
            return Err(HeartbeatError::Field {
                field: "refused",
                reason: format!(
                    "{} {} of topic {topic} is negative",
                    record.partition, record.offset
                ),
            });
        }
        let (partition, offset) = (record.partition, record.offset);
        refused.push(RefusedRecord::new(topic, partition, offset, &record.reason));
    }
    Ok(refused)
}

/// None for one that a later minor follows, which is no matter of this build's.
fn topic(name: &str) -> Option<Topic> {
    Topic::ALL.into_iter().find(|topic| topic.as_str() == name)
}

/// It is shown to people: nothing in it may move their terminal.
fn text(field: &'static str, text: String) -> Result<String, HeartbeatError> {
    if text.chars().any(char::is_control) {
        let reason = "has control characters".to_owned();
        return Err(HeartbeatError::Field { field, reason });
    }
    Ok(text)
}

fn time(field: &'static str, microseconds: i64) -> Result<Timestamp, HeartbeatError> {
    Timestamp::from_microsecond(microseconds).map_err(|error| HeartbeatError::Field {
        field,
        reason: error.to_string(),
    })
}
