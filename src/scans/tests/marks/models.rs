//! The models: a segment of two records, its writer, and whoever looks.
#![allow(unsafe_code)] // the records' bytes, as in the mapped segment; loom fails where two are at them at once

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU64, Ordering, fence};
use loom::sync::{Arc, Mutex};
use loom::thread;

use crate::marks::{Appended, Begun, Marks, Shipped};

pub type Model = fn();

pub const ALL: &[(&str, Model)] = &[
    ("records are read whole", records_are_read_whole),
    (
        "who sees that a number was given sees its record",
        who_sees_a_number_sees_its_record,
    ),
    (
        "who sees that a number was given sees that it was counted as dropped",
        who_sees_a_number_sees_its_drop,
    ),
    (
        "who sees the next segment sees the last records of this one",
        who_sees_the_next_segment_sees_the_last_records,
    ),
    (
        "who writes a segment again disturbs nobody",
        who_writes_a_segment_again_disturbs_nobody,
    ),
    (
        "an adopter sees no old length under a new beginning",
        an_adopter_sees_no_old_length_under_a_new_beginning,
    ),
    (
        "an adopter sees no new length under an old beginning",
        an_adopter_sees_no_new_length_under_an_old_beginning,
    ),
    (
        "an adopter that sends nothing more sees what was counted",
        an_adopter_sees_what_was_counted,
    ),
];

/// Shippers that go about it otherwise than ours.
pub const BROKEN: &[(&str, Model)] = &[
    ("records before the number", records_before_the_number),
    ("the next segment without another look", no_second_look),
    (
        "a segment written again while its writer has it",
        written_again_while_its_writer_has_it,
    ),
];

/// The magic of a first beginning, and of a second, which in life are the same.
const OLD: u64 = 1;
const NEW: u64 = 2;

#[derive(Default)]
struct Segment {
    begun: Begun,
    appended: Appended,
    shipped: Shipped,
    /// What else the header says, which stays as it is while the segment is its writer's.
    writer: AtomicU64,
    dropped: AtomicU64,
    /// Their bytes, of which one record has eight.
    records: [UnsafeCell<u64>; 2],
    /// In life a `OnceLock`, whose setting happens before its getting too.
    next: Mutex<Option<Arc<Segment>>>,
}

impl Segment {
    fn begin(&self, magic: u64, first_seq: u64, writer: u64) {
        self.marks().begin(magic, first_seq, || {
            self.writer.store(writer, Ordering::Relaxed);
        });
    }

    fn marks(&self) -> Marks<'_> {
        Marks {
            begun: &self.begun,
            appended: &self.appended,
            shipped: &self.shipped,
        }
    }

    fn append(&self, at: usize, seq: u64) {
        // SAFETY: loom sees to it that nobody else is at it.
        self.records[at].with_mut(|record| unsafe { *record = record_of(seq) });
        self.appended.publish((at as u64 + 1) * 8, seq + 1);
    }

    fn drop_scan(&self, seq: u64) {
        self.dropped.store(1, Ordering::Relaxed);
        self.appended.skip(seq + 1);
    }

    /// How many records there are, each of which has to be whole, from this number on.
    fn read(&self, first_seq: u64) -> u64 {
        let count = self.appended.committed() / 8;
        for at in 0..count {
            // SAFETY: loom sees to it that nobody writes it.
            let record = self.records[at as usize].with(|record| unsafe { *record });
            assert_eq!(record, record_of(first_seq + at));
        }
        count
    }
}

fn record_of(seq: u64) -> u64 {
    1_000 + seq
}

fn begun() -> Arc<Segment> {
    let segment = Arc::new(Segment::default());
    segment.begin(OLD, 0, 1);
    segment
}

fn while_it_is_written(write: fn(&Arc<Segment>), look: fn(&Arc<Segment>)) {
    let segment = begun();
    let writer = {
        let segment = Arc::clone(&segment);
        thread::spawn(move || write(&segment))
    };
    look(&segment);
    writer.join().expect("the writer ends");
}

fn append_two(segment: &Arc<Segment>) {
    segment.append(0, 0);
    segment.append(1, 1);
}

fn records_are_read_whole() {
    while_it_is_written(append_two, |segment| {
        let before = segment.read(0);
        assert!(segment.read(0) >= before);
    });
}

fn who_sees_a_number_sees_its_record() {
    while_it_is_written(append_two, |segment| {
        let next_seq = segment.appended.next_seq();
        assert!(segment.read(0) >= next_seq);
    });
}

fn records_before_the_number() {
    while_it_is_written(append_two, |segment| {
        let records = segment.read(0);
        assert!(records >= segment.appended.next_seq());
    });
}

