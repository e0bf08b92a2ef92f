//! One writer as the shipper sees it: what of its log is read, on its way, and stored. Acknowledged positions move in order only, whatever the
//! order in which deliveries come back.

mod spooling;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::batch::BatchBuilder;
use crate::frame::{self, Found};
use crate::in_flight::{InFlight, State};
use crate::ledger::Account;
use crate::pace::Pace;
use crate::segment::Segment;
use crate::shipper::ShipperOptions;
use crate::survey::Survey;
use crate::unread::Unread;
use crate::writer::Followed;
use crate::{Delivered, DropReason, EncodedBatch, Full, Outlet, WriterKey};

use spooling::Spooling;
pub(crate) use spooling::ToCopy;

pub(crate) struct Source {
    account: Arc<Account>,
    /// Of an earlier boot: it is closed when all is stored.
    adopted: bool,
    /// Adopted, and nobody knows where it ended: so nobody says that.
    cut: bool,
    /// Read to the end, and not yet stored to the end; oldest first.
    behind: VecDeque<Arc<Segment>>,
    /// Being read, from this byte on.
    segment: Arc<Segment>,
    at: usize,
    /// Of this segment, so far.
    read: Survey,
    /// Behind this segment, oldest first.
    ahead: VecDeque<Unread>,
    spooling: Spooling,
    /// In order.
    in_flight: VecDeque<InFlight>,
    in_flight_bytes: usize,
    last_sent: Instant,
    closing: Closing,
    /// What the last batch says is the writer's next number.
    closed_at: u64,
}

/// How long a batch is not encoded again for an outlet that is full: short beside the queue that it has, long beside the encoding.
const FULL_PAUSE: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Closing {
    No,
    Sent,
    Done,
}

impl Source {
    pub(crate) fn new(followed: Followed, now: Instant) -> Self {
        let Followed {
            account,
            first,
            adopted,
        } = followed;
        let is_adopted = adopted.is_some();
        let mut spooling = Spooling::default();
        let (mut ahead, mut cut) = (VecDeque::new(), false);
        if let Some(left) = adopted {
            (ahead, cut) = (left.ahead, !left.complete);
            spooling.begin(left.copied);
        }
        let at = first.acknowledged();
        let read = Survey::of(&first, at);
        let (behind, in_flight) = (VecDeque::new(), VecDeque::new());
        let closing = Closing::No;
        Self {
            account,
            adopted: is_adopted,
            cut,
            behind,
            segment: first,
            at,
            read,
            ahead,
            spooling,
            in_flight,
            in_flight_bytes: 0,
            last_sent: now,
            closing,
            closed_at: 0,
        }
    }

    pub(crate) fn key(&self) -> &WriterKey {
        &self.account.key
    }

    pub(crate) fn recorded(&self) -> u64 {
        self.account.recorded()
    }

    pub(crate) fn in_flight_bytes(&self) -> usize {
        self.in_flight_bytes
    }

    /// Whether everything is stored, the last batch included.
    pub(crate) fn is_closed(&self) -> bool {
        self.closing == Closing::Done
    }

    pub(crate) fn is_adopted(&self) -> bool {
        self.adopted
    }

    /// Hands to the outlet what there is, up to `allowed` bytes on their way in all, and as far as there are permits, where they are asked for.
    /// Returns false when the outlet is full.
    pub(crate) fn ship(
        &mut self,
        outlet: &mut dyn Outlet,
        options: &ShipperOptions,
        allowed: usize,
        mut pace: Option<&mut Pace>,
        now: Instant,
    ) -> bool {
        self.choose_partition(outlet);
        if !self.send_again(outlet, now) {
            return false;
        }
        while self.in_flight_bytes < allowed.min(options.in_flight_bytes_per_writer) {
            if pace.as_ref().is_some_and(|pace| !pace.has_permits()) {
                return true;
            }
            let Some(batch) = self.read_batch(options.batch_bytes) else {
                return true;
            };
            if let Some(pace) = &mut pace {
                pace.take(batch.1.count);
            }
            if !self.send(batch, outlet, now) {
                return false;
            }
        }
        true
    }

