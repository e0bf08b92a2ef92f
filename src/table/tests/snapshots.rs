//! Snapshot files: what was written is read back, and what is not whole and right is refused with its reason.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod samples;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use samples::{DOMAINS, apply, domain, held, kept, settle, tag, varied, workspace};
use table::{SnapshotError, SnapshotInfo, Table, check_snapshot, read_snapshot_info};
use tags::{Change, MaxScans, Scheduled, Status, Tag, Topic};
use tempfile::TempDir;

fn info() -> SnapshotInfo {
    SnapshotInfo {
        cluster: "a cluster".to_owned(),
        positions: vec![(Topic::Tags, 0, 7), (Topic::Settings, 3, i64::MAX)],
        taken_at: jiff::Timestamp::from_second(1_800_000_000).unwrap(),
        build: "1.2.3".to_owned(),
    }
}

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.snapshot");
    (folder, path)
}

/// The file of a complete table.
fn file(table: &Table) -> Vec<u8> {
    let (_folder, path) = place();
    table.write_snapshot(&path, &info()).unwrap();
    std::fs::read(&path).unwrap()
}

/// A table with something in its base, its overlay and its settings.
fn small_table() -> Table {
    let table = Table::new();
    table.apply(Change::Domain(domain(DOMAINS[0], true, true)));
    table.apply(Change::Workspace(workspace("other")));
    apply(&table, varied(DOMAINS[0], "base", 1, Status::Active, 0xff));
    table.complete();
    apply(&table, tag(DOMAINS[0], "overlay", 1, Status::Revoked));
    table
}

#[test]
fn everything_that_was_written_is_read_back_from_base_and_overlays_alike() {
    let table = Table::with_fold_at(40);
    table.apply(Change::Domain(domain(DOMAINS[0], true, false)));
    table.apply(Change::Workspace(workspace("other")));
    let mut tags = Vec::new();
    for n in 0..=255_u8 {
        let status = [Status::Active, Status::Paused, Status::Revoked][usize::from(n % 3)];
        let domain = DOMAINS[usize::from(n % 2)];
        tags.push(varied(domain, &format!("c{n}"), 5, status, n));
    }
    let (before, after) = tags.split_at(100);
    for tag in before {
        apply(&table, tag.clone());
    }
    table.complete();
    for tag in after {
        apply(&table, tag.clone());
    }
    settle(&table);

    let (_folder, path) = place();
    assert_eq!(table.write_snapshot(&path, &info()).unwrap(), 256);
    let other = Table::new();
    assert_eq!(other.read_snapshot(&path).unwrap(), info());
    assert!(
        held(&other, DOMAINS[0], "c0").is_none(),
        "not published yet"
    );
    other.complete();
    assert_eq!(other.len(), 256);
    for tag in &tags {
        let (domain, code) = (tag.domain.as_str(), tag.code.as_str());
        assert_eq!(held(&other, domain, code), Some(kept(tag)));
    }
    let state = other.load();
    let settings = state.pin();
    assert_eq!(
        settings.default_domain(),
        Some(&domain(DOMAINS[0], true, false))
    );
    assert_eq!(settings.workspace("other"), Some(&workspace("other")));
    let left: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "no temporary file stays: {left:?}");
}

#[test]
fn changes_applied_before_and_after_a_snapshot_is_read_keep_their_order_by_version() {
    let (_folder, path) = place();
    small_table().write_snapshot(&path, &info()).unwrap();
    let table = Table::new();
    apply(&table, tag(DOMAINS[0], "base", 2, Status::Active));
    table.read_snapshot(&path).unwrap();
    apply(&table, tag(DOMAINS[0], "overlay", 2, Status::Active));
    apply(&table, tag(DOMAINS[0], "new", 1, Status::Active));
    table.complete();
    let newer = kept(&tag(DOMAINS[0], "base", 2, Status::Active));
    assert_eq!(held(&table, DOMAINS[0], "base"), Some(newer));
    let revoked = kept(&tag(DOMAINS[0], "overlay", 1, Status::Revoked));
    assert_eq!(held(&table, DOMAINS[0], "overlay"), Some(revoked));
    assert_eq!(table.len(), 3);
}

#[test]
fn a_snapshot_that_is_not_there_is_told_from_one_that_is_broken() {
    let (_folder, path) = place();
    let missing = |e| matches!(e, SnapshotError::Missing { .. });
    assert!(Table::new().read_snapshot(&path).is_err_and(missing));
    assert!(read_snapshot_info(&path).is_err_and(missing));
    std::fs::write(&path, "not a snapshot").unwrap();
    let other = |e| matches!(e, SnapshotError::NotASnapshot);
    assert!(Table::new().read_snapshot(&path).is_err_and(other));
}

