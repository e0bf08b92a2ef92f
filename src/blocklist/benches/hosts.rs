//! What a list of five million hosts costs: to read, to keep, and to look into. `cargo bench -p blocklist`.

use std::fmt::Write as _;
use std::sync::LazyLock;

use blocklist::Blocklists;
use divan::{AllocProfiler, Bencher, black_box};

const HOSTS: u32 = 5_000_000;

/// Shows what is kept.
#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

static LISTS: LazyLock<Blocklists> = LazyLock::new(|| {
    let lists = Blocklists::default();
    read_into(&lists);
    lists
});

fn main() {
    divan::main();
}

/// An odd step near the golden ratio of 2^32 visits all numbers, none near the one before: no look-up is warm.
fn name(number: u32) -> String {
    format!("h{:08x}.example.com", number.wrapping_mul(0x9e37_79b9))
}

fn read_into(lists: &Blocklists) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("five-million.txt");
    let mut text = String::new();
    for number in 0..HOSTS {
        writeln!(text, "{}", name(number)).expect("in memory");
    }
    std::fs::write(&file, text).expect("written");
    lists.follow(lists.prepare(&[file]).expect("a list"));
    assert_eq!(lists.sizes()[0].1, HOSTS as usize);
}

/// Writing the file is in it.
#[divan::bench(sample_count = 3)]
fn five_million_are_read() {
    read_into(black_box(&Blocklists::default()));
}

#[divan::bench]
fn a_host_of_four_labels_that_is_on_no_list(bencher: Bencher<'_, '_>) {
    LazyLock::force(&LISTS);
    let mut number = HOSTS;
    let next = move || {
        number += 1;
        format!("www.{}", name(number))
    };
    let bencher = bencher.with_inputs(next);
    bencher.bench_local_refs(|host| black_box(LISTS.find(black_box(host))));
}

#[divan::bench]
fn a_host_below_one_that_is(bencher: Bencher<'_, '_>) {
    LazyLock::force(&LISTS);
    let mut number = 0;
    let next = move || {
        number = (number + 1) % HOSTS;
        format!("www.{}", name(number))
    };
    let bencher = bencher.with_inputs(next);
    bencher.bench_local_refs(|host| black_box(LISTS.find(black_box(host))));
}
