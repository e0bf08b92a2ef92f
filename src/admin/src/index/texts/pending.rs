//! Texts that are not in the index of texts yet: in memory, in the order in which they came, and searched there.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use memchr::memmem::Finder;

use crate::index::search::Order;

/// What may be pending, and for how long.
#[derive(Clone, Copy)]
struct Bounds {
    /// Bytes of texts that wait until nothing else comes in.
    patient_bytes: usize,
    /// Bytes of texts that may be pending at all. What comes then waits.
    most_bytes: usize,
    /// How long no more than a few texts have come at a time when those that can wait are written.
    quiet: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            // The texts of a million tags.
            patient_bytes: 128 * 1024 * 1024,
            most_bytes: 160 * 1024 * 1024,
            quiet: Duration::from_secs(1),
        }
    }
}

/// So many are written in one transaction, in which they are merged once.
const MANY: usize = 20_000;
/// The same while others come: few enough for those to have their turn.
const SOME: usize = 5_000;
/// Bytes of a block, passed by at most what comes together.
const BLOCK_BYTES: usize = 1024 * 1024;

/// All that is pending, for who adds, who writes and who searches.
#[derive(Default)]
pub(super) struct Pending {
    bounds: Bounds,
    blocks: Mutex<Blocks>,
    changed: Condvar,
}

#[derive(Default)]
struct Blocks {
    /// The oldest first. One that is written or searched just now stays as it is.
    pending: VecDeque<Arc<Block>>,
    bytes: usize,
    /// How often many came together.
    surges: u64,
    /// How often they had when it was last quiet.
    surges_before_quiet: u64,
    /// Nobody adds any more, or nobody writes.
    ended: bool,
}

/// Some texts, one behind the other. That they are in lower case makes no difference to who searches.
pub(super) struct Block {
    text: String,
    /// The places of their tags, and where in the text each ends.
    entries: Vec<(i64, usize)>,
    least: i64,
    greatest: i64,
}

impl Pending {
    /// Adds texts behind all others, and waits before that while too much is pending.
    pub(super) fn add(&self, texts: impl ExactSizeIterator<Item = (i64, String)>, few: usize) {
        let is_full = |blocks: &mut Blocks| blocks.bytes > self.bounds.most_bytes && !blocks.ended;
        let waited = self.changed.wait_while(self.lock(), is_full);
        let mut blocks = waited.unwrap_or_else(PoisonError::into_inner);
        blocks.surges += u64::from(texts.len() > few);
        let last = blocks.pending.back_mut().and_then(Arc::get_mut);
        let mut new = Block::empty();
        let block = match last.filter(|block| block.text.len() < BLOCK_BYTES) {
            Some(last) => last,
            None => &mut new,
        };
        let before = block.bytes();
        for (place, text) in texts {
            block.push(place, text);
        }
        let added = block.bytes() - before;
        blocks.bytes += added;
        if !new.entries.is_empty() {
            blocks.pending.push_back(Arc::new(new));
        }
        drop(blocks);
        self.changed.notify_all();
    }

