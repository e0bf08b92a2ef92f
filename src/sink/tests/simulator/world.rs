//! One schedule, from its seed to the end: what happens, in which order, and what must hold all the time.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use fastrand::Rng;

use crate::edges::Machine;
use crate::kafka::{Kafka, LateCommit};
use crate::mutation::Mutation;
use crate::schedule::{Happening, Schedule};
use crate::sinks::{Around, Process, State};
use crate::store::{Stage, Store};
use crate::tally::Tally;
use crate::trace::Trace;
use crate::truth::{Checked, Truth};

pub struct World {
    pub rng: Rng,
    /// What the disks do, where the machines have a spool. By chance of its own: schedules without one are what they were.
    pub disk: Option<Rng>,
    pub schedule: Schedule,
    pub mutation: Option<Mutation>,
    pub trace: Trace,
    pub now: Instant,
    pub kafka: Kafka,
    pub store: Store,
    pub machines: Vec<Machine>,
    pub sinks: Vec<Process>,
    pub truth: Truth,
}

/// Runs a schedule to its end. An error: what does not hold, a panic of the product's included, and what has happened last, if that is wanted.
pub fn run(seed: u64, mutation: Option<Mutation>, traced: bool) -> Result<Tally, (String, String)> {
    let mut world = World::new(seed, mutation, traced);
    // Nothing of it is used after a panic but the trace.
    let checked = catch_unwind(AssertUnwindSafe(|| world.run()));
    match checked.unwrap_or_else(|panic| Err(format!("panic: {}", words_of(&*panic)))) {
        Ok(()) => Ok(world.tally()),
        Err(broken) => Err((broken, world.trace.lines())),
    }
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("without words")
}

impl World {
    fn new(seed: u64, mutation: Option<Mutation>, traced: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let schedule = Schedule::new(&mut rng);
        let names = (0..schedule.machines).map(|number| Machine::new(format!("edge-{number}")));
        Self {
            mutation,
            trace: Trace::new(traced),
            now: Instant::now(), // a beginning, which nothing depends on
            kafka: Kafka::new(schedule.partitions),
            store: Store::new(),
            machines: names.collect(),
            sinks: (0..schedule.sinks).map(Process::new).collect(),
            truth: Truth::default(),
            disk: (seed % 4 == 3).then(|| Rng::with_seed(!seed)),
            rng,
            schedule,
        }
    }

    fn run(&mut self) -> Checked {
        for _ in 0..self.schedule.steps {
            self.trace.next_step();
            let happening = self.schedule.next(&mut self.rng);
            self.happen(happening)?;
        }
        self.come_to_rest()?;
        self.check_at_rest()
    }

    fn happen(&mut self, happening: Happening) -> Checked {
        use Happening::*;
        match happening {
            Answer | Ship | BrokerTakes | BrokerAnswers | EdgeStarts | OutletHasRoom
            | EdgeIsKilled | MachineIsLost | LogIsDamaged | EdgeDrains | OutletIsFull
            | ProducerFails | BatchFails | BatchIsRefused => self.at_a_machine(happening),
            StrayArrives => self.stray_arrives(),
            CommitComesLate => {
                self.commit_comes_late();
                Ok(())
            }
            BrokerGoesAway | BrokerComesBack => {
                let up = happening == BrokerComesBack;
                if std::mem::replace(&mut self.kafka.up, up) != up {
                    self.trace.note(|| format!("{happening:?}"));
                }
                Ok(())
            }
            GarbageIsAppended => {
                let number = self.rng.usize(0..self.schedule.partitions);
                self.kafka.partitions[number].log.push(None);
                self.trace
                    .note(|| format!("garbage is appended to partition {number}"));
                Ok(())
            }
            SinkTurns | SinkStarts | SinkResumes | SinkIsKilled | SinkIsPaused | SinkGivesUp => {
                self.at_a_sink(happening)
            }
            GroupMisses | Rebalance | GroupIsForgotten => {
                self.in_the_group(happening);
                Ok(())
            }
            InsertArrives
            | InsertEnds
            | InsertIsLost
            | InsertIsHalfDone
            | StoreIsKilled
            | StoreComesBack
            | TokensAreForgotten
            | PositionsAreForgotten => self.at_the_store(happening),
        }
    }

    fn stray_arrives(&mut self) -> Checked {
        if self.kafka.strays.is_empty() || !self.kafka.up {
            return Ok(());
        }
        let at = self.rng.usize(0..self.kafka.strays.len());
        let stray = self.kafka.strays.swap_remove(at);
        self.trace.note(|| {
            format!(
                "Kafka takes {}: {} from {}, late",
                stray.writer, stray.count, stray.first_seq
            )
        });
        self.kafka.append(&stray, &mut self.truth)
    }

    fn commit_comes_late(&mut self) {
        let Self {
            kafka, sinks, rng, ..
        } = self;
        if kafka.late_commits.is_empty() || !kafka.up {
            return;
        }
        let at = rng.usize(0..kafka.late_commits.len());
        let LateCommit {
            sink,
            partition,
            offset,
            ..
        } = kafka.late_commits[at];
        if sinks[sink].state == State::Running {
            kafka.commit_late(at);
            self.trace
                .note(|| format!("sink {sink} commits {offset} of partition {partition}, late"));
        }
    }

