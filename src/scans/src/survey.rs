//! What a segment holds, counted: how many records can be read, and how many of those that were written cannot.

use crate::frame::{self, Found};
use crate::segment::Segment;

/// The readable records of a segment up to some byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Survey {
    pub(crate) records: u64,
    /// One more than the last one's number; the segment's first where there is none.
    pub(crate) next_seq: u64,
}

impl Survey {
    pub(crate) fn of(segment: &Segment, up_to: usize) -> Self {
        let bytes = segment.records();
        let mut survey = Self {
            records: 0,
            next_seq: segment.first_seq(),
        };
        let mut at = 0;
        while at < up_to {
            match frame::read(bytes, at, segment.seed(), survey.next_seq) {
                Found::Record { seq, end, .. } => {
                    survey = Self {
                        records: survey.records + 1,
                        next_seq: seq + 1,
                    };
                    at = end;
                }
                Found::Damage { end } => at = end,
                Found::End => break,
            }
        }
        survey
    }

    /// How many of a segment's scans are neither readable nor counted as dropped by the writer, given all of its readable ones.
    pub(crate) fn lost(&self, segment: &Segment) -> u64 {
        let (dropped_before, dropped) = segment.dropped_by_writer();
        let (end, dropped) = match segment.next() {
            // The successor's beginning says how this one ended, whatever was dropped since.
            Some(next) if next.number == segment.number() + 1 => {
                (next.first_seq, next.dropped_before)
            }
            // A kill between a record's publication and the number's leaves the record ahead.
            _ => (segment.next_seq().max(self.next_seq), dropped),
        };
        end.saturating_sub(segment.first_seq())
            .saturating_sub(dropped.saturating_sub(dropped_before))
            .saturating_sub(self.records)
    }
}
