//! A change ready to be written: encoded, and checked for size before anything is sent.

use tags::{Change, Topic};

use crate::PublishError;

/// The largest record, key and value together, in bytes: 1 MiB.
pub const MAX_RECORD_BYTES: usize = 1024 * 1024;

#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) topic: Topic,
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
}

impl Record {
    pub(crate) fn encode(change: &Change) -> Result<Self, PublishError> {
        let record = Self {
            topic: change.topic(),
            key: change.key(),
            value: change.encode(),
        };
        if record.bytes() > MAX_RECORD_BYTES {
            return Err(PublishError::TooLarge {
                topic: record.topic,
                bytes: record.bytes(),
                key: record.key,
            });
        }
        Ok(record)
    }

    pub(crate) fn encode_all(changes: &[Change]) -> Result<Vec<Self>, PublishError> {
        changes.iter().map(Self::encode).collect()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.key.len() + self.value.len()
    }
}
