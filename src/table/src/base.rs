//! The base: the bulk of the tags, packed, never changed once readers see it.

use std::iter;

use tags::TagView;

use crate::arena::{Arena, Full};
use crate::index::Index;
use crate::key::{Key, KeyHasher};
use crate::names::Names;
use crate::record::Record;

/// Tags as packed records. Filled by one thread before anyone reads it.
#[derive(Debug)]
pub(crate) struct Base {
    hasher: KeyHasher,
    names: Names,
    arena: Arena,
    index: Index,
    /// Bytes of records that newer ones have replaced.
    dead: usize,
    /// Where a record is put together.
    scratch: Vec<u8>,
}

/// Up to so many tags an index grows to twice its size, which makes a first reading faster; then by half, since what is too much of it
/// is up to six bytes for each.
const DOUBLING: usize = 2_000_000;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// Its key was not there.
    New,
    /// It stands where an older version was.
    Replaced,
    /// What is there stands against it.
    Superseded,
}

impl Base {
    /// An empty one with room in its index for so many tags; more make it grow.
    pub(crate) fn for_tags(count: usize, hasher: KeyHasher, names: Names) -> Self {
        Self {
            hasher,
            names,
            arena: Arena::default(),
            index: Index::for_tags(count),
            dead: 0,
            scratch: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// Whether so much has been replaced that it is worth to copy the rest.
    pub(crate) fn is_wasteful(&self) -> bool {
        self.dead > self.arena.bytes() / 8
    }

    pub(crate) fn get(&self, key: &Key<'_>) -> Option<TagView<'_>> {
        self.record(key).map(|record| record.tag)
    }

    pub(crate) fn record(&self, key: &Key<'_>) -> Option<Record<'_>> {
        let (_, place) = self.index.find(key.hash, |place| self.is(place, key))?;
        Some(Record::read(self.arena.at(place), &self.names)?.0)
    }

    /// Fetches the place of a tag into the cache. What it returns means nothing, but has to be used for that.
    pub(crate) fn touch(&self, domain: &str, code: &str) -> u8 {
        self.index.touch(self.hasher.key(domain, code).hash)
    }

    /// Takes a record in unless what is there stands against it.
    pub(crate) fn put(&mut self, record: &Record<'_>) -> Result<Put, Full> {
        let key = self.hasher.key(record.domain, record.code);
        let found = self.index.find(key.hash, |place| self.is(place, &key));
        let Some((slot, place)) = found else {
            let place = self.append(record)?;
            self.insert(key.hash, place);
            return Ok(Put::New);
        };
        let known = Record::read(self.arena.at(place), &self.names);
        let known_len = match known {
            Some((known, _)) if !record.supersedes(&known) => return Ok(Put::Superseded),
            Some((_, len)) => len,
            None => 0,
        };
        self.encode(record);
        if !self.arena.overwrite(place, known_len, &self.scratch) {
            let newer = self.arena.push(&self.scratch)?;
            self.index.replace(slot, newer);
            self.dead += known_len;
        }
        Ok(Put::Replaced)
    }

    /// Takes a record of a base in whose names are numbered as they are here, unless its key is there already.
    pub(crate) fn copy(&mut self, record: &Record<'_>, bytes: &[u8]) -> Result<(), Full> {
        let key = self.hasher.key(record.domain, record.code);
        if self
            .index
            .find(key.hash, |place| self.is(place, &key))
            .is_none()
        {
            let place = self.arena.push(bytes)?;
            self.insert(key.hash, place);
        }
        Ok(())
    }

    /// All tags with their bytes, in the order of their places in memory.
    pub(crate) fn records(&self) -> impl Iterator<Item = (Record<'_>, &[u8])> {
        self.places().map(|(record, bytes, _)| (record, bytes))
    }

    /// Frees it, with a pause after each piece.
    pub(crate) fn release(self, pause: impl FnMut()) {
        drop(self.index);
        self.arena.release(pause);
    }

    fn places(&self) -> impl Iterator<Item = (Record<'_>, &[u8], u32)> {
        let mut next = self.arena.first();
        let all = iter::from_fn(move || {
            let place = next?;
            let bytes = self.arena.at(place);
            let (record, len) = Record::read(bytes, &self.names)?;
            next = self.arena.after(place, len);
            Some((record, &bytes[..len], place))
        });
        all.filter(|(record, _, place)| self.dead == 0 || self.is_live(record, *place))
    }

    fn is_live(&self, record: &Record<'_>, place: u32) -> bool {
        let key = self.hasher.key(record.domain, record.code);
        self.index.find(key.hash, |other| other == place).is_some()
    }

    fn is(&self, place: u32, key: &Key<'_>) -> bool {
        Record::has_key(self.arena.at(place), &self.names, key)
    }

    fn append(&mut self, record: &Record<'_>) -> Result<u32, Full> {
        self.encode(record);
        self.arena.push(&self.scratch)
    }

    fn encode(&mut self, record: &Record<'_>) {
        self.scratch.clear();
        let (names, hasher) = (&mut self.names, &self.hasher);
        record.write(&mut self.scratch, |text| names.intern(text, hasher));
    }

    fn insert(&mut self, hash: u64, place: u32) {
        if self.index.is_full() {
            self.grow(place);
        }
        self.index.insert(hash, place);
    }

    /// Makes a bigger index. The arena is read in order, which is far quicker than by the old index. `newest` is not in it yet.
    fn grow(&mut self, newest: u32) {
        let room = if self.len() < DOUBLING {
            self.len()
        } else {
            self.len() / 2
        };
        let mut index = Index::for_tags(self.len() + room + 64);
        for (record, _, place) in self.places().filter(|(_, _, place)| *place != newest) {
            index.insert(self.hasher.key(record.domain, record.code).hash, place);
        }
        self.index = index;
    }
}
