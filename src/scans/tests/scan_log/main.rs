//! The road of a scan through writer, segments and shipper: nothing lost, nothing doubled, and every number accounted for.

#[path = "../collecting/mod.rs"]
mod collecting;
mod damage;
mod machine;
mod room;
mod runs;
mod shipping;
mod spool;
mod spool_disk;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use scans::{ScanLog, ScanLogError, Shipper, Writer};

use collecting::{Arrived, Collecting, quick, scan};

fn append(writer: &mut Writer, scans: u64) -> BTreeSet<u64> {
    (0..scans)
        .filter_map(|n| writer.append(&scan(&format!("c{n}"))).ok())
        .collect()
}

/// Ships the log to where all that arrives is kept.
fn ship(log: Arc<ScanLog>, arrived: &Arrived) -> Result<Shipper, ScanLogError> {
    Shipper::start(log, Box::new(Collecting::new(arrived)), quick())
}

/// The dropped-free numbers of what arrived, each exactly once.
fn arrived_once(arrived: &Arrived) -> BTreeSet<u64> {
    let scans = arrived.scans();
    assert!(scans.values().all(|scans| scans.len() == 1), "none twice");
    scans.into_keys().map(|id| id.seq).collect()
}

/// In the order in which their one writer began them, which their names do not tell: a refilled slot may be taken before an older one.
fn segments(hot: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(hot)
        .expect("readable")
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "segment")
    });
    let number = |path: &PathBuf| {
        let mut number = [0; 4];
        let file = fs::File::open(path).expect("readable");
        // One that is being made has no header yet.
        let _ = file.read_exact_at(&mut number, 28);
        u32::from_ne_bytes(number)
    };
    // Once for each: they are written meanwhile.
    paths.sort_by_cached_key(number);
    paths
}

/// Those that a writer has begun; the others are spare.
fn begun(hot: &Path) -> Vec<PathBuf> {
    let has_magic =
        |path: &PathBuf| fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"TWSCANS"));
    segments(hot).into_iter().filter(has_magic).collect()
}
