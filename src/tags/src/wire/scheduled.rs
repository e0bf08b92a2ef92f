//! What is scheduled for a tag, in protobuf, within the tag's record.

use jiff::Timestamp;
use prost::Message;

use super::{TagRecord, WireError, time};
use crate::{Scheduled, Tag};

#[derive(Clone, PartialEq, Message)]
pub(super) struct ScheduledRecord {
    #[prost(int64, tag = "1")]
    at: i64,
    #[prost(string, tag = "2")]
    set: String,
    #[prost(string, tag = "3")]
    by: String,
    #[prost(message, optional, boxed, tag = "4")]
    tag: Option<Box<TagRecord>>,
}

pub(super) fn record(scheduled: &Scheduled) -> Box<ScheduledRecord> {
    Box::new(ScheduledRecord {
        at: Timestamp::as_microsecond(scheduled.at),
        set: scheduled.set.clone(),
        by: scheduled.by.clone(),
        tag: Some(Box::new(TagRecord::from(&scheduled.tag))),
    })
}

/// What is scheduled for `now`: a later version of the same tag, without anything scheduled in it.
pub(super) fn read(record: ScheduledRecord, now: &Tag) -> Result<Scheduled, WireError> {
    let wrong = |reason: &str| WireError::Field {
        field: "scheduled",
        reason: reason.to_owned(),
    };
    let tag = record.tag.ok_or_else(|| wrong("has no tag"))?;
    if tag.scheduled.is_some() {
        return Err(wrong("has something scheduled in it"));
    }
    let tag = Tag::try_from(*tag)?;
    let name = |tag: &Tag| (tag.workspace.clone(), tag.domain.clone(), tag.code.clone());
    if name(&tag) != name(now) || tag.version <= now.version {
        return Err(wrong("is no later version of this tag"));
    }
    Ok(Scheduled {
        at: time("at", record.at)?,
        set: record.set,
        by: record.by,
        tag,
    })
}