fn who_sees_a_number_sees_its_drop() {
    while_it_is_written(
        |segment| {
            segment.append(0, 0);
            segment.drop_scan(1);
        },
        |segment| {
            let next_seq = segment.appended.next_seq();
            let dropped = segment.dropped.load(Ordering::Relaxed);
            assert!(segment.read(0) + dropped >= next_seq);
        },
    );
}

fn go_over(segment: &Arc<Segment>) {
    append_two(segment);
    let next = Arc::new(Segment::default());
    next.begin(OLD, 2, 1);
    next.append(0, 2);
    *segment.next.lock().expect("a lock") = Some(next);
}

fn who_sees_the_next_segment_sees_the_last_records() {
    while_it_is_written(go_over, |segment| {
        segment.read(0);
        let next = segment.next.lock().expect("a lock").clone();
        if let Some(next) = next {
            assert_eq!(segment.read(0), 2, "once more, now that it will not grow");
            assert_eq!(next.read(2), 1);
        }
    });
}

fn no_second_look() {
    while_it_is_written(go_over, |segment| {
        let records = segment.read(0);
        let next = segment.next.lock().expect("a lock").clone();
        assert!(next.is_none() || records == 2);
    });
}

/// A segment goes from its writer, which leaves it, by the shipper, which has read it, to another writer.
fn written_again(take: fn(Arc<Segment>) -> Option<Arc<Segment>>) {
    let segment = begun();
    let slot: Arc<Mutex<Option<Arc<Segment>>>> = Arc::default();
    let writer = {
        let segment = Arc::clone(&segment);
        thread::spawn(move || append_two(&segment))
    };
    let another = {
        let slot = Arc::clone(&slot);
        thread::spawn(move || {
            let spare = slot.lock().expect("a lock").take();
            if let Some(segment) = spare {
                segment.begin(NEW, 0, 2);
                segment.append(0, 0);
                assert_eq!(segment.read(0), 1);
            }
        })
    };
    if segment.read(0) > 0
        && let Some(segment) = take(segment)
    {
        segment.marks().recycle();
        *slot.lock().expect("a lock") = Some(segment);
    }
    writer.join().expect("the writer ends");
    another.join().expect("the other ends");
}

fn who_writes_a_segment_again_disturbs_nobody() {
    written_again(|segment| Arc::try_unwrap(segment).ok().map(Arc::new));
}

fn written_again_while_its_writer_has_it() {
    written_again(Some);
}

/// A segment that was stored to its end is recycled and begun anew, while somebody looks at what a kill in the middle would leave.
fn recycled(look: fn(&Segment)) {
    let segment = begun();
    append_two(&segment);
    segment.shipped.acknowledge(16);
    segment.shipped.set_lost(1);
    segment.shipped.close();
    let writer = {
        let segment = Arc::clone(&segment);
        thread::spawn(move || {
            segment.marks().recycle();
            segment.begin(NEW, 7, 2);
            segment.append(0, 7);
        })
    };
    look(&segment);
    writer.join().expect("the writer ends");
}

fn an_adopter_sees_no_old_length_under_a_new_beginning() {
    recycled(|segment| {
        if segment.begun.magic() == NEW {
            assert_eq!(segment.writer.load(Ordering::Relaxed), 2);
            let next_seq = segment.appended.next_seq();
            assert!(next_seq >= 7);
            assert!(segment.read(7) <= 1);
            let shipped = &segment.shipped;
            assert_eq!((shipped.acknowledged(), shipped.lost()), (0, 0));
            assert!(!shipped.is_closed());
            assert_eq!(shipped.partition(), -1);
        }
    });
}

/// What a kill leaves is all that was stored up to some moment. An adopter that looks while the other goes on sees such states only if it looks
/// in the opposite order to theirs: so it does here, where in life the lock is between the two.
fn an_adopter_sees_no_new_length_under_an_old_beginning() {
    recycled(|segment| {
        let shipped = &segment.shipped;
        let is_new = !shipped.is_closed()
            || shipped.lost() == 0
            || shipped.acknowledged() == 0
            || segment.appended.committed() == 0;
        fence(Ordering::Acquire);
        assert!(!is_new || segment.begun.magic() != OLD);
    });
}

fn an_adopter_sees_what_was_counted() {
    while_it_is_written(
        |segment| {
            let count = |running| segment.dropped.store(running, Ordering::Relaxed);
            count(1);
            segment.shipped.acknowledge(8);
            count(2);
            segment.shipped.set_lost(1);
            segment.shipped.acknowledge(16);
            segment.shipped.close();
        },
        |segment| {
            let shipped = &segment.shipped;
            let closed = shipped.is_closed();
            let acknowledged = shipped.acknowledged();
            assert!(!closed || acknowledged == 16);
            let dropped = segment.dropped.load(Ordering::Relaxed);
            assert!(acknowledged == 0 || dropped >= 1);
            if shipped.lost() == 1 {
                assert_eq!(segment.dropped.load(Ordering::Relaxed), 2);
            }
        },
    );
}
