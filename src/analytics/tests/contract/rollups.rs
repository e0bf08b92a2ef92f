//! Rollups say what the scans say, at any moment: before they are computed, after, and while blocks come late.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use analytics::{
    Bots, ClickHouseStore, Dimension, Expiry, Hour, Interval, Piece, Row, ScanQuery, ScanReport,
    ScanStore, Select, Which, rebuild,
};
use jiff::{SignedDuration, Timestamp};
use tags::{Code, Domain};
use tokio::runtime::Runtime;

use crate::data::{Random, block, random_rows, row};
use crate::stores::{Database, Opened, with_each_opened};
use crate::{reference, workspace};

const WORKSPACES: [&str; 2] = ["acme", "other"];

/// The beginning of an hour, so many before that of the present.
fn hours_ago(hours: i64) -> Timestamp {
    Hour::of(Timestamp::now()).before(hours).start()
}

fn after(moment: Timestamp, micros: i64) -> Timestamp {
    moment + SignedDuration::from_micros(micros)
}

/// Rows from `first` on, over so many hours, some at the hours' very ends.
fn rows(seed: u64, count: u64, first: Timestamp, hours: u64) -> Vec<Row> {
    let mut random = Random::new(seed);
    let mut rows = random_rows(&mut random, count);
    for row in &mut rows {
        let hour = random.below(hours) as i64 * 3_600_000_000;
        let within = match random.below(8) {
            0 => 0,
            1 => 3_599_999_999,
            _ => random.below(3_600_000_000) as i64,
        };
        row.scan.time = after(first, hour + within);
    }
    rows
}

fn selects() -> [Select; 4] {
    [
        Select::Workspace,
        tag(),
        Select::Campaign("summer 'x' \\ {y:String}".to_owned()),
        Select::Campaign(String::new()),
    ]
}

fn tag() -> Select {
    Select::Code {
        domain: Domain::parse("qr.example.com").expect("valid"),
        code: Code::parse("c1").expect("valid"),
    }
}

/// Every selection, interval and sort of visitor over a time, by all dimensions; seconds over half an hour of it.
fn queries(from: Timestamp, to: Timestamp) -> Vec<ScanQuery> {
    let mut queries = Vec::new();
    for select in selects() {
        for bots in [Bots::Exclude, Bots::Include, Bots::Only] {
            for interval in Interval::ALL {
                let to = match interval {
                    Interval::Second => after(from, 1_800_000_000),
                    _ => to,
                };
                let by = match interval {
                    Interval::Hour => Dimension::ALL,
                    _ => &[],
                };
                let query = ScanQuery::new(select.clone(), (from, to), *interval, by, bots);
                queries.push(query.expect("a valid query"));
            }
        }
    }
    queries
}

/// A few of them.
fn some_queries(from: Timestamp, to: Timestamp) -> Vec<ScanQuery> {
    let by = [Dimension::Country, Dimension::Code, Dimension::Campaign];
    let queries = selects().into_iter().map(|select| {
        let query = ScanQuery::new(select, (from, to), Interval::Hour, &by, Bots::Include);
        query.expect("a valid query")
    });
    queries.collect()
}

/// Compares every answer with a plain count of these rows.
fn compare(
    opened: &Opened<'_>,
    rows: &[Row],
    queries: &[ScanQuery],
    when: &str,
) -> anyhow::Result<()> {
    for id in WORKSPACES {
        for query in queries {
            let answer = opened
                .runtime
                .block_on(opened.store.scans(&workspace(id), query))?;
            let expected = reference(rows, &workspace(id), query);
            assert_eq!(answer, expected, "{}, {when}, {id}, {query:?}", opened.name);
        }
    }
    Ok(())
}

