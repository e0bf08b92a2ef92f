//! What every scan store does, told once and tried on each. ClickHouse is a real server: `tests/run` starts one.

mod data;
mod erasure;
mod export;
mod ledger;
mod retention;
mod rollups;
mod stores;
mod usage;
mod visitors;
mod zones;

use std::collections::{BTreeMap, HashMap};

use analytics::{
    Bots, Counted, Dimension, Hour, Interval, Point, Positions, ScanFilter, ScanQuery, ScanReport,
    ScannedTag, Select, TagHours, WriterPosition,
};
use data::{BASE, Random, at, block, key, random_rows, row, source};
use scans::{Method, Purpose};
use stores::with_each_store;
use tags::{Code, Domain, Outcome, WorkspaceId};

fn workspace(id: &str) -> WorkspaceId {
    WorkspaceId::parse(id).expect("a workspace id")
}

fn query(
    select: Select,
    range: (&str, &str),
    interval: Interval,
    by: &[Dimension],
    bots: Bots,
) -> ScanQuery {
    ScanQuery::new(select, (at(range.0), at(range.1)), interval, by, bots).expect("a valid query")
}

/// The answer that both stores must give, over rows in memory.
fn reference(rows: &[analytics::Row], workspace: &WorkspaceId, query: &ScanQuery) -> ScanReport {
    let chosen = passing(rows, workspace, query.filter());
    let length = seconds(query.interval());
    // The first Monday of 1970 was its fifth day.
    let monday = match query.interval() {
        Interval::Week => 4 * 86_400,
        _ => 0,
    };
    let start = |second: i64| (second - monday).div_euclid(length) * length + monday;
    let (first, last) = (
        start(query.from().as_second()),
        start((query.to().as_microsecond() - 1).div_euclid(1_000_000)),
    );
    let mut series = Vec::new();
    for second in (first..=last).step_by(length as usize) {
        let scans = chosen
            .iter()
            .filter(|row| start(row.scan.time.as_second()) == second)
            .count() as u64;
        series.push(Point {
            start: jiff::Timestamp::from_second(second).expect("in range"),
            scans,
        });
    }
    let breakdown = query.by().iter().map(|dimension| {
        let mut counts: HashMap<String, u64> = HashMap::new();
        for row in &chosen {
            *counts.entry(value(row, *dimension)).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        (*dimension, counts)
    });
    ScanReport {
        total: chosen.len() as u64,
        breakdown: breakdown.collect(),
        series,
    }
}

/// The scans that are asked for.
fn passing<'a>(
    rows: &'a [analytics::Row],
    workspace: &WorkspaceId,
    filter: &ScanFilter,
) -> Vec<&'a analytics::Row> {
    let of_range = rows
        .iter()
        .filter(|row| row.scan.workspace == workspace.as_str() && row.scan.tag_version > 0)
        .filter(|row| filter.from() <= row.scan.time && row.scan.time < filter.to());
    let selected = of_range.filter(|row| match filter.select() {
        Select::Workspace => true,
        Select::Code { domain, code } => {
            row.scan.domain == domain.as_str() && row.scan.code == code.as_str()
        }
        Select::Campaign(campaign) => row.scan.campaign == *campaign,
    });
    let counted = selected.filter(|row| {
        let person =
            !row.bot && row.scan.method == Method::Get && row.scan.purpose == Purpose::Navigation;
        match filter.bots() {
            Bots::Exclude => person,
            Bots::Include => true,
            Bots::Only => !person,
        }
    });
    counted.collect()
}

/// The length of an interval in UTC.
fn seconds(interval: Interval) -> i64 {
    match interval {
        Interval::Second => 1,
        Interval::Minute => 60,
        Interval::Hour => 3_600,
        Interval::Day => 86_400,
        Interval::Week => 604_800,
    }
}

