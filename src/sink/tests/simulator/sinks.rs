//! Sinks: the real protocol, one for each partition that a process has, its commands carried out between the models in steps that others
//! come in between. One that is paused does not know what it has lost, and goes on where it was.

use std::collections::BTreeMap;

use analytics::{Counted, Positions, Run, Source};
use fastrand::Rng;
use sink::batches::Record;
use sink::protocol::{Command, Event, Protocol};

use crate::kafka::{Drops, Kafka, LateCommit};
use crate::mutation::Mutation;
use crate::store::Store;
use crate::trace::Trace;
use crate::truth::{Checked, ensure};
use crate::words;

pub struct Process {
    pub number: usize,
    pub state: State,
    pub tasks: BTreeMap<usize, Task>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Running,
    Paused,
    Dead,
}

/// A partition that the process has, or thinks that it has.
pub struct Task {
    pub partition: usize,
    pub generation: u64,
    pub protocol: Protocol<Drops>,
    cursor: Option<i64>,
    doing: Doing,
    saving: Option<Positions>,
    attempts: u32,
    /// The first offset of the block that it asked for last to be inserted.
    tried: Option<i64>,
}

enum Doing {
    Beginning,
    Nothing,
    /// To be carried out.
    Todo(Command),
    /// An insert is under way.
    Waiting(u64),
    /// It is carried out, and the answer is on the way.
    Answered(Event<Drops>),
}

/// What a sink has around it.
pub struct Around<'a> {
    pub kafka: &'a mut Kafka,
    pub store: &'a mut Store,
    pub rng: &'a mut Rng,
    pub trace: &'a mut Trace,
    pub mutation: Option<Mutation>,
    /// One of so many requests fails, or loses its answer; 0: none.
    pub failing: u32,
    /// One of so many inserts takes long; 0: none.
    pub slow: u32,
    pub most_held: u64,
}

pub fn source(partition: usize) -> Source {
    Source {
        cluster: "c".to_owned(),
        topic: "scans".to_owned(),
        partition: partition as i32,
    }
}

impl Process {
    pub fn new(number: usize) -> Self {
        Self {
            number,
            state: State::Running,
            tasks: BTreeMap::new(),
        }
    }

    pub fn assign(&mut self, partition: usize, generation: u64, most_scans: u64) {
        let task = Task {
            partition,
            generation,
            protocol: Protocol::new(source(partition), most_scans),
            cursor: None,
            doing: Doing::Beginning,
            saving: None,
            attempts: 0,
            tried: None,
        };
        self.tasks.insert(partition, task);
    }

    /// The partition is to be another's, or is, and this one knows. A commit that it has begun comes to its end first.
    pub fn revoke(
        &mut self,
        partition: usize,
        kafka: &mut Kafka,
        store: &mut Store,
        mutation: Option<Mutation>,
    ) {
        let Some(task) = self.tasks.remove(&partition) else {
            return;
        };
        match &task.doing {
            Doing::Todo(Command::Commit { offset, metadata })
                if mutation == Some(Mutation::CommitsAreNotWaitedFor) =>
            {
                kafka.late_commits.push(LateCommit {
                    sink: self.number,
                    partition,
                    offset: *offset,
                    metadata: metadata.clone(),
                });
            }
            Doing::Todo(Command::Commit { offset, metadata }) if kafka.up => {
                kafka.commit(partition, Some(task.generation), *offset, metadata);
            }
            _ => {}
        }
        task.end(store);
    }

    pub fn kill(&mut self, kafka: &mut Kafka, store: &mut Store) {
        self.state = State::Dead;
        kafka
            .late_commits
            .retain(|commit| commit.sink != self.number);
        for task in std::mem::take(&mut self.tasks).into_values() {
            task.end(store);
        }
    }

    /// Some step of some partition's.
    pub fn turn(&mut self, around: &mut Around<'_>) -> Checked {
        let at = around.rng.usize(0..self.tasks.len().max(1));
        let Some((&partition, task)) = self.tasks.iter_mut().nth(at) else {
            return Ok(());
        };
        let is_zombie = around.kafka.partitions[partition].generation != task.generation;
        if is_zombie && around.rng.u8(0..6) == 0 {
            around.trace.note(|| {
                format!(
                    "sink {} notices that partition {partition} is another's",
                    self.number
                )
            });
            let (kafka, store) = (&mut *around.kafka, &mut *around.store);
            self.revoke(partition, kafka, store, around.mutation);
            return Ok(());
        }
        task.turn(self.number, around)
    }
}

impl Task {
    fn end(self, store: &mut Store) {
        if let Doing::Waiting(id) = self.doing {
            store.forsake(id);
        }
    }