/// Computes what is missing, until nothing is. How many hours that were.
pub(crate) fn roll_up(runtime: &Runtime, store: &dyn ScanStore) -> anyhow::Result<u64> {
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut computed = 0;
    runtime.block_on(async {
        loop {
            let hours = store.hours_to_roll_up(Which::Missing).await?;
            match hours.newest_run(Piece::default()) {
                Some(run) => computed += store.roll_up(&run).await?,
                None => return Ok(computed),
            }
            assert!(Instant::now() < deadline, "hours are missing without end");
        }
    })
}

#[test]
fn both_stores_answer_the_same_from_rollups_as_from_scans() {
    let seed = 0x5eed_0101;
    let first = hours_ago(30);
    // The last of these hours is the present one.
    let rows = rows(seed, 3_000, first, 31);
    let mut queries = queries(first, hours_ago(-1));
    // Neither end is an hour's, and one of them lies in the present one.
    queries.extend(self::queries(after(first, 5_400_000_001), Timestamp::now()));
    queries.extend(self::queries(
        after(first, 1_800_000_000),
        after(first, 1_900_000_000),
    ));
    with_each_opened(|opened| {
        for (n, part) in rows.chunks(700).enumerate() {
            let block = block(n as i64, part.to_vec());
            opened.runtime.block_on(opened.store.insert(&block))?;
        }
        let computed = roll_up(opened.runtime, &*opened.store)?;
        assert!(computed >= 29, "{}: {computed} hours", opened.name);
        let when = format!("seed {seed:#x}, with rollups");
        compare(&opened, &rows, &queries, &when)
    });
}

#[test]
fn it_is_the_rollups_that_answer_for_whole_hours() {
    let first = hours_ago(8);
    let rows = rows(0x5eed_0102, 2_000, first, 6);
    with_each_opened(|opened| {
        opened
            .runtime
            .block_on(opened.store.insert(&block(0, rows.clone())))?;
        roll_up(opened.runtime, &*opened.store)?;
        (opened.execute)(match opened.name {
            "SQLite" => "DELETE FROM scans",
            _ => "TRUNCATE TABLE scans",
        })?;

        let whole = queries(first, after(first, 6 * 3_600_000_000));
        let is_of_tag = |query: &&ScanQuery| *query.select() == tag();
        let by_seconds = |query: &&ScanQuery| query.interval() == Interval::Second;
        let rolled = whole
            .iter()
            .filter(|query| !is_of_tag(query) && !by_seconds(query));
        let rolled: Vec<_> = rolled.cloned().collect();
        compare(&opened, &rows, &rolled, "without scans")?;

        let asked = whole.iter().filter(is_of_tag);
        for query in asked.filter(|query| query.interval() == Interval::Hour) {
            let answer = opened
                .runtime
                .block_on(opened.store.scans(&workspace("acme"), query))?;
            let expected = reference(&rows, &workspace("acme"), query);
            assert_eq!(answer.series, expected.series, "{}", opened.name);
            for ((dimension, told), (_, expected)) in
                answer.breakdown.iter().zip(&expected.breakdown)
            {
                let own = [Dimension::Code, Dimension::Campaign].contains(dimension);
                let expected = if own { expected.as_slice() } else { &[] };
                assert_eq!(told, expected, "{}, {dimension}", opened.name);
            }
        }
        Ok(())
    });
}

/// Derives what days can be, until none is missing. How many that were.
fn roll_up_days(runtime: &Runtime, store: &dyn ScanStore) -> anyhow::Result<u64> {
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut derived = 0;
    runtime.block_on(async {
        loop {
            match store.roll_up_days().await? {
                0 => return Ok(derived),
                days => derived += days,
            }
            assert!(Instant::now() < deadline, "days are missing without end");
        }
    })
}

/// By all dimensions, of people and of all.
fn breakdowns(from: Timestamp, to: Timestamp) -> Vec<ScanQuery> {
    let of = |(select, bots): (Select, Bots)| {
        let query = ScanQuery::new(select, (from, to), Interval::Day, Dimension::ALL, bots);
        query.expect("a valid query")
    };
    let selects = selects().into_iter();
    let both =
        selects.flat_map(|select| [(select.clone(), Bots::Exclude), (select, Bots::Include)]);
    both.map(of).collect()
}

