//! A set of hosts in 8 bytes each.

use std::hash::{BuildHasher, RandomState};
use std::io::BufRead;
use std::iter;

use crate::lines::{self, ReadError};

/// The hosts of one list. Of each, a hash of 64 bits is kept, SipHash-1-3 under keys that the process draws at random, so that nobody can
/// look for a name that is taken for another's. By chance, a name with five labels is taken for one of five million with a probability of
/// 1.4 in 10^12 (5 × 5,000,000 / 2^64).
#[derive(Debug)]
pub struct Hosts {
    /// Sorted, each once.
    fingerprints: Box<[u64]>,
    hash: RandomState,
}

impl Hosts {
    /// The most hosts of a list; they take 128 MiB, and twice that while they are read.
    pub const MAX: usize = 1 << 24;

    /// Reads a list, line by line.
    pub(crate) fn read(text: impl BufRead) -> Result<Self, ReadError> {
        let hash = RandomState::new();
        let mut fingerprints = Vec::new();
        lines::read(text, |host| {
            fingerprints.push(hash.hash_one(host));
            // What is in it twice counts twice until it is sorted, which is once it takes all the room.
            if fingerprints.len() > Self::MAX {
                sort(&mut fingerprints);
            }
            fingerprints.len() <= Self::MAX
        })?;
        sort(&mut fingerprints);
        Ok(Self {
            fingerprints: fingerprints.into(),
            hash,
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.fingerprints.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.fingerprints.is_empty()
    }

    /// The entry that a host falls under: itself or a domain above it, label by label. `host` is as a destination has it: in ASCII and
    /// lower case, an IPv6 address in its brackets.
    pub fn entry_for<'h>(&self, host: &'h str) -> Option<&'h str> {
        let host = host.strip_suffix('.').unwrap_or(host);
        // An address has no domain above it, and no entry that is a name ends like one (the WHATWG parser takes such for addresses).
        let mut names = iter::successors(Some(host), |name| Some(name.split_once('.')?.1));
        names.find(|name| self.contains(name))
    }

    fn contains(&self, host: &str) -> bool {
        let fingerprint = self.hash.hash_one(host);
        self.fingerprints.binary_search(&fingerprint).is_ok()
    }
}

fn sort(fingerprints: &mut Vec<u64>) {
    fingerprints.sort_unstable();
    fingerprints.dedup();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hosts(text: &str) -> Hosts {
        Hosts::read(text.as_bytes()).expect("a list")
    }

    #[test]
    fn a_host_falls_under_itself_and_every_domain_above_it_at_a_label_s_border() {
        let hosts = hosts("example.com\nb.example.net\n");
        for (host, entry) in [
            ("example.com", Some("example.com")),
            ("example.com.", Some("example.com")),
            ("a.b.example.com", Some("example.com")),
            ("anexample.com", None),
            ("example.com.evil.org", None),
            ("com", None),
            ("", None),
            (".", None),
            ("example.net", None),
            ("a.b.example.net", Some("b.example.net")),
            ("ab.example.net", None),
        ] {
            assert_eq!(hosts.entry_for(host), entry, "{host}");
        }
    }

    #[test]
    fn an_address_is_listed_alone() {
        let hosts = hosts("203.0.113.5\n2001:DB8:0::7\n[2001:db8::8]\n3.4\n");
        for listed in ["203.0.113.5", "[2001:db8::7]", "[2001:db8::8]"] {
            assert_eq!(hosts.entry_for(listed), Some(listed));
        }
        assert_eq!(hosts.entry_for("3.0.0.4"), Some("3.0.0.4"), "so it is read");
        for other in ["203.0.113.6", "1.2.3.4", "[2001:db8::9]"] {
            assert_eq!(hosts.entry_for(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_in_a_list_twice_is_kept_once() {
        assert_eq!(hosts("a.example\nA.EXAMPLE.\n||a.example^\n").len(), 1);
        assert!(hosts("# none\n").is_empty());
    }

    proptest! {
        #[test]
        fn a_list_agrees_with_a_plain_one(
            listed in prop::collection::vec("([ab]\\.){0,3}[xy]", 0..20), host in "([ab]\\.){0,4}[xy]"
        ) {
            let text = format!("# a list\n{}", listed.join("\n"));
            let is_within = |entry: &String| host == *entry || host.ends_with(&format!(".{entry}"));
            prop_assert_eq!(hosts(&text).entry_for(&host).is_some(), listed.iter().any(is_within));
        }
    }
}
