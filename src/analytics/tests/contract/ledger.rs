//! The ledger over both stores: a gap, a drop, a replay, a dead record, a duplicate and a writer that fell silent, each seen in its number.

use analytics::{
    BatchHeader, ClickHouseStore, Compared, DeadRecord, Kept, LedgerReport, Period, Positions, Row,
    Run, ScanStore, UnderWay, ledger,
};
use jiff::{SignedDuration, Timestamp};
use scans::WriterKey;
use tags::WorkspaceId;
use tokio::runtime::Runtime;

use crate::data::{BASE, at, block, key, row, source};
use crate::stores::{Database, with_each_store};

const SECOND: i64 = 1;
const HOUR: i64 = 3_600;

fn after(seconds: i64) -> Timestamp {
    at(BASE) + SignedDuration::from_secs(seconds)
}

fn silent_writer() -> WriterKey {
    WriterKey { writer: 1, ..key() }
}

fn header(
    offset: i64,
    (first_seq, count): (u64, u32),
    seconds: i64,
    dropped: &[(&str, u64)],
) -> BatchHeader {
    let dropped = dropped.iter();
    BatchHeader {
        offset,
        writer: key(),
        first_seq,
        count,
        dropped: dropped
            .map(|(reason, count)| ((*reason).to_owned(), *count))
            .collect(),
        appended_at: after(seconds),
    }
}

/// A writer's life from an hour before BASE on: scans of which 12 is dead and 20 to 24 never came.
fn life() -> analytics::Block {
    let seqs = (0..12).chain(13..20).chain(25..30);
    let rows = seqs.map(|seq| {
        let mut row = row(seq, at(BASE));
        if seq >= 25 {
            row.scan.workspace = "other".to_owned();
        }
        row
    });
    let of_another = [0, 1].map(|seq| Row {
        id: silent_writer().scan(seq),
        ..row(seq, at(BASE))
    });
    let mut life = block(0, rows.chain(of_another).collect());
    let told_late = [("log_full", 4), ("unknown_cap", 9)];
    life.headers = vec![
        header(0, (0, 10), -HOUR, &[]),
        header(1, (10, 10), 0, &[]),
        header(2, (25, 5), SECOND, &[("log_full", 3), ("unknown_cap", 7)]),
        header(3, (10, 10), 2 * SECOND, &[("unknown_cap", 1)]), // again, as it was
        header(4, (30, 0), HOUR, &told_late),
        header(9, (30, 3), HOUR / 2, &told_late), // not settled
        BatchHeader {
            writer: silent_writer(),
            ..header(5, (0, 2), 3 * SECOND, &[])
        },
    ];
    for (offset, scan) in [(1, Some(key().scan(12))), (6, None), (6, None)] {
        life.dead.push(DeadRecord {
            offset,
            scan,
            appended_at: after(SECOND),
            reason: "no protobuf".to_owned(),
            bytes: vec![0xff],
        });
    }
    life
}

fn of(
    store: &dyn ScanStore,
    runtime: &Runtime,
    (from, to): (i64, i64),
    workspace: Option<&str>,
) -> anyhow::Result<LedgerReport> {
    let period = Period::new(after(from), after(to))?;
    let workspace = workspace.map(WorkspaceId::parse).transpose()?;
    let now = after(2 * HOUR);
    Ok(runtime.block_on(ledger(store, &period, workspace.as_ref(), now))?)
}

fn compared(report: &LedgerReport) -> &Compared {
    let compared = report.writers[0].compared.as_ref();
    compared.expect("no workspace was asked for")
}