#[test]
fn days_are_derived_from_their_hours_and_answer_breakdowns() {
    let first = hours_ago(60);
    let rows = rows(0x5eed_0110, 2_000, first, 60);
    let mut queries = breakdowns(first, hours_ago(-1));
    // Neither end is a day's.
    queries.extend(breakdowns(after(first, 1_800_000_001), hours_ago(2)));
    // In hours: the first whole day, of which there are one or two.
    let day = (Hour::of(first).number().div_euclid(24) + 1) * 24;
    let whole = (
        Hour::from_number(day).start(),
        Hour::from_number(day + 24).start(),
    );
    with_each_opened(|opened| {
        opened
            .runtime
            .block_on(opened.store.insert(&block(0, rows.clone())))?;
        roll_up(opened.runtime, &*opened.store)?;
        compare(&opened, &rows, &queries, "without days")?;
        let derived = roll_up_days(opened.runtime, &*opened.store)?;
        assert!((1..=2).contains(&derived), "{}: {derived}", opened.name);
        compare(&opened, &rows, &queries, "with days")?;

        for table in ["scans_1h", "scans_1h_tags"] {
            (opened.execute)(&match opened.name {
                "SQLite" => format!("DELETE FROM {table}"),
                _ => format!("TRUNCATE TABLE {table}"),
            })?;
        }
        for query in breakdowns(whole.0, whole.1) {
            let acme = workspace("acme");
            let answer = opened.runtime.block_on(opened.store.scans(&acme, &query))?;
            let expected = reference(&rows, &acme, &query);
            assert_eq!(
                answer.breakdown, expected.breakdown,
                "{}, from days alone, {query:?}",
                opened.name
            );
            assert_eq!(answer.total, 0, "the hours are gone");
        }
        Ok(())
    });
}

#[test]
fn a_day_does_not_answer_for_hours_that_have_changed() {
    let first = hours_ago(60);
    let day = (Hour::of(first).number().div_euclid(24) + 1) * 24;
    let queries = some_queries(first, hours_ago(-1));
    let stored = rows(0x5eed_0111, 600, first, 60);
    with_each_opened(|opened| {
        let mut rows = stored.clone();
        opened
            .runtime
            .block_on(opened.store.insert(&block(0, rows.clone())))?;
        roll_up(opened.runtime, &*opened.store)?;
        roll_up_days(opened.runtime, &*opened.store)?;
        for late in 1..=2 {
            let seed = 0x5eed_0111 + late as u64;
            let mut more = self::rows(seed, 20, Hour::from_number(day + 5 * late).start(), 2);
            for row in &mut more {
                row.id.seq += 10_000 * late as u64;
                row.scan.seq = row.id.seq;
            }
            rows.extend(more.iter().cloned());
            opened
                .runtime
                .block_on(opened.store.insert(&block(late, more)))?;
            compare(&opened, &rows, &queries, "scans came late")?;
            assert_eq!(
                roll_up_days(opened.runtime, &*opened.store)?,
                0,
                "{}",
                opened.name
            );
            roll_up(opened.runtime, &*opened.store)?;
            compare(&opened, &rows, &queries, "the hours hold again")?;
            assert_eq!(
                roll_up_days(opened.runtime, &*opened.store)?,
                1,
                "{}",
                opened.name
            );
            compare(&opened, &rows, &queries, "the day holds again")?;
        }
        Ok(())
    });
}