fn value(row: &analytics::Row, dimension: Dimension) -> String {
    let or = |text: &str, absent: &str| {
        if text.is_empty() {
            absent.to_owned()
        } else {
            text.to_owned()
        }
    };
    match dimension {
        Dimension::Country => or(&row.country, "unknown"),
        Dimension::Region => or(&row.region, "unknown"),
        Dimension::City => or(&row.city, "unknown"),
        Dimension::Device => or(row.device, "unknown"),
        Dimension::Os => or(row.os, "unknown"),
        Dimension::Browser => or(row.browser, "unknown"),
        Dimension::Language => or(&row.language, "unknown"),
        Dimension::Referrer => or(&row.scan.referrer_host, "none"),
        Dimension::Rule => or(&row.scan.rule, "none"),
        Dimension::Campaign => or(&row.scan.campaign, "none"),
        Dimension::Outcome => row.scan.outcome.as_str().to_owned(),
        Dimension::Code => row.scan.code.clone(),
        Dimension::BotReason => or(&row.bot_reason, "none"),
        Dimension::Destination if row.scan.outcome == Outcome::Redirected => {
            row.scan.destination_index.to_string()
        }
        Dimension::Destination => "none".to_owned(),
    }
}

#[test]
fn both_stores_answer_what_a_plain_count_answers() {
    let seed = 0x5eed_0001;
    let rows = random_rows(&mut Random::new(seed), 3_000);
    let code = Select::Code {
        domain: Domain::parse("qr.example.com").expect("valid"),
        code: Code::parse("c1").expect("valid"),
    };
    let mut queries = Vec::new();
    for bots in [Bots::Exclude, Bots::Include, Bots::Only] {
        for select in [
            Select::Workspace,
            code.clone(),
            Select::Campaign("summer 'x' \\ {y:String}".to_owned()),
            Select::Campaign(String::new()),
        ] {
            queries.push(query(
                select.clone(),
                ("2026-11-25T09:59:30.5Z", "2026-11-25T10:10:00Z"),
                Interval::Second,
                &[],
                bots,
            ));
            queries.push(query(
                select.clone(),
                ("2026-11-25T09:30:00.5Z", "2026-11-25T11:00:00Z"),
                Interval::Minute,
                &[],
                bots,
            ));
            queries.push(query(
                select.clone(),
                ("2026-11-24T00:00:00Z", "2026-11-27T00:00:00Z"),
                Interval::Hour,
                Dimension::ALL,
                bots,
            ));
            queries.push(query(
                select,
                ("2026-10-31T12:00:00Z", "2026-12-02T00:00:00Z"),
                Interval::Day,
                Dimension::ALL,
                bots,
            ));
        }
    }
    let mut answers: BTreeMap<&str, Vec<ScanReport>> = BTreeMap::new();
    with_each_store(|name, store, runtime| {
        for (n, part) in rows.chunks(700).enumerate() {
            runtime.block_on(store.insert(&block(n as i64, part.to_vec())))?;
        }
        for id in ["acme", "other", "nobody"] {
            for query in &queries {
                let answer = runtime.block_on(store.scans(&workspace(id), query))?;
                assert_eq!(
                    answer,
                    reference(&rows, &workspace(id), query),
                    "{name}, seed {seed:#x}, {id}, {query:?}"
                );
                answers.entry(name).or_default().push(answer);
            }
        }
        Ok(())
    });
    assert_eq!(answers["ClickHouse"], answers["SQLite"]);
    assert!(
        answers["SQLite"]
            .iter()
            .filter(|report| report.total > 0)
            .count()
            > 20,
        "the data must exercise the queries"
    );
}

