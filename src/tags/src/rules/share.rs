//! Which part of the visitors someone belongs to: the same each time, on every edge, after every restart, whatever else changes.
//!
//! All hashes are XXH3 of 64 bits, each seeded with the one before it, the first with 0 or the purpose: a visitor is that of an address
//! (as IPv6) and of the whole User-Agent; a visitor's number in a rule that of domain, code, rule name, and the visitor (little endian).
//! Both are made, used and forgotten: no one is to be recognised by them. Who chooses their User-Agent can choose their part; there is
//! nothing to be had by it, and no key could be the same on all edges and stay one.

use std::net::IpAddr;

use twox_hash::XxHash3_64;

use crate::Facts;

/// What a number is for, so that who is in the first tenth of a share is not therefore sent to the first destination.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Share = 1,
    Weights = 2,
}

/// A tag, by the names that it keeps for ever.
#[derive(Clone, Copy, Debug)]
pub(super) struct TagName<'a> {
    pub(super) domain: &'a str,
    pub(super) code: &'a str,
}

/// Who asks; none while the address is unknown.
pub(super) fn visitor(facts: &impl Facts) -> Option<u64> {
    let address = match facts.address()?.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    Some(chained(0, &[&address.octets(), facts.user_agent()]))
}

/// A visitor's number in a rule, evenly spread over all that there are.
pub(super) fn number(purpose: Purpose, tag: TagName<'_>, rule: &[u8], visitor: u64) -> u64 {
    let names = [tag.domain.as_bytes(), tag.code.as_bytes(), rule];
    let rule = chained(purpose as u64, &names);
    XxHash3_64::oneshot_with_seed(rule, &visitor.to_le_bytes())
}

fn chained(seed: u64, parts: &[&[u8]]) -> u64 {
    let next = |seed, part: &&[u8]| XxHash3_64::oneshot_with_seed(seed, part);
    parts.iter().fold(seed, next)
}

/// The number's place below `end`: in proportion, so that who is below a part is below every greater one.
pub(super) fn scaled(number: u64, end: u64) -> u64 {
    ((u128::from(number) * u128::from(end)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_scaled_evenly_and_in_order() {
        assert_eq!(
            [0, u64::MAX / 4, u64::MAX / 2 + 1, u64::MAX].map(|n| scaled(n, 100)),
            [0, 24, 50, 99]
        );
    }
}