#[test]
fn scans_that_come_late_count_at_once_and_in_the_next_rollup() {
    let first = hours_ago(6);
    let rows = rows(0x5eed_0103, 1_200, first, 4);
    let queries = some_queries(first, hours_ago(0));
    with_each_opened(|opened| {
        // A block that an earlier sink had stored in part, and its repair.
        let insert = |rows: &[Row]| {
            let mut block = block(0, rows.to_vec());
            block.token = format!("{} rows", rows.len());
            opened.runtime.block_on(opened.store.insert(&block))
        };
        insert(&rows[..500])?;
        assert!(roll_up(opened.runtime, &*opened.store)? >= 4);
        compare(&opened, &rows[..500], &queries, "a part")?;
        insert(&rows[500..1_100])?;
        compare(&opened, &rows[..1_100], &queries, "repaired")?;
        assert!(roll_up(opened.runtime, &*opened.store)? >= 4);
        compare(&opened, &rows[..1_100], &queries, "repaired and rolled up")?;
        insert(&rows[1_100..])?;
        compare(&opened, &rows, &queries, "a late block")?;
        roll_up(opened.runtime, &*opened.store)?;
        compare(&opened, &rows, &queries, "a late block rolled up")
    });
}

#[test]
fn scans_that_are_stored_while_rollups_are_computed_are_seen_at_once() {
    let first = hours_ago(5);
    let rows = rows(0x5eed_0104, 1_500, first, 3);
    let range = (first, hours_ago(0));
    let by = [Dimension::Country, Dimension::Code];
    let query = ScanQuery::new(
        Select::Workspace,
        range,
        Interval::Minute,
        &by,
        Bots::Include,
    );
    let query = query.expect("a valid query");
    with_each_opened(|opened| {
        // Two at once, as two sinks would.
        let (done, computed) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let compute = |_| {
            let (store, done, computed) = (
                Arc::clone(&opened.store),
                Arc::clone(&done),
                Arc::<AtomicU64>::clone(&computed),
            );
            opened.runtime.spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    let hours = store.hours_to_roll_up(Which::Missing).await?;
                    let Some(run) = hours.newest_run(Piece::default()) else {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        continue;
                    };
                    let hold = store.roll_up(&run).await?;
                    computed.fetch_add(hold, Ordering::Relaxed);
                }
                anyhow::Ok(())
            })
        };
        let computing: Vec<_> = (0..2).map(compute).collect();
        let mut stored = Vec::new();
        for (n, part) in rows.chunks(50).enumerate() {
            let before = computed.load(Ordering::Relaxed);
            let block = block(n as i64, part.to_vec());
            opened.runtime.block_on(opened.store.insert(&block))?;
            stored.extend_from_slice(part);
            let query = std::slice::from_ref(&query);
            compare(&opened, &stored, query, "just stored")?;
            // Mostly in the middle of a computation, and sometimes upon one that holds.
            let deadline = Instant::now() + Duration::from_secs(60);
            while n % 5 == 4 && computed.load(Ordering::Relaxed) == before {
                assert!(Instant::now() < deadline, "{}: none holds", opened.name);
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        done.store(true, Ordering::Relaxed);
        for one in computing {
            opened.runtime.block_on(one)??;
        }
        roll_up(opened.runtime, &*opened.store)?;
        compare(&opened, &rows, std::slice::from_ref(&query), "in the end")
    });
}

#[test]
fn a_computation_that_ends_in_the_middle_changes_no_answer() {
    let first = hours_ago(5);
    let rows = rows(0x5eed_0105, 600, first, 3);
    let queries = some_queries(first, hours_ago(0));
    with_each_opened(|opened| {
        let (old, new) = rows.split_at(300);
        opened
            .runtime
            .block_on(opened.store.insert(&block(0, old.to_vec())))?;
        roll_up(opened.runtime, &*opened.store)?;
        opened
            .runtime
            .block_on(opened.store.insert(&block(1, new.to_vec())))?;
        let hours = opened
            .runtime
            .block_on(opened.store.hours_to_roll_up(Which::Missing))?;
        let run = hours.newest_run(Piece::default()).expect("three hours");
        for n in 0..12 {
            let store = Arc::clone(&opened.store);
            let computing = opened
                .runtime
                .spawn(async move { store.roll_up(&run).await });
            std::thread::sleep(Duration::from_millis(3 << n.min(6)));
            computing.abort();
            let _ = opened.runtime.block_on(computing);
            let one = &queries[n % queries.len()..][..1];
            compare(&opened, &rows, one, "after a kill")?;
        }
        roll_up(opened.runtime, &*opened.store)?;
        compare(&opened, &rows, &queries, "in the end")
    });
}

