//! Whether a file has changed since it was last looked at, and lists from files that are followed. When to look, and what a list holds, is
//! left to whoever follows it.

mod lists;

pub use lists::{List, Lists, Prepared, Reload};

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// One state of a file, unlike the next whether the file is replaced by renaming or written over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// The state of a file now; a missing one has none. Take it before reading: what changes meanwhile then looks changed afterwards.
    pub fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_replaced_written_over_or_removed_is_told_from_what_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, other) = (folder.path().join("file"), folder.path().join("other"));
        assert_eq!(Stamp::of(&file), None);
        std::fs::write(&file, "first").expect("written");
        let first = Stamp::of(&file);
        assert!(first.is_some() && first == Stamp::of(&file));
        std::fs::write(&other, "other").expect("written");
        std::fs::rename(&other, &file).expect("renamed");
        let second = Stamp::of(&file);
        assert_ne!(first, second, "of the same length");
        std::fs::write(&file, "longer than that").expect("written");
        assert_ne!(Stamp::of(&file), second);
        std::fs::remove_file(&file).expect("removed");
        assert_eq!(Stamp::of(&file), None);
    }
}
