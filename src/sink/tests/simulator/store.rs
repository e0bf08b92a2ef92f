//! A model of ClickHouse: inserts that take their time, of which nobody may wait any more, month by month; tokens by which a second insert
//! is dropped, also when the rows of the first were lost in a kill; and the writers' positions.
//!
//! What it does not do is the residue of docs/ledger.md: a token is not forgotten while an insert may come that has it or while a sink is
//! trying its block.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use analytics::{Counted, Positions, Run, Source, WriterPosition, month_token};
use scans::{ScanId, WriterKey};
use sink::batches::Record;

use crate::kafka::{Batch, Drops};
use crate::mutation::Mutation;
use crate::truth::{Checked, ensure};

/// So many of a writer's scans are of one month, and as many of the other, in turns: a block has scans of one of them, or of both.
const OF_A_MONTH: u64 = 6;

#[derive(Default)]
pub struct Store {
    pub up: bool,
    /// How many rows there are of each writer's scans, by number.
    rows: BTreeMap<WriterKey, Vec<u8>>,
    tokens: HashSet<String>,
    /// What the batches' headers say, by partition and offset: the ledger's table.
    pub headers: BTreeMap<(i32, i64), Batch>,
    /// Records that could not be read, by partition and offset, and scans.
    pub dead: BTreeSet<(i32, i64)>,
    pub dead_scans: BTreeSet<ScanId>,
    pub saved: Vec<Positions>,
    pub requests: Vec<Insert>,
    asked: u64,
    /// How often a second insert was dropped by its token, a token was kept without its rows, and one of two months was inserted.
    pub repeated: u64,
    pub hollow: u64,
    pub halves: u64,
}

/// An insert, of a block's scans of one month.
#[derive(Clone, Debug)]
pub struct Insert {
    pub id: u64,
    pub partition: i32,
    pub token: String,
    pub runs: Vec<Run>,
    /// The next month's, for as long as whoever asked waits.
    next: Option<(String, Vec<Run>)>,
    pub stage: Stage,
    /// Whoever asked waits for the answer.
    pub awaited: bool,
    /// It takes long.
    pub is_slow: bool,
    /// It goes on though it was ended, as no server does, for a mutation.
    pub is_ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// On its way: nobody can end it.
    Sent,
    /// At the server.
    Running,
    Done,
    Failed,
}

impl Store {
    pub fn new() -> Self {
        Self {
            up: true,
            ..Self::default()
        }
    }

    /// The headers and the dead records of a block: they go before its rows, and replace themselves.
    pub fn describe(&mut self, partition: i32, records: &[Record<Drops>]) {
        for Record {
            offset,
            head,
            content,
        } in records
        {
            let place = (partition, *offset);
            let Some(head) = head else {
                self.dead.insert(place);
                continue;
            };
            let refused = head.refused.iter();
            self.dead_scans
                .extend(refused.map(|seq| head.writer.scan(*seq)));
            let (head, dropped) = (head.clone(), content.clone());
            self.headers.insert(place, Batch { head, dropped });
        }
    }

    pub fn ask(&mut self, partition: i32, token: &str, runs: &[Run], is_slow: bool) -> u64 {
        self.asked += 1;
        let mut months = [0, 1].into_iter().filter_map(|month| {
            let scans = runs
                .iter()
                .flat_map(|run| (run.first..=run.last).map(|seq| run.writer.scan(seq)));
            let scans: Vec<ScanId> = scans
                .filter(|scan| scan.seq / OF_A_MONTH % 2 == month)
                .collect();
            let token = month_token(token, &month.to_string(), &scans);
            (!scans.is_empty()).then(|| (token, Run::of(&scans)))
        });
        let (token, runs) = months.next().unwrap_or_default();
        self.requests.push(Insert {
            id: self.asked,
            partition,
            token,
            runs,
            next: months.next(),
            stage: Stage::Sent,
            awaited: true,
            is_slow,
            is_ended: false,
        });
        self.asked
    }

    /// The answer for whoever waits, when there is one.
    pub fn answer(&mut self, id: u64) -> Option<bool> {
        let at = self.requests.iter().position(|insert| insert.id == id);
        // One that was lost on its way is told as failed.
        let Some(at) = at else { return Some(false) };
        match self.requests[at].stage {
            Stage::Done | Stage::Failed => Some(self.requests.swap_remove(at).stage == Stage::Done),
            Stage::Sent | Stage::Running => None,
        }
    }

    /// Nobody waits for it any more.
    pub fn forsake(&mut self, id: u64) {
        for insert in self.requests.iter_mut().filter(|insert| insert.id == id) {
            insert.awaited = false;
            insert.next = None;
        }
        self.tidy();
    }

    /// An insert reaches the server.
    pub fn arrive(&mut self, at: usize) {
        let running = self.up;
        let insert = &mut self.requests[at];
        insert.stage = if running {
            Stage::Running
        } else {
            Stage::Failed
        };
        self.tidy();
    }

