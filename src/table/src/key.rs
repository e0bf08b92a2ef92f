//! How a tag is addressed inside the table: domain and code, hashed once for all the places where it may lie.

use std::hash::{BuildHasher, Hasher};

use hashbrown::DefaultHashBuilder;

/// Hashes keys, with a random seed that a table keeps for its life: tenants choose codes, and must not choose collisions.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyHasher(DefaultHashBuilder);

/// A tag's key with its hash, borrowed from a request or a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a> {
    pub(crate) hash: u64,
    pub(crate) domain: &'a str,
    pub(crate) code: &'a str,
}

impl KeyHasher {
    pub(crate) fn key<'a>(&self, domain: &'a str, code: &'a str) -> Key<'a> {
        let mut hasher = self.0.build_hasher();
        hasher.write(code.as_bytes());
        hasher.write(domain.as_bytes());
        let hash = hasher.finish();
        Key { hash, domain, code }
    }

    pub(crate) fn text(&self, text: &str) -> u64 {
        self.0.hash_one(text)
    }
}

/// Builds the hasher of maps whose keys bring their hash along.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hashed;

/// Passes the one number on that it is given.
#[derive(Debug, Default)]
pub(crate) struct AsIs(u64);

impl BuildHasher for Hashed {
    type Hasher = AsIs;
    fn build_hasher(&self) -> AsIs {
        AsIs::default()
    }
}

impl Hasher for AsIs {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