#[test]
fn the_values_with_most_scans_are_chosen_after_scans_and_rollups_are_added_up() {
    let first = hours_ago(3);
    let mut rows = Vec::new();
    let mut add = |city: &str, time: Timestamp, scans: u64| {
        for _ in 0..scans {
            let mut row = row(rows.len() as u64, time);
            row.city = city.to_owned();
            rows.push(row);
        }
    };
    for n in 0..ScanQuery::MOST_VALUES {
        add(&format!("here {n}"), after(first, 1), 3);
        add(&format!("there {n}"), after(first, 3_600_000_001), 3);
    }
    // Among the first of neither hour.
    add("both", after(first, 1), 2);
    add("both", after(first, 3_600_000_001), 2);
    // The second hour is asked for in part, so it is read from the scans.
    let range = (first, after(first, 7_000_000_000));
    let query = ScanQuery::new(
        Select::Workspace,
        range,
        Interval::Hour,
        &[Dimension::City],
        Bots::Exclude,
    );
    let query = query.expect("a valid query");
    let mut expected: ScanReport = reference(&rows, &workspace("acme"), &query);
    expected.breakdown[0].1.truncate(ScanQuery::MOST_VALUES);
    assert_eq!(expected.breakdown[0].1[0], ("both".to_owned(), 4));
    with_each_opened(|opened| {
        opened
            .runtime
            .block_on(opened.store.insert(&block(0, rows.clone())))?;
        roll_up(opened.runtime, &*opened.store)?;
        let answer = opened
            .runtime
            .block_on(opened.store.scans(&workspace("acme"), &query))?;
        assert_eq!(answer, expected, "{}", opened.name);
        Ok(())
    });
}

#[test]
fn a_rebuild_replaces_rollups_that_hold() {
    let first = hours_ago(30);
    let rows = rows(0x5eed_0106, 1_000, first, 28);
    let queries = some_queries(first, hours_ago(0));
    with_each_opened(|opened| {
        opened
            .runtime
            .block_on(opened.store.insert(&block(0, rows.clone())))?;
        roll_up(opened.runtime, &*opened.store)?;
        for table in ["scans_1m", "scans_1h", "scans_1h_tags"] {
            (opened.execute)(&match opened.name {
                "SQLite" => format!("UPDATE {table} SET scans = scans + 1"),
                _ => format!("ALTER TABLE {table} UPDATE scans = scans + 1 WHERE true"),
            })?;
        }
        let query = &queries[0];
        let acme = workspace("acme");
        let wrong = opened.runtime.block_on(opened.store.scans(&acme, query))?;
        assert_ne!(wrong, reference(&rows, &acme, query), "{}", opened.name);

        let (from, to) = (Hour::of(first), Hour::of(Timestamp::now()));
        let mut runs = Vec::new();
        let rebuilt = rebuild(&*opened.store, from, to, |run, _| runs.push(*run));
        let rebuilt = opened.runtime.block_on(rebuilt)?;
        assert_eq!(rebuilt.later, 0, "{}", opened.name);
        assert_eq!(rebuilt.hours, 28, "{}", opened.name);
        let told: u64 = runs.iter().map(|run| run.count()).sum();
        assert_eq!(told, 28, "{}: {runs:?}", opened.name);
        compare(&opened, &rows, &queries, "rebuilt")
    });
}