    fn at_a_sink(&mut self, happening: Happening) -> Checked {
        use Happening::*;
        let at = self.rng.usize(0..self.sinks.len());
        let (mut around, sinks) = self.around();
        let sink = &mut sinks[at];
        match (happening, sink.state) {
            (SinkTurns, State::Running) => return sink.turn(&mut around),
            (SinkStarts, State::Dead) | (SinkResumes, State::Paused) => sink.state = State::Running,
            (SinkIsPaused, State::Running) => sink.state = State::Paused,
            (SinkIsKilled, State::Running | State::Paused) => sink.kill(around.kafka, around.store),
            (SinkGivesUp, State::Running) => {
                for task in sink.tasks.values_mut() {
                    task.give_up(around.store);
                }
            }
            _ => return Ok(()),
        }
        around.trace.note(|| format!("{happening:?}: sink {at}"));
        Ok(())
    }

    /// The sinks, and what they have around them.
    pub fn around(&mut self) -> (Around<'_>, &mut Vec<Process>) {
        let around = Around {
            kafka: &mut self.kafka,
            store: &mut self.store,
            rng: &mut self.rng,
            trace: &mut self.trace,
            mutation: self.mutation,
            failing: self.schedule.failing,
            slow: self.schedule.slow,
            most_held: self.schedule.most_held(),
        };
        (around, &mut self.sinks)
    }

    fn in_the_group(&mut self, happening: Happening) {
        let number = self.rng.usize(0..self.schedule.partitions);
        let owner = self.kafka.partitions[number].owner;
        let has_owner = owner.is_some_and(|owner| self.sinks[owner].state == State::Running);
        match happening {
            Happening::GroupMisses if !has_owner && self.kafka.up => self.reassign(number),
            Happening::Rebalance if self.kafka.up => self.reassign(number),
            // When the group has had no member for long. Offsets are forgotten then, and nothing of a sink is on its way.
            Happening::GroupIsForgotten
                if !self.has_task(number)
                    && self.store.requests.is_empty()
                    && self.kafka.late_commits.is_empty() =>
            {
                self.kafka.assign(number, None);
                self.kafka.partitions[number].committed = None;
                self.trace
                    .note(|| format!("the group's offset of partition {number} is forgotten"));
            }
            _ => {}
        }
    }

    fn has_task(&self, partition: usize) -> bool {
        let mut sinks = self.sinks.iter();
        sinks.any(|sink| sink.tasks.contains_key(&partition))
    }

    /// Gives a partition to a running sink, and takes it from whoever has it and can be told.
    pub fn reassign(&mut self, number: usize) {
        let from = self.rng.usize(0..self.sinks.len());
        let all = (from..self.sinks.len()).chain(0..from);
        let mut running = all.filter(|at| self.sinks[*at].state == State::Running);
        let Some(to) = running.next() else {
            return self.kafka.assign(number, None);
        };
        let before = self.kafka.partitions[number].owner;
        if let Some(before) = before.filter(|before| self.sinks[*before].state == State::Running) {
            self.sinks[before].revoke(number, &mut self.kafka, &mut self.store, self.mutation);
        }
        // One client's commits come in their order, and before it asks where the group stands.
        self.kafka.commit_own_late(number, to);
        self.kafka.assign(number, Some(to));
        let generation = self.kafka.partitions[number].generation;
        // What it has of an earlier generation ends.
        self.sinks[to].revoke(number, &mut self.kafka, &mut self.store, self.mutation);
        self.sinks[to].assign(number, generation, self.schedule.most_scans);
        self.trace
            .note(|| format!("sink {to} gets partition {number}"));
    }

    /// Whether no sink is about to insert, by what it has looked up before, or will go on without knowing what it has lost.
    fn nobody_is_about_to_insert(&self) -> bool {
        let mut tasks = self.sinks.iter().flat_map(|sink| {
            let running = sink.state == State::Running;
            sink.tasks.values().map(move |task| (running, task))
        });
        tasks.all(|(running, task)| {
            let generation = self.kafka.partitions[task.partition].generation;
            running && generation == task.generation && !task.is_about_to_insert()
        })
    }

    fn at_the_store(&mut self, happening: Happening) -> Checked {
        use Happening::*;
        let nothing_comes_late = self.nobody_is_about_to_insert();
        let wanted = match happening {
            InsertArrives | InsertIsLost => Stage::Sent,
            _ => Stage::Running,
        };
        let Self {
            store, rng, trace, ..
        } = self;
        let from = rng.usize(0..store.requests.len().max(1));
        let all = (from..store.requests.len()).chain(0..from);
        let mut of_stage = all.filter(|at| store.requests[*at].stage == wanted);
        let found = of_stage.next();
        if let Some(at) = found {
            let insert = store.requests[at].clone();
            let goes_on = matches!(happening, InsertArrives | InsertEnds);
            if goes_on && insert.is_slow && rng.u8(0..16) > 0 {
                return Ok(());
            }
            match happening {
                InsertArrives => {
                    trace.note(|| format!("{happening:?}: {}", insert.token));
                    store.arrive(at);
                    return Ok(());
                }
                InsertIsLost => {
                    trace.note(|| format!("{happening:?}: {}", insert.token));
                    store.requests.swap_remove(at);
                    return Ok(());
                }
                InsertEnds => {
                    trace.note(|| format!("{happening:?}: {}", insert.token));
                    return store.finish(at, false);
                }
                InsertIsHalfDone if store.has_another_month(at) => {
                    trace.note(|| format!("{happening:?}: {}", insert.token));
                    return store.finish(at, true);
                }
                _ => {}
            }
        }
        match happening {
            StoreIsKilled if store.up => store.kill(|| rng.bool()),
            StoreComesBack if !store.up => store.up = true,
            TokensAreForgotten if nothing_comes_late => store.forget_tokens(),
            // All of them, while no sink believes that they are saved.
            PositionsAreForgotten if self.sinks.iter().all(|sink| sink.tasks.is_empty()) => {
                store.saved.clear();
            }
            _ => return Ok(()),
        }
        trace.note(|| format!("{happening:?}"));
        Ok(())
    }
}