    /// Says where the writer stands when it has had nothing to say for long, and at its end.
    pub(crate) fn ship_position(
        &mut self,
        outlet: &mut dyn Outlet,
        options: &ShipperOptions,
        draining: bool,
        now: Instant,
    ) {
        if self.closing != Closing::No {
            return;
        }
        let ending = self.adopted || draining;
        let idle = now.saturating_duration_since(self.last_sent) >= options.idle_interval;
        if !self.in_flight.is_empty() || !(ending || idle) {
            return;
        }
        let next_seq = self.segment.next_seq().max(self.read.next_seq); // before the look at the records
        self.discover();
        if self.at < self.segment.records().len() || !self.ahead.is_empty() {
            return;
        }
        if ending {
            self.count_lost();
            if self.cut {
                self.closing = Closing::Done;
                return;
            }
            (self.closing, self.closed_at) = (Closing::Sent, next_seq);
        }
        let (segment, end) = (Arc::clone(&self.segment), self.at);
        let state = State::Held(now);
        self.in_flight.push_back(InFlight {
            first_seq: next_seq,
            count: 0,
            segment,
            start: end,
            end,
            bytes: 0,
            state,
        });
        self.send_again(outlet, now);
    }

    /// Takes note of what became of a batch. Returns the bytes of one that was refused.
    pub(crate) fn settle(
        &mut self,
        first_seq: u64,
        count: u32,
        outcome: &Delivered,
        again_at: Instant,
    ) -> Option<Vec<u8>> {
        let batch = self
            .in_flight
            .iter_mut()
            .find(|b| b.state == State::Sent && b.first_seq == first_seq && b.count == count)?;
        batch.state = match outcome {
            Delivered::Stored { .. } => State::Stored,
            Delivered::Refused { .. } => State::Refused,
            Delivered::Failed { .. } => State::Failed(again_at),
        };
        let refused =
            (batch.state == State::Refused).then(|| batch.encode(&self.account.key).bytes);
        self.acknowledge();
        refused
    }

    /// Segments that are stored to the end.
    pub(crate) fn take_stored(&mut self) -> Vec<Arc<Segment>> {
        let oldest = self.in_flight.front().map(|batch| &batch.segment);
        let stored = self
            .behind
            .iter()
            .take_while(|segment| oldest.is_none_or(|oldest| !Arc::ptr_eq(oldest, segment)))
            .count();
        let mut stored: Vec<_> = self.behind.drain(..stored).collect();
        if self.adopted && self.is_closed() {
            stored.push(Arc::clone(&self.segment));
        }
        stored
    }

    /// The last segment, when nobody will miss it: its writer has ended, and all that it ever wrote is stored.
    pub(crate) fn into_stored(self) -> Option<Segment> {
        let Self {
            segment,
            at,
            ahead,
            behind,
            in_flight,
            closing,
            closed_at,
            ..
        } = self;
        let settled = closing == Closing::Done
            && behind.is_empty()
            && ahead.is_empty()
            && in_flight.is_empty();
        // Nobody else holds it, so there is no writer any more; what one wrote after the last batch is seen now.
        let segment = Arc::into_inner(segment)?;
        let complete = at >= segment.records().len()
            && segment.take_next().is_none()
            && segment.next_seq() <= closed_at;
        (settled && complete).then_some(segment)
    }

    /// All that there are still in memory, in order, those that have not been read yet too.
    #[cfg(feature = "simulation")]
    pub(crate) fn into_segments(mut self) -> Vec<Arc<Segment>> {
        self.discover();
        let ahead = self.ahead.into_iter().filter_map(|unread| match unread {
            Unread::InMemory(segment) => Some(segment),
            Unread::Spooled(_) => None,
        });
        let read = self.behind.into_iter().chain([self.segment]);
        read.chain(ahead).collect()
    }