#[test]
fn scans_that_are_kept_no_longer_leave_the_rollups_too() {
    let first = hours_ago(6);
    let all = rows(0x5eed_0109, 900, first, 5);
    let queries = some_queries(first, hours_ago(0));
    with_each_opened(|opened| {
        let mut rows = all.clone();
        opened
            .runtime
            .block_on(opened.store.insert(&block(0, rows.clone())))?;
        roll_up(opened.runtime, &*opened.store)?;
        let expiry = Expiry {
            workspace: workspace("acme"),
            before: after(first, 3 * 3_600_000_000),
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        // The second time it is seen that all are gone.
        for _ in 0..2 {
            let expire = || {
                let expiries = std::slice::from_ref(&expiry);
                opened
                    .runtime
                    .block_on(opened.store.expire(expiries, &|| true))
            };
            while expire()?.is_none() {
                assert!(Instant::now() < deadline, "still being deleted");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        let gone = |row: &Row| row.scan.workspace == "acme" && row.scan.time < expiry.before;
        rows.retain(|row| !gone(row));
        compare(&opened, &rows, &queries, "deleted")?;
        assert_eq!(roll_up(opened.runtime, &*opened.store)?, 3);
        compare(&opened, &rows, &queries, "deleted and rolled up")
    });
}

#[test]
fn hours_are_left_alone_until_what_comes_for_them_has_settled() {
    let database = Database::new();
    let runtime = Runtime::new().expect("a runtime");
    let store = runtime.block_on(ClickHouseStore::connect(&database.options));
    let store = store.expect("a new database");
    let first = hours_ago(4);
    let rows = rows(0x5eed_0107, 200, first, 2);
    runtime
        .block_on(store.insert(&block(0, rows)))
        .expect("stored");
    let hours = |store: &ClickHouseStore| {
        let hours = store.hours_to_roll_up(Which::Missing);
        runtime.block_on(hours).expect("hours")
    };
    let found = hours(&store);
    assert_eq!((found.ready.len(), found.later), (0, 2), "they came late");
    let at_once = store.clone().settled_after(Duration::ZERO);
    assert_eq!(hours(&at_once).ready.len(), 2);
    roll_up(&runtime, &at_once).expect("rolled up");
    assert_eq!(hours(&at_once).ready, []);
    // Counted, for this store, too soon after they came.
    assert_eq!(hours(&store).later, 2);
}

#[test]
fn what_takes_longer_than_it_may_does_not_hold() {
    let database = Database::new();
    let runtime = Runtime::new().expect("a runtime");
    let store = runtime.block_on(ClickHouseStore::connect(&database.options));
    let store = store.expect("a new database").settled_after(Duration::ZERO);
    let first = hours_ago(6);
    let rows = rows(0x5eed_010a, 200, first, 4);
    let stored = runtime.block_on(store.insert(&block(0, rows)));
    stored.expect("stored");
    let missing = || {
        let hours = store.hours_to_roll_up(Which::Missing);
        runtime.block_on(hours).expect("hours")
    };
    let run = missing().newest_run(Piece::default()).expect("hours");
    let hasty = store.clone().rolling_up_within(Duration::ZERO);
    let given_up = runtime.block_on(hasty.roll_up(&run));
    let error = given_up.expect_err("no time").to_string();
    assert!(error.contains("longer than 0 s"), "{error}");
    let mut failed = Vec::new();
    let rebuilt = rebuild(&hasty, run.first, run.last.before(-1), |run, error| {
        assert!(error.is_some(), "{run:?}");
        failed.push(run.count());
    });
    runtime.block_on(rebuilt).expect_err("no time for one hour");
    assert_eq!(failed, [4, 2]);
    let hours = missing();
    assert_eq!(hours.ready.len() as u64 + hours.later, 4, "none holds");
    assert_eq!(roll_up(&runtime, &store).expect("rolled up"), 4);
}

#[test]
fn rows_that_nobody_reads_any_more_are_removed() {
    let database = Database::new();
    let runtime = Runtime::new().expect("a runtime");
    let store = runtime.block_on(ClickHouseStore::connect(&database.options));
    let store = store.expect("a new database").settled_after(Duration::ZERO);
    let client = database.client();
    let execute = |statement: &str| {
        let done = runtime.block_on(client.query_raw(statement).execute());
        done.expect(statement);
    };
    let count = |table: &str| {
        let count = client.query_raw(&format!(
            "SELECT count() FROM {table} WHERE generation < 1000000000000000"
        ));
        runtime.block_on(count.fetch_one::<u64>()).expect("a count")
    };
    // Of a computation that was given up in 1970.
    execute(
        "INSERT INTO rollup_periods (hour, event, generation) VALUES (toDateTime(7200, 'UTC'), 'begun', 4194304)",
    );
    for table in ["scans_1m", "scans_1h", "scans_1h_tags"] {
        execute(&format!(
            "INSERT INTO {table} (hour, scans, generation) VALUES (toDateTime(7200, 'UTC'), 1, 4194304)"
        ));
        assert_eq!(count(table), 1);
    }
    let rows = rows(0x5eed_0108, 100, hours_ago(3), 1);
    runtime
        .block_on(store.insert(&block(0, rows)))
        .expect("stored");
    assert_eq!(roll_up(&runtime, &store).expect("rolled up"), 1);
    for table in ["scans_1m", "scans_1h", "scans_1h_tags"] {
        assert_eq!(count(table), 0, "{table}");
    }
    execute("INSERT INTO rollup_days VALUES (toDate(1), 'begun', 4194304, [])");
    for table in ["scans_1d", "scans_1d_tags"] {
        execute(&format!(
            "INSERT INTO {table} (day, scans, generation) VALUES (toDate(1), 1, 4194304)"
        ));
        assert_eq!(count(table), 1);
    }
    let days = runtime.block_on(store.roll_up_days());
    assert_eq!(days.expect("no whole day"), 0);
    for table in ["scans_1d", "scans_1d_tags", "rollup_days"] {
        assert_eq!(count(table), 0, "{table}");
    }
    let begun = client.query_raw("SELECT count() FROM rollup_periods WHERE generation = 4194304");
    assert_eq!(
        runtime.block_on(begun.fetch_one::<u64>()).expect("a count"),
        0
    );
}

#[test]
fn a_year_of_hours_is_asked_for_in_pieces() {
    let runtime = Runtime::new().expect("a runtime");
    let database = Database::new();
    let store = runtime
        .block_on(ClickHouseStore::connect(&database.options))
        .expect("a new database");
    let client = database.client();
    let hours = 24 * 365;
    // As computations of all these hours have left it, each of which counted two scans.
    for statement in [
        "CREATE TABLE one ENGINE = MergeTree ORDER BY generation AS SELECT generateSnowflakeID() AS generation".to_owned(),
        format!(
            "INSERT INTO rollup_periods (hour, event, generation)
             SELECT toStartOfHour(now('UTC')) - toIntervalHour(number + 24), 'holds', (SELECT generation FROM one) FROM numbers({hours})"
        ),
        format!(
            "INSERT INTO scans_1h (workspace, per, dimension, campaign, hour, value, automated, scans, generation)
             SELECT 'acme', 'workspace', 'outcome', '', toStartOfHour(now('UTC')) - toIntervalHour(number + 24), 'redirected', false, 2,
                 (SELECT generation FROM one) FROM numbers({hours})"
        ),
    ] {
        let done = client.query_raw(&statement).execute();
        runtime.block_on(done).expect("done");
    }
    let range = (hours_ago(24 * 370), hours_ago(0));
    let year = ScanQuery::new(Select::Workspace, range, Interval::Day, &[], Bots::Exclude);
    let year = year.expect("a valid query");
    let report = runtime.block_on(store.scans(&workspace("acme"), &year));
    assert_eq!(report.expect("an answer").total, 2 * hours);
}
