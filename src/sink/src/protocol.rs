//! How one partition's batches become stored scans, exactly once: a state machine without I/O. It is told what happened and answers
//! what to do next; `pipeline` does it. Read [`Protocol::handle`] from top to bottom.
//!
//! 1. *Recover*: load the writers' positions, read from there, fold up to the committed offset without storing.
//! 2. *Collect* batches into a block, up to its bound in scans or until [`Event::Flush`].
//! 3. *Intend*: the committed offset says which block comes next, so that whoever comes after makes the same block.
//! 4. *Insert*, then *count* what is stored of the block, *find* and insert what is not, until all of it is there.
//! 5. *Settle*: commit the offset behind the block; the next block's intent rides along when that block is ready.
//!
//! After a failed insert nobody knows what is stored. Then, and for all batches that an earlier sink may have had, the order is:
//! end leftover inserts, count, and only then insert.

mod messages;
mod standing;

use std::collections::HashSet;

use analytics::{Counted, Positions, Run, Source};
use scans::{ScanId, WriterKey};

use crate::batches::{Batches, Record};
use crate::intent::Intent;
use crate::positions::WriterPositions;
pub use messages::{Command, Event, Settled};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Intending,
    Ending,
    Counting,
    Finding,
    Inserting,
    Settling,
}

#[derive(Debug)]
struct Flight<C> {
    batches: Batches<C>,
    stage: Stage,
    only: Vec<Run>,
    /// The store says that it has inserted these.
    inserted: bool,
    /// And the headers and the dead records of all its batches, which go with each insert.
    has_headers: bool,
    /// How many times it said so and they were not all there.
    repairs: u32,
}

/// The state of one partition.
#[derive(Debug)]
pub struct Protocol<C> {
    source: Source,
    most_scans: u64,
    /// Known once assigned and loaded.
    committed: Option<i64>,
    loading: bool,
    intent: Option<Intent>,
    /// Below this, an earlier sink may have stored what is read.
    careful_below: i64,
    /// Where the next record must lie, or later.
    next_offset: i64,
    settled: WriterPositions,
    folded: WriterPositions,
    unsaved: HashSet<WriterKey>,
    open: Batches<C>,
    flush: bool,
    flight: Option<Flight<C>>,
    /// Its intent is in the commit that settles the block in flight.
    next: Option<Batches<C>>,
    last_settled: Option<Settled>,
    intent_differs: bool,
}

impl<C> Protocol<C> {
    /// For a partition that was just assigned; a block holds about `most_scans`.
    pub fn new(source: Source, most_scans: u64) -> Self {
        Self {
            source,
            most_scans,
            committed: None,
            loading: true,
            intent: None,
            careful_below: 0,
            next_offset: 0,
            settled: WriterPositions::default(),
            folded: WriterPositions::default(),
            unsaved: HashSet::new(),
            open: Batches::default(),
            flush: false,
            flight: None,
            next: None,
            last_settled: None,
            intent_differs: false,
        }
    }

    /// Takes in what happened, answers what to do.
    pub fn handle(&mut self, event: Event<C>) -> Vec<Command> {
        match event {
            Event::Assigned {
                committed,
                metadata,
                end,
            } => self.assigned(committed, &metadata, end),
            Event::Loaded(saved) => self.loaded(saved),
            Event::Read(record) => self.read(record),
            Event::Flush => {
                self.flush = !self.open.records.is_empty();
                self.advance()
            }
            Event::InsertsEnded => self.step(Stage::Ending, Stage::Counting),
            Event::Counted(counted) => self.counted(counted),
            Event::Found(stored) => self.found(&stored),
            Event::Inserted => self.inserted(),
            Event::Committed => self.committed(),
            Event::Failed => self.failed(),
        }
    }

    fn assigned(&mut self, committed: Option<i64>, metadata: &str, end: i64) -> Vec<Command> {
        let committed = committed.unwrap_or(0);
        self.committed = Some(committed);
        self.careful_below = end;
        // An intent beyond the end is of a log that is no more.
        self.intent =
            Intent::parse(metadata).filter(|intent| (committed..end).contains(&intent.last));
        vec![Command::Load { up_to: committed }]
    }

