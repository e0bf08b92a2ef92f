//! The public URL when none is configured: where this process itself can be reached.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use admin::{PublicUrl, PublicUrlError};

/// The URL of a listener. One that listens on every address is reached by the machine's own.
pub(crate) fn of_listener(address: SocketAddr) -> Result<PublicUrl, PublicUrlError> {
    let ip = if address.ip().is_unspecified() {
        own_address()
    } else {
        address.ip()
    };
    PublicUrl::parse(&format!("http://{}", SocketAddr::new(ip, address.port())))
}

/// The address by which others in the same network reach this machine, if it is in one.
pub(crate) fn own_address() -> IpAddr {
    local_ip_address::local_ip().unwrap_or(Ipv4Addr::LOCALHOST.into())
}

/// Where a client on this machine reaches a listener.
pub(crate) fn from_here(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => {
            (std::net::Ipv6Addr::LOCALHOST, address.port()).into()
        }
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_reached_at_its_own_address() {
        let url = |address: &str| {
            let url = of_listener(address.parse().unwrap()).unwrap();
            url.short_url(url.domain(), "abc")
        };
        assert_eq!(url("127.0.0.1:8080"), "http://127.0.0.1:8080/abc");
        assert_eq!(url("127.0.0.1:80"), "http://127.0.0.1/abc");
        assert_eq!(url("[::1]:8080"), "http://[::1]:8080/abc");
        assert!(!url("0.0.0.0:8080").contains("0.0.0.0"));
    }
}
