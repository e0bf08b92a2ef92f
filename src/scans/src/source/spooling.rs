//! What of a writer has waited for so long that it belongs on disk too, which of its segments are there alone, and how these come back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Source;
use crate::DropReason;
use crate::adoption::left;
use crate::segment::{Extent, Head, NotASegment, Segment};
use crate::survey::Survey;
use crate::unread::{Reading, Spooled, Unread};

/// How often a copy that cannot be read is tried, before its scans are counted as lost.
const TRIES: u32 = 5;
/// And how long is waited in between.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// A byte of a writer's log: which segment, and where among its records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    number: u32,
    at: usize,
}

/// How far a writer's log is on disk.
pub(crate) struct Spooling {
    /// Where the log ended at some moments of late, oldest first.
    marks: VecDeque<(Instant, Position)>,
    /// What lies before it has waited too long.
    overdue: Position,
    /// What lies before it is stored or on disk.
    copied: Position,
    /// Of the segment in which that is.
    extent: Extent,
}

/// Part of a segment that is to be written to disk.
pub(crate) struct ToCopy {
    pub(crate) segment: Arc<Segment>,
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// Records of all lower numbers lie before `to`.
    pub(crate) next_seq: u64,
    pub(crate) extent: Extent,
}

impl Default for Spooling {
    fn default() -> Self {
        Self {
            marks: VecDeque::new(),
            overdue: Position::default(),
            copied: Position::default(),
            extent: Extent::Part,
        }
    }
}

impl Spooling {
    /// So much of what is adopted is there already.
    pub(super) fn begin(&mut self, copied: Option<(u32, usize, Extent)>) {
        if let Some((number, at, extent)) = copied {
            (self.copied, self.extent) = (Position { number, at }, extent);
        }
    }

    fn has_whole(&self, number: u32) -> bool {
        number < self.copied.number || (number == self.copied.number && self.extent != Extent::Part)
    }
}

impl Source {
    /// Notes how far the log has come, and what of it has waited for longer than `after`.
    pub(crate) fn note_overdue(&mut self, after: Duration, now: Instant) {
        self.discover();
        let oldest = self.behind.front().unwrap_or(&self.segment);
        let stored = Position {
            number: oldest.number(),
            at: oldest.acknowledged(),
        };
        let end = self.end();
        let Spooling { marks, overdue, .. } = &mut self.spooling;
        while marks.pop_front_if(|(_, end)| *end <= stored).is_some() {}
        let is_old = |(at, _): &mut (Instant, _)| now.saturating_duration_since(*at) >= after;
        while let Some((_, end)) = marks.pop_front_if(is_old) {
            *overdue = end;
        }
        let is_new = marks.back().is_none_or(|(at, last)| {
            *last < end && now.saturating_duration_since(*at) >= after / 4
        });
        if is_new && end > stored && end > *overdue {
            marks.push_back((now, end));
        }
    }

    /// What is to be written next: what is overdue; every segment that is full, where memory is `short`; or `all` there is.
    pub(crate) fn next_copy(&mut self, short: bool, all: bool) -> Option<ToCopy> {
        // Before the look at the log: who has ended has written everything.
        let ended = (self.adopted && !self.cut) || (all && self.account.has_ended());
        self.discover();
        let mut due = self.spooling.overdue;
        if short {
            let at = 0;
            let number = self.end().number;
            due = due.max(Position { number, at });
        }
        let in_memory = self.ahead.iter().filter_map(|unread| match unread {
            Unread::InMemory(segment) => Some(segment),
            Unread::Spooled(_) => None,
        });
        let mut segments = self.segments().chain(in_memory);
        segments.find_map(|segment| {
            if segment.is_copy() || self.spooling.has_whole(segment.number()) {
                return None;
            }
            let number = segment.number();
            let (next_seq, has_next) = (segment.next_seq(), segment.next().is_some());
            let to = segment.records().len();
            let from = match number == self.spooling.copied.number {
                true => self.spooling.copied.at,
                false => 0,
            };
            let extent = match (has_next, ended) {
                (true, _) => Extent::Whole,
                (false, true) => Extent::Last,
                (false, false) => Extent::Part,
            };
            let is_due = all || Position { number, at: from } < due;
            let is_wanted = segment.acknowledged() < to || extent == Extent::Last;
            let is_new = from < to || extent != Extent::Part;
            (is_due && is_wanted && is_new).then(|| ToCopy {
                segment: Arc::clone(segment),
                from,
                to,
                next_seq,
                extent,
            })
        })
    }

    /// That much of a segment is on disk.
    pub(crate) fn set_copied(&mut self, number: u32, at: usize, extent: Extent) {
        if number >= self.spooling.copied.number {
            (self.spooling.copied, self.spooling.extent) = (Position { number, at }, extent);
        }
    }

    /// A segment that is wholly on disk and has not been begun to be read, the last such one: from now on it is there alone.
    pub(crate) fn take_copied(
        &mut self,
        copy: impl Fn(&Segment) -> Option<Spooled>,
    ) -> Option<Arc<Segment>> {
        // The last one is still written.
        let full = self.ahead.len().saturating_sub(1);
        for unread in self.ahead.iter_mut().take(full).rev() {
            let Unread::InMemory(segment) = unread else {
                continue;
            };
            if segment.is_copy() || !self.spooling.has_whole(segment.number()) {
                continue;
            }
            let Some(spooled) = copy(segment) else {
                continue;
            };
            if let Unread::InMemory(segment) = std::mem::replace(unread, Unread::Spooled(spooled)) {
                return Some(segment);
            }
        }
        None
    }

