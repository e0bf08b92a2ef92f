//! A map of names whose copies share what they have in common. A change copies the way to one bucket, two arrays of a fixed size, so that
//! to fill a map that readers hold copies of costs as much as it has entries, and not their square.

use std::array;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::DefaultHashBuilder;

/// Two levels of this make 4,096 buckets: with as many domains as anyone has, a handful in each.
const FAN_OUT: usize = 64;

type Level<T> = Arc<[T; FAN_OUT]>;
type Bucket<V> = Arc<[Entry<V>]>;

/// See the module.
pub(crate) struct SharedMap<V> {
    root: Level<Level<Bucket<V>>>,
    /// Names are chosen by tenants: which bucket one falls into has to be a secret of the process.
    hasher: DefaultHashBuilder,
}

struct Entry<V> {
    name: Arc<str>,
    value: Arc<V>,
}

impl<V> SharedMap<V> {
    /// What stands under this name.
    pub(crate) fn get(&self, name: &str) -> Option<&V> {
        let [first, second] = self.place(name);
        let mut bucket = self.root[first][second].iter();
        let entry = bucket.find(|entry| *entry.name == *name)?;
        Some(&entry.value)
    }

    /// Puts a value under this name. Returns what stood there.
    pub(crate) fn insert(&mut self, name: &str, value: V) -> Option<Arc<V>> {
        let [first, second] = self.place(name);
        let level = &mut Arc::make_mut(&mut self.root)[first];
        let bucket = &mut Arc::make_mut(level)[second];
        let entry = Entry {
            name: name.into(),
            value: Arc::new(value),
        };
        let known = bucket.iter().find(|known| known.name == entry.name);
        let before = known.map(|known| Arc::clone(&known.value));
        let others = bucket.iter().filter(|other| other.name != entry.name);
        *bucket = others.cloned().chain([entry.clone()]).collect();
        before
    }

    /// All values, in no order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        let buckets = self.root.iter().flat_map(|level| level.iter());
        buckets.flat_map(|bucket| bucket.iter().map(|entry| &*entry.value))
    }

    fn place(&self, name: &str) -> [usize; 2] {
        let hash = self.hasher.hash_one(name) as usize;
        [hash % FAN_OUT, hash / FAN_OUT % FAN_OUT]
    }
}

impl<V> Default for SharedMap<V> {
    fn default() -> Self {
        let bucket: Bucket<V> = Arc::new([]);
        let level = Arc::new(array::from_fn(|_| Arc::clone(&bucket)));
        Self {
            root: Arc::new(array::from_fn(|_| Arc::clone(&level))),
            hasher: DefaultHashBuilder::default(),
        }
    }
}

impl<V> Clone for SharedMap<V> {
    fn clone(&self) -> Self {
        Self {
            root: Arc::clone(&self.root),
            hasher: self.hasher.clone(),
        }
    }
}

impl<V> Clone for Entry<V> {
    fn clone(&self) -> Self {
        Self {
            name: Arc::clone(&self.name),
            value: Arc::clone(&self.value),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// How many arrays and entries of the second map are not the first one's.
    fn copied<V>(before: &SharedMap<V>, after: &SharedMap<V>) -> (usize, usize) {
        let (mut arrays, mut entries) = (0, 0);
        if !Arc::ptr_eq(&before.root, &after.root) {
            arrays += 1;
        }
        for (before, after) in before.root.iter().zip(after.root.iter()) {
            if Arc::ptr_eq(before, after) {
                continue;
            }
            arrays += 1;
            for (before, after) in before.iter().zip(after.iter()) {
                if !Arc::ptr_eq(before, after) {
                    entries += after.len();
                }
            }
        }
        (arrays, entries)
    }

    #[test]
    fn a_change_copies_as_much_of_a_large_map_as_of_a_small_one() {
        let mut map = SharedMap::default();
        let (mut most_entries, mut copies) = (0, Vec::new());
        for number in 0..10_000 {
            copies.push(map.clone()); // a reader, as long as the test lasts
            map.insert(&format!("{number}.example"), number);
            let (arrays, entries) = copied(&copies[number], &map);
            assert_eq!(arrays, 2, "{number}");
            most_entries = most_entries.max(entries);
        }
        // 2.4 in the mean; this many in one bucket of 4,096 by chance is beyond the age of the universe.
        assert!(most_entries < 40, "{most_entries}");
        assert_eq!(copies[5_000].values().count(), 5_000, "readers keep theirs");
        assert_eq!(copies[5_000].get("5000.example"), None);
        assert_eq!(map.get("9999.example"), Some(&9_999));
    }

    proptest! {
        #[test]
        fn it_is_a_map(changes in prop::collection::vec((0_u8..40, any::<u32>()), 0..200)) {
            let (mut map, mut plain) = (SharedMap::default(), HashMap::new());
            for (name, value) in changes {
                let name = name.to_string();
                let before = map.insert(&name, value);
                prop_assert_eq!(before.as_deref().copied(), plain.insert(name, value));
            }
            for (name, value) in &plain {
                prop_assert_eq!(map.get(name), Some(value));
            }
            let mut values: Vec<u32> = map.values().copied().collect();
            let mut expected: Vec<u32> = plain.into_values().collect();
            values.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(values, expected);
            prop_assert_eq!(map.get("none"), None);
        }
    }
}
