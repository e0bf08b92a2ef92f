//! A salt in protobuf, as `proto/salts.proto` lays it down.

use jiff::civil::Date;
use prost::Message;
use tags::major_format;
use zeroize::{Zeroize, Zeroizing};

use super::Salt;

/// The newest major format that this build reads, and the one that it writes.
const MAJOR: u32 = 1;
/// The largest record. Larger ones are nobody's salt.
const MAX_BYTES: usize = 4 * 1024;

/// Why a record is no salt. Never says what is in it.
#[derive(Debug, thiserror::Error)]
pub enum SaltError {
    /// Not protobuf, or other types in it.
    #[error("the record is not a valid protobuf message: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// Larger than any salt.
    #[error("the record has {bytes} bytes, a salt has {MAX_BYTES} at most")]
    TooLarge {
        /// The record's.
        bytes: usize,
    },
    /// From the future.
    #[error("the record has major format {found}, this build reads {MAJOR}: upgrade it")]
    Major {
        /// The record's.
        found: u32,
    },
    /// Its key is no day.
    #[error("the record's key '{0}' is no day such as 2026-11-29")]
    Key(String),
    /// Its secret is too short or too long.
    #[error("field secret: has {found} bytes, a salt has {}", Salt::BYTES)]
    Secret {
        /// The record's.
        found: usize,
    },
}

#[derive(Clone, PartialEq, Message)]
struct SaltRecord {
    #[prost(uint32, tag = "1")]
    major: u32,
    #[prost(bytes = "vec", tag = "2")]
    secret: Vec<u8>,
}

impl Drop for SaltRecord {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl Salt {
    /// The key of a day's record.
    pub fn key(day: Date) -> String {
        day.to_string()
    }

    /// The record's value.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let record = SaltRecord {
            major: MAJOR,
            secret: self.secret().to_vec(),
        };
        Zeroizing::new(record.encode_to_vec())
    }

    /// Reads a record back. A record that is not valid, or of a newer major format, is refused whole.
    pub fn decode(key: &str, value: &[u8]) -> Result<Self, SaltError> {
        let day = day_of(key)?;
        if value.len() > MAX_BYTES {
            return Err(SaltError::TooLarge { bytes: value.len() });
        }
        let found = major_format(value)?;
        if found != MAJOR {
            return Err(SaltError::Major { found });
        }
        let record = SaltRecord::decode(value)?;
        match record.secret.as_slice().try_into() {
            Ok(secret) => Ok(Self::new(day, Zeroizing::new(secret))),
            Err(_) => Err(SaltError::Secret {
                found: record.secret.len(),
            }),
        }
    }
}

/// The day of a record's key, which has one spelling.
pub(super) fn day_of(key: &str) -> Result<Date, SaltError> {
    let day = key.parse().ok().filter(|day| Salt::key(*day) == key);
    day.ok_or_else(|| SaltError::Key(key.chars().take(40).collect()))
}
