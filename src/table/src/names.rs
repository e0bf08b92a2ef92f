//! The words that many tags of a base share, domains, workspaces and campaigns, each kept once and referred to by its number.

use hashbrown::HashTable;

use crate::key::KeyHasher;

/// A list of words without repetitions. It only grows, so that a number keeps its meaning from base to base.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    list: Vec<Box<str>>,
    ids: HashTable<u32>,
}

/// Records that spell every name out have none in a list.
pub(crate) static SPELT_OUT: Names = Names {
    list: Vec::new(),
    ids: HashTable::new(),
};

impl Names {
    /// More are spelt out in the records: a campaign for each tag would cost more in a list than it saves.
    pub(crate) const MAX: usize = 65_536;
    /// Longer ones are hardly shared.
    const MAX_BYTES: usize = 255;

    pub(crate) fn get(&self, id: u64) -> Option<&str> {
        let name = self.list.get(usize::try_from(id).ok()?)?;
        Some(name)
    }

    /// The number of a word, which is added if there is room.
    pub(crate) fn intern(&mut self, text: &str, hasher: &KeyHasher) -> Option<u64> {
        let hash = hasher.text(text);
        let list = &self.list;
        if let Some(id) = self.ids.find(hash, |id| &*list[*id as usize] == text) {
            return Some(u64::from(*id));
        }
        if self.list.len() >= Self::MAX || text.len() > Self::MAX_BYTES {
            return None;
        }
        let id = self.list.len() as u32; // below MAX
        self.list.push(text.into());
        let list = &self.list;
        let rehash = |id: &u32| hasher.text(&list[*id as usize]);
        self.ids.insert_unique(hash, id, rehash);
        Some(u64::from(id))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|name| &**name)
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Adds a word under the next number, whether or not it is there: for lists that are only read by number.
    pub(crate) fn push(&mut self, text: &str) {
        self.list.push(text.into());
    }
}
