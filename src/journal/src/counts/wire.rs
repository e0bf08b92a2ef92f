//! A count in protobuf, as `proto/counts.proto` lays it down.

use prost::Message;
use tags::{MaxScans, major_format};

use super::Count;

/// The newest major format that this build reads, and the one that it writes.
const MAJOR: u32 = 1;
/// The largest record. Larger ones are nobody's count.
const MAX_BYTES: usize = 4 * 1024;

/// Why a record is no count.
#[derive(Debug, thiserror::Error)]
pub enum CountError {
    /// Not protobuf, or other types in it.
    #[error("the record is not a valid protobuf message: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// Larger than any count.
    #[error("the record has {bytes} bytes, a count has {MAX_BYTES} at most")]
    TooLarge {
        /// The record's.
        bytes: usize,
    },
    /// From the future.
    #[error("the record has major format {found}, this build reads {MAJOR}: upgrade the edge")]
    Major {
        /// The record's.
        found: u32,
    },
    /// Its key names no tag, or no series.
    #[error("the record's key names no tag and series of counts: {0}")]
    Key(String),
    /// More scans than numbers of scans go.
    #[error("the record says {found} scans, a count is {} at most", MaxScans::MAX)]
    Scans {
        /// The record's.
        found: u64,
    },
}

#[derive(Clone, PartialEq, Message)]
struct CountRecord {
    #[prost(uint32, tag = "1")]
    major: u32,
    #[prost(uint64, tag = "2")]
    scans: u64,
}

impl Count {
    /// The record's value; its key is [`Count::key`].
    pub fn encode(&self) -> Vec<u8> {
        let record = CountRecord {
            major: MAJOR,
            scans: self.scans,
        };
        record.encode_to_vec()
    }

    /// Reads a record back. A record that is not valid, or of a newer major format, is refused whole.
    pub fn decode(key: &str, value: &[u8]) -> Result<Self, CountError> {
        if value.len() > MAX_BYTES {
            return Err(CountError::TooLarge { bytes: value.len() });
        }
        let found = major_format(value)?;
        if found != MAJOR {
            return Err(CountError::Major { found });
        }
        match CountRecord::decode(value)?.scans {
            scans @ 0..=MaxScans::MAX => Self::of_key(key, scans),
            found => Err(CountError::Scans { found }),
        }
    }
}
