//! How a tag is addressed inside the table: its domain and code, owned by what is stored and borrowed by a look-up.

use std::hash::{Hash, Hasher};

use hashbrown::Equivalent;
use tags::{Code, Domain};

/// The key of a stored tag: `domain/code` in one allocation. Neither part can contain the slash.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    text: Box<str>,
    domain_len: usize,
}

impl Key {
    pub(crate) fn new(domain: &Domain, code: &Code) -> Self {
        let (domain, code) = (domain.as_str(), code.as_str());
        Self {
            text: format!("{domain}/{code}").into(),
            domain_len: domain.len(),
        }
    }

    fn borrowed(&self) -> Lookup<'_> {
        let (domain, rest) = self.text.split_at(self.domain_len);
        Lookup {
            domain,
            code: &rest[1..],
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.borrowed().hash(state);
    }
}

/// The same key as a request has it, in two parts of its own buffer. Its derived hash is what [`Key`] hashes as.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) struct Lookup<'a> {
    pub(crate) domain: &'a str,
    pub(crate) code: &'a str,
}

impl Equivalent<Key> for Lookup<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        key.borrowed() == *self
    }
}