#[test]
fn a_table_that_is_not_complete_is_not_written_and_one_that_is_takes_no_snapshot_in() {
    let (_folder, path) = place();
    let table = Table::new();
    let incomplete = |e| matches!(e, SnapshotError::Incomplete);
    assert!(table.write_snapshot(&path, &info()).is_err_and(incomplete));
    table.complete();
    assert_eq!(table.write_snapshot(&path, &info()).unwrap(), 0);
    assert_eq!(read_snapshot_info(&path).unwrap(), info());
    let complete = |e| matches!(e, SnapshotError::NotFilling);
    assert!(table.read_snapshot(&path).is_err_and(complete));
}

#[test]
fn a_snapshot_that_cannot_be_written_leaves_the_last_one_as_it_was() {
    let (_folder, path) = place();
    let table = small_table();
    table.write_snapshot(&path, &info()).unwrap();
    let before = std::fs::read(&path).unwrap();
    std::fs::create_dir(path.with_file_name("table.snapshot.partial")).unwrap();
    let refused = |e| matches!(e, SnapshotError::Io { .. });
    assert!(table.write_snapshot(&path, &info()).is_err_and(refused));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn every_file_with_one_bit_flipped_is_refused() {
    let whole = file(&small_table());
    assert_eq!(check_snapshot(&whole).unwrap(), (info(), 2));
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(check_snapshot(&flipped).is_err(), "bit {bit}");
    }
}

#[test]
fn every_file_that_is_cut_short_is_refused_as_truncated() {
    let whole = file(&small_table());
    for len in 1..whole.len() {
        let truncated = |e| matches!(e, SnapshotError::Truncated);
        assert!(check_snapshot(&whole[..len]).is_err_and(truncated), "{len}");
    }
    let empty = check_snapshot(&[]);
    assert!(empty.is_err_and(|e| matches!(e, SnapshotError::NotASnapshot)));
}

#[test]
fn a_file_that_goes_on_after_its_end_is_refused() {
    let whole = file(&small_table());
    for more in [&[0][..], &whole] {
        let longer = [&whole[..], more].concat();
        let damaged = |e| matches!(e, SnapshotError::Damaged { .. });
        assert!(check_snapshot(&longer).is_err_and(damaged));
    }
}

#[test]
fn a_newer_format_is_refused_as_such() {
    let mut newer = file(&small_table());
    newer[8] += 1;
    let refused = check_snapshot(&newer).unwrap_err();
    assert!(matches!(refused, SnapshotError::NewerFormat { found: 4 }));
}

#[test]
fn a_file_of_the_format_before_is_read() {
    let written = file(&small_table());
    let mut frames = Vec::new();
    let mut rest = &written[12..];
    while let Some((kind, after)) = rest.split_first() {
        let (len, after) = after.split_first_chunk().unwrap();
        let (content, after) = after.split_at(u32::from_le_bytes(*len) as usize);
        frames.push((*kind, content.to_vec()));
        rest = &after[4..];
    }
    let before = framed(&frames);
    assert_eq!((written[8], before[8]), (3, 1));
    let read = check_snapshot(&before).unwrap();
    let (mut expected, tags) = check_snapshot(&written).unwrap();
    assert_eq!(expected.build, info().build);
    assert_ne!(expected.build, "");
    // It did not know what came with the newer format, and may call itself by the same version.
    expected.build = String::new();
    assert_eq!(read, (expected, tags));
}

