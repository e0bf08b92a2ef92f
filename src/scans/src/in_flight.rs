//! A batch between the log and its acknowledgement. Its scans stay in the log until then, and are read again from there for each sending.

use std::sync::Arc;
use std::time::Instant;

use crate::batch::BatchBuilder;
use crate::frame::{self, Found};
use crate::segment::Segment;
use crate::{EncodedBatch, WriterKey};

/// Which bytes of a segment it is, and what has become of it.
pub(crate) struct InFlight {
    pub(crate) first_seq: u64,
    pub(crate) count: u32,
    pub(crate) segment: Arc<Segment>,
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) bytes: usize,
    pub(crate) state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Sent,
    /// The outlet was full: to be sent before any later one, and not before this time.
    Held(Instant),
    /// To be sent again, not before this time; later ones do not wait for it.
    Failed(Instant),
    Stored,
    Refused,
}

impl InFlight {
    /// Reads it again from the log, which keeps it until it is stored: nothing else has to.
    pub(crate) fn encode(&self, key: &WriterKey) -> EncodedBatch {
        let mut builder = BatchBuilder::with_capacity(self.bytes);
        let bytes = &self.segment.records()[..self.end];
        let (mut at, mut next_seq) = (self.start, self.first_seq);
        while builder.count() < self.count {
            match frame::read(bytes, at, self.segment.seed(), next_seq) {
                Found::Record { seq, payload, end } => {
                    builder.push(payload);
                    (at, next_seq) = (end, seq + 1);
                }
                Found::Damage { end } => at = end,
                Found::End => break,
            }
        }
        let (first_seq, count, partition) =
            (self.first_seq, builder.count(), self.segment.partition());
        let bytes = builder.finish(key, first_seq, &self.segment.dropped());
        EncodedBatch {
            writer: key.clone(),
            first_seq,
            count,
            partition,
            bytes,
        }
    }

    /// What can still be read of it, each run of numbers without a gap as a batch that is to be sent.
    pub(crate) fn readable_runs(&self, now: Instant) -> Vec<Self> {
        let mut runs = Vec::new();
        let bytes = &self.segment.records()[..self.end];
        let (mut at, mut next_seq) = (self.start, self.first_seq);
        loop {
            match frame::read(bytes, at, self.segment.seed(), next_seq) {
                Found::Record { seq, end, .. } => {
                    match runs.last_mut() {
                        Some(InFlight {
                            first_seq,
                            count,
                            end: until,
                            ..
                        }) if *first_seq + u64::from(*count) == seq => {
                            (*count, *until) = (*count + 1, end);
                        }
                        _ => runs.push(InFlight {
                            first_seq: seq,
                            count: 1,
                            segment: Arc::clone(&self.segment),
                            start: at,
                            end,
                            bytes: 0,
                            state: State::Held(now),
                        }),
                    }
                    (at, next_seq) = (end, seq + 1);
                }
                Found::Damage { end } => at = end,
                Found::End => break,
            }
        }
        runs
    }
}
