//! The end of a schedule: nothing fails any more, everything comes to rest, and then every scan is accounted for by its identity.

use std::time::Duration;

use scans::Delivered;

use crate::sinks::State;
use crate::store::Stage;
use crate::truth::{Checked, Fate, ensure};
use crate::world::World;

/// Far more rounds than anything takes.
const MOST_ROUNDS: u32 = 20_000;

impl World {
    /// Lets everything come to its end.
    pub fn come_to_rest(&mut self) -> Checked {
        self.trace.note(|| "everything comes to rest".to_owned());
        (self.kafka.up, self.store.up) = (true, true);
        self.schedule.failing = 0;
        self.drain_edges()?;
        // A stray comes now, or never.
        while let Some(stray) = self.kafka.strays.pop() {
            if self.rng.bool() {
                self.kafka.append(&stray, &mut self.truth)?;
            }
        }
        while !self.kafka.late_commits.is_empty() {
            if self.rng.bool() {
                self.kafka.commit_late(0);
            } else {
                self.kafka.late_commits.clear();
            }
        }
        self.settle_sinks()?;
        // And what nobody could end comes last, when the blocks that are done are long forgotten.
        if self.rng.bool() {
            self.store.forget_tokens();
        }
        while let Some(at) = self.first(Stage::Sent) {
            let token = self.store.requests[at].token.clone();
            self.trace.note(|| format!("{token} comes late"));
            self.store.arrive(at);
        }
        while let Some(at) = self.first(Stage::Running) {
            self.store.finish(at, false)?;
        }
        Ok(())
    }

    fn first(&self, stage: Stage) -> Option<usize> {
        let mut requests = self.store.requests.iter();
        requests.position(|insert| insert.stage == stage)
    }

    fn drain_edges(&mut self) -> Checked {
        let Self {
            schedule,
            rng,
            kafka,
            truth,
            disk,
            ..
        } = self;
        for machine in &mut self.machines {
            let mut rounds = 0;
            while !machine.is_at_rest() {
                rounds += 1;
                ensure(rounds < MOST_ROUNDS, || {
                    format!("{} does not come to the end of its drain", machine.name)
                })?;
                let Some(run) = &mut machine.run else {
                    machine.start(&schedule.edge, 1, schedule.partitions, truth, rng)?;
                    continue;
                };
                run.producer.is_full = false;
                run.drain();
                self.now += Duration::from_millis(5);
                run.ship(truth, self.now)?;
                if let Some(disk) = disk {
                    run.turn_to_disk(disk, truth, self.now)?;
                }
                while let Some(next) =
                    (0..schedule.partitions * 8).find_map(|_| run.producer.next(rng))
                {
                    run.producer.sent[next].appended = true;
                    kafka.append(&run.producer.sent[next].batch, truth)?;
                }
                while let Some(appended) = run.producer.appended(rng) {
                    let stored = Delivered::Stored { partition: None };
                    run.settle(appended, stored, truth, self.now)?;
                }
                if run.is_drained() {
                    machine.end(kafka, truth, rng, self.now)?;
                }
            }
        }
        Ok(())
    }

    fn settle_sinks(&mut self) -> Checked {
        for sink in &mut self.sinks {
            sink.state = State::Running;
        }
        for number in 0..self.schedule.partitions {
            // Whoever comes next where a commit came late finds it to be so.
            if !self.has_owner(number) || self.kafka.partitions[number].is_overtaken {
                self.reassign(number);
            }
        }
        for _ in 0..MOST_ROUNDS {
            let (mut around, sinks) = self.around();
            let mut done = true;
            for sink in sinks.iter_mut() {
                let number = sink.number;
                // Those that have lost a partition go on until they notice.
                sink.turn(&mut around)?;
                for task in sink.tasks.values_mut() {
                    if around.kafka.partitions[task.partition].generation == task.generation {
                        task.settle(number, &mut around)?;
                        done &= task.is_done(around.kafka);
                    } else {
                        done = false;
                    }
                }
            }
            if done {
                return Ok(());
            }
            self.store_goes_on()?;
        }
        Err("the sinks do not come to rest".to_owned())
    }

    /// Inserts that somebody waits for; the others come in between, or last.
    fn store_goes_on(&mut self) -> Checked {
        let mut at = 0;
        while at < self.store.requests.len() {
            let insert = &self.store.requests[at];
            let comes = insert.awaited || self.rng.u8(0..64) == 0;
            let (before, stage) = (self.store.requests.len(), insert.stage);
            match stage {
                Stage::Sent if comes => self.store.arrive(at),
                Stage::Running if comes => self.store.finish(at, false)?,
                _ => {}
            }
            if self.store.requests.len() == before {
                at += 1;
            }
        }
        Ok(())
    }

    fn has_owner(&self, number: usize) -> bool {
        let partition = &self.kafka.partitions[number];
        partition.owner.is_some_and(|owner| {
            let task = self.sinks[owner].tasks.get(&number);
            task.is_some_and(|task| task.generation == partition.generation)
        })
    }

    /// Every accepted scan is stored once, or it is known why not.
    pub fn check_at_rest(&mut self) -> Checked {
        for (number, partition) in self.kafka.partitions.iter().enumerate() {
            let end = partition.log.len() as i64;
            let committed = partition
                .committed
                .as_ref()
                .map_or(0, |(offset, _)| *offset);
            ensure(committed == end, || {
                format!("partition {number} ends at {end}, and {committed} is committed")
            })?;
            for (offset, batch) in (0..).zip(&partition.log) {
                let dead = self.store.dead.contains(&(number as i32, offset));
                ensure(dead == batch.is_none(), || {
                    format!("record {offset} of partition {number} is set aside: {dead}")
                })?;
            }
        }
        for (key, writer) in &self.truth.writers {
            for (seq, scan) in (0..).zip(&writer.scans) {
                let stored = self.store.has(key, seq);
                let expected = match scan.fate {
                    Fate::Recorded if writer.lost && seq < writer.on_disk => true,
                    Fate::Recorded if writer.lost => scan.in_log,
                    Fate::Recorded => true,
                    Fate::Unreadable | Fate::LogFull | Fate::Refused | Fate::Damaged => false,
                };
                ensure(stored == expected, || {
                    format!("scan {key}-{seq} is stored: {stored}, and it is {scan:?}")
                })?;
            }
        }
        for (key, end) in self.store.writers() {
            let scans = self
                .truth
                .writers
                .get(key)
                .map_or(0, |w| w.scans.len() as u64);
            ensure(end <= scans, || {
                format!("{end} scans of {key} are stored, and {scans} were accepted")
            })?;
        }
        self.truth.check_nothing_waits()?;
        self.check_missing()?;
        self.check_ledger()
    }

    /// What the sinks say is missing is what no batch has brought and no writer has told as dropped.
    fn check_missing(&self) -> Checked {
        for (number, partition) in self.kafka.partitions.iter().enumerate() {
            let mut expected = 0;
            for (key, told) in partition.told() {
                let lost = told.gaps().saturating_sub(told.dropped);
                if !self.truth.writers[&key].lost {
                    let (gaps, dropped) = (told.gaps(), told.dropped);
                    ensure(gaps == dropped, || {
                        format!("{key} has ended with {gaps} gaps, and tells of {dropped} drops")
                    })?;
                }
                expected += lost;
            }
            let owner = partition.owner.ok_or("a partition without a sink")?;
            let missing = self.sinks[owner].tasks[&number].protocol.missing();
            ensure(missing == expected, || {
                format!(
                    "partition {number}: {missing} scans are told as missing, and {expected} are"
                )
            })?;
        }
        Ok(())
    }
}
