//! The protocol against models of a broker and a store that fail, lose answers and restart at random: no scan twice, none lost.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use analytics::{Counted, Positions, Run, Source, WriterPosition};
use proptest::prelude::*;
use scans::{ScanId, WriterKey};
use sink::positions::Head;
use sink::protocol::{Command, Event, Protocol, Record};

fn source() -> Source {
    Source {
        cluster: "c".to_owned(),
        topic: "scans".to_owned(),
        partition: 3,
    }
}

fn writer(number: u32) -> WriterKey {
    WriterKey {
        edge: "e".into(),
        boot: 9,
        writer: number,
    }
}

fn head(number: u32, first_seq: u64, count: u32) -> Head {
    Head {
        writer: writer(number),
        first_seq,
        count,
        refused: Vec::new(),
        dropped: 0,
        appended_ms: 0,
    }
}

/// Broker and store: what outlives a sink.
struct World {
    log: Vec<Option<Head>>,
    committed: Option<i64>,
    metadata: String,
    rows: Vec<ScanId>,
    tokens: HashSet<String>,
    /// Inserts whose sink is gone or gave up, and which may still happen until they are ended.
    leftovers: Vec<(String, Vec<Run>)>,
    saved: Vec<Positions>,
    dead: BTreeSet<i64>,
    /// How far any sink has read: the log was at least so long.
    read_to: i64,
}

/// What goes wrong with a command.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Done,
    /// Not done, and the sink is told so.
    Failed,
    /// Done, but the sink is told that it failed.
    AnswerLost,
    /// A part of it is done (of an insert: its first half), then it fails.
    Half,
    /// It is done later, unless it is ended.
    Late,
    /// The sink dies before it.
    DiesBefore,
    /// The sink dies after it.
    DiesAfter,
    /// The positions are saved, then it is done.
    Saves,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Done),
        1 => Just(Fate::Failed),
        1 => Just(Fate::AnswerLost),
        1 => Just(Fate::Half),
        1 => Just(Fate::Late),
        1 => Just(Fate::DiesBefore),
        1 => Just(Fate::DiesAfter),
        1 => Just(Fate::Saves),
    ]
}

impl World {
    fn new(log: Vec<Option<Head>>) -> Self {
        Self {
            log,
            committed: None,
            metadata: String::new(),
            rows: Vec::new(),
            tokens: HashSet::new(),
            leftovers: Vec::new(),
            saved: Vec::new(),
            dead: BTreeSet::new(),
            read_to: 0,
        }
    }

    fn insert(&mut self, token: &str, runs: &[Run], half: bool) {
        let ids: Vec<ScanId> = runs
            .iter()
            .flat_map(|run| (run.first..=run.last).map(|seq| run.writer.scan(seq)))
            .collect();
        let take = if half { ids.len() / 2 } else { ids.len() };
        if !half && !self.tokens.insert(token.to_owned()) {
            return;
        }
        self.rows.extend(ids.into_iter().take(take));
    }

    fn stored(&self, runs: &[Run]) -> HashSet<ScanId> {
        self.rows
            .iter()
            .filter(|id| runs.iter().any(|run| run.holds(id)))
            .cloned()
            .collect()
    }

    fn load(&self, up_to: i64) -> Option<Positions> {
        let mut writers: BTreeMap<WriterKey, (i64, WriterPosition)> = BTreeMap::new();
        for positions in self
            .saved
            .iter()
            .filter(|positions| positions.offset <= up_to)
        {
            for (key, position) in &positions.writers {
                let line = writers
                    .entry(key.clone())
                    .or_insert((0, WriterPosition::default()));
                if positions.offset >= line.0 {
                    *line = (positions.offset, position.clone());
                }
            }
        }
        let offset = writers.values().map(|(offset, _)| *offset).max()?;
        let writers = writers
            .into_iter()
            .map(|(key, (_, position))| (key, position))
            .collect();
        Some(Positions {
            source: source(),
            offset,
            writers,
        })
    }
}

