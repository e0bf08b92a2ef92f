//! What the table's steps cost with a million tags: look-ups, changes, folds, snapshots.
//!
//!     cargo bench --package table

#![allow(clippy::unwrap_used)] // a measurement that cannot go on ends

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use table::{SnapshotInfo, Table};
use tags::{Change, Code, Destination, Domain, DomainSettings, Tag, Version, WorkspaceId};

const TAGS: u32 = 1_000_000;
const DOMAIN: &str = "go.example.com";

fn main() {
    divan::main();
}

/// A million tags in the base, and a few thousand in the overlay.
static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let table = filled();
    (0..5000).for_each(|n| apply(&table, n, 2));
    table
});

fn filled() -> Table {
    let table = Table::new();
    (0..TAGS).for_each(|n| apply(&table, n, 1));
    table.complete();
    settle(&table);
    table
}

fn settle(table: &Table) {
    while table.is_folding() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn apply(table: &Table, n: u32, version: u64) {
    table.apply(Change::Tag(tag(n, version)));
}

/// Codes in an order that no cache foresees.
fn codes(range: std::ops::Range<u32>) -> Vec<String> {
    let len = range.len() as u32;
    (0..len)
        .map(|n| code(range.start + n.wrapping_mul(48_271) % len))
        .collect()
}

/// One look-up as a request makes it: load, pin, find, read.
fn look_up(bencher: Bencher, codes: &[String], found: bool) {
    let table = &*TABLE;
    let mut next = codes.iter().cycle();
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        let code = next.next().unwrap();
        let state = table.load();
        let view = state.pin();
        let tag = view.tag(black_box(DOMAIN), code);
        assert_eq!(tag.is_some(), found);
        tag.map_or(0, |tag| black_box(tag.destination).len())
    });
}

#[divan::bench(sample_count = 1000, sample_size = 1000)]
fn look_up_in_base(bencher: Bencher) {
    look_up(bencher, &codes(5000..TAGS), true);
}

#[divan::bench(sample_count = 1000, sample_size = 1000)]
fn look_up_in_overlay(bencher: Bencher) {
    look_up(bencher, &codes(0..5000), true);
}

#[divan::bench(sample_count = 1000, sample_size = 1000)]
fn look_up_one_popular_tag(bencher: Bencher) {
    look_up(bencher, &[code(TAGS - 1)], true);
}

#[divan::bench(sample_count = 1000, sample_size = 1000)]
fn look_up_unknown(bencher: Bencher) {
    look_up(bencher, &codes(TAGS..2 * TAGS), false);
}

#[divan::bench(sample_count = 100)]
fn apply_to_overlay(bencher: Bencher) {
    let table = &*TABLE;
    let mut version = 2;
    let changes = || {
        version += 1;
        (0..100)
            .map(|n| Change::Tag(tag(n * 37, version)))
            .collect::<Vec<_>>()
    };
    let bencher = bencher
        .counter(ItemsCount::new(100_u32))
        .with_inputs(changes);
    bencher.bench_local_values(|changes| {
        for change in changes {
            black_box(table.apply(change));
        }
    });
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn fill_one_by_one(bencher: Bencher) {
    let changes = || {
        (0..TAGS)
            .map(|n| Change::Tag(tag(n, 1)))
            .collect::<Vec<_>>()
    };
    let bencher = bencher.counter(ItemsCount::new(TAGS)).with_inputs(changes);
    bencher.bench_local_values(|changes| {
        let table = Table::new();
        for change in changes {
            black_box(table.apply(change));
        }
        table.complete();
        table
    });
}

/// So many domains, each seen by readers as soon as it is applied: ten times as many cost ten times as much.
#[divan::bench(args = [1_000, 10_000, 100_000], sample_count = 10, sample_size = 1)]
fn apply_domains(bencher: Bencher, domains: usize) {
    let domains = || -> Vec<_> {
        (0..domains)
            .map(|n| format!("d{n}.example.com"))
            .map(domain)
            .collect()
    };
    bencher
        .with_inputs(domains)
        .input_counter(|domains| ItemsCount::new(domains.len()))
        .bench_local_values(|domains| {
            let table = Table::new();
            for domain in domains {
                table.apply(Change::Domain(domain));
            }
            table
        });
}

/// The settings of one of ten thousand domains, as a request finds them.
#[divan::bench(sample_count = 1000, sample_size = 1000)]
fn look_up_domain(bencher: Bencher) {
    let names: Vec<String> = (0..10_000)
        .map(|n| format!("d{}.example.com", n * 7 % 10_000))
        .collect();
    let table = Table::new();
    for name in names.iter().cloned() {
        table.apply(Change::Domain(domain(name)));
    }
    let mut next = names.iter().cycle();
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        let state = table.load();
        state
            .pin()
            .domain(black_box(next.next().unwrap()))
            .is_some()
    });
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn fold(bencher: Bencher) {
    let changed = || {
        let table = filled();
        let enough = Table::FOLD_AT as u32 - 1;
        (0..enough).for_each(|n| apply(&table, n, 2));
        table
    };
    bencher.with_inputs(changed).bench_local_values(|table| {
        apply(&table, TAGS - 1, 2);
        settle(&table);
        table
    });
}

fn file() -> PathBuf {
    std::env::temp_dir().join(format!("tagwire-bench-{}.snapshot", std::process::id()))
}

fn write() {
    let info = SnapshotInfo {
        cluster: "c".to_owned(),
        positions: Vec::new(),
        taken_at: Default::default(),
        build: String::new(),
    };
    TABLE.write_snapshot(&file(), &info).unwrap();
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn snapshot_write(bencher: Bencher) {
    LazyLock::force(&TABLE);
    bencher.counter(ItemsCount::new(TAGS)).bench_local(write);
    std::fs::remove_file(file()).unwrap();
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn snapshot_read(bencher: Bencher) {
    write();
    bencher.counter(ItemsCount::new(TAGS)).bench_local(|| {
        let table = Table::new();
        table.read_snapshot(&file()).unwrap();
        table.complete();
        table
    });
    std::fs::remove_file(file()).unwrap();
}

fn code(n: u32) -> String {
    format!("{:08x}", n.wrapping_mul(0x9E37_79B1))
}

fn domain(name: String) -> DomainSettings {
    DomainSettings::new(Domain::parse(&name).unwrap(), Default::default())
}

fn tag(n: u32, version: u64) -> Tag {
    let code = code(n);
    let destination =
        format!("https://www.example.com/campaigns/summer/products/{code}?ref=tag&v={version:011}");
    Tag {
        version: Version::new(version).unwrap(),
        ..Tag::new(
            WorkspaceId::default_workspace(),
            Domain::parse(DOMAIN).unwrap(),
            Code::parse(&code).unwrap(),
            Destination::from_stored(&destination).unwrap(),
            Default::default(),
        )
    }
}