#[test]
fn a_series_has_every_interval_and_zeros_where_nothing_was_scanned() {
    with_each_store(|name, store, runtime| {
        let rows = [
            "2026-11-25T10:00:00Z",
            "2026-11-25T10:02:59.999999Z",
            "2026-11-25T10:03:00Z",
        ];
        let rows = (0..)
            .zip(rows)
            .map(|(seq, time)| row(seq, at(time)))
            .collect();
        runtime.block_on(store.insert(&block(0, rows)))?;
        let asked = query(
            Select::Workspace,
            ("2026-11-25T09:59:30Z", "2026-11-25T10:03:00Z"),
            Interval::Minute,
            &[],
            Bots::Exclude,
        );
        let report = runtime.block_on(store.scans(&workspace("acme"), &asked))?;
        let series: Vec<_> = report
            .series
            .iter()
            .map(|p| (p.start.to_string(), p.scans))
            .collect();
        let expected = [
            ("2026-11-25T09:59:00Z", 0),
            ("2026-11-25T10:00:00Z", 1),
            ("2026-11-25T10:01:00Z", 0),
            ("2026-11-25T10:02:00Z", 1),
        ];
        assert_eq!(
            series,
            expected.map(|(start, scans)| (start.to_owned(), scans)),
            "{name}: 'to' is outside"
        );
        assert_eq!(report.total, 2);
        Ok(())
    });
}

#[test]
fn a_code_that_nobody_gave_out_does_not_count_even_where_a_fallback_took_it() {
    with_each_store(|name, store, runtime| {
        let mut rows: Vec<_> = (0..3).map(|seq| row(seq, at(BASE))).collect();
        rows[1].scan.tag_version = 0;
        rows[1].scan.outcome = Outcome::Fallback;
        rows[2].scan.outcome = Outcome::Revoked;
        runtime.block_on(store.insert(&block(0, rows)))?;
        let asked = query(
            Select::Workspace,
            ("2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"),
            Interval::Day,
            &[Dimension::Outcome],
            Bots::Include,
        );
        let report = runtime.block_on(store.scans(&workspace("acme"), &asked))?;
        let expected = vec![("redirected".to_owned(), 1), ("revoked".to_owned(), 1)];
        assert_eq!(
            (report.total, &report.breakdown[0].1),
            (2, &expected),
            "{name}"
        );
        Ok(())
    });
}

#[test]
fn what_is_stored_is_told_by_identity() {
    with_each_store(|name, store, runtime| {
        let rows: Vec<_> = [0, 1, 2, 5, 6]
            .into_iter()
            .map(|seq| row(seq, at(BASE)))
            .collect();
        let stored = block(0, rows);
        runtime.block_on(store.insert(&stored))?;
        assert_eq!(
            runtime.block_on(store.count(&stored.runs()))?,
            Counted { rows: 5, scans: 5 },
            "{name}"
        );
        let wider = analytics::Run {
            writer: key(),
            first: 2,
            last: 100,
        };
        assert_eq!(
            runtime.block_on(store.count(std::slice::from_ref(&wider)))?,
            Counted { rows: 3, scans: 3 },
            "{name}"
        );
        let ids = runtime.block_on(store.stored(&[wider]))?;
        assert_eq!(ids, [2, 5, 6].map(|seq| key().scan(seq)).into(), "{name}");
        let another = analytics::Run {
            writer: scans::WriterKey { boot: 8, ..key() },
            first: 0,
            last: 100,
        };
        assert_eq!(
            runtime.block_on(store.count(&[another]))?,
            Counted::default(),
            "{name}"
        );
        Ok(())
    });
}

#[test]
fn the_same_block_again_changes_nothing() {
    with_each_store(|name, store, runtime| {
        // Two months: in ClickHouse two inserts.
        let times = ["2026-10-31T23:59:59.999999Z", "2026-11-01T00:00:00Z"];
        let stored = block(
            0,
            (0..)
                .zip(times)
                .map(|(seq, time)| row(seq, at(time)))
                .collect(),
        );
        for _ in 0..3 {
            runtime.block_on(store.insert(&stored))?;
        }
        assert_eq!(
            runtime.block_on(store.count(&stored.runs()))?,
            Counted { rows: 2, scans: 2 },
            "{name}"
        );
        Ok(())
    });
}

