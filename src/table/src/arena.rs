//! Where a base's records lie: big chunks that are filled one after the other and never moved.

use crate::pages::Pages;

/// The records' bytes, addressed in units, so that 32 bits reach 16 GiB.
#[derive(Debug)]
pub(crate) struct Arena {
    chunks: Vec<Chunk>,
    room: Room,
}

/// How many chunks an arena may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room(usize);

/// How far records have been moved together: everything before it is in use.
#[derive(Debug, Default)]
pub(crate) struct Front {
    chunk: usize,
    len: usize,
}

#[derive(Debug)]
struct Chunk {
    pages: Pages,
    /// So many bytes are used, always a multiple of a unit.
    len: usize,
}

/// No room is left: 16 GiB of tags are held, or as many as it was given.
#[derive(Debug)]
pub(crate) struct Full;

/// Records begin at multiples of this: two bytes of padding a record are the mean.
const UNIT: usize = 4;
const CHUNK: usize = 32 << 20;
const CHUNK_UNITS: usize = CHUNK / UNIT;
const MAX_CHUNKS: usize = (1 << 32) / CHUNK_UNITS;

impl Room {
    /// For so many bytes, rounded up.
    pub(crate) fn for_bytes(bytes: usize) -> Self {
        Self(bytes.div_ceil(CHUNK).clamp(1, MAX_CHUNKS))
    }
}

impl Default for Room {
    fn default() -> Self {
        Self(MAX_CHUNKS)
    }
}

impl Arena {
    pub(crate) fn new(room: Room) -> Self {
        let chunks = Vec::new();
        Self { chunks, room }
    }

    pub(crate) fn room(&self) -> Room {
        self.room
    }

    /// Adds a record and says where it is.
    pub(crate) fn push(&mut self, record: &[u8]) -> Result<u32, Full> {
        let room = record.len().next_multiple_of(UNIT);
        let fits = |chunk: &Chunk| chunk.len + room <= CHUNK;
        if !self.chunks.last().is_some_and(fits) {
            if self.chunks.len() == self.room.0 || room > CHUNK {
                return Err(Full);
            }
            let pages = Pages::zeroed(CHUNK);
            self.chunks.push(Chunk { pages, len: 0 });
        }
        let number = self.chunks.len() - 1;
        let chunk = &mut self.chunks[number];
        let at = number * CHUNK_UNITS + chunk.len / UNIT;
        chunk.pages[chunk.len..][..record.len()].copy_from_slice(record);
        chunk.len += room;
        Ok(at as u32) // below MAX_CHUNKS * CHUNK_UNITS, which is 2^32
    }

    /// The record at this place and what follows it in its chunk.
    pub(crate) fn at(&self, at: u32) -> &[u8] {
        let at = at as usize;
        let chunk = &self.chunks[at / CHUNK_UNITS];
        &chunk.pages[at % CHUNK_UNITS * UNIT..chunk.len]
    }

    /// Puts a record where one of `old_len` bytes is, if it takes the same room.
    pub(crate) fn overwrite(&mut self, at: u32, old_len: usize, record: &[u8]) -> bool {
        let room = old_len.next_multiple_of(UNIT);
        if record.len().next_multiple_of(UNIT) != room {
            return false;
        }
        let at = at as usize;
        let chunk = &mut self.chunks[at / CHUNK_UNITS];
        let place = &mut chunk.pages[at % CHUNK_UNITS * UNIT..][..room];
        place[..record.len()].copy_from_slice(record);
        place[record.len()..].fill(0);
        true
    }

    /// Moves a record of `len` bytes to the front, and says where it is then. Records have to come in the order of their places: then
    /// the front is never beyond the next of them, since what lies between fits where it lay with more before it.
    pub(crate) fn slide(&mut self, from: u32, len: usize, front: &mut Front) -> u32 {
        let room = len.next_multiple_of(UNIT);
        if front.len + room > CHUNK {
            self.chunks[front.chunk].len = front.len;
            front.chunk += 1;
            front.len = 0;
        }
        let number = from as usize / CHUNK_UNITS;
        let source = from as usize % CHUNK_UNITS * UNIT;
        let (before, rest) = self.chunks.split_at_mut(number);
        let pages = &mut rest[0].pages;
        match before.get_mut(front.chunk) {
            Some(chunk) => {
                chunk.pages[front.len..][..len].copy_from_slice(&pages[source..][..len]);
            }
            None => pages.copy_within(source..source + len, front.len),
        }
        let to = front.chunk * CHUNK_UNITS + front.len / UNIT;
        front.len += room;
        to as u32 // at most `from`
    }

    /// Gives back what is behind the front.
    pub(crate) fn end_at(&mut self, front: &Front) {
        self.chunks.truncate(front.chunk + 1);
        if let Some(last) = self.chunks.last_mut() {
            last.len = front.len;
        }
    }

    /// Where the record after one of `len` bytes begins, or the next chunk's first.
    pub(crate) fn after(&self, at: u32, len: usize) -> Option<u32> {
        let next = at as usize + len.div_ceil(UNIT);
        let number = at as usize / CHUNK_UNITS;
        let in_chunk = next - number * CHUNK_UNITS;
        if in_chunk * UNIT < self.chunks[number].len {
            return Some(next as u32);
        }
        let next_chunk = number + 1;
        (next_chunk < self.chunks.len()).then_some((next_chunk * CHUNK_UNITS) as u32)
    }

    /// Where the first record is.
    pub(crate) fn first(&self) -> Option<u32> {
        (!self.chunks.is_empty()).then_some(0)
    }

    /// How many bytes the records take, padding included.
    pub(crate) fn bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len).sum()
    }

    /// Gives the memory back chunk by chunk.
    pub(crate) fn release(self, mut pause: impl FnMut()) {
        for chunk in self.chunks {
            drop(chunk);
            pause();
        }
    }
}
