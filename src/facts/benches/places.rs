//! What it costs to tell where an address is, over a real file that `TAGWIRE_TEST_GEOIP_COUNTRY` or `_CITY` names. `benches/micro`.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher, black_box};
use facts::PlacesFile;

const LOOKUPS: usize = 1_000;

/// Shows that nothing is allocated.
#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench(args = ["TAGWIRE_TEST_GEOIP_COUNTRY", "TAGWIRE_TEST_GEOIP_CITY"])]
fn a_thousand_countries_and_regions(bencher: Bencher<'_, '_>, variable: &str) {
    let path = std::env::var_os(variable).unwrap_or_else(|| {
        panic!("{variable} names no GeoIP file: source what tests/stack/up writes")
    });
    let file = PlacesFile::open(path).expect("a GeoIP file");
    // An odd step near the golden ratio of 2^32 visits all addresses, none near the one before: no look-up is warm.
    let next = Cell::new(0_u32);
    let address = || {
        next.set(next.get().wrapping_add(0x9e37_79b9));
        IpAddr::V4(Ipv4Addr::from(next.get()))
    };
    bencher.counter(ItemsCount::new(LOOKUPS)).bench_local(|| {
        for _ in 0..LOOKUPS {
            let places = file.peek();
            let place = places.lookup(black_box(address()));
            black_box((place.country, place.region));
        }
    });
}
