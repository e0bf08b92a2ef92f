//! An outlet that keeps what it gets, and the scans to send through it.
#![allow(dead_code)] // each test binary uses its part

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use scans::{
    Delivered, Delivery, EncodedBatch, Full, HttpVersion, IpPrefix, Ledger, Method, NewScan,
    Outlet, Purpose, Scan, ScanBatch, ScanId, ScanLog, ScanLogOptions, Shipper, ShipperOptions,
    Visitor,
};
use tags::Outcome;

/// What has arrived, shared with the test.
#[derive(Clone, Default)]
pub struct Arrived(pub Arc<Mutex<Vec<(EncodedBatch, ScanBatch)>>>);

impl Arrived {
    pub fn scans(&self) -> BTreeMap<ScanId, Vec<Scan>> {
        let mut scans: BTreeMap<ScanId, Vec<Scan>> = BTreeMap::new();
        for (_, batch) in self.0.lock().expect("not poisoned").iter() {
            assert!(batch.refused.is_empty(), "{:?}", batch.refused);
            for scan in &batch.scans {
                scans
                    .entry(batch.writer.scan(scan.seq))
                    .or_default()
                    .push(scan.clone());
            }
        }
        scans
    }

    /// Waits until it is so; fails after a minute.
    pub fn wait_until(&self, what: &str, condition: impl Fn(&[(EncodedBatch, ScanBatch)]) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !condition(&self.0.lock().expect("not poisoned")) {
            assert!(Instant::now() < deadline, "never happened: {what}");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

/// What to do with the n-th batch that is sent.
pub type Fate = Box<dyn FnMut(usize, &EncodedBatch) -> Delivered + Send>;

pub struct Collecting {
    arrived: Arrived,
    fate: Fate,
    sent: usize,
    waiting: Vec<Delivery>,
    room: usize,
    partitions: Option<i32>,
}

impl Collecting {
    pub fn new(arrived: &Arrived) -> Self {
        Self::with_fate(
            arrived,
            Box::new(|_, _| Delivered::Stored { partition: None }),
        )
    }

    pub fn with_fate(arrived: &Arrived, fate: Fate) -> Self {
        Self {
            arrived: arrived.clone(),
            fate,
            sent: 0,
            waiting: Vec::new(),
            room: 7,
            partitions: Some(5),
        }
    }
}

impl Collecting {
    /// Over so many partitions.
    pub fn over(self, partitions: i32) -> Self {
        Self {
            partitions: Some(partitions),
            ..self
        }
    }
}

impl Outlet for Collecting {
    fn send(&mut self, batch: EncodedBatch) -> Result<(), Full> {
        if self.waiting.len() >= self.room {
            return Err(Full(batch));
        }
        let outcome = (self.fate)(self.sent, &batch);
        self.sent += 1;
        if matches!(outcome, Delivered::Stored { .. }) {
            let read = ScanBatch::decode(&batch.bytes).expect("a batch that can be read");
            assert_eq!(
                (&read.writer, read.first_seq, read.count),
                (&batch.writer, batch.first_seq, batch.count)
            );
            self.arrived
                .0
                .lock()
                .expect("not poisoned")
                .push((batch.clone(), read));
        }
        let EncodedBatch {
            writer,
            first_seq,
            count,
            ..
        } = batch;
        self.waiting.push(Delivery {
            writer,
            first_seq,
            count,
            outcome,
        });
        Ok(())
    }

    fn poll(&mut self, wait: Duration) -> Vec<Delivery> {
        if self.waiting.is_empty() {
            std::thread::park_timeout(wait);
        }
        // In the opposite order.
        self.waiting.drain(..).rev().collect()
    }

    fn partitions(&mut self) -> Option<i32> {
        self.partitions
    }
}

pub fn scan(code: &str) -> NewScan<'_> {
    NewScan {
        time: Timestamp::from_microsecond(1_795_000_000_000_000).expect("in range"),
        workspace: "default",
        domain: "qr.example.com",
        code,
        campaign: "Été 2026",
        tag_version: 3,
        outcome: Outcome::Redirected,
        rule: "",
        destination_index: 0,
        method: Method::Get,
        purpose: Purpose::Navigation,
        ip_prefix: IpPrefix::of(IpAddr::from([203, 0, 113, 9])),
        visitor: Visitor::from_u64(0x0123_4567_89ab_cdef),
        user_agent: b"Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1",
        language: b"de-AT,de;q=0.9,en;q=0.5",
        referrer_host: b"",
        http_version: HttpVersion::Http11,
        bot_network: "",
    }
}

/// Small segments, so that tests go through many; enough of them ready for a writer that never pauses.
pub fn options(hot: &Path) -> ScanLogOptions {
    ScanLogOptions {
        segment_bytes: 64 << 10,
        max_bytes: 64 << 20,
        spares: 32,
        ..ScanLogOptions::new("edge-1", hot)
    }
}

pub fn open(hot: &Path) -> Arc<ScanLog> {
    ScanLog::open(&options(hot), &prometheus::Registry::new()).expect("opens")
}

/// Everything, in the test's time.
pub fn quick() -> ShipperOptions {
    ShipperOptions {
        linger: Duration::from_millis(1),
        retry_after: Duration::from_millis(2),
        ..ShipperOptions::default()
    }
}

pub fn drain(shipper: Shipper) -> Ledger {
    let ledger = shipper.drain(Instant::now() + Duration::from_secs(60));
    assert_eq!(ledger.waiting(), 0, "{ledger:?}");
    ledger
}
