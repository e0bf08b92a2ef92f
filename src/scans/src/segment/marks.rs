//! The words of a segment's header that one side stores while another looks at them, and in which order. That is all here, apart from files and
//! mappings, so that `tests/marks` can run it through everything that the memory model allows.
//!
//! A kill ends the writer's and the shipper's stores at any of them. Whoever adopts the file holds the run's lock by then, so that it sees each
//! that was made; Release keeps the compiler from having made a later one first.

use super::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering, fence};

/// Whether a writer has begun the segment.
#[derive(Default)]
#[repr(transparent)]
pub(crate) struct Begun(AtomicU64);

/// The writer's line.
#[derive(Default)]
#[repr(C, align(64))]
pub(crate) struct Appended {
    committed: AtomicU64,
    next_seq: AtomicU64,
}

/// The shipper's line.
#[derive(Default)]
#[repr(C, align(64))]
pub(crate) struct Shipped {
    acknowledged: AtomicU64,
    partition: AtomicI32,
    /// 1: the last batch, which says where the writer ended, is stored.
    closed: AtomicU32,
    /// How many of this segment's scans are in the running count of corrupt ones.
    lost: AtomicU64,
}

/// All of a segment's.
#[derive(Clone, Copy)]
pub(crate) struct Marks<'a> {
    pub(crate) begun: &'a Begun,
    pub(crate) appended: &'a Appended,
    pub(crate) shipped: &'a Shipped,
}

impl Marks<'_> {
    /// A writer begins. `rest` stores what else the header says; then comes the magic, without which there is nothing to be adopted.
    pub(crate) fn begin(self, magic: u64, first_seq: u64, rest: impl FnOnce()) {
        self.appended.next_seq.store(first_seq, Ordering::Relaxed);
        self.shipped.partition.store(-1, Ordering::Relaxed);
        rest();
        // Release: whoever adopts the file and sees the magic sees all of the above.
        self.begun.0.store(magic, Ordering::Release);
    }

    /// The segment is nobody's any more.
    pub(crate) fn recycle(self) {
        self.begun.0.store(0, Ordering::Relaxed);
        // Who sees any of what follows sees that nobody has begun it.
        fence(Ordering::Release);
        self.appended.committed.store(0, Ordering::Relaxed);
        self.shipped.acknowledged.store(0, Ordering::Relaxed);
        self.shipped.closed.store(0, Ordering::Relaxed);
        self.shipped.lost.store(0, Ordering::Relaxed);
    }
}

/// Of a copy, which nobody else has until it is made: no order is needed.
impl Marks<'_> {
    /// Says of the records up to `end`, which are those of all numbers below `next_seq`, what the segment says of itself.
    pub(crate) fn copy(self, of: Marks<'_>, magic: u64, end: u64, next_seq: u64) {
        self.begun.0.store(magic, Ordering::Relaxed);
        self.appended.committed.store(end, Ordering::Relaxed);
        self.appended.next_seq.store(next_seq, Ordering::Relaxed);
        let (to, from) = (self.shipped, of.shipped);
        to.acknowledged
            .store(from.acknowledged(), Ordering::Relaxed);
        to.partition.store(from.partition(), Ordering::Relaxed);
        to.lost.store(from.lost(), Ordering::Relaxed);
    }

    /// Says how many bytes of records were read again, which are not sent to their end.
    pub(crate) fn read_again(self, end: u64) {
        self.appended.committed.store(end, Ordering::Relaxed);
        self.shipped.closed.store(0, Ordering::Relaxed);
    }

    /// Says as much as is known where the copy's word is not believed.
    pub(crate) fn forget(self, first_seq: u64) {
        self.appended.next_seq.store(first_seq, Ordering::Relaxed);
        self.shipped.acknowledged.store(0, Ordering::Relaxed);
        self.shipped.partition.store(-1, Ordering::Relaxed);
        self.shipped.lost.store(0, Ordering::Relaxed);
    }
}

impl Begun {
    /// The magic; 0: nobody has begun it.
    pub(crate) fn magic(&self) -> u64 {
        // Acquire: pairs with the Release of `begin`.
        self.0.load(Ordering::Acquire)
    }
}

impl Appended {
    /// A record is written, up to this byte.
    #[inline]
    pub(crate) fn publish(&self, end: u64, next_seq: u64) {
        // Release: the record's bytes come before it.
        self.committed.store(end, Ordering::Release);
        // Release: who sees that a number was given sees its record too.
        self.next_seq.store(next_seq, Ordering::Release);
    }

    /// A number was given without a record, and that is counted.
    pub(crate) fn skip(&self, next_seq: u64) {
        // Release: who sees that the number was given sees that it was counted.
        self.next_seq.store(next_seq, Ordering::Release);
    }

    /// Nothing of it is here, so none of it can be missing.
    pub(crate) fn begin_again(&self, first_seq: u64) {
        // Relaxed: of a copy, which nobody else has.
        self.next_seq.store(first_seq, Ordering::Relaxed);
    }

    /// Up to which byte there are records.
    pub(crate) fn committed(&self) -> u64 {
        // Acquire: pairs with the Release of `publish`; below it nothing is written again.
        self.committed.load(Ordering::Acquire)
    }

    /// The number that comes next. Lower ones have their record below what [`Appended::committed`] says after this, or are counted.
    pub(crate) fn next_seq(&self) -> u64 {
        // Acquire: pairs with the Release of `publish` and `skip`.
        self.next_seq.load(Ordering::Acquire)
    }
}

impl Shipped {
    pub(crate) fn acknowledged(&self) -> u64 {
        // Acquire: pairs with the Release of `acknowledge`.
        self.acknowledged.load(Ordering::Acquire)
    }

    /// Up to this byte all is stored, or counted.
    pub(crate) fn acknowledge(&self, end: u64) {
        // Release: who sees that nothing of it is to be sent any more sees what of it was counted as refused.
        self.acknowledged.store(end, Ordering::Release);
    }

    pub(crate) fn partition(&self) -> i32 {
        self.partition.load(Ordering::Relaxed)
    }

    pub(crate) fn set_partition(&self, partition: i32) {
        // Relaxed: says nothing of other words, and the shipper alone reads it, or whoever adopts the file.
        self.partition.store(partition, Ordering::Relaxed);
    }

    pub(crate) fn lost(&self) -> u64 {
        // Acquire: pairs with the Release of `set_lost`.
        self.lost.load(Ordering::Acquire)
    }

    /// So many are in the running count.
    pub(crate) fn set_lost(&self, scans: u64) {
        // Release: who sees that they need not be counted any more sees that they are.
        self.lost.store(scans, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        // Acquire: pairs with the Release of `close`.
        self.closed.load(Ordering::Acquire) == 1
    }

    pub(crate) fn close(&self) {
        // Release: who sees it sees what is acknowledged.
        self.closed.store(1, Ordering::Release);
    }
}
