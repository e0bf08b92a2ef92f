//! What a fuzzer needs of what is private here: a segment that a boot leaves, damaged, and what the next boot makes of it. Nothing
//! that serves uses it.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::adoption::left;
use crate::ledger::Account;
use crate::outlet::{Delivered, Delivery, EncodedBatch, Full, Outlet};
use crate::segment::{Beginning, Segment, Spare};
use crate::source::Source;
use crate::writer::{Adopted, Followed};
use crate::{DropReason, NewScan, ShipperOptions, WriterKey};

/// Bytes of a segment: the smallest that a scan log makes.
const BYTES: u64 = 64 << 10;

/// What the next boot ships of a segment.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shipped {
    /// The first number and the bytes of each batch, in the order in which they were sent.
    pub batches: Vec<(u64, Vec<u8>)>,
    /// How many scans it was said to hold.
    pub left: u64,
    /// Whether the writer's last batch was among them.
    pub ended: bool,
}

/// Writes a segment to `path` as a boot leaves it that is killed: these scans, from this number on, of which so many bytes have been
/// acknowledged.
pub fn leave_segment<'a>(
    path: &Path,
    key: &WriterKey,
    first_seq: u64,
    scans: impl IntoIterator<Item = NewScan<'a>>,
    acknowledged: usize,
) -> io::Result<()> {
    let spare = Spare::create(path.to_owned(), BYTES)?;
    let beginning = Beginning {
        number: 0,
        first_seq,
        dropped: [0; DropReason::COUNT],
    };
    let mut writer = spare.begin(key, &beginning);
    for (seq, scan) in (first_seq..u64::MAX).zip(scans) {
        if writer.has_room() {
            writer.append(&scan, seq);
        }
    }
    writer.segment().set_acknowledged(acknowledged);
    Ok(())
}

/// Overwrites bytes of a file, but never lengthens it.
pub fn damage(path: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
    let file = fs::OpenOptions::new().write(true).open(path)?;
    let room = usize::try_from(file.metadata()?.len().saturating_sub(at)).unwrap_or(usize::MAX);
    file.write_all_at(&bytes[..bytes.len().min(room)], at)
}

/// Takes a segment over and ships it; an error: it is refused, or has not been begun.
pub fn ship_segment(path: &Path, batch_bytes: usize) -> Result<Shipped, String> {
    let segment = Segment::adopt(path.to_owned()).map_err(|error| error.to_string())?;
    let mut shipped = Shipped {
        left: left(&segment),
        ..Shipped::default()
    };
    let account = Account::adopted(segment.key().clone(), shipped.left);
    let now = Instant::now();
    let followed = Followed {
        account: Arc::new(account),
        first: segment,
        adopted: Some(Adopted {
            ahead: VecDeque::new(),
            complete: true,
            copied: None,
        }),
    };
    let mut source = Source::new(followed, now);
    let options = ShipperOptions {
        batch_bytes,
        ..ShipperOptions::default()
    };
    let mut outlet = Collecting::default();
    // A batch takes at least one record, of which a segment has thousands at most; then comes the last one.
    for _ in 0..BYTES {
        source.ship(&mut outlet, &options, usize::MAX, None, now);
        source.ship_position(&mut outlet, &options, true, now);
        let sent = std::mem::take(&mut outlet.0);
        for batch in sent {
            let stored = Delivered::Stored { partition: None };
            source.settle(batch.first_seq, batch.count, &stored, now);
            shipped.batches.push((batch.first_seq, batch.bytes));
        }
        if source.is_closed() {
            shipped.ended = true;
            break;
        }
    }
    Ok(shipped)
}

#[derive(Default)]
struct Collecting(Vec<EncodedBatch>);

impl Outlet for Collecting {
    fn send(&mut self, batch: EncodedBatch) -> Result<(), Full> {
        self.0.push(batch);
        Ok(())
    }

    fn poll(&mut self, _: Duration) -> Vec<Delivery> {
        Vec::new()
    }
}
