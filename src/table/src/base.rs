//! The base: the bulk of the tags, packed, never changed once readers see it.

use std::{hint, iter};

use crate::arena::{Arena, Front, Full, Room};
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
    /// How many tags are promised to come.
    promised: usize,
    /// Where a record is put together.
    scratch: Vec<u8>,
}

/// Up to so many tags an index grows to twice its size, which makes a first reading faster; then by half, since what is too much of it
/// is up to six bytes for each.
const DOUBLING: usize = 2_000_000;
/// Who has brought a number of tags may promise so many times as many.
const BELIEVED: usize = 8;
/// So few dead bytes are not worth a compaction.
const NEGLIGIBLE: usize = 1 << 20;

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
    pub(crate) fn for_tags(count: usize, hasher: KeyHasher, names: Names, room: Room) -> Self {
        Self {
            hasher,
            names,
            arena: Arena::new(room),
            index: Index::for_tags(count),
            dead: 0,
            promised: count,
            scratch: Vec::new(),
        }
    }

    /// Hears that so many tags may come. It is believed once enough of them have: then the index grows to that at once.
    pub(crate) fn promise(&mut self, count: usize) {
        self.promised = count;
    }

    pub(crate) fn room(&self) -> Room {
        self.arena.room()
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
        self.put_if(record, |known| record.supersedes(known))
    }

    /// Takes a record in as if it had been there before what is.
    pub(crate) fn put_before(&mut self, record: &Record<'_>) -> Result<Put, Full> {
        self.put_if(record, |known| !known.supersedes(record))
    }

    fn put_if(
        &mut self,
        record: &Record<'_>,
        stands: impl FnOnce(&Record<'_>) -> bool,
    ) -> Result<Put, Full> {
        let key = self.hasher.key(record.tag.domain, record.tag.code);
        let found = self.index.find(key.hash, |place| self.is(place, &key));
        let Some((slot, place)) = found else {
            let place = self.append(record)?;
            self.insert(key.hash, place);
            return Ok(Put::New);
        };
        let known = Record::read(self.arena.at(place), &self.names);
        let known_len = match known {
            Some((known, _)) if !stands(&known) => return Ok(Put::Superseded),
            Some((_, len)) => len,
            None => 0,
        };
        self.encode(record);
        if !self.arena.overwrite(place, known_len, &self.scratch) {
            let newer = self.push_scratch()?;
            self.index.replace(slot, newer);
            self.dead += known_len;
            // More than half of what lives.
            if self.dead > NEGLIGIBLE && self.dead > self.arena.bytes() / 3 {
                self.compact();
            }
        }
        Ok(Put::Replaced)
    }

    /// Takes several records in, as [`Base::put`] does each. Quicker than that: their places are fetched into the cache together.
    pub(crate) fn put_all(&mut self, records: &[Record<'_>]) -> Result<(), Full> {
        let places = records
            .iter()
            .map(|record| self.touch(record.tag.domain, record.tag.code));
        hint::black_box(places.fold(0, u8::wrapping_add));
        records
            .iter()
            .try_for_each(|record| self.put(record).map(|_| ()))
    }

    /// Takes a record of a base in whose names are numbered as they are here, unless its key is there already.
    pub(crate) fn copy(&mut self, record: &Record<'_>, bytes: &[u8]) -> Result<(), Full> {
        let key = self.hasher.key(record.tag.domain, record.tag.code);
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
        let key = self.hasher.key(record.tag.domain, record.tag.code);
        self.index.find(key.hash, |other| other == place).is_some()
    }

    fn is(&self, place: u32, key: &Key<'_>) -> bool {
        Record::has_key(self.arena.at(place), &self.names, key)
    }

    fn append(&mut self, record: &Record<'_>) -> Result<u32, Full> {
        self.encode(record);
        self.push_scratch()
    }

    fn push_scratch(&mut self) -> Result<u32, Full> {
        let mut pushed = self.arena.push(&self.scratch);
        if pushed.is_err() && self.is_wasteful() {
            self.compact();
            pushed = self.arena.push(&self.scratch);
        }
        pushed
    }

    /// Moves what lives together, over what is dead: a journal may be far longer than what it says in the end. Nobody reads meanwhile.
    fn compact(&mut self) {
        let mut front = Front::default();
        let mut next = self.arena.first();
        while let Some(place) = next {
            let Some((record, len)) = Record::read(self.arena.at(place), &self.names) else {
                debug_assert!(false, "what was written is read");
                return; // with all that follows where it is
            };
            next = self.arena.after(place, len);
            let key = self.hasher.key(record.tag.domain, record.tag.code);
            // Those that have been moved are before this place.
            if let Some((slot, _)) = self.index.find(key.hash, |other| other == place) {
                let to = self.arena.slide(place, len, &mut front);
                self.index.replace(slot, to);
            }
        }
        self.arena.end_at(&front);
        self.dead = 0;
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
        let more = self.len() + room + 64;
        let believed = self.promised.min(self.len().saturating_mul(BELIEVED));
        let mut index = Index::for_tags(more.max(believed));
        for (record, _, place) in self.places().filter(|(_, _, place)| *place != newest) {
            index.insert(
                self.hasher.key(record.tag.domain, record.tag.code).hash,
                place,
            );
        }
        self.index = index;
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tags::{Code, Destination, Domain, Tag, Version, WorkspaceId};

    use super::*;

    fn tag(number: usize, version: u64, len: usize) -> Tag {
        let url = format!("https://example.com/{version}/{}", "x".repeat(len));
        Tag {
            version: Version::new(version).expect("not 0"),
            ..Tag::new(
                WorkspaceId::default_workspace(),
                Domain::parse("a.example.com").expect("a domain"),
                Code::parse(&format!("c{number}")).expect("a code"),
                Destination::parse(&url).expect("a destination"),
                Timestamp::UNIX_EPOCH,
            )
        }
    }

    fn base() -> Base {
        Base::for_tags(0, KeyHasher::default(), Names::default(), Room::default())
    }

    fn assert_holds(base: &Base, tags: &[Tag]) {
        assert_eq!(
            (base.len(), base.records().count()),
            (tags.len(), tags.len())
        );
        for tag in tags {
            let key = base.hasher.key(tag.domain.as_str(), tag.code.as_str());
            let found = base.record(&key).map(|record| record.tag.destination);
            assert_eq!(found, Some(tag.destination.as_str()));
        }
    }

    #[test]
    fn a_base_grows_with_the_tags_that_it_holds_and_not_with_their_edits() {
        let mut base = base();
        let mut last = Vec::new();
        for version in 1..=100 {
            last = (0..1_000)
                .map(|number| tag(number, version, (number * 7 + version as usize * 40) % 900))
                .collect();
            for tag in &last {
                let put = base.put(&Record::of(tag)).expect("room");
                assert_ne!(put, Put::Superseded);
            }
        }
        assert_holds(&base, &last);
        let lives: usize = base.records().map(|(_, bytes)| bytes.len() + 3).sum();
        // All 100 versions are 50 times as much.
        assert!(base.arena.bytes() <= lives + lives / 2 + NEGLIGIBLE + 2_000);
    }

    #[test]
    fn a_compaction_over_several_chunks_keeps_every_record() {
        let mut base = base();
        let mut tags: Vec<Tag> = (0..45_000).map(|n| tag(n, 1, 1_500 + n % 200)).collect();
        for tag in &tags {
            base.put(&Record::of(tag)).expect("room");
        }
        // Every third in the first two chunks is replaced, so that records are moved from one chunk to another.
        for number in (0..30_000).step_by(3) {
            tags[number] = tag(number, 2, 100);
            base.put(&Record::of(&tags[number])).expect("room");
        }
        let (before, dead) = (base.arena.bytes(), base.dead);
        assert!(dead > 8 << 20 && before > 64 << 20, "{dead} of {before}");
        base.compact();
        assert!(base.arena.bytes() <= before - dead + 4 * 2_000);
        assert_holds(&base, &tags);
        let more = tag(45_000, 1, 10);
        base.put(&Record::of(&more)).expect("room");
        tags.push(more);
        assert_holds(&base, &tags);
    }

    #[test]
    fn a_base_without_room_takes_what_replaces_the_dead() {
        let mut base = Base::for_tags(
            0,
            KeyHasher::default(),
            Names::default(),
            Room::for_bytes(1),
        );
        // 12 MB live, in a room of 32 MiB, through three times as much.
        for version in 1..=4 {
            for number in 0..8_000 {
                let tag = tag(number, version, 1_500 + version as usize * 4);
                base.put(&Record::of(&tag)).expect("room");
            }
        }
        let large = |number| tag(number, 1, 1_900);
        let full = (8_000..).find(|number| base.put(&Record::of(&large(*number))).is_err());
        assert!(
            full.is_some_and(|number| base.len() == number),
            "none is half there"
        );
    }
}
