//! What it costs to know that a redirect is within all limits, or that it is not. `benches/micro`.

use std::net::{IpAddr, Ipv4Addr};

use divan::{Bencher, black_box};
use edge::{RateLimiter, RateLimits, Wanted};
use jiff::{SignedDuration, Timestamp};
use table::Table;
use tags::{Change, Limits, Workspace, WorkspaceId};

fn main() {
    divan::main();
}

/// Nobody has a limit.
#[divan::bench]
fn all_off(bencher: Bencher<'_, '_>) {
    redirects_of(bencher, RateLimits::NONE, &[], 1);
}

/// Another workspace has one.
#[divan::bench]
fn off_for_this_workspace(bencher: Bencher<'_, '_>) {
    redirects_of(bencher, RateLimits::NONE, &[("other", 10)], 1);
}

#[divan::bench]
fn within_a_workspace_s_limit(bencher: Bencher<'_, '_>) {
    redirects_of(bencher, RateLimits::NONE, &[("acme", 1_000_000)], 1);
}

#[divan::bench]
fn beyond_a_workspace_s_limit(bencher: Bencher<'_, '_>) {
    redirects_of(bencher, RateLimits::NONE, &[("acme", 1)], 1);
}

/// By workspace, by tag, and by address, of which there are a million: mostly a cache line that is not at hand.
#[divan::bench]
fn within_all_three_limits(bencher: Bencher<'_, '_>) {
    let limits = RateLimits {
        redirects_per_address: 1_000_000,
        redirects_per_tag: 1_000_000,
        ..RateLimits::NONE
    };
    redirects_of(bencher, limits, &[("acme", 1_000_000)], 1_000_000);
}

/// One redirect after the other, a microsecond apart, for so many addresses.
fn redirects_of(
    bencher: Bencher<'_, '_>,
    limits: RateLimits,
    workspaces: &[(&str, u32)],
    addresses: u32,
) {
    let table = Table::new();
    for (id, redirects_per_second) in workspaces {
        let id = WorkspaceId::parse(id).expect("a workspace's name");
        let workspace = Workspace::new(id, String::new(), Timestamp::UNIX_EPOCH);
        table.apply(Change::Workspace(Workspace {
            limits: Limits {
                redirects_per_second: Some(*redirects_per_second),
                ..Limits::default()
            },
            ..workspace
        }));
    }
    table.complete();
    let limiter = RateLimiter::new(limits);
    let wanted = Wanted {
        workspace: "acme",
        domain: "qr.example.com",
        code: "c0000042",
        is_tag: true,
    };
    let state = table.load();
    let view = state.pin();
    let (mut now, mut number) = (Timestamp::UNIX_EPOCH, 0_u32);
    bencher.bench_local(|| {
        now += SignedDuration::from_micros(1);
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let client = || Some(IpAddr::V4(Ipv4Addr::from_bits(number % addresses)));
        limiter.exceeded(black_box(&wanted), client, &view, now)
    });
}