    fn loaded(&mut self, saved: Option<Positions>) -> Vec<Command> {
        self.loading = false;
        let from = saved.as_ref().map(|saved| saved.offset);
        self.settled = WriterPositions::new(saved.map(|saved| saved.writers).unwrap_or_default());
        self.folded = self.settled.clone();
        self.next_offset = from.unwrap_or(0);
        vec![Command::Seek(from)]
    }

    fn read(&mut self, record: Record<C>) -> Vec<Command> {
        // While it loads, nothing is asked for; what came before is read again after the seek.
        if self.loading || record.offset < self.next_offset {
            return Vec::new();
        }
        self.next_offset = record.offset + 1;
        if self
            .committed
            .is_some_and(|committed| record.offset < committed)
        {
            // An earlier sink stored it.
            if let Some(head) = &record.head {
                self.folded.fold(head);
                let position = self.folded.get(&head.writer).cloned().unwrap_or_default();
                self.settled
                    .extend([(head.writer.clone(), position)].into());
                self.unsaved.insert(head.writer.clone());
            }
        } else {
            self.open.push(record, &mut self.folded);
        }
        self.advance()
    }

    /// Starts the next block when there is one and none is in flight.
    fn advance(&mut self) -> Vec<Command> {
        if self.flight.is_some() || !self.open_is_ready() {
            return Vec::new();
        }
        let batches = self.cut();
        match self.intent.take() {
            Some(intent) => {
                self.intent_differs = intent != batches.intent();
                self.launch(batches)
            }
            None => {
                let commit = Command::Commit {
                    offset: batches.first(),
                    metadata: batches.intent().to_metadata(),
                };
                self.fly(batches, Stage::Intending);
                vec![commit]
            }
        }
    }

    fn open_is_full(&self) -> bool {
        match &self.intent {
            Some(intent) => self.next_offset > intent.last && !self.open.records.is_empty(),
            None => {
                self.open.scans() >= self.most_scans
                    || self.open.records.len() as u64 >= self.most_scans
            }
        }
    }

    fn open_is_ready(&self) -> bool {
        let flushed = self.flush && self.intent.is_none() && !self.open.records.is_empty();
        self.open_is_full() || flushed
    }

    fn cut(&mut self) -> Batches<C> {
        self.flush = false;
        std::mem::take(&mut self.open)
    }

    fn fly(&mut self, batches: Batches<C>, stage: Stage) {
        let only = batches.new.clone();
        self.flight = Some(Flight {
            batches,
            stage,
            only,
            inserted: false,
            has_headers: false,
            repairs: 0,
        });
    }

    /// The block's intent is committed.
    fn launch(&mut self, batches: Batches<C>) -> Vec<Command> {
        let careful = batches.first() < self.careful_below;
        self.fly(
            batches,
            if careful {
                Stage::Ending
            } else {
                Stage::Inserting
            },
        );
        self.ask()
    }

    fn step(&mut self, from: Stage, to: Stage) -> Vec<Command> {
        match &mut self.flight {
            Some(flight) if flight.stage == from => flight.stage = to,
            // An answer to what is no longer asked.
            _ => return Vec::new(),
        }
        self.ask()
    }

    /// What the stage of the block in flight asks for.
    fn ask(&mut self) -> Vec<Command> {
        let Some(flight) = &mut self.flight else {
            return Vec::new();
        };
        if flight.batches.scans() == 0 && flight.stage == Stage::Ending {
            // Nothing to count: headers and dead records alone, which replace themselves when they come again.
            flight.stage = Stage::Inserting;
        }
        let Some(flight) = &self.flight else {
            return Vec::new();
        };
        let batches = &flight.batches;
        vec![match flight.stage {
            Stage::Ending => Command::EndInserts,
            Stage::Counting => Command::Count(batches.new.clone()),
            Stage::Finding => Command::Find(batches.new.clone()),
            Stage::Inserting => Command::Insert {
                token: self.token(flight),
                only: flight.only.clone(),
            },
            Stage::Intending => Command::Commit {
                offset: batches.first(),
                metadata: batches.intent().to_metadata(),
            },
            Stage::Settling => Command::Commit {
                offset: batches.last() + 1,
                metadata: self
                    .next
                    .as_ref()
                    .map(|next| next.intent().to_metadata())
                    .unwrap_or_default(),
            },
        }]
    }

