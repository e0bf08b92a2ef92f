//! What the header, settings and names frames hold: protobuf, since they are few and may get more fields.

use jiff::Timestamp;
use prost::Message;
use prost::encoding::{self, DecodeContext, WireType};
use tags::{Change, Topic};

use super::{SnapshotError, SnapshotInfo};

/// The content of the header frame.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Header {
    #[prost(string, tag = "1")]
    cluster: String,
    #[prost(message, repeated, tag = "2")]
    positions: Vec<Position>,
    /// Microseconds since 1970.
    #[prost(int64, tag = "3")]
    taken_at: i64,
    /// How many tags there were when it was begun; the exact number is at the end.
    #[prost(uint64, tag = "4")]
    pub(super) tags: u64,
    /// Absent in files from before it was written.
    #[prost(string, tag = "5")]
    build: String,
}

#[derive(Clone, PartialEq, Message)]
struct Position {
    #[prost(string, tag = "1")]
    topic: String,
    #[prost(int32, tag = "2")]
    partition: i32,
    #[prost(int64, tag = "3")]
    offset: i64,
}

/// Calls `each` with the values of a settings or names frame's one repeated field as they lie there, one after the other: what is made of
/// each takes more room in memory than in a file.
pub(super) fn for_each_repeated(
    mut content: &[u8],
    what: &'static str,
    mut each: impl FnMut(&[u8]) -> Result<(), SnapshotError>,
) -> Result<(), SnapshotError> {
    let damaged = || SnapshotError::damaged(what);
    while !content.is_empty() {
        let (tag, wire_type) = encoding::decode_key(&mut content).map_err(|_| damaged())?;
        if (tag, wire_type) != (1, WireType::LengthDelimited) {
            let context = DecodeContext::default();
            encoding::skip_field(wire_type, tag, &mut content, context).map_err(|_| damaged())?;
            continue;
        }
        let len = encoding::decode_varint(&mut content).map_err(|_| damaged())?;
        let split = usize::try_from(len).ok();
        let split = split.and_then(|len| content.split_at_checked(len));
        let (value, rest) = split.ok_or_else(damaged)?;
        each(value)?;
        content = rest;
    }
    Ok(())
}

/// The content of a settings frame.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SettingsFrame {
    #[prost(message, repeated, tag = "1")]
    pub(super) records: Vec<SettingsRecord>,
}

/// A record of the journal's topic of settings.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SettingsRecord {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// The content of a names frame: the next numbers' words.
#[derive(Clone, PartialEq, Message)]
pub(super) struct NamesFrame {
    #[prost(string, repeated, tag = "1")]
    pub(super) names: Vec<String>,
}

impl Header {
    pub(super) fn new(info: &SnapshotInfo, tags: usize) -> Self {
        let position = |(topic, partition, offset): &(Topic, i32, i64)| Position {
            topic: topic.as_str().to_owned(),
            partition: *partition,
            offset: *offset,
        };
        Self {
            cluster: info.cluster.clone(),
            positions: info.positions.iter().map(position).collect(),
            taken_at: info.taken_at.as_microsecond(),
            tags: tags as u64,
            build: info.build.clone(),
        }
    }

    /// What it says. A build that wrote an older format is not this one, whatever it calls itself.
    pub(super) fn info(self, is_newest_format: bool) -> Result<SnapshotInfo, SnapshotError> {
        let position = |position: Position| {
            let mut topics = Topic::ALL.into_iter();
            let topic = topics.find(|topic| topic.as_str() == position.topic);
            let topic = topic.ok_or(SnapshotError::damaged("name of a topic"))?;
            Ok::<_, SnapshotError>((topic, position.partition, position.offset))
        };
        let taken_at = Timestamp::from_microsecond(self.taken_at);
        Ok(SnapshotInfo {
            cluster: self.cluster,
            positions: self
                .positions
                .into_iter()
                .map(position)
                .collect::<Result<_, SnapshotError>>()?,
            taken_at: taken_at.map_err(|_| SnapshotError::damaged("time"))?,
            build: if is_newest_format {
                self.build
            } else {
                String::new()
            },
        })
    }
}

impl SettingsRecord {
    pub(super) fn new(change: &Change) -> Self {
        Self {
            key: change.key(),
            value: change.encode(),
        }
    }

    pub(super) fn change(&self) -> Result<Change, SnapshotError> {
        let change = Change::decode(Topic::Settings, &self.key, &self.value);
        change.map_err(|_| SnapshotError::damaged("record of settings"))
    }
}
