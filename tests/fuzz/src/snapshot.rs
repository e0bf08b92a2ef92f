//! Snapshots: any bytes, and frames whose checksums are right, so that what is in them is read too. What is accepted is written again
//! and read as the same.

use std::fs;

use table::{SnapshotInfo, Table, check_snapshot};
use tempfile::TempDir;

use crate::input::Input;

pub(crate) fn run(bytes: &[u8]) {
    let _ = check_snapshot(bytes);
}

/// The input is frames: their kind, their length and what is in them.
pub(crate) fn run_sealed(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut frames = Vec::new();
    while !input.is_empty() {
        let kind = input.byte();
        let len = input.short();
        frames.push((kind, input.bytes(len.into())));
    }
    let snapshot = seal(&frames);
    if let Ok((info, tags)) = check_snapshot(&snapshot) {
        read_again(&snapshot, &info, tags);
    }
}

/// Puts frames into a file, as `table`'s `frames` lays it down.
pub(crate) fn seal(frames: &[(u8, &[u8])]) -> Vec<u8> {
    let mut file = b"tagwire\x1a\x02\0\0\0".to_vec();
    let mut checksum = crc32c::crc32c(&file);
    for (kind, content) in frames {
        let begins = file.len();
        file.push(*kind);
        file.extend_from_slice(&(content.len() as u32).to_le_bytes());
        file.extend_from_slice(content);
        checksum = crc32c::crc32c_append(checksum, &file[begins..]);
        file.extend_from_slice(&checksum.to_le_bytes());
    }
    file
}

/// Takes a file apart into what [`seal`] makes it of.
pub(crate) fn unseal(file: &[u8]) -> Vec<u8> {
    let (mut input, mut frames) = (Input(&file[12..]), Vec::new());
    while !input.is_empty() {
        frames.push(input.byte());
        let len = input.bytes(4);
        frames.extend_from_slice(&len[..2]);
        frames.extend_from_slice(input.bytes(usize::from(u16::from_le_bytes([len[0], len[1]]))));
        input.bytes(4);
    }
    frames
}

fn read_again(snapshot: &[u8], info: &SnapshotInfo, tags: usize) {
    let folder = folder();
    let path = folder.path().join("tags.snapshot");
    fs::write(&path, snapshot).expect("room");
    let table = Table::new();
    assert_eq!(
        &table.read_snapshot(&path).expect("as it was checked"),
        info
    );
    table.complete();
    assert_eq!(table.len(), tags);
    let written = table
        .write_snapshot(&path, info)
        .expect("a snapshot of what was read");
    assert_eq!(written, tags as u64);
    let again = fs::read(&path).expect("what was written");
    assert_eq!(
        check_snapshot(&again).expect("what we write"),
        (info.clone(), tags)
    );
}

/// In memory, where it can be.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a folder")
}