    fn acknowledge(&mut self) {
        while let Some(batch) = self
            .in_flight
            .pop_front_if(|batch| matches!(batch.state, State::Stored | State::Refused))
        {
            let scans = u64::from(batch.count);
            if batch.state == State::Stored {
                self.account.count_acknowledged(scans);
            } else {
                self.count_dropped(&batch.segment, DropReason::Refused, scans);
            }
            batch.segment.set_acknowledged(batch.end);
            self.in_flight_bytes -= batch.bytes;
            let is_last = batch.count == 0 && batch.first_seq == self.closed_at;
            if is_last && self.closing == Closing::Sent {
                // The segment is stored to this byte; damage at its very end has no batch that says so.
                self.segment.close();
                self.closing = Closing::Done;
            }
        }
    }

    /// One writer keeps one partition, as long as the topic has it: it is written into the first segment, and taken along into each next one.
    fn choose_partition(&mut self, outlet: &mut dyn Outlet) {
        let Some(partitions) = outlet.partitions().filter(|partitions| *partitions > 0) else {
            return;
        };
        let exists = |partition: i32| partition < partitions;
        if self.segment.partition().is_some_and(exists) {
            return;
        }
        // Writers of one edge go to different partitions, and edges do not all begin with the first.
        let start = crc32c::crc32c(self.key().edge.as_bytes()).wrapping_add(self.key().writer);
        let partition = (start % partitions as u32) as i32;
        for segment in self.segments() {
            segment.set_partition(partition);
        }
        self.tell_partition_ahead(exists);
    }