#[test]
fn a_table_calls_for_what_reads_user_agents_when_a_tag_of_a_snapshot_needs_it() {
    let (_folder, path) = place();
    small_table().write_snapshot(&path, &info()).unwrap();
    let called = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let table = Table::new();
    let calls = std::sync::Arc::clone(&called);
    table.prepare_agents_with(move || {
        calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    });
    apply(&table, tag(DOMAINS[0], "plain", 1, Status::Active));
    assert_eq!(called.load(std::sync::atomic::Ordering::Relaxed), 0);
    table.read_snapshot(&path).unwrap();
    assert_eq!(called.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[test]
fn a_table_has_a_counter_made_before_a_counted_tag_is_seen_whether_it_is_applied_or_read() {
    let made = Arc::new(Mutex::new(Vec::new()));
    let counting = || {
        let made = Arc::clone(&made);
        Table::with_counters(move |domain, code| {
            made.lock().unwrap().push(format!("{domain}/{code}"));
        })
    };
    let limited = |code, version| Tag {
        max_scans: MaxScans::new(7).ok(),
        ..tag(DOMAINS[0], code, version, Status::Active)
    };
    let later = |code| Tag {
        scheduled: Some(Box::new(Scheduled {
            at: jiff::Timestamp::from_second(9_000_000_000).unwrap(),
            set: String::new(),
            by: String::new(),
            tag: limited(code, 2),
        })),
        ..tag(DOMAINS[0], code, 1, Status::Active)
    };
    let table = counting();
    apply(&table, tag(DOMAINS[0], "plain", 1, Status::Active));
    apply(&table, limited("now", 1));
    apply(&table, later("later"));
    let revoked = Tag {
        status: Status::Revoked,
        ..limited("revoked", 1)
    };
    apply(&table, revoked);
    table.complete();
    let expected = ["later", "now"].map(|code| format!("{}/{code}", DOMAINS[0]));
    let taken = || {
        let mut taken = std::mem::take(&mut *made.lock().unwrap());
        taken.sort();
        taken
    };
    assert_eq!(taken(), expected);
    let (_folder, path) = place();
    table.write_snapshot(&path, &info()).unwrap();
    let again = counting();
    again.read_snapshot(&path).unwrap();
    assert_eq!(taken(), expected);
    again.complete();
    assert_eq!(
        held(&again, DOMAINS[0], "now"),
        Some(kept(&limited("now", 1)))
    );
}

#[test]
fn nothing_of_a_refused_file_is_in_the_table() {
    let (_folder, path) = place();
    let mut damaged = file(&small_table());
    let end = damaged.len() - 1;
    damaged[end] ^= 1;
    std::fs::write(&path, damaged).unwrap();
    let table = Table::new();
    assert!(table.read_snapshot(&path).is_err());
    assert!(table.load().pin().default_domain().is_none());
    table.complete();
    assert_eq!((table.len(), held(&table, DOMAINS[0], "base")), (0, None));
}

/// A file of these frames, of the format before, whose checksums are right.
fn framed(frames: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = b"tagwire\x1a\x01\0\0\0".to_vec();
    let mut crc = crc32c::crc32c(&bytes);
    for (kind, content) in frames {
        let mut frame = vec![*kind];
        frame.extend((content.len() as u32).to_le_bytes());
        frame.extend(content);
        crc = crc32c::crc32c_append(crc, &frame);
        bytes.extend(frame);
        bytes.extend(crc.to_le_bytes());
    }
    bytes
}

const HEADER: u8 = 1;
const SETTINGS: u8 = 2;
const NAMES: u8 = 3;
const END: u8 = 5;

#[test]
fn a_header_that_promises_more_tags_than_memory_costs_nothing() {
    // Field 4, the number of tags, is 2^64 - 1.
    let header = [&[0x20][..], &[0xff; 9], &[1]].concat();
    let lying = framed(&[(HEADER, header), (END, vec![0; 8])]);
    assert_eq!(check_snapshot(&lying).unwrap().1, 0);
}

#[test]
fn a_file_that_is_long_on_paper_costs_no_memory() {
    let header = [&[0x20][..], &[0xff; 9], &[1]].concat();
    let (_folder, path) = place();
    std::fs::write(&path, framed(&[(HEADER, header)])).unwrap();
    let sparse = std::fs::File::options().write(true).open(&path).unwrap();
    sparse.set_len(1 << 42).unwrap();
    assert!(Table::new().read_snapshot(&path).is_err());
}

/// The most memory that this process has had, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.unwrap().trim().trim_end_matches(" kB");
    peak.parse::<usize>().unwrap() * 1024
}

#[test]
fn a_frame_of_many_small_things_costs_little_more_than_its_bytes() {
    // Empty names, records of settings, and positions.
    for (kind, field) in [(SETTINGS, 1), (NAMES, 1), (HEADER, 2)] {
        let many = [field << 3 | 2, 0].repeat(32 << 20);
        let header = (HEADER, Vec::new());
        let file = match kind {
            HEADER => framed(&[(HEADER, many)]),
            _ => framed(&[header, (kind, many)]),
        };
        let before = peak();
        let damaged = |e| matches!(e, SnapshotError::Damaged { .. });
        assert!(check_snapshot(&file).is_err_and(damaged));
        // In memory, each is 24 to 48 bytes.
        assert!(peak() - before < 400 << 20, "{}", peak() - before);
    }
}

#[test]
fn the_settings_of_a_snapshot_are_those_of_its_positions_and_no_newer() {
    let (_folder, path) = place();
    let table = small_table();
    let order = table.order_snapshot(info());
    table.apply(Change::Domain(domain(DOMAINS[0], false, false)));
    apply(&table, tag(DOMAINS[0], "newer", 1, Status::Active));
    table.write_ordered_snapshot(&path, &order).unwrap();
    let read = Table::new();
    read.read_snapshot(&path).unwrap();
    read.complete();
    let then = domain(DOMAINS[0], true, true);
    assert_eq!(read.load().pin().default_domain(), Some(&then));
}

#[test]
fn nothing_is_taken_of_a_snapshot_that_does_not_fit_beside_what_is_there() {
    let many = |what: &str, table: &Table| {
        for number in 0..11_000 {
            let code = format!("{what}-{number}");
            apply(table, varied(DOMAINS[0], &code, 1, Status::Active, 0xfe));
        }
    };
    let (_folder, path) = place();
    let other = Table::new();
    many("file", &other);
    other.complete();
    other.write_snapshot(&path, &info()).unwrap();
    let table = Table::with_room(1);
    many("here", &table);
    let full = |e| matches!(e, SnapshotError::Full);
    assert!(table.read_snapshot(&path).is_err_and(full));
    table.complete();
    assert_eq!(table.len(), 11_000);
    assert_eq!(held(&table, DOMAINS[0], "file-0"), None);
    assert!(held(&table, DOMAINS[0], "here-10999").is_some());
}

#[test]
fn a_file_that_does_not_say_which_build_wrote_it_is_read() {
    let silent = framed(&[(HEADER, Vec::new()), (END, vec![0; 8])]);
    assert_eq!(check_snapshot(&silent).unwrap().0.build, "");
}

#[test]
fn a_frame_that_promises_more_than_the_file_has_is_refused() {
    for len in [100, u32::MAX] {
        let mut bytes = framed(&[(HEADER, Vec::new())]);
        bytes.push(4);
        bytes.extend(len.to_le_bytes());
        assert!(check_snapshot(&bytes).is_err());
    }
}

#[test]
fn a_file_that_lacks_tags_or_has_them_under_a_wrong_number_is_refused() {
    let counts_one = framed(&[(HEADER, Vec::new()), (END, 1_u64.to_le_bytes().to_vec())]);
    assert!(check_snapshot(&counts_one).is_err());
    let no_header = framed(&[(END, vec![0; 8])]);
    assert!(check_snapshot(&no_header).is_err());
    let two_headers = framed(&[
        (HEADER, Vec::new()),
        (HEADER, Vec::new()),
        (END, vec![0; 8]),
    ]);
    assert!(check_snapshot(&two_headers).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), magic in any::<bool>()) {
        let beginning = if magic { framed(&[]) } else { Vec::new() };
        prop_assert!(check_snapshot(&[beginning, bytes].concat()).is_err());
    }

    #[test]
    fn no_content_under_right_checksums_makes_the_reader_panic(
        frames in prop::collection::vec((2_u8..7, prop::collection::vec(any::<u8>(), 0..80)), 0..6),
    ) {
        let mut all = vec![(HEADER, Vec::new())];
        all.extend(frames);
        let _ = check_snapshot(&framed(&all)); // either is right
    }

    #[test]
    fn flipped_bits_under_right_checksums_are_a_refusal_or_tags_that_keep_the_rules(
        flips in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
    ) {
        // The frames' contents of a right file, damaged before the checksums were made.
        let whole = file(&small_table());
        let mut frames = Vec::new();
        let mut rest = &whole[12..];
        while let [kind, len0, len1, len2, len3, after @ ..] = rest {
            let len = u32::from_le_bytes([*len0, *len1, *len2, *len3]) as usize;
            frames.push((*kind, after[..len].to_vec()));
            rest = &after[len + 4..];
        }
        let bits: usize = frames.iter().map(|(_, content)| content.len() * 8).sum();
        for flip in flips {
            let mut bit = flip.index(bits);
            for (_, content) in &mut frames {
                if bit < content.len() * 8 {
                    content[bit / 8] ^= 1 << (bit % 8);
                    break;
                }
                bit -= content.len() * 8;
            }
        }
        let (_folder, path) = place();
        std::fs::write(&path, framed(&frames)).unwrap();
        let table = Table::new();
        if table.read_snapshot(&path).is_ok() {
            table.complete();
            let (_folder, path) = place();
            prop_assert!(table.write_snapshot(&path, &info()).is_ok());
            prop_assert!(Table::new().read_snapshot(&path).is_ok(), "what was taken in can be written and read again");
        }
    }
}
