//! A worker thread's hand in the scan log. What it does is what a redirect pays for a scan.

use std::sync::Arc;

use crate::ledger::Account;
use crate::segment::{Beginning, SegmentWriter};
use crate::spares::Spares;
use crate::{DropReason, Dropped, NewScan, WriterKey};

/// Appends scans; one per worker thread.
pub struct Writer {
    account: Arc<Account>,
    spares: Arc<Spares>,
    segment: SegmentWriter,
    number: u32,
    next_seq: u64,
    dropped: [u64; DropReason::COUNT],
}

impl Writer {
    pub(crate) fn new(account: Arc<Account>, spares: Arc<Spares>, segment: SegmentWriter) -> Self {
        Self {
            account,
            spares,
            segment,
            number: 0,
            next_seq: 0,
            dropped: [0; DropReason::COUNT],
        }
    }

    /// Who it is in the identity of its scans.
    pub fn key(&self) -> &WriterKey {
        &self.account.key
    }

    /// Records a scan and returns its number. When it returns, the record outlives the process.
    ///
    /// No lock is waited for, no system call made and nothing allocated, except when a segment is full, once in tens of thousands of
    /// scans: then the next is taken, which allocates a few words and may wake the thread that makes spares.
    pub fn append(&mut self, scan: &NewScan<'_>) -> Result<u64, Dropped> {
        let seq = self.take_seq();
        if !self.segment.has_room() && !self.change_segment(seq) {
            return Err(self.count_dropped(seq, DropReason::LogFull));
        }
        self.segment.append(scan, seq);
        Ok(seq)
    }

    /// Counts a scan that the edge does not record: one more unknown code than it wants to. It takes no number.
    pub fn drop_unknown(&mut self) {
        let running = &mut self.dropped[DropReason::UnknownCap as usize];
        *running += 1;
        self.segment
            .segment()
            .set_dropped(DropReason::UnknownCap, *running);
        self.say_accepted();
        self.account.count_dropped_by_writer(DropReason::UnknownCap);
    }

    fn take_seq(&mut self) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        self.say_accepted();
        seq
    }

    fn say_accepted(&self) {
        let without_number = self.dropped[DropReason::UnknownCap as usize];
        self.account.set_accepted(self.next_seq + without_number);
    }

    #[cold]
    fn change_segment(&mut self, seq: u64) -> bool {
        let Some(spare) = self.spares.take() else {
            return false;
        };
        self.number += 1;
        let beginning = Beginning {
            number: self.number,
            first_seq: seq,
            dropped: self.dropped,
        };
        self.segment
            .continue_in(spare.begin(&self.account.key, &beginning));
        true
    }

    #[cold]
    fn count_dropped(&mut self, seq: u64, reason: DropReason) -> Dropped {
        let running = &mut self.dropped[reason as usize];
        *running += 1;
        self.account.count_dropped_by_writer(reason);
        self.segment.drop_scan(seq, reason, *running);
        Dropped { seq, reason }
    }
}