    /// Those that are not stored to the end, in order.
    fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.behind.iter().chain([&self.segment])
    }

    fn read_batch(&mut self, limit: usize) -> Option<(InFlight, EncodedBatch)> {
        loop {
            let bytes = self.segment.records();
            let (start, mut at, mut survey) = (self.at, self.at, self.read);
            let mut builder = BatchBuilder::with_capacity((bytes.len() - start).min(limit + 64));
            let mut first_seq = survey.next_seq;
            while let Found::Record { seq, payload, end } =
                frame::read(bytes, at, self.segment.seed(), survey.next_seq)
            {
                if !builder.takes(payload, limit) || (builder.count() > 0 && seq != survey.next_seq)
                {
                    break;
                }
                if builder.count() == 0 {
                    first_seq = seq;
                }
                builder.push(payload);
                survey = Survey {
                    records: survey.records + 1,
                    next_seq: seq + 1,
                };
                at = end;
            }
            if builder.count() > 0 {
                (self.at, self.read) = (at, survey);
                let (segment, count) = (Arc::clone(&self.segment), builder.count());
                let bytes = builder.finish(&self.account.key, first_seq, &self.segment.dropped());
                let in_flight = InFlight {
                    first_seq,
                    count,
                    segment,
                    start,
                    end: at,
                    bytes: bytes.len(),
                    state: State::Sent,
                };
                let partition = self.segment.partition();
                let batch = EncodedBatch {
                    writer: self.account.key.clone(),
                    first_seq,
                    count,
                    partition,
                    bytes,
                };
                return Some((in_flight, batch));
            }
            if let Found::Damage { end } =
                frame::read(bytes, at, self.segment.seed(), survey.next_seq)
            {
                tracing::error!(segment = %self.segment.path().display(), from = at, to = end, "damaged bytes in the scan log are passed over");
                self.at = end;
            } else if !self.go_to_next_segment() {
                return None;
            }
        }
    }

    fn go_to_next_segment(&mut self) -> bool {
        self.discover();
        if self.ahead.is_empty() {
            return false;
        }
        // The last records were published before the next segment was set: look once more, now that it is.
        if self.at < self.segment.records().len() {
            return true;
        }
        let next = match self.ahead.pop_front() {
            Some(Unread::InMemory(next)) => next,
            // It is on its way from the disk.
            Some(spooled) => {
                self.ahead.push_front(spooled);
                return false;
            }
            None => return false,
        };
        self.count_lost();
        for reason in DropReason::ALL
            .into_iter()
            .filter(|reason| !reason.is_writers())
        {
            // An earlier run may have got further.
            let index = reason as usize;
            next.set_dropped(
                reason,
                self.segment.dropped()[index].max(next.dropped()[index]),
            );
        }
        // One that knows its own has been sent there.
        if let (Some(partition), None) = (self.segment.partition(), next.partition()) {
            next.set_partition(partition);
        }
        self.at = next.acknowledged();
        self.read = Survey::of(&next, self.at);
        self.behind
            .push_back(std::mem::replace(&mut self.segment, next));
        true
    }

    fn count_lost(&mut self) {
        let (lost, counted) = (self.read.lost(&self.segment), self.segment.lost());
        self.lose(&Arc::clone(&self.segment), lost.saturating_sub(counted));
    }

    /// Counts scans of a segment as corrupt, once over all runs.
    fn lose(&self, segment: &Arc<Segment>, scans: u64) {
        if scans > 0 {
            tracing::error!(writer = %self.account.key, scans, "scans were lost to damage in the scan log");
            // In this order: after a kill between the two they are counted again rather than never.
            self.count_dropped(segment, DropReason::Corrupt, scans);
            segment.set_lost(segment.lost() + scans);
        }
    }

    /// The account is this process's; the segments' running counts go with the batches and outlive it.
    fn count_dropped(&self, from: &Arc<Segment>, reason: DropReason, scans: u64) {
        self.account.count_dropped_by_shipper(reason, scans);
        let later = self
            .segments()
            .skip_while(|segment| !Arc::ptr_eq(segment, from));
        for segment in later {
            segment.set_dropped(reason, segment.dropped()[reason as usize] + scans);
        }
    }

    fn send(
        &mut self,
        (mut in_flight, batch): (InFlight, EncodedBatch),
        outlet: &mut dyn Outlet,
        now: Instant,
    ) -> bool {
        self.last_sent = now;
        self.in_flight_bytes += in_flight.bytes;
        let taken = match outlet.send(batch) {
            Ok(()) => true,
            Err(Full(_)) => {
                in_flight.state = State::Held(now + FULL_PAUSE);
                false
            }
        };
        self.in_flight.push_back(in_flight);
        taken
    }

    fn send_again(&mut self, outlet: &mut dyn Outlet, now: Instant) -> bool {
        let mut index = 0;
        while index < self.in_flight.len() {
            let batch = &self.in_flight[index];
            match batch.state {
                State::Held(due) if due > now => return false,
                State::Held(_) => {}
                State::Failed(due) if due <= now => {}
                _ => {
                    index += 1;
                    continue;
                }
            }
            let encoded = batch.encode(&self.account.key);
            if encoded.count < batch.count {
                // Damaged since it was read: what is left goes in batches of its own.
                self.replace(index, now);
                continue;
            }
            let full = outlet.send(encoded).is_err();
            let batch = &mut self.in_flight[index];
            if full {
                batch.state = State::Held(now + FULL_PAUSE);
                return false;
            }
            batch.state = State::Sent;
            self.last_sent = now;
            index += 1;
        }
        true
    }

    /// Puts in place of a batch those that can still be made of its bytes, and counts the scans that cannot.
    fn replace(&mut self, index: usize, now: Instant) {
        let Some(batch) = self.in_flight.remove(index) else {
            return;
        };
        let (segment, mut rest) = (Arc::clone(&batch.segment), batch.readable_runs(now));
        let left: u64 = rest.iter().map(|batch| u64::from(batch.count)).sum();
        let lost = u64::from(batch.count) - left;
        if Arc::ptr_eq(&segment, &self.segment) {
            self.read.records -= lost; // they were readable when it was read
        }
        self.lose(&segment, lost);
        match rest.last_mut() {
            // Its acknowledgement is that of all the batch's bytes.
            Some(last) => (last.end, last.bytes) = (batch.end, batch.bytes),
            None => rest.push(InFlight {
                count: 0,
                state: State::Stored,
                ..batch
            }),
        }
        for (offset, batch) in rest.into_iter().enumerate() {
            self.in_flight.insert(index + offset, batch);
        }
        self.acknowledge();
    }
}