    /// The oldest blocks, when there is time to write them or there are too many. None: nobody adds any more.
    pub(super) fn oldest(&self) -> Option<Vec<Arc<Block>>> {
        let mut blocks = self.lock();
        loop {
            if blocks.ended {
                return None;
            }
            if blocks.bytes > self.bounds.patient_bytes {
                return Some(blocks.oldest(SOME));
            }
            if blocks.pending.is_empty() {
                let waited = self.changed.wait(blocks);
                blocks = waited.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let before = blocks.surges;
            if blocks.surges_before_quiet == before && blocks.has(SOME) {
                return Some(blocks.oldest(MANY));
            }
            let waits = |now: &mut Blocks| {
                let may_wait = now.bytes <= self.bounds.patient_bytes;
                now.surges == before && may_wait && !now.ended
            };
            let waited = self
                .changed
                .wait_timeout_while(blocks, self.bounds.quiet, waits);
            let quiet;
            (blocks, quiet) = waited.unwrap_or_else(PoisonError::into_inner);
            if quiet.timed_out() {
                blocks.surges_before_quiet = before;
                return Some(blocks.oldest(MANY));
            }
        }
    }

    /// Takes so many of the oldest blocks away, which have been written.
    pub(super) fn written(&self, count: usize) {
        let mut blocks = self.lock();
        for _ in 0..count {
            let bytes = blocks.pending.pop_front().map_or(0, |block| block.bytes());
            blocks.bytes -= bytes;
        }
        drop(blocks);
        self.changed.notify_all();
    }

    /// Comes after so long, or when nobody adds any more.
    pub(super) fn rest(&self, time: Duration) {
        let goes_on = |blocks: &mut Blocks| !blocks.ended;
        drop(self.changed.wait_timeout_while(self.lock(), time, goes_on));
    }

    /// Nobody adds or writes any more.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Places behind one, the nearest first, of tags that may have this in their texts: what the tag has now is not looked at.
    pub(super) fn find(&self, sought: &Sought<'_>) -> Vec<i64> {
        let Sought { order, most, .. } = *sought;
        let finder = Finder::new(sought.text);
        let pending = self.lock().pending.clone();
        let is_ahead = |block: &Arc<Block>| block.farthest(order) > order.rank(sought.behind);
        let mut blocks: Vec<_> = pending.into_iter().filter(is_ahead).collect();
        blocks.sort_by_key(|block| block.nearest(order));
        let mut ranks = Vec::new();
        for block in blocks {
            if ranks.len() >= most {
                ranks.sort_unstable();
                ranks.dedup();
                ranks.truncate(most);
            }
            // The rest lies behind these.
            if ranks.len() == most && ranks.last() < Some(&block.nearest(order)) {
                break;
            }
            block.find(&finder, sought, &mut ranks);
        }
        ranks.sort_unstable();
        ranks.dedup();
        ranks.truncate(most);
        ranks.into_iter().map(|rank| order.place(rank)).collect()
    }

    #[cfg(test)]
    fn within(bounds: Bounds) -> Self {
        Self {
            bounds,
            ..Self::default()
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        let blocks = self.lock();
        blocks.pending.iter().map(|block| block.entries.len()).sum()
    }

    /// Nothing is left half-done under this lock.
    fn lock(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is looked for.
#[derive(Clone, Copy)]
pub(super) struct Sought<'a> {
    /// In lower case.
    pub(super) text: &'a str,
    /// What the texts begin with among which it is.
    pub(super) mark: &'a str,
    pub(super) order: Order,
    /// The place behind which it lies.
    pub(super) behind: i64,
    /// So many, at most.
    pub(super) most: usize,
}

impl Blocks {
    /// Whether there are so many texts.
    fn has(&self, count: usize) -> bool {
        let counts = self.pending.iter().map(|block| block.entries.len());
        counts.sum::<usize>() >= count
    }

    /// The oldest with so many texts together, and one in any case.
    fn oldest(&self, most: usize) -> Vec<Arc<Block>> {
        let mut count = 0;
        let fitting = self.pending.iter().take_while(|block| {
            let is_first = count == 0;
            count += block.entries.len();
            is_first || count <= most
        });
        fitting.cloned().collect()
    }
}

impl Block {
    fn empty() -> Self {
        Self {
            text: String::new(),
            entries: Vec::new(),
            least: i64::MAX,
            greatest: i64::MIN,
        }
    }

    fn push(&mut self, place: i64, mut text: String) {
        text.make_ascii_lowercase();
        self.text.push_str(&text);
        self.entries.push((place, self.text.len()));
        self.least = self.least.min(place);
        self.greatest = self.greatest.max(place);
    }

    fn bytes(&self) -> usize {
        self.text.len() + self.entries.len() * size_of::<(i64, usize)>()
    }

    /// Its texts, with the places of their tags.
    pub(super) fn texts(&self) -> impl Iterator<Item = (i64, &str)> {
        let mut begin = 0;
        self.entries.iter().map(move |&(place, end)| {
            let text = &self.text[begin..end];
            begin = end;
            (place, text)
        })
    }

    /// The rank of the place in it that comes first.
    fn nearest(&self, order: Order) -> i64 {
        order.rank(match order {
            Order::NewestFirst => self.greatest,
            Order::OldestFirst => self.least,
        })
    }

    /// The rank of the place in it that comes last.
    fn farthest(&self, order: Order) -> i64 {
        order.rank(match order {
            Order::NewestFirst => self.least,
            Order::OldestFirst => self.greatest,
        })
    }

    fn find(&self, finder: &Finder<'_>, sought: &Sought<'_>, ranks: &mut Vec<i64>) {
        let behind = sought.order.rank(sought.behind);
        let (mut at, mut next) = (0, 0);
        while let Some(found) = finder.find(&self.text.as_bytes()[at..]) {
            let begins_before = |&(_, end): &(i64, usize)| end <= at + found;
            let number = next + self.entries[next..].partition_point(begins_before);
            let Some(&(place, end)) = self.entries.get(number) else {
                break;
            };
            let begin = number
                .checked_sub(1)
                .map_or(0, |before| self.entries[before].1);
            let rank = sought.order.rank(place);
            if rank > behind && self.text[begin..end].starts_with(sought.mark) {
                ranks.push(rank);
            }
            (at, next) = (end, number + 1);
        }
    }
}

#[cfg(test)]
mod tests;
