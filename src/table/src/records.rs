//! Where the tags lie: a base that never changes once published, and an overlay of every change since.

use hashbrown::DefaultHashBuilder;
use tags::Tag;

use crate::key::Key;

/// The tags of the bootstrap. Filled by one thread before anyone reads it.
#[derive(Debug, Default)]
pub(crate) struct Base(pub(crate) hashbrown::HashMap<Key, Tag>);

impl Base {
    /// Takes the tag unless what is there stands against it.
    pub(crate) fn put(&mut self, tag: Tag) -> bool {
        let key = Key::new(&tag.domain, &tag.code);
        let accepted = supersedes(&tag, self.0.get(&key));
        if accepted {
            self.0.insert(key, slim(tag));
        }
        accepted
    }
}

/// Changes since the base was published; read without locks while one thread at a time writes.
#[derive(Debug, Default)]
pub(crate) struct Overlay(pub(crate) papaya::HashMap<Key, Tag, DefaultHashBuilder>);

impl Overlay {
    /// Takes the tag unless what is here, or else in `base`, stands against it. `Some(true)`: its code was not known before.
    /// The caller is the only writer.
    pub(crate) fn put(&self, tag: Tag, base: &Base) -> Option<bool> {
        let key = Key::new(&tag.domain, &tag.code);
        let overlay = self.0.pin();
        let known = overlay.get(&key).or_else(|| base.0.get(&key));
        if !supersedes(&tag, known) {
            return None;
        }
        let is_new = known.is_none();
        overlay.insert(key, slim(tag));
        Some(is_new)
    }
}

/// Whether `tag` may stand where `known` is. A journal is read at least once, so what comes again must change nothing; and a
/// revoked code stays revoked whatever version claims otherwise, since the print it is on was given up for good.
fn supersedes(tag: &Tag, known: Option<&Tag>) -> bool {
    let revoked = |tag: &Tag| tag.status == tags::Status::Revoked;
    known.is_none_or(|known| tag.version > known.version && (!revoked(known) || revoked(tag)))
}

/// The tag without what no redirect reads.
fn slim(mut tag: Tag) -> Tag {
    tag.name = String::new();
    tag.labels = Vec::new();
    tag.updated_by = String::new();
    tag
}
