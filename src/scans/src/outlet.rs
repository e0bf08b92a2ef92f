//! Where the shipper delivers batches: the seam between a cluster (Kafka) and standalone (the sink's own step, in process).

use std::time::Duration;

use crate::WriterKey;

/// A way out for batches. The shipper's thread owns it, and it needs no lock.
pub trait Outlet: Send {
    /// Takes a batch for delivery without waiting, or gives it back when it cannot take more now.
    fn send(&mut self, batch: EncodedBatch) -> Result<(), Full>;

    /// What became of batches that were sent, in any order. Waits at most `wait`, and that long if nothing happens: this is where
    /// the shipper's thread rests.
    fn poll(&mut self, wait: Duration) -> Vec<Delivery>;

    /// Over how many partitions writers are spread. None: there are none, or nobody knows yet; then a batch has no partition, and an
    /// outlet that needs one gives it back.
    fn partitions(&mut self) -> Option<i32> {
        None
    }
}

/// A batch on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedBatch {
    /// Whose scans.
    pub writer: WriterKey,
    /// The number of the first.
    pub first_seq: u64,
    /// How many; an idle writer's batch has none.
    pub count: u32,
    /// The writer's own partition, the same for its whole life.
    pub partition: Option<i32>,
    /// `message ScanBatch`: see [`ScanBatch::decode`](crate::ScanBatch::decode).
    pub bytes: Vec<u8>,
}

/// The outlet takes no more for now; here is the batch again.
#[derive(Debug, thiserror::Error)]
#[error("the outlet takes no more batches for now")]
pub struct Full(pub EncodedBatch);

/// What became of a batch. Writer, first number and count say which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Whose scans.
    pub writer: WriterKey,
    /// The number of the first.
    pub first_seq: u64,
    /// How many.
    pub count: u32,
    /// What became of it.
    pub outcome: Delivered,
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// It is where it should be, durably.
    Stored {
        /// Where the outlet has partitions.
        partition: Option<i32>,
    },
    /// It never will be: the batch itself is at fault.
    Refused {
        /// In the outlet's words.
        reason: String,
    },
    /// It is not, or nobody knows: to be sent again.
    Failed {
        /// In the outlet's words.
        reason: String,
    },
}
