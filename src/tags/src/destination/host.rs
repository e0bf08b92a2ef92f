//! Which hosts a web destination may have: names and addresses that mean the same thing to everyone on the public internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use url::Host;

use super::DestinationError;

/// Judges a host after WHATWG parsing, which has undone all spellings: case, full-width, percent-encoding, octal, hex, short.
pub(super) fn check(host: Host<&str>) -> Result<(), DestinationError> {
    let (public, address) = match host {
        Host::Domain(name) => return check_name(name),
        Host::Ipv4(address) => (is_public_v4(address), IpAddr::V4(address)),
        Host::Ipv6(address) => (is_public_v6(address), IpAddr::V6(address)),
    };
    if public {
        Ok(())
    } else {
        Err(DestinationError::NotPublic { address })
    }
}

/// Whether it is a host on the public internet.
pub(crate) fn is_public(host: Host<&str>) -> bool {
    check(host).is_ok()
}

/// RFC 6761 and its registry, RFC 6762, 7686, 8375, 9476, ICANN's `internal`, and what home and office networks use unregistered.
const SPECIAL_USE: [&str; 15] = [
    "alt",
    "corp",
    "example",
    "home",
    "home.arpa",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "metadata.goog",
    "onion",
    "test",
];

fn check_name(written: &str) -> Result<(), DestinationError> {
    let name = written.strip_suffix('.').unwrap_or(written);
    if name.is_empty() {
        return Err(DestinationError::EmptyHost);
    }
    // The lengths are those of DNS, RFC 1035 §2.3.4.
    let resolvable = |label: &str| (1..=63).contains(&label.len());
    if name.len() > 253 || !name.split('.').all(resolvable) {
        return Err(DestinationError::MalformedHost);
    }
    if SPECIAL_USE.iter().any(|special| is_within(name, special)) {
        return Err(DestinationError::SpecialUse {
            host: written.to_owned(),
        });
    }
    if !name.contains('.') {
        return Err(DestinationError::SingleLabel {
            host: written.to_owned(),
        });
    }
    Ok(())
}

fn is_within(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// IANA's IPv4 special-purpose registry where it says "not globally reachable", and what is no unicast address of the internet.
const NOT_PUBLIC_V4: [Ipv4Net; 16] = [
    v4([0, 0, 0, 0], 8),        // "this network"; some systems take it for themselves
    v4([10, 0, 0, 0], 8),       // private
    v4([100, 64, 0, 0], 10),    // carrier-grade NAT
    v4([127, 0, 0, 0], 8),      // loopback
    v4([168, 63, 129, 16], 32), // Azure's host: metadata, DNS, DHCP
    v4([169, 254, 0, 0], 16),   // link-local, cloud metadata
    v4([172, 16, 0, 0], 12),    // private
    v4([192, 0, 0, 0], 24),     // protocol assignments
    v4([192, 0, 2, 0], 24),     // documentation
    v4([192, 88, 99, 0], 24),   // 6to4 relays, deprecated
    v4([192, 168, 0, 0], 16),   // private
    v4([198, 18, 0, 0], 15),    // benchmarking
    v4([198, 51, 100, 0], 24),  // documentation
    v4([203, 0, 113, 0], 24),   // documentation
    v4([224, 0, 0, 0], 4),      // multicast
    v4([240, 0, 0, 0], 4),      // reserved
];

/// What the registry calls globally reachable within the above: anycast of the Port Control Protocol and of TURN.
const PUBLIC_V4: [Ipv4Net; 2] = [v4([192, 0, 0, 9], 32), v4([192, 0, 0, 10], 32)];

fn is_public_v4(address: Ipv4Addr) -> bool {
    let within = |nets: &[Ipv4Net]| nets.iter().any(|net| net.contains(&address));
    within(&PUBLIC_V4) || !within(&NOT_PUBLIC_V4)
}

/// The only space given out for unicast, so that mapped, compatible, NAT64, local and multicast forms need no list.
const UNICAST_V6: Ipv6Net = v6([0x2000, 0], 3);

const NOT_PUBLIC_V6: [Ipv6Net; 4] = [
    v6([0x2001, 0], 23),      // protocol assignments, Teredo among them
    v6([0x2001, 0x0db8], 32), // documentation
    v6([0x2002, 0], 16),      // 6to4
    v6([0x3fff, 0], 20),      // documentation
];

fn is_public_v6(address: Ipv6Addr) -> bool {
    UNICAST_V6.contains(&address) && !NOT_PUBLIC_V6.iter().any(|net| net.contains(&address))
}

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6([first, second]: [u16; 2], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0), prefix)
}
