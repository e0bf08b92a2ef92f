//! What it costs to tell whether an address is a crawler's, by networks as ten operators might publish them.

use std::net::{IpAddr, Ipv4Addr};

use divan::{AllocProfiler, Bencher, black_box};
use facts::CrawlerNetworks;

const OPERATORS: u8 = 10;

/// Shows that nothing is allocated.
#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Each of the networks a /28, as OpenAI's are, in every other of them, so that none touches another.
fn networks(each: u32) -> CrawlerNetworks {
    let folder = tempfile::tempdir().expect("a folder");
    let files: Vec<_> = (0..OPERATORS)
        .map(|operator| {
            let network = |number: u32| {
                let first = u32::from(100 + operator) << 24 | number << 5;
                format!("{}/28\n", Ipv4Addr::from(first))
            };
            let file = folder.path().join(format!("operator-{operator}"));
            std::fs::write(&file, (0..each).map(network).collect::<String>()).expect("written");
            file
        })
        .collect();
    let networks = CrawlerNetworks::default();
    networks.follow(networks.prepare(&files).expect("networks"));
    networks
}

#[divan::bench(args = [0, 100, 10_000])]
fn an_address_that_is_nobody_s(bencher: Bencher<'_, '_>, each: u32) {
    let networks = if each == 0 {
        CrawlerNetworks::default()
    } else {
        networks(each)
    };
    // Above all of one operator, below the next.
    let address = IpAddr::V4(Ipv4Addr::new(105, 255, 0, 1));
    bencher.bench(|| networks.operator(black_box(address)).is_none());
}

#[divan::bench(args = [100, 10_000])]
fn an_address_of_the_last_operator(bencher: Bencher<'_, '_>, each: u32) {
    let networks = networks(each);
    let address = IpAddr::V4(Ipv4Addr::new(109, 0, 3, 1));
    bencher.bench(|| networks.operator(black_box(address)).is_some());
}
