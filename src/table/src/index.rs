//! Finds a record by its key's hash in one cache line: a hash table of buckets that hold twelve places and a byte of each one's
//! hash. Full buckets overflow into the next.

use crate::pages::Pages;

/// Places of records by hash. Only grows.
#[derive(Debug)]
pub(crate) struct Index {
    /// Buckets, each a cache line.
    pages: Pages,
    len: usize,
}

/// A byte of each hash, never 0, where 0 is a free slot and the last four are no slots; then the places, little-endian.
type Bucket = [u8; BUCKET];

/// Where in the index a place is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    bucket: usize,
    slot: usize,
}

const BUCKET: usize = 64;
const SLOTS: usize = 12;
/// Where the places begin in a bucket.
const PLACES: usize = 16;
/// The last of the first sixteen bytes: set when a place went on to the next bucket, for want of a slot in this one.
const OVERFLOWED: usize = 15;
/// Slots filled of a hundred: at 85, one look-up in twenty goes on to a second bucket.
const LOAD: usize = 85;
impl Index {
    /// An index with room for so many.
    pub(crate) fn for_tags(count: usize) -> Self {
        let wanted = (count.saturating_mul(100) / LOAD).div_ceil(SLOTS).max(1);
        Self {
            pages: Pages::zeroed(wanted * BUCKET),
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether it is time for a bigger one.
    pub(crate) fn is_full(&self) -> bool {
        self.len * 100 >= self.buckets().len() * SLOTS * LOAD
    }

    /// Reads of the bucket in which a hash begins.
    pub(crate) fn touch(&self, hash: u64) -> u8 {
        self.buckets()[self.home(hash).0][OVERFLOWED]
    }

    /// The place with this hash of which `is_it` says so.
    pub(crate) fn find(
        &self,
        hash: u64,
        mut is_it: impl FnMut(u32) -> bool,
    ) -> Option<(Slot, u32)> {
        let (mut number, mark) = self.home(hash);
        let buckets = self.buckets();
        for _ in 0..buckets.len() {
            let bucket = &buckets[number];
            let mut matches = slots_with(bucket, mark);
            while matches != 0 {
                let slot = matches.trailing_zeros() as usize / 8;
                let place = place(bucket, slot);
                if is_it(place) {
                    let bucket = number;
                    return Some((Slot { bucket, slot }, place));
                }
                matches &= matches - 1;
            }
            if bucket[OVERFLOWED] == 0 {
                return None;
            }
            number = self.next(number);
        }
        None
    }

    /// Adds a place that is not there yet. The index must not be full.
    pub(crate) fn insert(&mut self, hash: u64, place: u32) {
        debug_assert!(self.len < self.buckets().len() * SLOTS, "an index has room");
        let (mut number, mark) = self.home(hash);
        loop {
            let bucket = &mut self.buckets_mut()[number];
            let free = slots_with(bucket, 0);
            if free != 0 {
                let slot = free.trailing_zeros() as usize / 8;
                bucket[slot] = mark;
                set_place(bucket, slot, place);
                self.len += 1;
                return;
            }
            bucket[OVERFLOWED] = 1;
            number = self.next(number);
        }
    }

    pub(crate) fn replace(&mut self, slot: Slot, place: u32) {
        set_place(&mut self.buckets_mut()[slot.bucket], slot.slot, place);
    }

    fn home(&self, hash: u64) -> (usize, u8) {
        // The hash's upper half chooses the bucket without a division, a lower byte is the mark.
        let number = ((u128::from(hash) * self.buckets().len() as u128) >> 64) as usize;
        (number, (hash as u8).max(1))
    }

    fn next(&self, number: usize) -> usize {
        if number + 1 == self.buckets().len() {
            0
        } else {
            number + 1
        }
    }

    fn buckets(&self) -> &[Bucket] {
        self.pages.as_chunks().0
    }

    fn buckets_mut(&mut self) -> &mut [Bucket] {
        self.pages.as_chunks_mut().0
    }
}

/// The highest bit of each byte whose slot has this mark.
fn slots_with(bucket: &Bucket, mark: u8) -> u128 {
    const LOW: u128 = u128::from_le_bytes([0x7f; 16]);
    const USED: u128 = (1 << (8 * SLOTS)) - 1;
    let (marks, _) = bucket.as_chunks::<PLACES>();
    let differing = u128::from_le_bytes(marks[0]) ^ u128::from_le_bytes([mark; PLACES]);
    // A byte gets its highest bit unless all of it is 0; no carry leaves a byte.
    let nonzero = ((differing & LOW) + LOW) | differing | LOW;
    !nonzero & USED
}

fn place(bucket: &Bucket, slot: usize) -> u32 {
    u32::from_le_bytes(bucket[PLACES..].as_chunks().0[slot])
}

fn set_place(bucket: &mut Bucket, slot: usize, place: u32) {
    bucket[PLACES..].as_chunks_mut().0[slot] = place.to_le_bytes();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_found_by_its_hash_however_many_share_a_bucket() {
        for spread in [1, 1 << 20, u64::MAX / 1000] {
            let mut index = Index::for_tags(1000);
            (0..1000_u32).for_each(|n| index.insert(u64::from(n) * spread, n));
            assert_eq!(index.len(), 1000);
            for n in 0..1000_u32 {
                let found = index.find(u64::from(n) * spread, |place| place == n);
                assert!(found.is_some_and(|(_, place)| place == n), "{spread} {n}");
            }
            assert!(index.find(u64::MAX, |_| false).is_none());
        }
    }

    #[test]
    fn a_replaced_place_is_found_instead_of_the_old_one() {
        let mut index = Index::for_tags(1);
        index.insert(7, 1);
        let (slot, _) = index.find(7, |_| true).expect("it is there");
        index.replace(slot, 2);
        assert_eq!(index.find(7, |_| true).map(|(_, place)| place), Some(2));
        assert_eq!(index.len(), 1);
    }
}
