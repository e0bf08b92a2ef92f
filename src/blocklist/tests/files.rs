//! Files of blocklists that change while they are followed.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::path::{Path, PathBuf};

use blocklist::{BlocklistError, Blocklists, Listed, Reload};

fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let (file, new) = (folder.join(name), folder.join("new"));
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, &file).unwrap();
    file
}

fn follow(lists: &Blocklists, paths: &[PathBuf]) {
    lists.follow(lists.prepare(paths).unwrap());
}

#[test]
fn a_host_is_found_with_the_list_s_name_and_its_entry() {
    let folder = tempfile::tempdir().unwrap();
    let lists = Blocklists::default();
    assert_eq!(lists.find("bad.example.com"), None, "there is no list yet");
    let phishing = written(folder.path(), "phishing.txt", "example.com\n");
    let malware = written(folder.path(), "malware.hosts", "0.0.0.0 example.org\n");
    follow(&lists, &[phishing, malware]);
    let listed = |list: &str, entry: &str| {
        let (list, entry) = (list.to_owned(), entry.to_owned());
        Some(Listed { list, entry })
    };
    assert_eq!(
        lists.find("bad.example.com"),
        listed("phishing.txt", "example.com")
    );
    assert_eq!(
        lists.find("example.org"),
        listed("malware.hosts", "example.org")
    );
    assert_eq!(lists.find("example.net"), None);
    let sizes = [("phishing.txt", 1), ("malware.hosts", 1)];
    assert_eq!(
        lists.sizes(),
        sizes.map(|(name, size)| (name.to_owned(), size))
    );
}

#[test]
fn a_newer_file_counts_and_one_that_cannot_be_used_leaves_the_last_good_one() {
    let folder = tempfile::tempdir().unwrap();
    let lists = Blocklists::default();
    let file = written(folder.path(), "list", "one.example\n");
    let other = written(folder.path(), "other", "other.example\n");
    follow(&lists, &[file.clone(), other]);
    assert!(lists.reload_if_changed().is_empty());
    let changes = lists.changes();

    written(folder.path(), "list", "one.example\ntwo.example\n");
    let reloads = lists.reload_if_changed();
    assert!(matches!(&reloads[..], [Reload::Taken { list }] if list == "list"));
    assert_eq!(lists.changes(), changes + 1);
    assert!(lists.find("two.example").is_some() && lists.find("other.example").is_some());

    let broken = ["", "<html>\n<p>Gone\n", "no list at all"];
    for (text, reason) in broken
        .into_iter()
        .zip(["empty", "not_a_list", "not_a_list"])
    {
        written(folder.path(), "list", text);
        let reloads = lists.reload_if_changed();
        let [Reload::Refused(error)] = &reloads[..] else {
            panic!("{reloads:?}");
        };
        assert_eq!(error.reason(), reason);
        assert!(BlocklistError::REASONS.contains(&reason));
        assert!(
            error.to_string().contains(file.to_str().unwrap()),
            "{error}"
        );
        assert!(lists.reload_if_changed().is_empty(), "said once");
        assert!(lists.find("two.example").is_some());
    }
    std::fs::remove_file(&file).unwrap();
    let reloads = lists.reload_if_changed();
    assert!(matches!(&reloads[..], [Reload::Refused(error)] if error.reason() == "unreadable"));
    assert!(lists.find("two.example").is_some());
    assert_eq!(
        lists.changes(),
        changes + 1,
        "nothing of that changed a list"
    );

    written(folder.path(), "list", "# none\n");
    assert_eq!(lists.reload_if_changed().len(), 1);
    assert_eq!(lists.find("two.example"), None);
}

#[test]
fn other_files_are_taken_together_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let lists = Blocklists::default();
    let one = written(folder.path(), "one", "one.example\n");
    let two = written(folder.path(), "two", "two.example\n");
    follow(&lists, std::slice::from_ref(&one));
    let missing = folder.path().join("missing");
    let error = lists.prepare(&[two.clone(), missing]).unwrap_err();
    assert_eq!(error.reason(), "unreadable");
    let apart = folder.path().join("apart");
    std::fs::create_dir(&apart).unwrap();
    let namesake = written(&apart, "two", "three.example\n");
    let error = lists.prepare(&[two.clone(), namesake]).unwrap_err();
    assert_eq!(error.reason(), "same_name");
    assert!(lists.find("one.example").is_some() && lists.find("two.example").is_none());

    follow(&lists, &[two]);
    assert!(lists.find("one.example").is_none() && lists.find("two.example").is_some());
    follow(&lists, &[]);
    assert!(lists.find("two.example").is_none());
}
