//! Machines with an edge: the real writers, scan log and shipper in memory, before a model of a producer.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use fastrand::Rng;
use jiff::Timestamp;
use scans::simulation::{Disk, Edge, EdgeOptions, Remains};
use scans::{
    Delivered, Delivery, EncodedBatch, Full, HttpVersion, IpPrefix, Method, NewScan, Outlet,
    Purpose, Visitor, WriterKey,
};
use tags::Outcome;

use crate::kafka::Kafka;
use crate::truth::{Checked, Fate, Truth, ensure};

pub struct Machine {
    pub name: String,
    boots: u64,
    pub run: Option<Run>,
    remains: Remains,
    disk: Disk,
}

/// A process on it.
pub struct Run {
    edge: Edge,
    pub producer: Producer,
    pub writers: Vec<WriterKey>,
}

/// An idempotent producer: of each partition, the broker takes its batches in their order.
pub struct Producer {
    partitions: i32,
    room: usize,
    pub is_full: bool,
    pub sent: VecDeque<Sent>,
}

pub struct Sent {
    pub batch: EncodedBatch,
    /// The broker has it; its word is on the way.
    pub appended: bool,
}

impl Outlet for Producer {
    fn send(&mut self, batch: EncodedBatch) -> Result<(), Full> {
        if self.is_full || self.sent.len() >= self.room || batch.partition.is_none() {
            return Err(Full(batch));
        }
        self.sent.push_back(Sent {
            batch,
            appended: false,
        });
        Ok(())
    }

    fn poll(&mut self, _: Duration) -> Vec<Delivery> {
        Vec::new()
    }

    fn partitions(&mut self) -> Option<i32> {
        Some(self.partitions)
    }
}

impl Producer {
    /// The first batch of some partition that the broker has not taken.
    pub fn next(&mut self, rng: &mut Rng) -> Option<usize> {
        let partition = Some(rng.i32(0..self.partitions));
        let is_next = |sent: &Sent| !sent.appended && sent.batch.partition == partition;
        self.sent.iter().position(is_next)
    }

    /// Some batch of which the broker's word is on the way.
    pub fn appended(&self, rng: &mut Rng) -> Option<usize> {
        let from = rng.usize(0..self.sent.len().max(1));
        let all = (from..self.sent.len()).chain(0..from);
        all.into_iter().find(|at| self.sent[*at].appended)
    }
}

impl Machine {
    pub fn new(name: String) -> Self {
        Self {
            name,
            boots: 0,
            run: None,
            remains: Remains::default(),
            disk: Disk::default(),
        }
    }

    /// Whether nothing runs here and nothing is left.
    pub fn is_at_rest(&self) -> bool {
        self.run.is_none() && self.remains.is_empty() && self.disk.is_empty()
    }

    pub fn start(
        &mut self,
        options: &EdgeOptions,
        writers: usize,
        partitions: usize,
        truth: &mut Truth,
        rng: &mut Rng,
    ) -> Checked {
        self.boots += 1;
        let remains = std::mem::take(&mut self.remains);
        let disk = std::mem::take(&mut self.disk);
        // What is read from disk alone is known when it is read.
        let exact = disk.is_empty();
        let mut edge = Edge::begin(&self.name, self.boots, options.clone(), remains, disk)?;
        for (key, ledger) in edge.ledgers() {
            truth.check_left(&key, &ledger, exact)?;
        }
        let writers = (0..writers).map(|_| edge.add_writer()).collect();
        let producer = Producer {
            partitions: partitions as i32,
            room: rng.usize(1..8),
            is_full: false,
            sent: VecDeque::new(),
        };
        self.run = Some(Run {
            edge,
            producer,
            writers,
        });
        Ok(())
    }

    /// The process is gone; the scan log stays unless the machine goes too.
    pub fn kill(
        &mut self,
        with_the_machine: bool,
        kafka: &mut Kafka,
        truth: &mut Truth,
        rng: &mut Rng,
        now: Instant,
    ) -> Checked {
        let Some(run) = self.run.take() else {
            return Ok(());
        };
        for (key, ledger) in run.edge.ledgers() {
            truth.end_run(&key, &ledger);
            truth.writer(&key).lost |= with_the_machine;
        }
        run.producer.abandon(kafka, truth, rng);
        let (remains, disk) = run.edge.kill(now);
        for (key, end) in disk.ends()? {
            let writer = truth.writer(&key);
            writer.was_on_disk = true;
            if with_the_machine {
                writer.on_disk = end;
            }
        }
        self.disk = disk;
        if !with_the_machine {
            self.remains = remains;
        }
        Ok(())
    }
}

impl Machine {
    /// Some records that nobody has but the scan log cannot be read any more.
    pub fn damage(&mut self, truth: &mut Truth, rng: &mut Rng) -> Checked {
        let choose = |key: &WriterKey, seq: u64| {
            let chosen = rng.u8(0..8) == 0 && truth.damage(key, seq);
            chosen.then(|| rng.usize(0..4_096))
        };
        self.remains = std::mem::take(&mut self.remains).damage(choose)?;
        Ok(())
    }