#[test]
fn what_comes_again_of_a_block_is_dropped_month_by_month_whatever_became_of_the_rest() {
    with_each_store(|name, store, runtime| {
        let times = ["2026-10-31T23:59:59.999999Z", "2026-11-01T00:00:00Z"];
        let rows = (0..).zip(times).map(|(seq, time)| row(seq, at(time)));
        let whole = block(0, rows.collect());
        // As a sink tries what it has found missing, while the insert that it gave up is still on its way.
        let second_month = block(0, whole.rows[1..].to_vec());
        runtime.block_on(store.insert(&second_month))?;
        runtime.block_on(store.insert(&whole))?;
        runtime.block_on(store.insert(&second_month))?;
        assert_eq!(
            runtime.block_on(store.count(&whole.runs()))?,
            Counted { rows: 2, scans: 2 },
            "{name}"
        );
        Ok(())
    });
}

#[test]
fn a_block_of_many_writers_is_counted_whole() {
    with_each_store(|name, store, runtime| {
        let rows = (0..500).map(|n| {
            let mut row = row(n % 5, at(BASE));
            row.id.writer = (n / 5) as u32;
            row.id.edge = format!("edge 'ä' \\ {}", n % 2).into();
            row
        });
        let stored = block(0, rows.collect());
        assert!(
            stored.runs().len() > 200,
            "more runs than one query asks about"
        );
        runtime.block_on(store.insert(&stored))?;
        assert_eq!(
            runtime.block_on(store.count(&stored.runs()))?,
            Counted {
                rows: 500,
                scans: 500
            },
            "{name}"
        );
        assert_eq!(
            runtime.block_on(store.stored(&stored.runs()))?.len(),
            500,
            "{name}"
        );
        Ok(())
    });
}

#[test]
fn a_block_of_headers_and_unreadable_records_alone_is_taken() {
    with_each_store(|_, store, runtime| {
        let mut empty = block(7, Vec::new());
        empty.headers.push(data::header(7));
        for scan in [None, Some(key().scan(3))] {
            let bytes = vec![0xff, 0, b'\'', 0xc3];
            empty.dead.push(analytics::DeadRecord {
                offset: 7,
                scan,
                appended_at: at(BASE),
                reason: "no protobuf".to_owned(),
                bytes,
            });
        }
        runtime.block_on(store.insert(&empty))?;
        runtime.block_on(store.insert(&empty))?;
        Ok(())
    });
}

#[test]
fn positions_come_back_as_of_an_offset() {
    with_each_store(|name, store, runtime| {
        assert_eq!(
            runtime.block_on(store.load_positions(&source(), i64::MAX))?,
            None,
            "{name}: nothing saved"
        );
        let position = |next| WriterPosition {
            next,
            missing: vec![(1, 2), (5, 5)],
            given_up: 4,
            dropped: 3,
            seen_ms: 1_790_000_000_000,
        };
        let second = scans::WriterKey {
            writer: 1,
            boot: u64::MAX,
            ..key()
        };
        let at_10 = Positions {
            source: source(),
            offset: 10,
            writers: [(key(), position(10)), (second.clone(), position(7))].into(),
        };
        let at_20 = Positions {
            source: source(),
            offset: 20,
            writers: [(key(), position(20))].into(),
        };
        runtime.block_on(store.save_positions(&at_10))?;
        let mut with_block = block(19, Vec::new());
        with_block.positions = Some(at_20);
        runtime.block_on(store.insert(&with_block))?;
        let both = Positions {
            source: source(),
            offset: 20,
            writers: [(key(), position(20)), (second, position(7))].into(),
        };
        assert_eq!(
            runtime.block_on(store.load_positions(&source(), 20))?,
            Some(both),
            "{name}: the latest of each writer"
        );
        assert_eq!(
            runtime.block_on(store.load_positions(&source(), 19))?,
            Some(at_10),
            "{name}: nothing of what came later"
        );
        let other = analytics::Source {
            partition: 1,
            ..source()
        };
        assert_eq!(
            runtime.block_on(store.load_positions(&other, 20))?,
            None,
            "{name}: another partition's"
        );
        Ok(())
    });
}

