//! What a table of so many tags costs in memory and time: filled as by the journal, written, read, and folded.
//!
//!     cargo run --release --example footprint -- 1000000 [FOLDER]
//!
//! Each line is RssAnon of the whole process in MB of 10^6 bytes, and the bytes for each tag beyond the empty process. The tags
//! have codes of 8 characters and destinations of 80 bytes.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)] // a measurement that cannot go on ends

use std::path::Path;
use std::time::{Duration, Instant};

use table::{SnapshotInfo, Table};
use tags::{Change, Code, Destination, Domain, Tag, Version, WorkspaceId};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let count: u32 = arguments
        .next()
        .map_or(1_000_000, |n| n.parse().expect("a number of tags"));
    let folder = arguments.next().unwrap_or_else(|| ".".to_owned());
    let path = Path::new(&folder).join("footprint.snapshot");
    let only_read = arguments.next().is_some_and(|word| word == "read");
    let measure = Measure {
        empty: rss_anon(),
        count,
    };
    println!("empty process: {:.1} MB", mb(measure.empty));

    if !only_read {
        let begun = Instant::now();
        let table = Table::new();
        (0..count).for_each(|n| apply(&table, n, 1));
        table.complete();
        measure.say("filled one by one", begun);
        settle(&table);
        measure.say("and settled", begun);

        let begun = Instant::now();
        let info = SnapshotInfo {
            cluster: "c".to_owned(),
            positions: Vec::new(),
            taken_at: Default::default(),
            build: String::new(),
        };
        table.write_snapshot(&path, &info).unwrap();
        let bytes = std::fs::metadata(&path).unwrap().len();
        measure.say(&format!("snapshot written, {:.1} MB", mb(bytes)), begun);

        let begun = Instant::now();
        let changes = (count / 50).max(Table::FOLD_AT as u32) - 1;
        (0..changes).for_each(|n| apply(&table, n, 2));
        measure.say(&format!("{changes} changes in the overlay"), begun);
        let begun = Instant::now();
        apply(&table, changes, 2);
        let mut peak = 0;
        while table.is_folding() {
            peak = peak.max(rss_anon());
            std::thread::sleep(Duration::from_millis(5));
        }
        measure.say(&format!("folded, at its peak {:.1} MB", mb(peak)), begun);
        let begun = Instant::now();
        drop(table);
        measure.say("dropped", begun);
    }
    let begun = Instant::now();
    let table = Table::new();
    table.read_snapshot(&path).unwrap();
    table.complete();
    measure.say("snapshot read", begun);
    assert_eq!(table.len(), count as usize);
    let begun = Instant::now();
    let found = (0..count).filter(|n| is_held(&table, *n)).count();
    measure.say(&format!("{found} found"), begun);
    if !only_read {
        std::fs::remove_file(&path).unwrap();
    }
}

struct Measure {
    empty: u64,
    count: u32,
}

impl Measure {
    fn say(&self, what: &str, begun: Instant) {
        let (took, now) = (begun.elapsed(), rss_anon());
        let each = now.saturating_sub(self.empty) as f64 / f64::from(self.count);
        println!(
            "{what}: {:.1} MB, {each:.1} bytes a tag, {:.3} s",
            mb(now),
            took.as_secs_f64()
        );
    }
}

fn apply(table: &Table, n: u32, version: u64) {
    table.apply(Change::Tag(tag(n, version)));
}

fn settle(table: &Table) {
    while table.is_folding() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Memory that is not of files, as the kernel counts it.
fn rss_anon() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn is_held(table: &Table, n: u32) -> bool {
    let state = table.load();
    state.pin().tag("go.example.com", &code(n)).is_some()
}

fn code(n: u32) -> String {
    format!("{:08x}", n.wrapping_mul(0x9E37_79B1))
}

fn tag(n: u32, version: u64) -> Tag {
    let code = code(n);
    let destination =
        format!("https://www.example.com/campaigns/summer/products/{code}?ref=tag&v={version:011}");
    assert_eq!(destination.len(), 80);
    Tag {
        version: Version::new(version).unwrap(),
        ..Tag::new(
            WorkspaceId::default_workspace(),
            Domain::parse("go.example.com").unwrap(),
            Code::parse(&code).unwrap(),
            Destination::from_stored(&destination).unwrap(),
            Default::default(),
        )
    }
}