    fn turn(&mut self, sink: usize, around: &mut Around<'_>) -> Checked {
        match around.rng.u8(0..16) {
            0 => self.save(around),
            1 if self.protocol.is_collecting() => self.handle(Event::Flush, around),
            2..=7 => self.read(around),
            _ => self.go_on(sink, around),
        }
    }

    /// Whether everything in the log is settled.
    pub fn is_done(&self, kafka: &Kafka) -> bool {
        let end = kafka.partitions[self.partition].log.len() as i64;
        self.protocol.is_idle()
            && self.cursor == Some(end)
            && matches!(self.doing, Doing::Nothing)
            && self.protocol.position() == Some(end)
    }

    /// Whether it may be about to insert something, or to try so again, for which a token has to be remembered.
    pub fn is_about_to_insert(&self) -> bool {
        let block = self.protocol.in_flight();
        let tries_again = block.is_some_and(|block| Some(block.first()) == self.tried);
        tries_again
            || matches!(
                self.doing,
                Doing::Todo(Command::Insert { .. })
                    | Doing::Answered(Event::Counted(_) | Event::Found(_))
            )
    }

    /// Everything once: what is there is read, and what waits is settled.
    pub fn settle(&mut self, sink: usize, around: &mut Around<'_>) -> Checked {
        self.go_on(sink, around)?;
        self.read(around)?;
        if self.protocol.is_collecting() {
            self.handle(Event::Flush, around)?;
        }
        self.save(around)
    }

    /// Does not wait for its insert any more.
    pub fn give_up(&mut self, store: &mut Store) {
        if let Doing::Waiting(id) = self.doing {
            store.forsake(id);
            self.doing = Doing::Answered(Event::Failed);
        }
    }

    fn save(&mut self, around: &mut Around<'_>) -> Checked {
        if let Some(saved) = self.saving.take() {
            self.protocol.saved(&saved);
        } else if let Some(unsaved) = self.protocol.unsaved()
            && around.store.up
        {
            around.store.saved.push(unsaved.clone());
            // Or it is not known whether they were.
            self.saving = Some(unsaved).filter(|_| around.rng.u8(0..4) > 0);
        }
        Ok(())
    }

    fn read(&mut self, around: &mut Around<'_>) -> Checked {
        for _ in 0..around.rng.u8(1..6) {
            let log = &around.kafka.partitions[self.partition].log;
            let Some(at) = self.cursor.filter(|at| (*at as usize) < log.len()) else {
                break;
            };
            if !around.kafka.up || !self.protocol.wants_records() {
                break;
            }
            self.cursor = Some(at + 1);
            let (head, dropped) = match &log[at as usize] {
                Some(batch) => (Some(batch.head.clone()), batch.dropped.clone()),
                None => (None, Drops::default()),
            };
            let record = Record {
                offset: at,
                head,
                content: dropped,
            };
            self.handle(Event::Read(record), around)?;
        }
        Ok(())
    }

    /// The next step of what is being done.
    fn go_on(&mut self, sink: usize, around: &mut Around<'_>) -> Checked {
        match std::mem::replace(&mut self.doing, Doing::Nothing) {
            Doing::Nothing => Ok(()),
            Doing::Beginning => self.begin(sink, around),
            Doing::Todo(command) => {
                let partition = self.partition;
                let outcome = self.perform(command.clone(), around)?;
                around.trace.note(|| match &outcome {
                    Doing::Answered(event) => format!(
                        "sink {sink}, partition {partition}: {}: {}",
                        words::command(&command),
                        words::answer(event)
                    ),
                    _ => format!(
                        "sink {sink}, partition {partition}: {}",
                        words::command(&command)
                    ),
                });
                self.doing = outcome;
                Ok(())
            }
            Doing::Waiting(id) => {
                self.doing = match around.store.answer(id) {
                    None => Doing::Waiting(id),
                    Some(true) => Doing::Answered(Event::Inserted),
                    Some(false) => Doing::Answered(Event::Failed),
                };
                Ok(())
            }
            Doing::Answered(event) => self.handle(event, around),
        }
    }

    fn begin(&mut self, sink: usize, around: &mut Around<'_>) -> Checked {
        if !around.kafka.up {
            self.doing = Doing::Beginning;
            return Ok(());
        }
        let partition = &around.kafka.partitions[self.partition];
        let (committed, metadata) = partition.committed.clone().unzip();
        let mut event = (committed, metadata.unwrap_or_default());
        let mut end = partition.log.len() as i64;
        match around.mutation {
            Some(Mutation::IntentIsIgnored) => event.1.clear(),
            Some(Mutation::NothingIsLookedUpAfterATakeover) => end = committed.unwrap_or(0),
            _ => {}
        }
        let (committed, metadata) = event;
        around.trace.note(|| {
            let partition = self.partition;
            format!("sink {sink} begins partition {partition} of {end} records at {committed:?} {metadata}")
        });
        let event = Event::Assigned {
            committed,
            metadata,
            end,
        };
        self.handle(event, around)
    }

