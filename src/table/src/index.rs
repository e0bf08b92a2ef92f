//! Finds a record by its key's hash in one cache line: a hash table of buckets that hold twelve places and a byte of each one's
//! hash. Full buckets overflow into the next.

/// Places of records by hash. Only grows.
#[derive(Debug)]
pub(crate) struct Index {
    buckets: Vec<Bucket>,
    len: usize,
}

/// One cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Bucket {
    /// A byte of each hash, never 0; 0 is a free slot. The last four are no slots and stay 0.
    marks: [u8; 16],
    places: [u32; SLOTS],
}

/// Where in the index a place is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    bucket: usize,
    slot: usize,
}

const SLOTS: usize = 12;
/// The last byte of `marks`: set when a place went on to the next bucket, for want of a slot in this one.
const OVERFLOWED: usize = 15;
/// Slots filled of a hundred: at 85, one look-up in twenty goes on to a second bucket.
const LOAD: usize = 85;
/// So much is at least reserved, though not touched: such an allocation is a map of its own, see the arena's chunks.
const RESERVE: usize = (32 << 20) / size_of::<Bucket>();

impl Index {
    /// An index with room for so many.
    pub(crate) fn for_tags(count: usize) -> Self {
        let wanted = (count.saturating_mul(100) / LOAD).div_ceil(SLOTS).max(1);
        let mut buckets = Vec::with_capacity(wanted.max(RESERVE));
        buckets.resize(wanted, Bucket::EMPTY);
        Self { buckets, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether it is time for a bigger one.
    pub(crate) fn is_full(&self) -> bool {
        self.len * 100 >= self.buckets.len() * SLOTS * LOAD
    }

    /// The place with this hash of which `is_it` says so.
    pub(crate) fn find(
        &self,
        hash: u64,
        mut is_it: impl FnMut(u32) -> bool,
    ) -> Option<(Slot, u32)> {
        let (mut number, mark) = self.home(hash);
        for _ in 0..self.buckets.len() {
            let bucket = &self.buckets[number];
            let mut matches = bucket.slots_with(mark);
            while matches != 0 {
                let slot = matches.trailing_zeros() as usize / 8;
                let place = bucket.places[slot];
                if is_it(place) {
                    let bucket = number;
                    return Some((Slot { bucket, slot }, place));
                }
                matches &= matches - 1;
            }
            if bucket.marks[OVERFLOWED] == 0 {
                return None;
            }
            number = self.next(number);
        }
        None
    }

    /// Adds a place that is not there yet. The index must not be full.
    pub(crate) fn insert(&mut self, hash: u64, place: u32) {
        debug_assert!(self.len < self.buckets.len() * SLOTS, "an index has room");
        let (mut number, mark) = self.home(hash);
        loop {
            let bucket = &mut self.buckets[number];
            let free = bucket.slots_with(0);
            if free != 0 {
                let slot = free.trailing_zeros() as usize / 8;
                bucket.marks[slot] = mark;
                bucket.places[slot] = place;
                self.len += 1;
                return;
            }
            bucket.marks[OVERFLOWED] = 1;
            number = self.next(number);
        }
    }

    pub(crate) fn replace(&mut self, slot: Slot, place: u32) {
        self.buckets[slot.bucket].places[slot.slot] = place;
    }

    fn home(&self, hash: u64) -> (usize, u8) {
        // The hash's upper half chooses the bucket without a division, a lower byte is the mark.
        let number = ((u128::from(hash) * self.buckets.len() as u128) >> 64) as usize;
        (number, (hash as u8).max(1))
    }

    fn next(&self, number: usize) -> usize {
        if number + 1 == self.buckets.len() {
            0
        } else {
            number + 1
        }
    }
}

impl Bucket {
    const EMPTY: Self = Self {
        marks: [0; 16],
        places: [0; SLOTS],
    };

    /// The highest bit of each byte whose slot has this mark.
    fn slots_with(&self, mark: u8) -> u128 {
        const LOW: u128 = u128::from_le_bytes([0x7f; 16]);
        const USED: u128 = (1 << (8 * SLOTS)) - 1;
        let differing = u128::from_le_bytes(self.marks) ^ u128::from_le_bytes([mark; 16]);
        // A byte gets its highest bit unless all of it is 0; no carry leaves a byte.
        let nonzero = ((differing & LOW) + LOW) | differing | LOW;
        !nonzero & USED
    }
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