    /// The next segment, if it is to be read from disk, and nobody does so yet.
    pub(crate) fn next_to_load(&mut self, now: Instant) -> Option<&Spooled> {
        let Some(Unread::Spooled(spooled)) = self.ahead.front_mut() else {
            return None;
        };
        match spooled.reading {
            Reading::Asked => return None,
            Reading::Failed(again_at) if again_at > now => return None,
            Reading::Failed(_) | Reading::No => {}
        }
        spooled.reading = Reading::Asked;
        Some(spooled)
    }

    /// The next segment has been read, or could not be. Gives one back of which nobody will read anything.
    pub(crate) fn loaded(
        &mut self,
        read: Result<Segment, NotASegment>,
        now: Instant,
    ) -> Option<Spooled> {
        let is_asked = |spooled: &Spooled| spooled.reading == Reading::Asked;
        let Some(Unread::Spooled(mut spooled)) = self
            .ahead
            .pop_front_if(|unread| matches!(unread, Unread::Spooled(spooled) if is_asked(spooled)))
        else {
            return None;
        };
        let is_it = |segment: &Segment| {
            *segment.key() == self.account.key && segment.number() == spooled.head.number
        };
        let error = match read {
            Ok(segment) if is_it(&segment) => {
                self.take_loaded(segment, &spooled.head);
                return None;
            }
            Ok(_) => NotASegment::Damaged,
            Err(error) => error,
        };
        let path = spooled.path.display();
        spooled.failures += 1;
        if matches!(error, NotASegment::Io(_)) && spooled.failures < TRIES {
            tracing::warn!(%path, %error, "a segment in the spool cannot be read: it is tried again");
            spooled.reading = Reading::Failed(now + TRY_AGAIN);
            self.ahead.push_front(Unread::Spooled(spooled));
            return None;
        }
        tracing::error!(%path, %error, "a segment in the spool cannot be read: its scans are lost");
        self.count_corrupt(spooled.head.scans);
        // The last one alone knew where its writer ended.
        self.cut |= self.adopted && self.ahead.is_empty();
        Some(spooled)
    }

    fn take_loaded(&mut self, segment: Segment, head: &Head) {
        if let Some(next) = self.ahead.front() {
            segment.set_next(next.link());
        }
        let stored = Survey::of(&segment, segment.acknowledged()).records;
        let found = stored + left(&segment);
        // Only what is read shows what a header that was damaged, or written before the last records, did not say.
        if self.adopted {
            self.account.adopt_more(found.saturating_sub(head.scans));
        }
        self.account.count_acknowledged(stored);
        self.count_corrupt(head.scans.saturating_sub(found));
        self.ahead.push_front(Unread::InMemory(Arc::new(segment)));
    }

    /// Of a segment that is not read.
    fn count_corrupt(&self, scans: u64) {
        if scans > 0 {
            tracing::error!(writer = %self.account.key, scans, "scans were lost to damage in the spool");
            self.count_dropped(&self.segment, DropReason::Corrupt, scans);
        }
    }

    /// Takes the segments that the writer has begun meanwhile.
    pub(super) fn discover(&mut self) {
        loop {
            let last = match self.ahead.back() {
                Some(Unread::InMemory(last)) => last,
                Some(Unread::Spooled(_)) => return, // of an ended writer
                None => &self.segment,
            };
            let Some(next) = last.take_next() else { return };
            // In memory that outlives the process, though what is being read may not be.
            if let (Some(partition), None) = (self.segment.partition(), next.partition()) {
                next.set_partition(partition);
            }
            self.ahead.push_back(Unread::InMemory(next));
        }
    }

    /// The partition goes to where it outlives the process, unless one that is as good stands there.
    pub(super) fn tell_partition_ahead(&self, exists: impl Fn(i32) -> bool) {
        let Some(partition) = self.segment.partition() else {
            return;
        };
        for unread in &self.ahead {
            if let Unread::InMemory(segment) = unread
                && !segment.partition().is_some_and(&exists)
            {
                segment.set_partition(partition);
            }
        }
    }

    /// Whether some of it that was on disk alone is in memory.
    pub(crate) fn has_loaded(&self) -> bool {
        let ahead = self.ahead.front();
        let is_copy =
            |segment: &Segment| segment.is_copy() && !segment.path().as_os_str().is_empty();
        self.segments().any(|segment| is_copy(segment))
            || ahead.is_some_and(|unread| match unread {
                Unread::InMemory(segment) => is_copy(segment),
                Unread::Spooled(spooled) => spooled.reading == Reading::Asked,
            })
    }

    /// Where the log ends now.
    fn end(&self) -> Position {
        match self.ahead.back() {
            Some(Unread::Spooled(spooled)) => Position {
                number: spooled.head.number,
                at: 0,
            },
            Some(Unread::InMemory(last)) => Position {
                number: last.number(),
                at: last.records().len(),
            },
            None => Position {
                number: self.segment.number(),
                at: self.segment.records().len(),
            },
        }
    }
}