    /// The same as long as nobody knows what became of the last try, and the same of whoever tries: one that arrives late, from a sink that
    /// gave it up or has been replaced, is dropped by it. Which scans it is about, the store adds month by month. Where the store has
    /// remembered a token without the rows, another is needed.
    fn token(&self, flight: &Flight<C>) -> String {
        let (first, last) = (flight.batches.first(), flight.batches.last());
        let block = format!("{}:{first}-{last}", self.source);
        match flight.repairs {
            0 => block,
            repairs => format!("{block}:{repairs}"),
        }
    }

    /// Every insert of scans is confirmed: an insert's own word is not enough.
    fn inserted(&mut self) -> Vec<Command> {
        match &mut self.flight {
            Some(flight) if flight.stage == Stage::Inserting => {
                (flight.inserted, flight.has_headers) = (true, true);
                if flight.only.is_empty() {
                    return self.settle();
                }
            }
            _ => return Vec::new(),
        }
        self.step(Stage::Inserting, Stage::Counting)
    }

    /// All scans are there. If it was not this sink that inserted them, perhaps in other blocks, its headers and dead records come now.
    fn complete(&mut self) -> Vec<Command> {
        match &mut self.flight {
            Some(flight) if !flight.has_headers => {
                (flight.stage, flight.only) = (Stage::Inserting, Vec::new());
                self.ask()
            }
            _ => self.settle(),
        }
    }

    fn counted(&mut self, counted: Counted) -> Vec<Command> {
        let scans = match &self.flight {
            Some(flight) if flight.stage == Stage::Counting => flight.batches.scans(),
            _ => return Vec::new(),
        };
        if counted.scans >= scans {
            self.complete()
        } else {
            self.step(Stage::Counting, Stage::Finding)
        }
    }

    fn found(&mut self, stored: &HashSet<ScanId>) -> Vec<Command> {
        let Some(flight) = self
            .flight
            .as_mut()
            .filter(|flight| flight.stage == Stage::Finding)
        else {
            return Vec::new();
        };
        let absent: Vec<ScanId> = flight
            .batches
            .new
            .iter()
            .flat_map(|run| (run.first..=run.last).map(|seq| run.writer.scan(seq)))
            .filter(|id| !stored.contains(id))
            .collect();
        if absent.is_empty() {
            return self.complete();
        }
        flight.only = if absent.len() as u64 == flight.batches.scans() {
            flight.batches.new.clone()
        } else {
            Run::of(&absent)
        };
        flight.repairs += u32::from(std::mem::take(&mut flight.inserted));
        self.step(Stage::Finding, Stage::Inserting)
    }

    fn settle(&mut self) -> Vec<Command> {
        if self.open_is_ready() && self.next.is_none() {
            self.next = Some(self.cut());
        }
        if let Some(flight) = &mut self.flight {
            flight.stage = Stage::Settling;
        }
        self.ask()
    }

    fn committed(&mut self) -> Vec<Command> {
        match self.flight.take() {
            Some(Flight {
                batches,
                stage: Stage::Intending,
                ..
            }) => self.launch(batches),
            Some(Flight {
                batches,
                stage: Stage::Settling,
                ..
            }) => {
                self.committed = Some(batches.last() + 1);
                self.unsaved.extend(batches.after().keys().cloned());
                self.last_settled = Some(Settled {
                    scans: batches.scans(),
                    replayed: batches.replayed,
                    unreadable: batches.unreadable,
                });
                self.settled.extend(batches.into_after());
                match self.next.take() {
                    Some(next) => self.launch(next),
                    None => self.advance(),
                }
            }
            other => {
                self.flight = other;
                Vec::new()
            }
        }
    }

    fn failed(&mut self) -> Vec<Command> {
        match (&mut self.flight, self.committed) {
            // Perhaps it was stored, perhaps a part, perhaps it is still being stored.
            (Some(flight), _) => {
                if flight.stage == Stage::Inserting {
                    flight.stage = Stage::Ending;
                }
                self.ask()
            }
            (None, Some(up_to)) if self.loading => vec![Command::Load { up_to }],
            (None, _) => Vec::new(),
        }
    }
}
