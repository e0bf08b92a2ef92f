//! Consecutive scans of one writer, as they travel: one Kafka record each. The stored records are put into it as they are.

use std::sync::Arc;

use prost::Message;
use prost::bytes::BufMut;
use prost::encoding::{WireType, encode_key, encode_varint};

use crate::new_scan::delimited_len;
use crate::{DropReason, Scan, ScanError, WriterKey};

/// The major format that this build writes, and the newest that it reads.
pub const MAJOR: u32 = 1;

/// A batch, read.
#[derive(Debug)]
pub struct ScanBatch {
    /// Whose scans.
    pub writer: WriterKey,
    /// The number of the first; of an empty batch, the next that will be given.
    pub first_seq: u64,
    /// How many there are. The numbers of a batch have no holes: the last is `first_seq + count - 1`.
    pub count: u32,
    /// How many scans the writer dropped since its boot, by reason, when the batch was made. Reasons of newer releases included.
    pub dropped: Vec<(String, u64)>,
    /// The scans that could be read.
    pub scans: Vec<Scan>,
    /// Those that could not: to be set aside with their coordinates.
    pub refused: Vec<RefusedScan>,
}

/// A record of a batch that is no valid scan.
#[derive(Debug)]
pub struct RefusedScan {
    /// The number that it has by its place.
    pub seq: u64,
    /// What it is.
    pub bytes: Vec<u8>,
    /// What is wrong with it.
    pub error: ScanError,
}

/// Why a batch was refused as a whole.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// Not protobuf, or other types in it.
    #[error("the batch is not a valid protobuf message: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// From the future.
    #[error("the batch has major format {found}, this build reads {MAJOR}: upgrade it")]
    Major {
        /// The batch's.
        found: u32,
    },
    /// Its head and its records disagree.
    #[error("the batch says {count} scans from {first_seq} and holds {found} that do not fit")]
    Count {
        /// By its head.
        count: u32,
        /// By its head.
        first_seq: u64,
        /// How many records there are.
        found: usize,
    },
}

/// `message ScanBatch` of `proto/scans.proto`; a message and bytes are the same on the wire, so that one bad scan does not spoil its batch.
#[derive(Clone, PartialEq, Message)]
struct BatchRecord {
    #[prost(uint32, tag = "1")]
    major: u32,
    #[prost(string, tag = "2")]
    edge: String,
    #[prost(fixed64, tag = "3")]
    boot: u64,
    #[prost(uint32, tag = "4")]
    writer: u32,
    #[prost(uint64, tag = "5")]
    first_seq: u64,
    #[prost(uint32, tag = "6")]
    count: u32,
    #[prost(message, repeated, tag = "7")]
    dropped: Vec<DroppedRecord>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    scans: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct DroppedRecord {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(uint64, tag = "2")]
    count: u64,
}

const SCANS: u32 = 8;

impl ScanBatch {
    /// How many of the dropped scans took a number. So many gaps are explained; those of newer releases' reasons count as numbered.
    pub fn dropped_numbers(&self) -> u64 {
        let dropped = self.dropped.iter();
        dropped
            .filter(|(reason, _)| DropReason::word_takes_number(reason))
            .fold(0, |sum: u64, (_, count)| sum.saturating_add(*count))
    }

    /// Reads a batch.
    pub fn decode(bytes: &[u8]) -> Result<Self, BatchError> {
        let found = tags::major_format(bytes)?;
        if found != MAJOR {
            return Err(BatchError::Major { found });
        }
        let record = BatchRecord::decode(bytes)?;
        let misfit = || BatchError::Count {
            count: record.count,
            first_seq: record.first_seq,
            found: record.scans.len(),
        };
        if record.scans.len() != record.count as usize
            || record.first_seq.checked_add(record.count.into()).is_none()
        {
            return Err(misfit());
        }
        let (mut scans, mut refused) = (Vec::with_capacity(record.scans.len()), Vec::new());
        // The scans first: the number behind the last may be the last that there is, and none comes after that.
        for (bytes, seq) in record.scans.iter().zip(record.first_seq..) {
            match Scan::decode(bytes) {
                Ok(scan) if scan.seq != seq => return Err(misfit()),
                Ok(scan) => scans.push(scan),
                Err(error) => refused.push(RefusedScan {
                    seq,
                    bytes: bytes.clone(),
                    error,
                }),
            }
        }
        Ok(Self {
            writer: WriterKey {
                edge: Arc::from(record.edge),
                boot: record.boot,
                writer: record.writer,
            },
            first_seq: record.first_seq,
            count: record.count,
            dropped: record
                .dropped
                .into_iter()
                .map(|dropped| (dropped.reason, dropped.count))
                .collect(),
            scans,
            refused,
        })
    }
}

/// Builds a batch's bytes out of records as they lie in the log.
pub(crate) struct BatchBuilder {
    records: Vec<u8>,
    count: u32,
}

impl BatchBuilder {
    /// An empty batch that will take about so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self {
            records: Vec::with_capacity(bytes),
            count: 0,
        }
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Whether the record fits into `limit` bytes with those before it; the first always does.
    pub(crate) fn takes(&self, record: &[u8], limit: usize) -> bool {
        self.count == 0 || self.records.len() + delimited_len(SCANS, record.len()) <= limit
    }

    pub(crate) fn push(&mut self, record: &[u8]) {
        encode_key(SCANS, WireType::LengthDelimited, &mut self.records);
        encode_varint(record.len() as u64, &mut self.records);
        self.records.put_slice(record);
        self.count += 1;
    }

    /// The whole `message ScanBatch`.
    pub(crate) fn finish(
        self,
        writer: &WriterKey,
        first_seq: u64,
        dropped: &[u64; DropReason::COUNT],
    ) -> Vec<u8> {
        let dropped = DropReason::ALL
            .into_iter()
            .zip(dropped)
            .filter(|(_, count)| **count > 0);
        let head = BatchRecord {
            major: MAJOR,
            edge: writer.edge.to_string(),
            boot: writer.boot,
            writer: writer.writer,
            first_seq,
            count: self.count,
            dropped: dropped
                .map(|(reason, count)| DroppedRecord {
                    reason: reason.as_str().to_owned(),
                    count: *count,
                })
                .collect(),
            scans: Vec::new(),
        };
        let mut bytes = Vec::with_capacity(head.encoded_len() + self.records.len());
        head.encode_raw(&mut bytes);
        bytes.extend_from_slice(&self.records);
        bytes
    }
}

/// Encodes scans as a batch, for readers' tests and tools; an edge's shipper does not come through here.
pub fn encode_batch<'a>(
    writer: &WriterKey,
    first_seq: u64,
    scans: impl IntoIterator<Item = crate::NewScan<'a>>,
) -> Vec<u8> {
    let mut builder = BatchBuilder::with_capacity(0);
    let mut record = Vec::new();
    for (seq, scan) in (first_seq..).zip(scans) {
        record.clear();
        scan.encode(seq, &mut record);
        builder.push(&record);
    }
    builder.finish(writer, first_seq, &[0; DropReason::COUNT])
}
