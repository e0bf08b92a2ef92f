//! A kill at every step. The folder of a scan log outlives the process, so a copy of it is what a kill leaves. Here one is made after every
//! single store to a segment and every change of a file, while runs append, change segments, drop, ship, acknowledge, recycle, adopt and remove,
//! and the next start is let loose on each. `tests/kill.rs` kills a process, at moments that chance decides.

mod run;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use run::{Run, Sent};

use crate::frame::{self, Found};
use crate::segment::{HEADER, NotASegment, Segment};
use crate::{Delivered, DropReason, EncodedBatch, ScanBatch, ScanId, WriterKey, steps};

/// The number of the run that comes after a kill.
const NEXT: u64 = 99;

/// What is so while the runs go on.
#[derive(Default)]
struct Truth {
    /// Recorded, and answered.
    answered: BTreeSet<ScanId>,
    /// Batches that are stored.
    stored: Vec<EncodedBatch>,
    /// Scans of which the log has heard that they are stored or refused.
    settled: BTreeSet<ScanId>,
    refused: BTreeSet<ScanId>,
    damaged: BTreeSet<ScanId>,
    /// Who is about to append.
    appending: Option<WriterKey>,
    /// So many scans are about to be counted as dropped, or are and it does not say so yet.
    either_way: u64,
    steps: u64,
}

fn folder() -> tempfile::TempDir {
    let tmpfs = Path::new("/dev/shm");
    let made = if tmpfs.is_dir() {
        tempfile::tempdir_in(tmpfs)
    } else {
        tempfile::tempdir()
    };
    made.expect("a folder")
}

fn scans_of(batch: &EncodedBatch) -> impl Iterator<Item = ScanId> {
    let seqs = (batch.first_seq..).take(batch.count as usize);
    seqs.map(|seq| batch.writer.scan(seq))
}

fn is_of(id: &ScanId, key: &WriterKey) -> bool {
    (&id.edge, id.boot, id.writer) == (&key.edge, key.boot, key.writer)
}