#[test]
fn ending_an_earlier_sinks_inserts_needs_none_to_be_there() {
    with_each_store(|_, store, runtime| Ok(runtime.block_on(store.end_inserts(&source()))?));
}

/// What both stores must say of a tag, over rows in memory; none: people have not scanned it in that time.
fn reference_hours(
    rows: &[analytics::Row],
    tag: &ScannedTag,
    hours: &[Hour],
    since: Hour,
) -> Option<TagHours> {
    let hour_of = |row: &analytics::Row| Hour::of(row.scan.time);
    let last = *hours.iter().max()?;
    let of_tag: Vec<_> = rows
        .iter()
        .filter(|row| is_of(row, tag) && (since..=last).contains(&hour_of(row)))
        .collect();
    let first = of_tag.iter().map(|row| hour_of(row)).min()?;
    let mut scans: BTreeMap<Hour, BTreeMap<String, u64>> = BTreeMap::new();
    for row in of_tag.iter().filter(|row| hours.contains(&hour_of(row))) {
        let of_hour = scans.entry(hour_of(row)).or_default();
        *of_hour.entry(row.country.clone()).or_default() += 1;
    }
    let tag = tag.clone();
    Some(TagHours { tag, first, scans })
}

/// Whether it is a person's scan of the tag.
fn is_of(row: &analytics::Row, tag: &ScannedTag) -> bool {
    let scan = &row.scan;
    let names = (
        tag.workspace.as_str(),
        tag.domain.as_str(),
        tag.code.as_str(),
    );
    names == (&scan.workspace[..], &scan.domain[..], &scan.code[..])
        && row.is_of_a_tag()
        && !row.is_automated()
}

#[test]
fn both_stores_count_hours_of_tags_as_a_plain_count_does() {
    let seed = 0x5eed_0002;
    let rows = random_rows(&mut Random::new(seed), 4_000);
    let mut tags = Vec::new();
    for id in ["acme", "other", "nobody"] {
        for domain in ["qr.example.com", "b.example"] {
            for code in ["c1", "c2", "C1"] {
                tags.push(ScannedTag {
                    workspace: workspace(id),
                    domain: Domain::parse(domain).expect("valid"),
                    code: Code::parse(code).expect("valid"),
                });
            }
        }
    }
    let now = Hour::of(at(BASE));
    let hours: Vec<Hour> = [0, 1, 24, 48, 168].map(|hours| now.before(hours)).to_vec();
    let ranges = [
        (hours.clone(), now.before(20 * 24)),
        (hours, now.before(1)),
        (vec![now.before(1)], now.before(30)),
        (Vec::new(), now),
    ];
    with_each_store(|name, store, runtime| {
        for (n, part) in rows.chunks(900).enumerate() {
            runtime.block_on(store.insert(&block(n as i64, part.to_vec())))?;
        }
        for (hours, since) in &ranges {
            let told = runtime.block_on(store.tag_hours(&tags, hours, *since))?;
            let expected: Vec<_> = tags
                .iter()
                .filter_map(|tag| reference_hours(&rows, tag, hours, *since))
                .collect();
            assert_eq!(told, expected, "{name}, seed {seed:#x}, {hours:?}");
        }
        let count = |tag: &ScannedTag| {
            let of_hour = |row: &&analytics::Row| is_of(row, tag) && Hour::of(row.scan.time) == now;
            rows.iter().filter(of_hour).count() as u64
        };
        for (least, most) in [(1, 100), (20, 100), (1, 3), (100_000, 100)] {
            let mut expected: Vec<_> = tags.iter().filter(|tag| count(tag) >= least).collect();
            expected.sort_by_key(|tag| (std::cmp::Reverse(count(tag)), *tag));
            expected.truncate(most);
            let told = runtime.block_on(store.busiest(now, least, most))?;
            assert_eq!(
                told.iter().collect::<Vec<_>>(),
                expected,
                "{name}, {least}, {most}"
            );
            assert_eq!(
                expected.is_empty(),
                least == 100_000,
                "the data must exercise it"
            );
        }
        Ok(())
    });
}