    /// The process ends by itself, once it is drained.
    pub fn end(
        &mut self,
        kafka: &mut Kafka,
        truth: &mut Truth,
        rng: &mut Rng,
        now: Instant,
    ) -> Checked {
        let Some(run) = self.run.take_if(|_| rng.bool()) else {
            // What it has not removed yet, the next one finds to be done with.
            return self.kill(false, kafka, truth, rng, now);
        };
        for (key, ledger) in run.edge.ledgers() {
            ensure(ledger.waiting() == 0, || {
                format!("{key} has ended, and {ledger:?}")
            })?;
            truth.end_run(&key, &ledger);
        }
        let name = &self.name;
        let ended = run.edge.end();
        ended.map_err(|left| format!("{name} has drained, and leaves {left}"))
    }
}

impl Producer {
    /// What was sent and not taken may still be on its way.
    fn abandon(self, kafka: &mut Kafka, truth: &mut Truth, rng: &mut Rng) {
        for sent in self.sent {
            mark_tried(&sent.batch, truth);
            if !sent.appended && rng.bool() {
                kafka.strays.push(sent.batch);
            }
        }
    }
}

impl Run {
    pub fn append(
        &mut self,
        writer: usize,
        unreadable: bool,
        truth: &mut Truth,
    ) -> Result<bool, String> {
        let key = &self.writers[writer];
        let accepted = match self.edge.append(writer, &scan()) {
            Ok(seq) if unreadable => truth.accept(key, seq, Fate::Unreadable).map(|()| true),
            Ok(seq) => truth.accept(key, seq, Fate::Recorded).map(|()| true),
            Err(dropped) => truth
                .accept(key, dropped.seq, Fate::LogFull)
                .map(|()| false),
        };
        accepted.and_then(|recorded| self.check(truth).map(|()| recorded))
    }

    pub fn drop_unknown(&mut self, writer: usize, truth: &mut Truth) -> Checked {
        self.edge.drop_unknown(writer);
        truth.writer(&self.writers[writer]).unknown += 1;
        self.check(truth)
    }

    /// What the thread does that has the spool, some of it.
    pub fn turn_to_disk(&mut self, disk: &mut Rng, truth: &mut Truth, now: Instant) -> Checked {
        if disk.bool() {
            self.edge.give_back();
        }
        if disk.bool() {
            self.edge.load(now);
        }
        let after = Duration::from_millis(disk.u64(0..40));
        let all = self.edge.is_draining() && disk.bool();
        for _ in 0..disk.u8(0..4) {
            self.edge.spool(after, all, now)?;
        }
        self.check(truth)
    }

    pub fn make_spares(&self) -> Checked {
        self.edge.make_spares()
    }

    /// Nothing is answered any more.
    pub fn drain(&mut self) {
        self.edge.drain();
    }

    /// Whether a drain has come to its end.
    pub fn is_drained(&self) -> bool {
        self.edge.is_drained()
    }

    pub fn is_draining(&self) -> bool {
        self.edge.is_draining()
    }

    pub fn ship(&mut self, truth: &mut Truth, now: Instant) -> Checked {
        self.edge.ship(&mut self.producer, now);
        self.check(truth)
    }

    /// The shipper hears what became of a batch.
    pub fn settle(
        &mut self,
        at: usize,
        outcome: Delivered,
        truth: &mut Truth,
        now: Instant,
    ) -> Checked {
        let Some(Sent { batch, .. }) = self.producer.sent.remove(at) else {
            return Ok(());
        };
        match outcome {
            Delivered::Failed { .. } => mark_tried(&batch, truth),
            Delivered::Refused { .. } => {
                for scan in truth.batch(&batch.writer, batch.first_seq, batch.count) {
                    scan.fate = Fate::Refused;
                }
            }
            Delivered::Stored { .. } => {}
        }
        let delivery = Delivery {
            writer: batch.writer,
            first_seq: batch.first_seq,
            count: batch.count,
            outcome,
        };
        self.edge.settle(&delivery, now);
        self.check(truth)
    }

    /// The producer has failed for good, and another takes over.
    pub fn replace_producer(
        &mut self,
        kafka: &mut Kafka,
        truth: &mut Truth,
        rng: &mut Rng,
        now: Instant,
    ) -> Checked {
        while let Some(sent) = self.producer.sent.front() {
            if !sent.appended && rng.bool() {
                kafka.strays.push(sent.batch.clone());
            }
            let reason = "fatal".to_owned();
            self.settle(0, Delivered::Failed { reason }, truth, now)?;
        }
        Ok(())
    }

    /// Whether the broker may refuse it: nobody has it, or may come to have it.
    pub fn may_refuse(&self, at: usize, truth: &mut Truth) -> bool {
        let Sent { batch, appended } = &self.producer.sent[at];
        let scans = truth.batch(&batch.writer, batch.first_seq, batch.count);
        !appended && !scans.is_empty() && scans.iter().all(|scan| !scan.tried && !scan.in_log)
    }

    fn check(&self, truth: &mut Truth) -> Checked {
        let mut ledgers = self.edge.ledgers().into_iter();
        ledgers
            .try_for_each(|(key, ledger)| truth.check_ledger(&key, self.is_adopted(&key), &ledger))
    }

    fn is_adopted(&self, key: &WriterKey) -> bool {
        !self.writers.contains(key)
    }
}

fn mark_tried(batch: &EncodedBatch, truth: &mut Truth) {
    for scan in truth.batch(&batch.writer, batch.first_seq, batch.count) {
        scan.tried = true;
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
        user_agent: b"",
        language: b"",
        referrer_host: b"",
        http_version: HttpVersion::Http11,
        bot_network: "",
    }
}