fn segments_in(hot: &Path) -> impl Iterator<Item = Result<std::sync::Arc<Segment>, NotASegment>> {
    let entries = fs::read_dir(hot).expect("the folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let segments = paths.filter(|path| path.extension().is_some_and(|kind| kind == "segment"));
    segments.map(Segment::adopt)
}

/// Writes over bytes of a segment's file.
fn overwrite(segment: &Segment, at: usize, bytes: &[u8]) {
    let file = fs::OpenOptions::new().write(true).open(segment.path());
    let file = file.expect("a segment's file");
    file.write_all_at(bytes, (HEADER + at) as u64)
        .expect("room in it");
}

/// Copies what a kill leaves.
fn copy(hot: &Path, to: &Path) {
    for entry in fs::read_dir(hot).expect("the folder") {
        let path = entry.expect("an entry").path();
        fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("a copy");
    }
}

/// What lies behind the published records may be anything: part of a record that was being written, or what an earlier writer left.
fn overwrite_rests(hot: &Path) {
    for segment in segments_in(hot) {
        match segment {
            Ok(segment) => {
                let at = segment.records().len();
                let rest = segment.bytes() as usize - HEADER - at;
                overwrite(&segment, at, &vec![0xa5; rest]);
            }
            Err(NotASegment::Spare) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

impl Truth {
    /// The next start ships what is left, and then every scan is accounted for.
    fn check(&self, hot: &Path) {
        let mut run = Run::begin(hot, NEXT);
        let shipped = run.ship_all();
        let ledger = run.ledger();
        run.end();

        let mut arrived = BTreeSet::new();
        for id in shipped.iter().flat_map(scans_of) {
            assert!(arrived.insert(id.clone()), "{id} is sent twice");
            assert!(!self.is_acknowledged(&id), "{id} is sent again");
            let in_between = self.appending.as_ref().is_some_and(|key| is_of(&id, key));
            assert!(
                self.answered.contains(&id) || in_between,
                "{id} was never answered"
            );
        }
        let corrupt = ledger.dropped[DropReason::Corrupt as usize];
        let told = (ledger.accepted, ledger.waiting());
        assert_eq!(told, (arrived.len() as u64 + corrupt, 0), "{ledger:?}");
        arrived.extend(self.stored.iter().flat_map(scans_of));
        for id in &self.answered {
            let gone = self.refused.contains(id) || self.damaged.contains(id);
            assert!(arrived.contains(id) || gone, "{id} is lost");
        }
        self.check_gaps(&arrived, self.stored.iter().chain(&shipped));
        let left = fs::read_dir(hot).expect("the folder").count();
        assert_eq!(left, 0, "something is left behind");
    }

    /// Whether it, and all before it of its writer, are settled: positions move in order.
    fn is_acknowledged(&self, id: &ScanId) -> bool {
        let mut before = self.answered.range(..=id);
        before.all(|other| {
            let same = (&other.edge, other.boot, other.writer) == (&id.edge, id.boot, id.writer);
            !same || self.settled.contains(other)
        }) && self.settled.contains(id)
    }

    /// Every gap in a writer's numbers is told as a drop. A kill between a count and the word that it is made has it made again, so more may be
    /// told then; docs/ledger.md says so.
    fn check_gaps<'a>(
        &self,
        arrived: &BTreeSet<ScanId>,
        batches: impl Iterator<Item = &'a EncodedBatch>,
    ) {
        let mut writers: BTreeMap<WriterKey, (u64, u64)> = BTreeMap::new();
        for batch in batches {
            let read = ScanBatch::decode(&batch.bytes).expect("a batch");
            let (end, dropped) = writers.entry(read.writer.clone()).or_default();
            *end = (*end).max(read.first_seq + u64::from(read.count));
            *dropped = (*dropped).max(read.dropped_numbers());
        }
        for (key, (end, dropped)) in writers {
            let gaps = end - arrived.iter().filter(|id| is_of(id, &key)).count() as u64;
            assert!(
                (gaps..=gaps + self.either_way).contains(&dropped),
                "{key} has {gaps} gaps below {end}, and tells of {dropped} drops"
            );
        }
    }
}

/// The runs, and what is so.
struct Play {
    run: Run,
    sent: Sent,
    truth: Rc<RefCell<Truth>>,
    now: Instant,
}

impl Play {
    /// Whether there was room.
    fn append(&mut self, writer: usize) -> bool {
        let key = self.run.key(writer);
        self.either_way(1);
        self.truth.borrow_mut().appending = Some(key.clone());
        let answer = self.run.append(writer);
        if let Ok(seq) = answer {
            self.truth.borrow_mut().answered.insert(key.scan(seq));
        }
        self.truth.borrow_mut().appending = None;
        self.either_way(0);
        steps::step();
        answer.is_ok()
    }

    fn ship(&mut self) {
        let damaged = self.truth.borrow().damaged.len() as u64;
        self.either_way(damaged);
        self.run.ship(&mut self.sent, self.now);
        self.either_way(0);
        steps::step();
    }

    fn either_way(&self, scans: u64) {
        self.truth.borrow_mut().either_way = scans;
    }

    /// The log hears of a batch that was sent.
    fn settle(&mut self, at: usize, outcome: Delivered) {
        let batch = self.sent.0.remove(at);
        let scans: Vec<ScanId> = scans_of(&batch).collect();
        let is_settled = !matches!(outcome, Delivered::Failed { .. });
        {
            let mut truth = self.truth.borrow_mut();
            match outcome {
                Delivered::Stored { .. } => truth.stored.push(batch.clone()),
                Delivered::Refused { .. } => truth.refused.extend(scans.iter().cloned()),
                Delivered::Failed { .. } => {}
            }
            truth.either_way = truth.refused.len() as u64;
        }
        steps::step();
        self.run.settle(&batch, outcome, self.now);
        if is_settled {
            self.truth.borrow_mut().settled.extend(scans);
        }
        self.either_way(0);
        steps::step();
    }

    fn settle_all(&mut self) {
        while !self.sent.0.is_empty() {
            self.settle(0, stored());
        }
    }

    /// A kill, and the next start.
    fn start_again(self, hot: &Path, boot: u64) -> Self {
        let Self {
            run, truth, now, ..
        } = self;
        drop(run);
        {
            // What was settled behind something open is sent again.
            let mut truth = truth.borrow_mut();
            let settled = truth.settled.iter();
            let kept = settled.filter(|id| truth.is_acknowledged(id)).cloned();
            let kept = kept.collect();
            truth.settled = kept;
        }
        let (run, sent) = (Run::begin(hot, boot), Sent::default());
        steps::step();
        Self {
            run,
            sent,
            truth,
            now,
        }
    }

    /// A bit of a record flips that nobody has sent yet.
    fn damage(&self, hot: &Path) {
        let mut truth = self.truth.borrow_mut();
        for segment in segments_in(hot).flatten() {
            let (bytes, mut at, mut next_seq) = (segment.records(), segment.acknowledged(), 0);
            while let Found::Record { seq, end, .. } =
                frame::read(bytes, at, segment.seed(), next_seq)
            {
                let id = segment.key().scan(seq);
                let sent = truth
                    .stored
                    .iter()
                    .flat_map(scans_of)
                    .any(|sent| sent == id);
                if !sent && truth.answered.contains(&id) {
                    overwrite(&segment, at + frame::HEAD, &[bytes[at + frame::HEAD] ^ 1]);
                    truth.damaged.insert(id);
                    return;
                }
                (at, next_seq) = (end, seq + 1);
            }
        }
        panic!("no record is left to be damaged");
    }
}

fn stored() -> Delivered {
    Delivered::Stored { partition: None }
}

#[test]
fn at_whatever_step_a_kill_comes_every_scan_is_accounted_for() {
    let life = folder();
    let hot = life.path();
    let truth: Rc<RefCell<Truth>> = Rc::default();
    let (told, from) = (Rc::clone(&truth), hot.to_owned());
    steps::tell(move || {
        told.borrow_mut().steps += 1;
        for overwritten in [false, true] {
            let left = folder();
            copy(&from, left.path());
            if overwritten {
                overwrite_rests(left.path());
            }
            told.borrow().check(left.path());
        }
    });
    let mut play = Play {
        run: Run::begin(hot, 1),
        sent: Sent::default(),
        truth: Rc::clone(&truth),
        now: Instant::now(),
    };
    let reason = || "test".to_owned();

    // Two writers; the first goes over to other segments, until there is no room.
    play.run.add_writer();
    play.run.add_writer();
    assert!(play.append(1));
    let recorded = (0..40).take_while(|_| play.append(0)).count();
    assert!((8..39).contains(&recorded), "{recorded}");
    assert!(!play.append(0), "and once more");
    play.run.drop_unknown(0);
    // Of what is sent, one fails and one is refused; positions wait for the first.
    play.ship();
    play.settle(1, Delivered::Refused { reason: reason() });
    play.settle(0, Delivered::Failed { reason: reason() });
    play.settle(0, stored());
    play.now += Duration::from_secs(1);
    play.ship();
    play.settle_all();
    // Segments that are stored are written again.
    play.ship();
    assert!((0..6).all(|_| play.append(0)) && play.append(1));
    play.ship();
    play.settle(0, stored());
    play.settle(1, stored());
    assert!(play.append(1) && play.append(0));

    // The next run takes over and is killed too, and a record is damaged.
    play.damage(hot);
    let mut play = play.start_again(hot, 2);
    play.ship();
    play.settle(0, stored());
    let mut play = play.start_again(hot, 3);
    play.run.add_writer();
    assert!(play.append(0));
    play.run.drain();
    for _ in 0..10 {
        play.ship();
        play.settle_all();
    }
    let Play { run, .. } = play;
    let ledger = run.ledger();
    assert_eq!(ledger.waiting(), 0, "{ledger:?}");
    run.end();
    let truth = truth.borrow();
    assert!(truth.steps > 300, "{} steps", truth.steps);
    assert_eq!((truth.refused.is_empty(), truth.damaged.len()), (false, 1));
}
