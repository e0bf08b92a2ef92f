//! The host that a request names, as RFC 9110 §7.2 and RFC 3986 §3.2.2 spell it, and the one spelling in which domains are looked up.

use std::io::Write;
use std::net::Ipv6Addr;

use tags::Domain;

/// A host without port and trailing dot. Compared with domains through [`Host::with_key`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// A name or an IPv4 address, in any case.
    Name(&'a str),
    /// An IPv6 address, which has many spellings.
    V6(Ipv6Addr),
}

impl<'a> Host<'a> {
    /// Reads `uri-host [":" port]`. None: the syntax is wrong.
    pub fn parse(authority: &'a str) -> Option<Self> {
        if let Some(rest) = authority.strip_prefix('[') {
            let (address, port) = rest.split_once(']')?;
            let port_ok = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
            return port_ok.then_some(Self::V6(address.parse().ok()?));
        }
        let (name, port) = authority.split_once(':').unwrap_or((authority, ""));
        let name = name.strip_suffix('.').unwrap_or(name);
        (is_port(port) && is_reg_name(name)).then_some(Self::Name(name))
    }

    /// Calls `look_up` with the host as [`Domain`] keeps it. Does not allocate.
    pub fn with_key<R>(&self, look_up: impl FnOnce(&str) -> R) -> R {
        let mut buffer = [0_u8; Domain::MAX_LEN];
        let len = match self {
            Self::Name(name) if !name.bytes().any(|b| b.is_ascii_uppercase()) => {
                return look_up(name);
            }
            // A name that is too long is no domain, and neither is the empty one.
            Self::Name(name) => buffer.get_mut(..name.len()).map_or(0, |folded| {
                folded.copy_from_slice(name.as_bytes());
                folded.make_ascii_lowercase();
                name.len()
            }),
            Self::V6(address) => {
                let mut rest = &mut buffer[..];
                let written = write!(rest, "{address}");
                let left = rest.len();
                written.map_or(0, |()| Domain::MAX_LEN - left)
            }
        };
        look_up(str::from_utf8(&buffer[..len]).unwrap_or_default())
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

/// RFC 3986 §3.2.2, but not empty.
fn is_reg_name(name: &str) -> bool {
    let mut rest = name.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = match first {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => tail,
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+'
            | b',' | b';' | b'=' => tail,
            b'%' => match tail {
                [a, b, tail @ ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => tail,
                _ => return false,
            },
            _ => return false,
        };
    }
    !name.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_host_leads_to_the_domain_as_it_is_kept() {
        for (authority, key) in [
            ("qr.example.com", "qr.example.com"),
            ("QR.Example.COM:8080", "qr.example.com"),
            ("qr.example.com.", "qr.example.com"),
            ("qr.example.com.:443", "qr.example.com"),
            ("qr.example.com:", "qr.example.com"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[2001:DB8:0:0::1]:80", "2001:db8::1"),
            ("[::1]", "::1"),
            ("[::ffff:1.2.3.4]", "::ffff:1.2.3.4"),
        ] {
            let host = Host::parse(authority).expect(authority);
            assert_eq!(host.with_key(str::to_owned), key);
            assert_eq!(
                Domain::parse(key).map(|d| d.to_string()).as_deref(),
                Ok(key)
            );
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for bad in [
            "",
            ".",
            ":80",
            "a b",
            "a:b",
            "a:80:80",
            "a/b",
            "u@a.b",
            "http://a",
            "a.b?c",
            "a%2",
            "a\\b",
            "[::1",
            "::1",
            "[::1]80",
            "[1.2.3.4]",
            "[fe80::1%25eth0]",
            "ä.example",
            "a\"b",
            "<a>",
        ] {
            assert_eq!(Host::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_name_that_is_too_long_leads_to_no_domain() {
        let long = "A".repeat(300);
        assert_eq!(
            Host::parse(&long)
                .expect("valid syntax")
                .with_key(str::to_owned),
            ""
        );
    }
}
