//! A worker thread's hand in the scan log. What it does is what a redirect pays for a scan.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ledger::Account;
use crate::segment::{Beginning, Extent, Segment, SegmentWriter, Spare};
use crate::spares::Spares;
use crate::unread::Unread;
use crate::{DropReason, Dropped, NewScan, WriterKey};

/// Appends scans; one per worker thread.
pub struct Writer {
    account: Arc<Account>,
    spares: Arc<Spares>,
    begun: Arc<Begun>,
    /// None until the log has had room for its first.
    segment: Option<SegmentWriter>,
    /// Segments that it has begun.
    segments: u32,
    next_seq: u64,
    dropped: [u64; DropReason::COUNT],
}

/// Writers that have begun their first segment, until a shipper follows them.
#[derive(Default)]
pub(crate) struct Begun(Mutex<Vec<Followed>>);

/// What a shipper needs to follow a writer.
pub(crate) struct Followed {
    pub(crate) account: Arc<Account>,
    pub(crate) first: Arc<Segment>,
    /// Of an earlier boot: it ends, and its files go.
    pub(crate) adopted: Option<Adopted>,
}

/// What an ended writer has left behind its first segment.
pub(crate) struct Adopted {
    pub(crate) ahead: VecDeque<Unread>,
    /// Whether all that it ever accepted is here, so that it is known where it ended.
    pub(crate) complete: bool,
    /// How far that which is in memory is on disk too: a segment's number, where in it, and how much of it that is.
    pub(crate) copied: Option<(u32, usize, Extent)>,
}

impl Begun {
    pub(crate) fn add(&self, more: impl IntoIterator<Item = Followed>) {
        let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        begun.extend(more);
    }

    pub(crate) fn take(&self) -> Vec<Followed> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Writer {
    pub(crate) fn new(
        account: Arc<Account>,
        spares: Arc<Spares>,
        begun: Arc<Begun>,
        first: Option<Spare>,
    ) -> Self {
        let mut writer = Self {
            account,
            spares,
            begun,
            segment: None,
            segments: 0,
            next_seq: 0,
            dropped: [0; DropReason::COUNT],
        };
        if let Some(spare) = first {
            writer.begin(spare, 0);
        }
        writer
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
        if !self.has_room() && !self.change_segment(seq) {
            return Err(self.count_dropped(seq, DropReason::LogFull));
        }
        if let Some(segment) = &mut self.segment {
            segment.append(scan, seq);
        }
        Ok(seq)
    }

    /// Counts a scan that the edge does not record: one more unknown code than it wants to. It takes no number.
    pub fn drop_unknown(&mut self) {
        let running = &mut self.dropped[DropReason::UnknownCap as usize];
        *running += 1;
        if let Some(segment) = &self.segment {
            segment
                .segment()
                .set_dropped(DropReason::UnknownCap, *running);
        }
        self.say_accepted();
        self.account.count_dropped_by_writer(DropReason::UnknownCap);
    }

    fn has_room(&self) -> bool {
        self.segment.as_ref().is_some_and(SegmentWriter::has_room)
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
        let spare = self.spares.take();
        spare.map(|spare| self.begin(spare, seq)).is_some()
    }

    /// Goes over to this segment. What was dropped while there was none stands in its header, so that the gap is explained.
    fn begin(&mut self, spare: Spare, first_seq: u64) {
        let beginning = Beginning {
            number: self.segments,
            first_seq,
            dropped: self.dropped,
        };
        self.segments += 1;
        let next = spare.begin(&self.account.key, &beginning);
        match &mut self.segment {
            Some(segment) => segment.continue_in(next),
            None => {
                self.begun.add([Followed {
                    account: Arc::clone(&self.account),
                    first: Arc::clone(next.segment()),
                    adopted: None,
                }]);
                self.segment = Some(next);
            }
        }
    }

    #[cold]
    fn count_dropped(&mut self, seq: u64, reason: DropReason) -> Dropped {
        let running = &mut self.dropped[reason as usize];
        *running += 1;
        self.account.count_dropped_by_writer(reason);
        if let Some(segment) = &self.segment {
            segment.drop_scan(seq, reason, *running);
        }
        Dropped { seq, reason }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.account.end();
    }
}