/// One life of a sink. Some: it died; None: everything is settled.
fn live(world: &mut World, fates: &mut impl Iterator<Item = Fate>, most_scans: u64) -> Option<()> {
    let mut protocol: Protocol<()> = Protocol::new(source(), most_scans);
    let end = world.log.len() as i64;
    let mut cursor: Option<i64> = None;
    let mut todo = protocol.handle(Event::Assigned {
        committed: world.committed,
        metadata: world.metadata.clone(),
        end: world.read_to,
    });
    loop {
        assert!(todo.len() <= 1, "one thing at a time: {todo:?}");
        let Some(command) = todo.pop() else {
            match cursor.filter(|cursor| *cursor < end && protocol.wants_records()) {
                Some(at) => {
                    cursor = Some(at + 1);
                    world.read_to = world.read_to.max(at + 1);
                    let record = Record {
                        offset: at,
                        head: world.log[at as usize].clone(),
                        content: (),
                    };
                    todo = protocol.handle(Event::Read(record));
                }
                None if protocol.is_idle() => return None,
                None => {
                    todo = protocol.handle(Event::Flush);
                    assert!(!todo.is_empty(), "stuck: {protocol:?}");
                }
            }
            continue;
        };
        if let Command::Seek(from) = command {
            cursor = Some(from.unwrap_or(0));
            continue;
        }
        let fate = fates.next().unwrap_or(Fate::Done);
        match fate {
            Fate::DiesBefore => return Some(()),
            Fate::Saves => {
                if let Some(unsaved) = protocol.unsaved() {
                    world.saved.push(unsaved.clone());
                    protocol.saved(&unsaved);
                }
            }
            _ => {}
        }
        let event = perform(world, &protocol, &command, fate);
        if fate == Fate::DiesAfter {
            return Some(());
        }
        todo = protocol.handle(event);
        if let Some(position) = protocol.position() {
            assert!(position <= end);
        }
    }
}

fn perform(world: &mut World, protocol: &Protocol<()>, command: &Command, fate: Fate) -> Event<()> {
    if fate == Fate::Failed {
        return Event::Failed;
    }
    let answer = match command {
        Command::Load { up_to } => Event::Loaded(world.load(*up_to)),
        Command::EndInserts => {
            // Some were faster than their end.
            for (token, runs) in std::mem::take(&mut world.leftovers) {
                if fate != Fate::Done {
                    world.insert(&token, &runs, false);
                }
            }
            Event::InsertsEnded
        }
        Command::Count(runs) => {
            let scans = world.stored(runs).len() as u64;
            Event::Counted(Counted { rows: scans, scans })
        }
        Command::Find(runs) => Event::Found(world.stored(runs)),
        Command::Insert { token, only } => {
            let block = protocol.in_flight().expect("an insert has a block");
            world.dead.extend(
                block
                    .records
                    .iter()
                    .filter(|record| record.head.is_none())
                    .map(|record| record.offset),
            );
            match fate {
                Fate::Half => {
                    world.insert(token, only, true);
                    return Event::Failed;
                }
                Fate::Late => {
                    world.leftovers.push((token.clone(), only.clone()));
                    return Event::Failed;
                }
                _ => world.insert(token, only, false),
            }
            Event::Inserted
        }
        Command::Commit { offset, metadata } => {
            world.committed = Some(*offset);
            world.metadata.clone_from(metadata);
            Event::Committed
        }
        Command::Seek(_) => unreachable!("has no answer"),
    };
    if matches!(fate, Fate::AnswerLost | Fate::Half | Fate::Late) {
        Event::Failed
    } else {
        answer
    }
}