    /// Tells the protocol, and takes what it wants.
    fn handle(&mut self, event: Event<Drops>, around: &mut Around<'_>) -> Checked {
        let mut commands = self.protocol.handle(event);
        ensure(commands.len() <= 1, || {
            format!("one thing at a time, not {commands:?}")
        })?;
        match commands.pop() {
            None => {}
            Some(Command::Seek(from)) => {
                self.cursor = Some(from.unwrap_or(0));
                if around.mutation == Some(Mutation::FoldIsSkipped) {
                    self.cursor = self.protocol.position();
                }
            }
            Some(command) => {
                ensure(matches!(self.doing, Doing::Nothing), || {
                    format!("{command:?}, while another is open")
                })?;
                self.doing = Doing::Todo(command);
            }
        }
        let (held, most) = (self.protocol.held(), around.most_held);
        ensure(held <= most, || {
            format!("{held} scans are held, and {most} may be")
        })
    }

    fn perform(&mut self, command: Command, around: &mut Around<'_>) -> Result<Doing, String> {
        let mut chance = |of: u32| of > 0 && around.rng.u32(0..of) == 0;
        let fails = chance(around.failing);
        let answer_is_lost = chance(around.failing);
        let reachable = match command {
            Command::Commit { .. } => around.kafka.up,
            _ => around.store.up,
        };
        if fails || !reachable {
            return Ok(Doing::Answered(Event::Failed));
        }
        let source = source(self.partition);
        let event = match command {
            Command::Seek(_) => Event::Failed,
            Command::Load { up_to } => Event::Loaded(around.store.load(&source, up_to)),
            Command::EndInserts => {
                around.store.end_inserts(source.partition, around.mutation);
                Event::InsertsEnded
            }
            Command::Count(runs) if around.mutation == Some(Mutation::CountIsSkipped) => {
                let scans = runs.iter().map(Run::scans).sum();
                Event::Counted(Counted { rows: scans, scans })
            }
            Command::Count(runs) => Event::Counted(around.store.count(&runs)),
            Command::Find(runs) => Event::Found(around.store.find(&runs)),
            Command::Commit { offset, metadata } => match self.commit(offset, &metadata, around) {
                true => Event::Committed,
                false => Event::Failed,
            },
            Command::Insert { token, only } => {
                return self.insert(&token, &only, answer_is_lost, around);
            }
        };
        Ok(Doing::Answered(if answer_is_lost {
            Event::Failed
        } else {
            event
        }))
    }

    fn commit(&self, offset: i64, metadata: &str, around: &mut Around<'_>) -> bool {
        let fenced = around.mutation != Some(Mutation::ZombiesAreNotFenced);
        let generation = fenced.then_some(self.generation);
        around
            .kafka
            .commit(self.partition, generation, offset, metadata)
    }

    fn insert(
        &mut self,
        token: &str,
        only: &[Run],
        breaks_off: bool,
        around: &mut Around<'_>,
    ) -> Result<Doing, String> {
        let block = self
            .protocol
            .in_flight()
            .ok_or("an insert without a block")?;
        let partition = self.partition as i32;
        let last = block.last();
        if !around.store.up {
            return Ok(Doing::Answered(Event::Failed));
        }
        let found = only.is_empty() && !block.new.is_empty();
        if !found || around.mutation != Some(Mutation::FoundBlocksLeaveNoHeaders) {
            around.store.describe(partition, &block.records);
        }
        if breaks_off {
            return Ok(Doing::Answered(Event::Failed));
        }
        self.tried = Some(block.first());
        self.attempts += 1;
        let token = match around.mutation {
            Some(Mutation::RepairRepeatsTheToken) => {
                token.splitn(5, ':').take(4).collect::<Vec<_>>().join(":")
            }
            Some(Mutation::EachTryHasItsToken) => {
                format!("{token}-{}-{}", self.generation, self.attempts)
            }
            Some(Mutation::TokenIsOfTheTry) => format!("{token}-{:x}", Run::digest(only)),
            Some(Mutation::CommitComesBeforeInsert) => {
                self.commit(last + 1, "", around);
                token.to_owned()
            }
            _ => token.to_owned(),
        };
        if only.is_empty() {
            return Ok(Doing::Answered(Event::Inserted));
        }
        let is_slow = around.slow > 0 && around.rng.u32(0..around.slow) == 0;
        let id = around.store.ask(partition, &token, only, is_slow);
        Ok(Doing::Waiting(id))
    }
}
