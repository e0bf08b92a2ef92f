//! The protocol's steps, one by one, in the order in which they have to come. What becomes of scans when any of them fails, in any order, the
//! simulator shows.

use analytics::{Counted, Positions, Run, Source, WriterPosition, month_token};
use scans::WriterKey;
use sink::batches::Record;
use sink::positions::Head;
use sink::protocol::{Command, Event, Protocol};

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

fn counted(scans: u64) -> Event<()> {
    Event::Counted(Counted { rows: scans, scans })
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
        matches!(&asked[..], [Command::Insert { token, only }] if token == "c:scans:3:0-0" && *only == runs)
    );
    assert_eq!(protocol.handle(Event::Inserted), [Command::Count(runs)]);
    let asked = protocol.handle(counted(10));
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
    let asked = protocol.handle(counted(100));
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
    let asked = protocol.handle(counted(10));
    assert!(
        matches!(&asked[..], [Command::Insert { only, .. }] if only.is_empty()),
        "no scan is inserted; headers and dead records may not have come with them, and replace themselves"
    );
    let asked = protocol.handle(Event::Inserted);
    assert!(matches!(asked[..], [Command::Commit { offset: 1, .. }]));
}

#[test]
fn a_block_whose_insert_failed_is_tried_again_under_the_same_token_by_whoever_tries() {
    // Of what arrives of the tries that were given up, the store then keeps one.
    let token = |asked: &[Command]| match asked {
        [Command::Insert { token, .. }] => token.clone(),
        _ => panic!("{asked:?}"),
    };
    let tried_again = |protocol: &mut Protocol<()>, failed: Event<()>| {
        assert_eq!(protocol.handle(failed), [Command::EndInserts]);
        protocol.handle(Event::InsertsEnded);
        protocol.handle(counted(0));
        protocol.handle(Event::Found([].into()))
    };
    let (mut protocol, _) = assigned(None, "", 0);
    read(&mut protocol, 0, head(0, 0, 10));
    let intent = protocol.handle(Event::Flush);
    let [Command::Commit { metadata, .. }] = &intent[..] else {
        panic!("{intent:?}")
    };
    let first = token(&protocol.handle(Event::Committed));
    assert_eq!(token(&tried_again(&mut protocol, Event::Failed)), first);

    let (mut next, _) = assigned(Some(0), metadata, 1);
    assert_eq!(read(&mut next, 0, head(0, 0, 10)), [Command::EndInserts]);
    next.handle(Event::InsertsEnded);
    next.handle(counted(0));
    let asked = next.handle(Event::Found([].into()));
    assert_eq!(token(&asked), first, "another sink's first try");

    // Where the store says that it has inserted it, and it is not there, the token is remembered without the rows.
    next.handle(Event::Inserted);
    next.handle(counted(0));
    let repair = token(&next.handle(Event::Found([].into())));
    assert_ne!(repair, first);
    assert_eq!(token(&tried_again(&mut next, Event::Failed)), repair);
}

#[test]
fn what_is_left_of_a_block_has_the_tokens_that_it_had_with_the_rest() {
    let (mut protocol, _) = assigned(None, "", 0);
    read(&mut protocol, 0, head(0, 0, 10));
    protocol.handle(Event::Flush);
    let first = protocol.handle(Event::Committed);
    // One month's scans are in, the other's may still come.
    assert_eq!(protocol.handle(Event::Failed), [Command::EndInserts]);
    protocol.handle(Event::InsertsEnded);
    protocol.handle(counted(6));
    let there = (0..6).map(|seq| writer(0).scan(seq)).collect();
    let again = protocol.handle(Event::Found(there));
    let ([Command::Insert { token: whole, .. }], [Command::Insert { token: rest, only }]) =
        (&first[..], &again[..])
    else {
        panic!("{first:?} {again:?}");
    };
    assert_eq!((whole, only[0].first, only[0].last), (rest, 6, 9));
    let month = |token, scans: std::ops::Range<u64>| {
        let scans: Vec<_> = scans.map(|seq| writer(0).scan(seq)).collect();
        month_token(token, "2026-12", &scans)
    };
    assert_eq!(month(whole, 6..10), month(rest, 6..10));
    assert_ne!(month(rest, 6..10), month(rest, 7..10));
}

#[test]
fn positions_are_not_told_while_they_are_being_folded_up_to_the_committed_offset() {
    let mut protocol: Protocol<()> = Protocol::new(source(), 100);
    protocol.handle(Event::Assigned {
        committed: Some(2),
        metadata: String::new(),
        end: 2,
    });
    let saved = Positions {
        source: source(),
        offset: 0,
        writers: [(writer(1), WriterPosition::default())].into(),
    };
    protocol.handle(Event::Loaded(Some(saved)));
    read(&mut protocol, 0, head(0, 0, 10));
    assert_eq!(protocol.unsaved(), None, "the second is not in them");
    read(&mut protocol, 1, head(0, 10, 10));
    let unsaved = protocol.unsaved().expect("they moved");
    assert_eq!((unsaved.offset, unsaved.writers[&writer(0)].next), (2, 20));
}

#[test]
fn a_block_that_is_there_in_part_is_completed_under_another_token() {
    let (mut protocol, _) = assigned(None, "", 0);
    read(&mut protocol, 0, head(0, 0, 10));
    protocol.handle(Event::Flush);
    let first = protocol.handle(Event::Committed);
    protocol.handle(Event::Inserted);
    assert!(matches!(
        protocol.handle(counted(9))[..],
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
