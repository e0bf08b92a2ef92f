//! From records to what a store takes: reads them, and makes the block that an insert brings.

use std::collections::{BTreeMap, HashMap, HashSet};

use analytics::{BatchHeader, Block, BlockRange, DeadRecord, Positions, Run, Source};
use jiff::Timestamp;
use scans::{ScanBatch, WriterKey};

use crate::Enricher;
use crate::batches::{Batches, Record};
use crate::positions::Head;

/// What a record holds beyond its head.
#[derive(Debug)]
pub(crate) struct Content {
    appended_at: Timestamp,
    batch: Result<Box<ScanBatch>, Unreadable>,
}

#[derive(Debug)]
struct Unreadable {
    reason: String,
    bytes: Vec<u8>,
}

/// Reads a record. One that cannot be read is a record all the same: it is set aside with its block.
pub(crate) fn read(offset: i64, appended_at: Timestamp, bytes: &[u8]) -> Record<Content> {
    match ScanBatch::decode(bytes) {
        Ok(batch) => Record {
            offset,
            head: Some(Head::of(&batch, appended_at.as_millisecond())),
            content: Content {
                appended_at,
                batch: Ok(Box::new(batch)),
            },
        },
        Err(error) => {
            let unreadable = Unreadable {
                reason: error.to_string(),
                bytes: bytes.to_vec(),
            };
            Record {
                offset,
                head: None,
                content: Content {
                    appended_at,
                    batch: Err(unreadable),
                },
            }
        }
    }
}

/// The block that these batches make, of the scans in `only`.
pub(crate) fn block(
    source: &Source,
    batches: &Batches<Content>,
    token: String,
    only: &[Run],
    enricher: &Enricher,
    positions: Option<Positions>,
) -> Block {
    let mut wanted: HashMap<&WriterKey, Vec<(u64, u64)>> = HashMap::new();
    for run in only {
        wanted
            .entry(&run.writer)
            .or_default()
            .push((run.first, run.last));
    }
    let mut block = Block {
        range: BlockRange {
            source: source.clone(),
            first: batches.first(),
            last: batches.last(),
        },
        token,
        rows: Vec::with_capacity(batches.scans() as usize),
        headers: Vec::new(),
        dead: Vec::new(),
        positions,
    };
    // Only a batch that came twice within the block can bring a scan twice.
    let mut taken: HashSet<(WriterKey, u64)> = HashSet::new();
    for Record {
        offset, content, ..
    } in &batches.records
    {
        let appended_at = content.appended_at;
        let batch = match &content.batch {
            Ok(batch) => batch,
            Err(Unreadable { reason, bytes }) => {
                let (reason, bytes) = (reason.clone(), bytes.clone());
                block.dead.push(DeadRecord {
                    offset: *offset,
                    scan: None,
                    appended_at,
                    reason,
                    bytes,
                });
                continue;
            }
        };
        block.headers.push(header(*offset, appended_at, batch));
        block
            .dead
            .extend(batch.refused.iter().map(|refused| DeadRecord {
                offset: *offset,
                scan: Some(batch.writer.scan(refused.seq)),
                appended_at,
                reason: refused.error.to_string(),
                bytes: refused.bytes.clone(),
            }));
        let runs = wanted
            .get(&batch.writer)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let new = batch.scans.iter().filter(|scan| {
            runs.iter()
                .any(|(first, last)| (*first..=*last).contains(&scan.seq))
                && (batches.replayed == 0 || taken.insert((batch.writer.clone(), scan.seq)))
        });
        let new: Vec<_> = new.cloned().collect();
        block
            .rows
            .extend(enricher.enrich(&batch.writer, new, appended_at));
    }
    block
}

fn header(offset: i64, appended_at: Timestamp, batch: &ScanBatch) -> BatchHeader {
    let dropped: BTreeMap<String, u64> = batch.dropped.iter().cloned().collect();
    let (first_seq, count) = (batch.first_seq, batch.count);
    BatchHeader {
        offset,
        writer: batch.writer.clone(),
        first_seq,
        count,
        dropped,
        appended_at,
    }
}
