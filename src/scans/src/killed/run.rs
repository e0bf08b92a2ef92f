//! One run over a scan log's folder, in one thread: what `ScanLog`, its keeper of spares and the `Shipper` do, one step after the other.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tags::Outcome;

use crate::boots::Boots;
use crate::ledger::{Account, Accounts};
use crate::segment::Segment;
use crate::sources::Sources;
use crate::spares::Spares;
use crate::writer::Begun;
use crate::{
    Delivered, Delivery, Dropped, EncodedBatch, Full, HttpVersion, IpPrefix, Ledger, Method,
    NewScan, Outlet, Purpose, ShipperOptions, Visitor, Writer, WriterKey, adoption,
};

/// Room for some scans beside the header and what has to be left for one of any size.
const SEGMENT: u64 = 8_192;
const SEGMENTS: u64 = 4;

pub(super) struct Run {
    boot: u64,
    writers: Vec<Writer>,
    spares: Arc<Spares>,
    accounts: Accounts,
    begun: Arc<Begun>,
    sources: Sources,
    draining: bool,
    boots: Boots,
}

/// What was sent, and of which nothing has been heard.
#[derive(Default)]
pub(super) struct Sent(pub(super) Vec<EncodedBatch>);

impl Outlet for Sent {
    fn send(&mut self, batch: EncodedBatch) -> Result<(), Full> {
        self.0.push(batch);
        Ok(())
    }

    fn poll(&mut self, _: Duration) -> Vec<Delivery> {
        Vec::new()
    }
}

impl Run {
    /// Adopts what others have left.
    pub(super) fn begin(hot: &Path, boot: u64) -> Self {
        let boots = Boots::begin(hot, None, boot).expect("a run");
        let spares = Spares::new(hot.to_owned(), boot, 1, SEGMENT, SEGMENT * SEGMENTS);
        let (spares, accounts) = (Arc::new(spares), Accounts::default());
        let begun = Arc::new(Begun::default());
        begun.add(adoption::adopt(&boots, &spares, &accounts, None).expect("a folder"));
        spares.fill().expect("room");
        Self {
            boot,
            writers: Vec::new(),
            spares,
            accounts,
            begun,
            sources: Sources::default(),
            draining: false,
            boots,
        }
    }

    pub(super) fn add_writer(&mut self) {
        let key = WriterKey {
            edge: Arc::from("e"),
            boot: self.boot,
            writer: self.writers.len() as u32,
        };
        let first = self.spares.take_or_make().ok();
        let account = self.accounts.open(Account::new(key));
        let (spares, begun) = (Arc::clone(&self.spares), Arc::clone(&self.begun));
        self.writers
            .push(Writer::new(account, spares, begun, first));
        self.fill();
    }

    pub(super) fn key(&self, writer: usize) -> WriterKey {
        self.writers[writer].key().clone()
    }

    pub(super) fn append(&mut self, writer: usize) -> Result<u64, Dropped> {
        let appended = self.writers[writer].append(&scan());
        self.fill();
        appended
    }

    pub(super) fn drop_unknown(&mut self, writer: usize) {
        self.writers[writer].drop_unknown();
    }

    /// Ends the writers.
    pub(super) fn drain(&mut self) {
        self.writers.clear();
        self.draining = true;
    }

    fn fill(&self) {
        self.spares.fill().expect("room, or the bound");
    }

    pub(super) fn ship(&mut self, outlet: &mut Sent, now: Instant) {
        let options = ShipperOptions {
            batch_bytes: 1_000, // two scans
            ..ShipperOptions::default()
        };
        if self.sources.count() == 0 {
            // A round before: what an earlier run has left goes at a pace.
            let before = now.checked_sub(Duration::from_secs(1));
            let before = before.expect("after the machine's start");
            self.sources.ship(outlet, &options, false, before);
        }
        self.sources.follow(self.begun.take(), now);
        let stored = self.sources.ship(outlet, &options, self.draining, now);
        for segment in stored {
            let own = segment.key().boot == self.boot;
            match Arc::try_unwrap(segment) {
                Ok(segment) if own => {
                    if let Some(segment) = self.spares.recycle(segment) {
                        self.remove(&segment);
                    }
                }
                Ok(segment) => self.remove(&segment),
                Err(shared) => self.remove(&shared),
            }
        }
        self.fill();
    }

    fn remove(&self, segment: &Segment) {
        fs::remove_file(segment.path()).expect("a segment's file");
        crate::steps::step();
        self.spares.release(segment.bytes());
    }

    pub(super) fn settle(&mut self, batch: &EncodedBatch, outcome: Delivered, now: Instant) {
        let delivery = Delivery {
            writer: batch.writer.clone(),
            first_seq: batch.first_seq,
            count: batch.count,
            outcome,
        };
        self.sources.settle(&delivery, now);
    }

    pub(super) fn ledger(&self) -> Ledger {
        self.accounts.ledger()
    }

    /// Ends the writers and ships everything, in an outlet that takes all.
    pub(super) fn ship_all(&mut self) -> Vec<EncodedBatch> {
        let (mut outlet, mut shipped, now) = (Sent::default(), Vec::new(), Instant::now());
        self.drain();
        for _ in 0..1_000 {
            self.ship(&mut outlet, now);
            if outlet.0.is_empty() && self.sources.all_closed() {
                return shipped;
            }
            for batch in std::mem::take(&mut outlet.0) {
                self.settle(&batch, Delivered::Stored { partition: None }, now);
                shipped.push(batch);
            }
        }
        panic!("the run does not come to its end");
    }

    /// Leaves nothing of what is stored.
    pub(super) fn end(mut self) {
        for segment in self.sources.take_last_stored() {
            fs::remove_file(segment.path()).expect("a segment's file");
            crate::steps::step();
        }
        while let Some(spare) = self.spares.take() {
            fs::remove_file(spare.path()).expect("a spare's file");
            crate::steps::step();
        }
        drop(self.boots);
        crate::steps::step();
    }
}

fn scan() -> NewScan<'static> {
    NewScan {
        time: Timestamp::UNIX_EPOCH,
        workspace: "w",
        domain: "d",
        code: "c",
        campaign: "",
        tag_version: 1,
        outcome: Outcome::Redirected,
        rule: "",
        destination_index: 0,
        method: Method::Get,
        purpose: Purpose::Navigation,
        ip_prefix: IpPrefix::of(IpAddr::from([203, 0, 113, 9])),
        visitor: Visitor::from_u64(1),
        user_agent: &[b'a'; 300],
        language: b"",
        referrer_host: b"",
        http_version: HttpVersion::Http11,
        bot_network: "",
    }
}