#[test]
fn every_number_is_seen() {
    with_each_store(|name, store, runtime| {
        let life = life();
        runtime.block_on(store.insert(&life))?;
        let hour = |store| of(store, runtime, (0, HOUR), None);
        let unsettled = hour(store)?;
        assert_eq!(
            (unsettled.writers.len(), unsettled.under_way),
            (
                0,
                UnderWay {
                    batches: 5,
                    scans: 30
                }
            ),
            "{name}: nothing is said before the sink has confirmed it"
        );
        let settled = Positions {
            source: source(),
            offset: 6,
            writers: [key(), silent_writer()]
                .map(|writer| (writer, Default::default()))
                .into(),
        };
        runtime.block_on(store.save_positions(&settled))?;

        let report = hour(store)?;
        assert_eq!(
            report.under_way,
            UnderWay {
                batches: 1,
                scans: 3
            },
            "{name}"
        );
        assert_eq!(report.unreadable, 1, "{name}");
        let [writer, silent] = &report.writers[..] else {
            panic!("{name}: {report:?}");
        };
        assert_eq!(
            (&writer.writer, &writer.numbers),
            (&key(), &(10..30)),
            "{name}"
        );
        let kept = Kept {
            rows: 14,
            stored: 14,
            dead: 1,
            expired: 0,
        };
        assert_eq!(writer.kept, kept, "{name}");
        let dropped = [("log_full".to_owned(), 3), ("unknown_cap".to_owned(), 7)];
        let expected = Compared {
            accepted: 27,
            dropped: dropped.into(),
            missing: 5,
            unexplained: 1, // the fourth drop was told after the period's end
            deduplicated: 10,
        };
        assert_eq!(compared(&report), &expected, "{name}");
        assert_eq!(
            (writer.unknown_after, writer.heard),
            (None, after(HOUR)),
            "{name}"
        );
        assert_eq!(
            (&silent.numbers, silent.unknown_after),
            (&(0..2), Some(1)),
            "{name}"
        );
        assert_eq!(
            (report.unexplained(), report.duplicates(), report.is_exact()),
            (1, 0, false),
            "{name}"
        );

        // Every number is in one period, and in no other.
        let before = of(store, runtime, (-2 * HOUR, 0), None)?;
        assert_eq!(
            (&before.writers[0].numbers, compared(&before).accepted),
            (&(0..10), 10),
            "{name}"
        );
        let next = of(store, runtime, (HOUR, 2 * HOUR), None)?;
        let late = [("log_full".to_owned(), 1), ("unknown_cap".to_owned(), 2)];
        assert_eq!(
            (next.writers[0].numbers.is_empty(), &compared(&next).dropped),
            (true, &late.into()),
            "{name}"
        );
        assert_eq!(
            (compared(&next).accepted, next.is_exact()),
            (2, true),
            "{name}"
        );

        // A scan that comes late, whatever its time is, fills its place.
        let late = block(7, vec![row(20, after(-5 * HOUR))]);
        runtime.block_on(store.insert(&late))?;
        let report = hour(store)?;
        assert_eq!(
            (compared(&report).missing, report.is_exact()),
            (4, true),
            "{name}"
        );

        // Not under the block's own token: as a zombie's insert that comes when that has been forgotten.
        let again = block(
            8,
            vec![row(11, at(BASE)), row(11, at(BASE)), row(12, at(BASE))],
        );
        runtime.block_on(store.insert(&again))?;
        let report = hour(store)?;
        // In SQLite the identity is the key.
        let duplicates = if name == "SQLite" { 0 } else { 2 };
        let kept = Kept {
            rows: 16 + duplicates,
            stored: 16,
            dead: 0,
            expired: 0,
        };
        assert_eq!(
            report.writers[0].kept, kept,
            "{name}: what is stored is not dead"
        );
        assert_eq!(
            (report.duplicates(), report.is_exact()),
            (duplicates, duplicates == 0),
            "{name}"
        );

        let other = of(store, runtime, (0, HOUR), Some("other"))?;
        let kept = Kept {
            rows: 5,
            stored: 5,
            dead: 0,
            expired: 0,
        };
        assert_eq!(
            (other.writers[0].kept, &other.writers[0].compared),
            (kept, &None),
            "{name}"
        );
        Ok(())
    });
}

#[test]
fn millions_of_scans_and_numbers_without_end_are_counted_in_parts() {
    const ROWS: u64 = 1_200_000;
    let runtime = Runtime::new().expect("a runtime");
    let database = Database::new();
    let store = runtime
        .block_on(ClickHouseStore::connect(&database.options))
        .expect("a new database");
    let client = clickhouse::Client::default()
        .with_url(&database.options.url)
        .with_database(&database.options.database);
    // Spread over all numbers, and the last thousand twice.
    for rows in [
        format!("numbers({ROWS})"),
        format!("numbers({}, 1000)", ROWS - 1_000),
    ] {
        let insert = client.query_raw(&format!(
            "INSERT INTO scans (time, edge, boot, writer, seq) SELECT now64(), 'edge-1', 7, 0, number * 15000000000000 FROM {rows}"
        ));
        runtime.block_on(insert.execute()).expect("inserted");
    }
    let all = Run {
        writer: key(),
        first: 0,
        last: u64::MAX - 1,
    };
    let kept = runtime.block_on(store.kept(&all, None)).expect("counted");
    let expected = Kept {
        rows: ROWS + 1_000,
        stored: ROWS,
        dead: 0,
        expired: 0,
    };
    assert_eq!(kept, expected);
}
