//! Which part of the visitors someone belongs to: the same each time, on every edge, after every restart, whatever else changes.
//!
//! A visitor is the SipHash-2-4 without a key of an address (as IPv6) and a whole User-Agent; a visitor's number in a rule is the same of
//! purpose, domain, code and rule name, each name with its length before it, and the visitor. Both are made, used and forgotten: no one is
//! to be recognised by them.

use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip::SipHasher24;

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
    let mut hasher = SipHasher24::new();
    hasher.write(&address.octets());
    hasher.write(facts.user_agent());
    Some(hasher.finish())
}

/// A visitor's number in a rule, evenly spread over all that there are.
pub(super) fn number(purpose: Purpose, tag: TagName<'_>, rule: &str, visitor: u64) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write(&[purpose as u8]);
    for name in [tag.domain, tag.code, rule] {
        hasher.write(&(name.len() as u64).to_le_bytes());
        hasher.write(name.as_bytes());
    }
    hasher.write(&visitor.to_le_bytes());
    hasher.finish()
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
