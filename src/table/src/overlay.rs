//! Changes since the base was made. Read without locks while one thread at a time writes; nothing is ever taken out.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};

use papaya::{Equivalent, LocalGuard};

use crate::base::Base;
use crate::key::{Hashed, Key, KeyHasher};
use crate::names::SPELT_OUT;
use crate::record::Record;

/// The newest version of each tag that has changed.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    // A newer version replaces the whole entry, key and all.
    entries: papaya::HashMap<Entry, (), Hashed>,
    /// Of all the records.
    bytes: AtomicUsize,
}

/// How large an overlay is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    /// How many tags are in it.
    pub(crate) changes: usize,
    /// The length of their records.
    pub(crate) bytes: usize,
}

/// A packed record that spells its names out.
#[derive(Debug)]
struct Entry {
    hash: u64,
    bytes: Box<[u8]>,
}

impl Overlay {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How large it is.
    pub(crate) fn size(&self) -> Size {
        Size {
            changes: self.len(),
            bytes: self.bytes.load(Ordering::Relaxed), // the writer's own
        }
    }

    pub(crate) fn guard(&self) -> LocalGuard<'_> {
        self.entries.guard()
    }

    pub(crate) fn get<'g>(&self, key: &Key<'_>, guard: &'g LocalGuard<'_>) -> Option<Record<'g>> {
        let (entry, ()) = self.entries.get_key_value(key, guard)?;
        entry.record()
    }

    pub(crate) fn contains(&self, key: &Key<'_>) -> bool {
        self.entries.pin().contains_key(key)
    }

    /// Puts a record in. The caller is the only writer, and has made sure that it supersedes what is known.
    pub(crate) fn put(&self, record: &Record<'_>, hasher: &KeyHasher) {
        let mut bytes = Vec::with_capacity(256);
        record.write(&mut bytes, |_| None);
        let hash = hasher.key(record.tag.domain, record.tag.code).hash;
        let bytes = bytes.into_boxed_slice();
        let entry = Entry { hash, bytes };
        let pinned = self.entries.pin();
        let replaced = pinned.get_key_value(&entry);
        let replaced = replaced.map_or(0, |(entry, ())| entry.bytes.len());
        let bytes = self.bytes.load(Ordering::Relaxed) - replaced + entry.bytes.len();
        self.bytes.store(bytes, Ordering::Relaxed);
        pinned.insert(entry, ());
    }

    /// Calls `each` with every record and its bytes until it fails.
    pub(crate) fn try_for_each<E>(
        &self,
        mut each: impl FnMut(Record<'_>, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let pinned = self.entries.pin();
        let mut records = pinned.keys().filter_map(|e| Some((e.record()?, &*e.bytes)));
        records.try_for_each(|(record, bytes)| each(record, bytes))
    }
}

/// What is known of a tag to the writer, in the order in which readers look.
pub(crate) fn known<R>(
    overlays: [Option<&Overlay>; 2],
    base: &Base,
    key: &Key<'_>,
    read: impl FnOnce(Option<&Record<'_>>) -> R,
) -> R {
    for overlay in overlays.into_iter().flatten() {
        let guard = overlay.guard();
        if let Some(record) = overlay.get(key, &guard) {
            return read(Some(&record));
        }
    }
    read(base.record(key).as_ref())
}

impl Entry {
    fn record(&self) -> Option<Record<'_>> {
        // Whole as it was written by `Overlay::put`.
        Some(Record::read(&self.bytes, &SPELT_OUT)?.0)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
            && other.record().is_some_and(|record| {
                let (domain, code) = (record.tag.domain, record.tag.code);
                Record::has_key(
                    &self.bytes,
                    &SPELT_OUT,
                    &Key {
                        hash: self.hash,
                        domain,
                        code,
                    },
                )
            })
    }
}

impl Eq for Entry {}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Equivalent<Entry> for Key<'_> {
    fn equivalent(&self, entry: &Entry) -> bool {
        self.hash == entry.hash && Record::has_key(&entry.bytes, &SPELT_OUT, self)
    }
}
