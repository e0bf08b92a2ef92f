//! What happens at a machine: to its edge, the edge's scan log, and the producer before Kafka.

use std::time::Duration;

use scans::Delivered;

use crate::mutation::Mutation;
use crate::schedule::Happening;
use crate::truth::Checked;
use crate::world::World;

impl World {
    pub fn at_a_machine(&mut self, happening: Happening) -> Checked {
        use Happening::*;
        let Self {
            rng,
            kafka,
            truth,
            trace,
            schedule,
            disk,
            ..
        } = self;
        self.now += Duration::from_millis(rng.u64(0..8));
        let now = self.now;
        let at = rng.usize(0..self.machines.len());
        let machine = &mut self.machines[at];
        let Some(run) = &mut machine.run else {
            // A copy on disk would not have it: what is so would be open.
            if happening == LogIsDamaged && disk.is_none() {
                trace.note(|| format!("the scan log of edge {at} is damaged"));
                return machine.damage(truth, rng);
            }
            if happening == EdgeStarts {
                trace.note(|| format!("edge {at} starts"));
                return machine.start(
                    &schedule.edge,
                    schedule.writers,
                    schedule.partitions,
                    truth,
                    rng,
                );
            }
            return Ok(());
        };
        match happening {
            Answer if !run.is_draining() => {
                let writer = rng.usize(0..run.writers.len());
                let scans = rng.u8(1..8);
                for _ in 0..scans {
                    let unreadable =
                        schedule.unreadable > 0 && rng.u32(0..schedule.unreadable) == 0;
                    run.append(writer, unreadable, truth)?;
                }
                if rng.u8(0..16) == 0 {
                    run.drop_unknown(writer, truth)?;
                }
                trace.note(|| format!("edge {at} run, writer {writer}: {scans} scans"));
                run.make_spares()
            }
            Ship => {
                let before = run.producer.sent.len();
                run.ship(truth, now)?;
                for sent in run.producer.sent.iter().skip(before) {
                    let batch = &sent.batch;
                    trace.note(|| {
                        format!(
                            "edge {at} sends {}: {} from {} to partition {:?}",
                            batch.writer, batch.count, batch.first_seq, batch.partition
                        )
                    });
                }
                run.make_spares()?;
                if let Some(disk) = disk {
                    run.turn_to_disk(disk, truth, now)?;
                }
                if run.is_drained() {
                    trace.note(|| format!("edge {at} has drained"));
                    machine.end(kafka, truth, rng, now)?;
                }
                Ok(())
            }
            BrokerTakes if kafka.up => {
                let Some(next) = run.producer.next(rng) else {
                    return Ok(());
                };
                let sent = &mut run.producer.sent[next];
                sent.appended = true;
                let batch = &sent.batch;
                trace.note(|| {
                    format!(
                        "Kafka takes {}: {} from {}",
                        batch.writer, batch.count, batch.first_seq
                    )
                });
                kafka.append(batch, truth)
            }
            BrokerAnswers if kafka.up => {
                let Some(appended) = run.producer.appended(rng) else {
                    return Ok(());
                };
                if self.mutation == Some(Mutation::LaterDeliveryAcknowledgesEarlier) {
                    for earlier in (0..appended).rev() {
                        run.settle(earlier, Delivered::Stored { partition: None }, truth, now)?;
                    }
                    let first = Delivered::Stored { partition: None };
                    return run.settle(0, first, truth, now);
                }
                run.settle(appended, Delivered::Stored { partition: None }, truth, now)
            }
            OutletHasRoom | OutletIsFull => {
                run.producer.is_full = happening == OutletIsFull;
                Ok(())
            }
            EdgeIsKilled | MachineIsLost => {
                trace.note(|| format!("{happening:?}: edge {at}"));
                machine.kill(happening == MachineIsLost, kafka, truth, rng, now)
            }
            EdgeDrains => {
                trace.note(|| format!("edge {at} drains"));
                run.drain();
                Ok(())
            }
            ProducerFails => {
                trace.note(|| format!("the producer of edge {at} fails for good"));
                run.replace_producer(kafka, truth, rng, now)
            }
            BatchFails if !run.producer.sent.is_empty() => {
                let failed = rng.usize(0..run.producer.sent.len());
                trace.note(|| format!("edge {at}: sent batch {failed} fails"));
                let outcome = match self.mutation {
                    Some(Mutation::FailureIsTakenForDelivery) => {
                        Delivered::Stored { partition: None }
                    }
                    _ => Delivered::Failed {
                        reason: String::new(),
                    },
                };
                run.settle(failed, outcome, truth, now)
            }
            // As above: a copy may not know of it.
            BatchIsRefused if disk.is_none() && !run.producer.sent.is_empty() => {
                let refused = rng.usize(0..run.producer.sent.len());
                if !run.may_refuse(refused, truth) {
                    return Ok(());
                }
                trace.note(|| format!("edge {at}: sent batch {refused} is refused"));
                let reason = String::new();
                run.settle(refused, Delivered::Refused { reason }, truth, now)
            }
            _ => Ok(()),
        }
    }
}
