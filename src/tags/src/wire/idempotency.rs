//! Answers to requests with an `Idempotency-Key`, in protobuf.

use prost::Message;

use super::{MAJOR, Versioned, WireError, field, time};
use crate::{IdempotencyEntry, IdempotencySlot, WorkspaceId};

#[derive(Clone, PartialEq, Message)]
pub(super) struct IdempotencyRecord {
    #[prost(uint32, tag = "1")]
    major: u32,
    #[prost(string, tag = "2")]
    workspace: String,
    #[prost(uint32, tag = "3")]
    slot: u32,
    #[prost(bytes = "vec", tag = "4")]
    key_hash: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    request_hash: Vec<u8>,
    #[prost(int64, tag = "6")]
    at: i64,
    #[prost(bytes = "vec", tag = "7")]
    answer: Vec<u8>,
}

impl Versioned for IdempotencyRecord {
    const NEWEST: u32 = MAJOR;

    fn major(&self) -> u32 {
        self.major
    }
}

impl From<&IdempotencyEntry> for IdempotencyRecord {
    fn from(entry: &IdempotencyEntry) -> Self {
        Self {
            major: MAJOR,
            workspace: entry.workspace.to_string(),
            slot: entry.slot.get(),
            key_hash: entry.key_hash.to_vec(),
            request_hash: entry.request_hash.to_vec(),
            at: entry.at.as_microsecond(),
            answer: entry.answer.clone(),
        }
    }
}

impl TryFrom<IdempotencyRecord> for IdempotencyEntry {
    type Error = WireError;
    fn try_from(record: IdempotencyRecord) -> Result<Self, WireError> {
        Ok(Self {
            workspace: field("workspace", WorkspaceId::parse(&record.workspace))?,
            slot: field("slot", IdempotencySlot::new(record.slot))?,
            key_hash: hash("key_hash", &record.key_hash)?,
            request_hash: hash("request_hash", &record.request_hash)?,
            at: time("at", record.at)?,
            answer: record.answer,
        })
    }
}

fn hash(name: &'static str, bytes: &[u8]) -> Result<[u8; 32], WireError> {
    bytes.try_into().map_err(|_| WireError::Field {
        field: name,
        reason: "not 32 bytes".into(),
    })
}
