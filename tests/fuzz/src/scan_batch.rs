//! Batches of scans as the sink gets them: each record is either read or set aside, by its own number.

use scans::{Scan, ScanBatch, referrer_host};

pub(crate) fn run(bytes: &[u8]) {
    let _ = Scan::decode(bytes);
    assert!(bytes.len() >= referrer_host(bytes).len());
    let Ok(batch) = ScanBatch::decode(bytes) else {
        return;
    };
    let read = batch.scans.iter().map(|scan| scan.seq);
    let mut numbers: Vec<u64> = read
        .chain(batch.refused.iter().map(|refused| refused.seq))
        .collect();
    numbers.sort_unstable();
    let all = batch.first_seq..batch.first_seq + u64::from(batch.count);
    assert!(numbers.into_iter().eq(all), "each number once");
    batch.dropped_numbers();
}
