//! The files of a folder of certificates: which belong together, and whether one has changed. What is in them is `pair`'s matter.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use stamp::Stamp;

/// A certificate's file and its key's. One of the two may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PairFiles {
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

impl PairFiles {
    /// The state of both.
    pub(crate) fn stamp(&self) -> PairStamp {
        let of = |path: &Option<PathBuf>| path.as_deref().and_then(Stamp::of);
        (of(&self.certificate), of(&self.key))
    }
}

/// The states of a pair's files.
pub(crate) type PairStamp = (Option<Stamp>, Option<Stamp>);

/// What a folder holds.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// By their names: `NAME.crt` with `NAME.key` is NAME, in a folder DIR it is DIR/NAME; `fullchain.pem` with `privkey.pem`, as ACME
    /// clients write them, is the folder's.
    pub(crate) pairs: BTreeMap<String, PairFiles>,
    /// The folders in it that cannot be looked into, by their names, and why.
    pub(crate) closed: BTreeMap<String, io::Error>,
}

impl Found {
    /// Whether a pair is not there only because its folder cannot be looked into.
    pub(crate) fn hides(&self, name: &str) -> bool {
        let folder = name.split_once('/').map_or(name, |(folder, _)| folder);
        self.closed.contains_key(folder)
    }
}

/// The pairs of a folder and of the folders right in it.
pub(crate) fn pairs(folder: &Path) -> io::Result<Found> {
    let mut found = Found::default();
    for entry in entries(folder)? {
        let folder = match std::fs::metadata(&entry.path) {
            Ok(metadata) if metadata.is_dir() => entries(&entry.path),
            // What leads nowhere now, such as a volume that is away, may be a folder.
            Err(error) if !is_of_a_pair(&entry.name) => Err(error),
            _ => {
                take(&mut found.pairs, "", entry);
                continue;
            }
        };
        match folder {
            Ok(files) => {
                for file in files {
                    take(&mut found.pairs, &format!("{}/", entry.name), file);
                }
            }
            Err(error) => {
                found.closed.insert(entry.name, error);
            }
        }
    }
    Ok(found)
}

fn take(found: &mut BTreeMap<String, PairFiles>, within: &str, file: Entry) {
    let of_folder = || within.trim_end_matches('/').to_owned();
    let (name, is_key) = match (file.name.as_str(), file.name.rsplit_once('.')) {
        ("fullchain.pem", _) => (of_folder(), false),
        ("privkey.pem", _) => (of_folder(), true),
        (_, Some((stem, "crt"))) => (format!("{within}{stem}"), false),
        (_, Some((stem, "key"))) => (format!("{within}{stem}"), true),
        _ => return,
    };
    let pair = found.entry(name).or_default();
    if is_key {
        pair.key = Some(file.path);
    } else {
        pair.certificate = Some(file.path);
    }
}

/// Whether a name can be that of one of a pair's files.
fn is_of_a_pair(name: &str) -> bool {
    let extension = Path::new(name).extension();
    extension.is_some_and(|extension| {
        ["crt", "key", "pem"]
            .iter()
            .any(|of_pair| extension == *of_pair)
    })
}

/// A file or folder in a folder.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// What a folder has but hidden ones: in Kubernetes, those are earlier and coming states of the others.
pub(crate) fn entries(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if !name.starts_with('.') {
            let path = entry.path();
            entries.push(Entry { name, path });
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_belong_together_are_found_by_their_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let make = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, name).expect("a file");
        };
        for name in [
            "a.example.crt",
            "a.example.key",
            "lonely.crt",
            "README",
            "live/fullchain.pem",
            "live/privkey.pem",
            "live/chain.pem",
            "secret/tls.crt",
            "secret/tls.key",
            ".hidden.crt",
            "..2026/tls.crt",
            "deep/deeper/tls.crt",
        ] {
            make(name);
        }
        let found = pairs(folder.path()).expect("a folder");
        let complete: Vec<_> = found
            .pairs
            .iter()
            .map(|(name, pair)| {
                (
                    name.as_str(),
                    pair.certificate.is_some(),
                    pair.key.is_some(),
                )
            })
            .collect();
        assert_eq!(
            complete,
            [
                ("a.example", true, true),
                ("live", true, true),
                ("lonely", true, false),
                ("secret/tls", true, true),
            ]
        );
    }
}
