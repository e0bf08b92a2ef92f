//! The major format of a record: what every kind of record begins with, so that an old reader knows a record that it cannot read.

use prost::{DecodeError, Message};

#[derive(Clone, PartialEq, Message)]
struct Preamble {
    #[prost(uint32, tag = "1")]
    major: u32,
}

/// The major format that a record says it is of, in its field 1. Nothing else is read: the rest of a newer record need not even be
/// well-formed for an older reader.
///
/// # Errors
///
/// When these bytes are no protobuf message.
pub fn major_format(record: &[u8]) -> Result<u32, DecodeError> {
    Ok(Preamble::decode(record)?.major)
}