    /// A running insert comes to its end, and the next month's is sent. `breaks`: instead, whoever asked is told that it has failed.
    pub fn finish(&mut self, at: usize, breaks: bool) -> Checked {
        let insert = self.requests[at].clone();
        if self.tokens.insert(insert.token) {
            let runs = insert.runs.iter();
            self.add(runs.flat_map(|run| (run.first..=run.last).map(|seq| (&run.writer, seq))))?;
        } else {
            self.repeated += 1;
        }
        self.halves += u64::from(breaks);
        let insert = &mut self.requests[at];
        insert.stage = match insert.next.take() {
            _ if breaks => Stage::Failed,
            Some((token, runs)) => {
                (insert.token, insert.runs) = (token, runs);
                Stage::Sent
            }
            None => Stage::Done,
        };
        self.tidy();
        Ok(())
    }

    fn add<'a>(&mut self, ids: impl Iterator<Item = (&'a WriterKey, u64)>) -> Checked {
        for (writer, seq) in ids {
            if !self.rows.contains_key(writer) {
                self.rows.insert(writer.clone(), Vec::new());
            }
            let rows = self.rows.get_mut(writer).expect("it is there now");
            if rows.len() <= seq as usize {
                rows.resize(seq as usize + 1, 0);
            }
            rows[seq as usize] += 1;
            ensure(rows[seq as usize] == 1, || {
                format!("scan {writer}-{seq} is stored twice")
            })?;
        }
        Ok(())
    }

    /// SIGKILL. `lost`: a running insert's token is in the log of tokens, and its part has not got its name.
    pub fn kill(&mut self, mut lost: impl FnMut() -> bool) {
        self.up = false;
        for insert in &mut self.requests {
            if insert.stage == Stage::Running {
                if lost() && self.tokens.insert(insert.token.clone()) {
                    self.hollow += 1;
                }
                insert.stage = Stage::Failed;
            }
        }
        self.tidy();
    }

    /// `KILL QUERY … SYNC`, by the prefix that all inserts of a partition have.
    pub fn end_inserts(&mut self, partition: i32, mutation: Option<Mutation>) {
        for insert in &mut self.requests {
            if insert.partition == partition && insert.stage == Stage::Running {
                match mutation {
                    Some(Mutation::LeftoversGoOn) => insert.is_ended = true,
                    _ => insert.stage = Stage::Failed,
                }
            }
        }
        self.tidy();
    }

    /// All but those of inserts that may still come.
    pub fn forget_tokens(&mut self) {
        let requests = &self.requests;
        let may_come = |token: &String| {
            let is_its = |insert: &&Insert| {
                let next = insert.next.as_ref().map(|(token, _)| token);
                insert.token == *token || next == Some(token)
            };
            requests
                .iter()
                .filter(is_its)
                .any(|insert| !insert.is_ended)
        };
        self.tokens.retain(may_come);
    }

    fn tidy(&mut self) {
        self.requests.retain(|insert| {
            insert.awaited || matches!(insert.stage, Stage::Sent | Stage::Running)
        });
    }

    /// Whether the block's scans of another month are to follow on the insert's.
    pub fn has_another_month(&self, at: usize) -> bool {
        self.requests[at].next.is_some()
    }

    pub fn count(&self, runs: &[Run]) -> Counted {
        let scans = self.stored_of(runs).count() as u64;
        Counted { rows: scans, scans }
    }

    pub fn find(&self, runs: &[Run]) -> HashSet<ScanId> {
        let stored = self.stored_of(runs);
        stored.map(|(writer, seq)| writer.scan(seq)).collect()
    }

    fn stored_of<'a>(&'a self, runs: &'a [Run]) -> impl Iterator<Item = (&'a WriterKey, u64)> {
        runs.iter().flat_map(move |run| {
            let seqs = (run.first..=run.last).filter(move |seq| self.has(&run.writer, *seq));
            seqs.map(move |seq| (&run.writer, seq))
        })
    }

    pub fn has(&self, writer: &WriterKey, seq: u64) -> bool {
        let rows = self.rows.get(writer);
        rows.and_then(|rows| rows.get(seq as usize))
            .is_some_and(|rows| *rows > 0)
    }

    /// Every writer of which something is stored, and up to which number.
    pub fn writers(&self) -> impl Iterator<Item = (&WriterKey, u64)> {
        self.rows
            .iter()
            .map(|(writer, rows)| (writer, rows.len() as u64))
    }

    /// The latest line of each writer at or before an offset, and the latest of their offsets.
    pub fn load(&self, source: &Source, up_to: i64) -> Option<Positions> {
        let mut latest: BTreeMap<&WriterKey, (i64, &WriterPosition)> = BTreeMap::new();
        let saved = self.saved.iter();
        for positions in saved.filter(|saved| saved.source == *source && saved.offset <= up_to) {
            for (key, position) in &positions.writers {
                let line = latest.entry(key).or_insert((positions.offset, position));
                if positions.offset >= line.0 {
                    *line = (positions.offset, position);
                }
            }
        }
        let offset = latest.values().map(|(offset, _)| *offset).max()?;
        let writers = latest.into_iter();
        Some(Positions {
            source: source.clone(),
            offset,
            writers: writers
                .map(|(key, (_, position))| (key.clone(), position.clone()))
                .collect(),
        })
    }
}
