//! Headers of the PROXY protocol: none takes more than it says, and the client is the one at the place where the specification has it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use edge::fuzzing::read_proxy_protocol;

/// The longest of either version.
const LONGEST: usize = 16 + 4 * 1024;

pub(crate) fn run(bytes: &[u8]) {
    let Ok((client, len)) = read_proxy_protocol(bytes) else {
        return;
    };
    assert!(len <= bytes.len().min(LONGEST));
    assert_eq!(
        read_proxy_protocol(&bytes[..len]),
        Ok((client, len)),
        "nothing behind it matters"
    );
    for cut in 0..len {
        assert!(
            read_proxy_protocol(&bytes[..cut]).is_err(),
            "{cut} of {len} bytes are a header"
        );
    }
    let header = &bytes[..len];
    let expected = if header.starts_with(b"PROXY ") {
        by_line(header)
    } else {
        by_bytes(header)
    };
    assert_eq!(client, expected);
}

/// Version 1, section 2.1.
fn by_line(header: &[u8]) -> Option<SocketAddr> {
    let line = std::str::from_utf8(header)
        .expect("ASCII")
        .strip_suffix("\r\n")
        .expect("a line");
    let mut words = line.split(' ').skip(1);
    match words.next() {
        Some("TCP4" | "TCP6") => {
            let address: IpAddr = words.next().expect("a source").parse().expect("an address");
            let port = words.nth(1).expect("a port").parse().expect("a port");
            Some(SocketAddr::new(address, port))
        }
        _ => None,
    }
}

/// Version 2, section 2.2.
fn by_bytes(header: &[u8]) -> Option<SocketAddr> {
    let port = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let (is_proxied, family) = (header[12] & 0xf == 1, header[13] >> 4);
    match family {
        1 if is_proxied => {
            let address: [u8; 4] = header[16..20].try_into().expect("four");
            Some(SocketAddr::new(Ipv4Addr::from(address).into(), port(24)))
        }
        2 if is_proxied => {
            let address: [u8; 16] = header[16..32].try_into().expect("sixteen");
            Some(SocketAddr::new(Ipv6Addr::from(address).into(), port(48)))
        }
        _ => None,
    }
}
