//! Who: of a scan, of a writer, and as much of a scanner as may be kept.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// One writer of one run of one edge. A boot's writers number their scans each on their own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WriterKey {
    /// The edge's `node.id`.
    pub edge: Arc<str>,
    /// The run of the edge's process.
    pub boot: u64,
    /// The writer, one per worker thread.
    pub writer: u32,
}

/// What makes a scan itself and no other, in every store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScanId {
    /// The edge's `node.id`.
    pub edge: Arc<str>,
    /// The run of the edge's process.
    pub boot: u64,
    /// The writer.
    pub writer: u32,
    /// The scan's number among its writer's.
    pub seq: u64,
}

impl WriterKey {
    /// The identity of this writer's scan of that number.
    pub fn scan(&self, seq: u64) -> ScanId {
        ScanId {
            edge: Arc::clone(&self.edge),
            boot: self.boot,
            writer: self.writer,
            seq,
        }
    }
}

impl fmt::Display for WriterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:016x}/{}", self.edge, self.boot, self.writer)
    }
}

impl fmt::Display for ScanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{:016x}/{}/{}",
            self.edge, self.boot, self.writer, self.seq
        )
    }
}

/// The network of a scanner: /24 of IPv4, /48 of IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IpPrefix {
    bytes: [u8; 6],
    len: u8,
}

impl IpPrefix {
    /// What is kept of an address. IPv4 in IPv6 clothes (RFC 4291 §2.5.5.2) is IPv4.
    pub fn of(address: IpAddr) -> Self {
        let mut bytes = [0; 6];
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                bytes[..3].copy_from_slice(&v4.octets()[..3]);
                Self { bytes, len: 3 }
            }
            IpAddr::V6(v6) => {
                bytes.copy_from_slice(&v6.octets()[..6]);
                Self { bytes, len: 6 }
            }
        }
    }

    /// The network's first address, for a look-up of its place.
    pub fn network(self) -> IpAddr {
        let [a, b, c, d, e, f] = self.bytes;
        if self.len == 3 {
            IpAddr::V4(Ipv4Addr::new(a, b, c, 0))
        } else {
            let mut octets = [0; 16];
            octets[..6].copy_from_slice(&[a, b, c, d, e, f]);
            IpAddr::V6(Ipv6Addr::from(octets))
        }
    }

    /// On the wire: the network's 3 or 6 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// From the wire.
    pub fn from_bytes(wire: &[u8]) -> Option<Self> {
        let mut bytes = [0; 6];
        let len = wire.len();
        if len != 3 && len != 6 {
            return None;
        }
        bytes[..len].copy_from_slice(wire);
        Some(Self {
            bytes,
            len: len as u8,
        })
    }
}

impl fmt::Display for IpPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network(), self.len * 8)
    }
}

impl fmt::Debug for IpPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A day's pseudonym of an address and User-Agent; shown as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Visitor(u64);

impl Visitor {
    /// From the wire.
    pub fn from_u64(hash: u64) -> Self {
        Self(hash)
    }

    /// On the wire.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_cut_to_its_network() {
        for (address, prefix) in [
            ("203.0.113.77", "203.0.113.0/24"),
            ("::ffff:203.0.113.77", "203.0.113.0/24"),
            ("2001:db8:1234:5678::9", "2001:db8:1234::/48"),
            ("0.0.0.0", "0.0.0.0/24"),
            ("::", "::/48"),
        ] {
            let cut = IpPrefix::of(address.parse().expect("a test's address"));
            assert_eq!(cut.to_string(), prefix);
            assert_eq!(IpPrefix::from_bytes(cut.as_bytes()), Some(cut));
        }
        assert_eq!(
            IpPrefix::from_bytes(&[203, 0, 113, 77]),
            None,
            "a whole address is refused"
        );
    }
}