/// What the log holds: each writer's batches in order, some again, some late, some unreadable.
fn log() -> impl Strategy<Value = Vec<Option<Head>>> {
    let batch = (0..3_u32, 0..6_u32, 0..20_u32);
    prop::collection::vec(batch, 1..40).prop_map(|batches| {
        let (mut log, mut next, mut held) = (Vec::new(), [0_u64; 3], Vec::new());
        for (number, count, chance) in batches {
            let first = next[number as usize];
            let batch = head(number, first, count);
            next[number as usize] += u64::from(count);
            match chance {
                0 | 1 => log.push(None),
                2 => held.push(batch),
                3 => log.extend([Some(batch.clone()), Some(batch)]),
                4 if count > 1 => log.push(Some(Head {
                    refused: vec![first + 1],
                    ..batch
                })),
                _ => log.push(Some(batch)),
            }
        }
        log.extend(held.into_iter().map(Some));
        log
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]
    #[test]
    fn every_scan_is_stored_once_whatever_fails(
        log in log(),
        fates in prop::collection::vec(fate(), 0..60),
        most_scans in 1..12_u64,
        forgets in prop::collection::vec(0..12_u8, 0..10),
    ) {
        let mut world = World::new(log.clone());
        let mut fates = fates.into_iter();
        let mut forgets = forgets.into_iter();
        while live(&mut world, &mut fates, most_scans).is_some() {
            match forgets.next() {
                // The group's offset is gone, or a late commit of an older one came through.
                Some(0) => (world.committed, world.metadata) = (None, String::new()),
                // The positions are gone.
                Some(1) => world.saved.clear(),
                // The store forgets its tokens.
                Some(2) => world.tokens.clear(),
                _ => {}
            }
        }
        let mut expected: Vec<ScanId> = Vec::new();
        for head in log.iter().flatten() {
            let seqs = head.first_seq..head.first_seq + u64::from(head.count);
            expected.extend(seqs.filter(|seq| !head.refused.contains(seq)).map(|seq| head.writer.scan(seq)));
        }
        expected.sort();
        expected.dedup();
        let mut stored = world.rows.clone();
        stored.sort();
        prop_assert_eq!(stored, expected);
        let unreadable: BTreeSet<i64> = (0..).zip(&log).filter(|(_, head)| head.is_none()).map(|(offset, _)| offset).collect();
        prop_assert_eq!(world.dead, unreadable);
        prop_assert_eq!(world.committed, Some(log.len() as i64));
    }
}

fn assigned(committed: Option<i64>, metadata: &str, end: i64) -> (Protocol<()>, Vec<Command>) {
    let mut protocol = Protocol::new(source(), 100);
    let asked = protocol.handle(Event::Assigned {
        committed,
        metadata: metadata.to_owned(),
        end,
    });
    assert_eq!(
        asked,
        [Command::Load {
            up_to: committed.unwrap_or(0)
        }]
    );
    let asked = protocol.handle(Event::Loaded(None));
    (protocol, asked)
}

fn read(protocol: &mut Protocol<()>, offset: i64, head: Head) -> Vec<Command> {
    protocol.handle(Event::Read(Record {
        offset,
        head: Some(head),
        content: (),
    }))
}

#[test]
fn a_block_is_intended_inserted_counted_and_only_then_committed() {
    let (mut protocol, asked) = assigned(None, "", 0);
    assert_eq!(asked, [Command::Seek(None)]);
    assert!(
        read(&mut protocol, 0, head(0, 0, 10)).is_empty(),
        "it waits for more"
    );
    let asked = protocol.handle(Event::Flush);
    assert!(
        matches!(&asked[..], [Command::Commit { offset: 0, metadata }] if metadata.contains("\"last\":0"))
    );
    let asked = protocol.handle(Event::Committed);
    let runs = vec![Run {
        writer: writer(0),
        first: 0,
        last: 9,
    }];
    assert!(
        matches!(&asked[..], [Command::Insert { token, only }] if token.starts_with("c:scans:3:0-0:") && *only == runs)
    );
    assert_eq!(protocol.handle(Event::Inserted), [Command::Count(runs)]);
    let asked = protocol.handle(Event::Counted(Counted {
        rows: 10,
        scans: 10,
    }));
    assert_eq!(
        asked,
        [Command::Commit {
            offset: 1,
            metadata: String::new()
        }]
    );
    assert_eq!(
        (protocol.handle(Event::Committed), protocol.position()),
        (Vec::new(), Some(1))
    );
}

#[test]
fn writers_that_take_turns_in_a_partition_are_asked_about_by_one_run_each() {
    let (mut protocol, _) = assigned(None, "", 0);
    for turn in 0..10 {
        for number in 0..2 {
            let offset = 2 * turn + i64::from(number);
            read(&mut protocol, offset, head(number, 3 * turn as u64, 3));
        }
    }
    protocol.handle(Event::Flush);
    let asked = protocol.handle(Event::Committed);
    let runs: Vec<_> = [0, 1]
        .map(|number| Run {
            writer: writer(number),
            first: 0,
            last: 29,
        })
        .into();
    assert!(matches!(&asked[..], [Command::Insert { only, .. }] if *only == runs));
}

#[test]
fn the_commit_of_a_block_carries_the_next_blocks_intent() {
    let (mut protocol, _) = assigned(None, "", 0);
    let asked = read(&mut protocol, 0, head(0, 0, 100));
    assert!(
        matches!(asked[..], [Command::Commit { offset: 0, .. }]),
        "full"
    );
    protocol.handle(Event::Committed);
    read(&mut protocol, 1, head(0, 100, 100));
    assert!(
        !protocol.wants_records(),
        "one block in flight and one ready is enough"
    );
    protocol.handle(Event::Inserted);
    let asked = protocol.handle(Event::Counted(Counted {
        rows: 100,
        scans: 100,
    }));
    assert!(
        matches!(&asked[..], [Command::Commit { offset: 1, metadata }] if metadata.contains("\"scans\":100"))
    );
    assert!(
        matches!(
            protocol.handle(Event::Committed)[..],
            [Command::Insert { .. }]
        ),
        "no commit in between"
    );
}

#[test]
fn what_an_earlier_sink_may_have_stored_is_counted_before_it_is_inserted() {
    let (mut protocol, _) = assigned(Some(0), "", 1);
    read(&mut protocol, 0, head(0, 0, 10));
    protocol.handle(Event::Flush);
    assert_eq!(protocol.handle(Event::Committed), [Command::EndInserts]);
    assert!(matches!(
        protocol.handle(Event::InsertsEnded)[..],
        [Command::Count(_)]
    ));
    let asked = protocol.handle(Event::Counted(Counted {
        rows: 10,
        scans: 10,
    }));
    assert!(
        matches!(asked[..], [Command::Commit { offset: 1, .. }]),
        "nothing is inserted"
    );
}

#[test]
fn a_block_that_is_there_in_part_is_completed_under_another_token() {
    let (mut protocol, _) = assigned(None, "", 0);
    read(&mut protocol, 0, head(0, 0, 10));
    protocol.handle(Event::Flush);
    let first = protocol.handle(Event::Committed);
    protocol.handle(Event::Inserted);
    assert!(matches!(
        protocol.handle(Event::Counted(Counted { rows: 9, scans: 9 }))[..],
        [Command::Find(_)]
    ));
    let there = (0..9).map(|seq| writer(0).scan(seq)).collect();
    let repair = protocol.handle(Event::Found(there));
    let ([Command::Insert { token: one, .. }], [Command::Insert { token: other, only }]) =
        (&first[..], &repair[..])
    else {
        panic!("{first:?} {repair:?}");
    };
    assert_ne!(one, other);
    assert_eq!(
        *only,
        [Run {
            writer: writer(0),
            first: 9,
            last: 9
        }]
    );
}

#[test]
fn an_intent_is_finished_as_it_was_meant_and_told_when_it_cannot_be() {
    for (digest_of, differs) in [(10, false), (9, true)] {
        // The intent of a sink that read one batch of so many scans.
        let (mut earlier, _) = assigned(None, "", 0);
        read(&mut earlier, 0, head(0, 0, digest_of));
        let asked = earlier.handle(Event::Flush);
        let [Command::Commit { metadata, .. }] = &asked[..] else {
            panic!("{asked:?}")
        };

        let (mut protocol, _) = assigned(Some(0), metadata, 5);
        let asked = read(&mut protocol, 0, head(0, 0, 10));
        assert_eq!(
            asked,
            [Command::EndInserts],
            "cut where the intent ends, without waiting or another commit"
        );
        assert_eq!(protocol.take_intent_differs(), differs);
    }
}

#[test]
fn a_replay_below_the_committed_offset_is_folded_but_not_stored() {
    let (mut protocol, _) = assigned(Some(2), "", 3);
    read(&mut protocol, 0, head(0, 0, 10));
    read(&mut protocol, 1, head(0, 10, 10));
    assert!(protocol.is_idle());
    read(&mut protocol, 2, head(0, 5, 20));
    protocol.handle(Event::Flush);
    let block = protocol.in_flight().expect("a block");
    assert_eq!(
        (block.new.clone(), block.replayed),
        (
            vec![Run {
                writer: writer(0),
                first: 20,
                last: 24
            }],
            15
        )
    );
}
