//! What a list of five million hosts costs: to read, to keep, and to look into. `cargo bench -p blocklist`.

use std::fmt::Write as _;
use std::sync::LazyLock;

use blocklist::Blocklists;
use divan::counter::ItemsCount;
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

/// So many names, which the timer's own cost does not count among.
const LOOK_UPS: usize = 1_000;

fn look_up(bencher: Bencher<'_, '_>, first: u32) {
    LazyLock::force(&LISTS);
    let mut number = first;
    let next = move || {
        number += 1;
        format!("www.{}", name(number % (2 * HOSTS)))
    };
    let names = std::cell::RefCell::new(next);
    let bencher = bencher.counter(ItemsCount::new(LOOK_UPS)).with_inputs(|| {
        let mut next = names.borrow_mut();
        (0..LOOK_UPS).map(|_| next()).collect::<Vec<_>>()
    });
    bencher.bench_local_refs(|hosts| {
        for host in hosts {
            black_box(LISTS.find(black_box(host)));
        }
    });
}

#[divan::bench]
fn a_thousand_hosts_of_four_labels_that_are_on_no_list(bencher: Bencher<'_, '_>) {
    look_up(bencher, HOSTS);
}

#[divan::bench]
fn a_thousand_hosts_below_one_that_is(bencher: Bencher<'_, '_>) {
    look_up(bencher, 0);
}
