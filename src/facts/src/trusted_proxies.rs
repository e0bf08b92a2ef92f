//! Whose request it is: the peer's, or what trusted proxies in front of us say of it. Nobody else is believed.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// The networks whose `X-Forwarded-For` and `Forwarded` headers count. Default: none.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// These networks.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether there is anyone to believe, so that the headers need to be looked at.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is a trusted proxy's address.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client's address: from the peer backwards, the nearest hop that is not a trusted proxy. Header lines come in the order
    /// of the request. An entry that names no address ends the walk at the hop that wrote it.
    ///
    /// Where both headers are there and disagree, only one of them is the proxy's and the other may be the client's invention, so
    /// neither is believed.
    pub fn client<'a>(
        &self,
        peer: IpAddr,
        x_forwarded_for: impl DoubleEndedIterator<Item = &'a [u8]>,
        forwarded: impl DoubleEndedIterator<Item = &'a [u8]>,
    ) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.contain(peer) {
            return peer;
        }
        match self.said(peer, x_forwarded_for, forwarded) {
            (Some(x), Some(standard)) if x != standard => peer,
            (x, standard) => x.or(standard).unwrap_or(peer),
        }
    }

    /// Whether both headers are there and disagree, so that nobody is known by them: what a client can bring about, and a proxy's neglect.
    pub fn are_disputed<'a>(
        &self,
        peer: IpAddr,
        x_forwarded_for: impl DoubleEndedIterator<Item = &'a [u8]>,
        forwarded: impl DoubleEndedIterator<Item = &'a [u8]>,
    ) -> bool {
        let said = self.said(peer.to_canonical(), x_forwarded_for, forwarded);
        matches!(said, (Some(x), Some(standard)) if x != standard)
    }

    /// Whom each of the headers names, where it is there.
    fn said<'a>(
        &self,
        peer: IpAddr,
        x_forwarded_for: impl DoubleEndedIterator<Item = &'a [u8]>,
        forwarded: impl DoubleEndedIterator<Item = &'a [u8]>,
    ) -> (Option<IpAddr>, Option<IpAddr>) {
        let mut by_x = entries(x_forwarded_for).map(address).peekable();
        let mut by_standard = elements(forwarded).map(forwarded_for).peekable();
        let is_there = (by_x.peek().is_some(), by_standard.peek().is_some());
        (
            is_there.0.then(|| self.walk(peer, by_x)),
            is_there.1.then(|| self.walk(peer, by_standard)),
        )
    }

    /// Whether a trusted proxy took the request over TLS: the last entry of `X-Forwarded-Proto` or of `Forwarded` says so, and the other
    /// does not say otherwise, see [`TrustedProxies::client`].
    pub fn say_https<'a>(
        &self,
        peer: IpAddr,
        x_forwarded_proto: impl DoubleEndedIterator<Item = &'a [u8]>,
        forwarded: impl DoubleEndedIterator<Item = &'a [u8]>,
    ) -> bool {
        if !self.contain(peer.to_canonical()) {
            return false;
        }
        let by_x = entries(x_forwarded_proto).next().map(Cow::Borrowed);
        let by_standard = match elements(forwarded).next() {
            Some(element) => match element.map(|element| parameter(element, "proto")) {
                Some(Ok(proto)) => proto,
                _ => return false,
            },
            None => None,
        };
        let mut said = by_x.iter().chain(&by_standard).peekable();
        said.peek().is_some() && said.all(|said| said.eq_ignore_ascii_case("https"))
    }

    fn walk(&self, peer: IpAddr, mut hops: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut nearest = peer;
        while self.contain(nearest) {
            match hops.next() {
                Some(Some(hop)) => nearest = hop,
                _ => break,
            }
        }
        nearest
    }
}

/// The entries of a list header, the last, which the nearest proxy wrote, first.
fn entries<'a>(lines: impl DoubleEndedIterator<Item = &'a [u8]>) -> impl Iterator<Item = &'a str> {
    lines
        .rev()
        .flat_map(|line| line.rsplit(|b| *b == b','))
        .map(|entry| str::from_utf8(entry.trim_ascii()).unwrap_or_default())
}

/// The elements of `Forwarded`, the last, which the nearest proxy wrote, first. None: where a line has a quoted string without an end,
/// nobody can say what is within it, and so nothing of that line.
fn elements<'a>(
    lines: impl DoubleEndedIterator<Item = &'a [u8]>,
) -> impl Iterator<Item = Option<&'a str>> {
    lines.rev().flat_map(|line| {
        let line = str::from_utf8(line).ok();
        let elements = line.and_then(|line| split_unquoted(line, b','));
        let elements = elements.map(|all| all.into_iter().rev().map(|e| Some(e.trim())).collect());
        elements.unwrap_or_else(|| vec![None])
    })
}

/// The address of a `Forwarded` element, RFC 7239 §4: `for=192.0.2.1`, `for="[2001:db8::1]:4711";proto=https`.
fn forwarded_for(element: Option<&str>) -> Option<IpAddr> {
    address(&parameter(element?, "for").ok()??)
}

/// An element, or a parameter's value, that cannot be read.
#[derive(Debug, PartialEq, Eq)]
struct Malformed;

/// The value of a `Forwarded` element's parameter, without its quotes. Each may be there once (RFC 7239 §4).
fn parameter<'a>(element: &'a str, name: &str) -> Result<Option<Cow<'a, str>>, Malformed> {
    let pairs = split_unquoted(element, b';').ok_or(Malformed)?;
    let mut values = pairs.into_iter().filter_map(|pair| {
        let (given, value) = pair.split_once('=')?;
        given
            .trim()
            .eq_ignore_ascii_case(name)
            .then(|| value.trim())
    });
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => unquoted(value).map(Some),
        (Some(_), Some(_)) => Err(Malformed),
    }
}

/// A token as it is, or what a quoted string holds (RFC 9110 §5.6.4).
fn unquoted(value: &str) -> Result<Cow<'_, str>, Malformed> {
    if !value.contains('"') {
        return Ok(Cow::Borrowed(value));
    }
    let within = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    let within = within.ok_or(Malformed)?;
    let mut text = String::with_capacity(within.len());
    let mut letters = within.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => text.push(letters.next().ok_or(Malformed)?),
            '"' => return Err(Malformed),
            other => text.push(other),
        }
    }
    Ok(Cow::Owned(text))
}

/// The parts between separators that are in no quoted string. None: a quoted string does not end.
fn split_unquoted(text: &str, separator: u8) -> Option<Vec<&str>> {
    let (mut parts, mut begin) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            _ if byte == separator && !quoted => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    (!quoted).then_some(parts)
}

/// An address with or without port, IPv6 with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let bare = text.parse().ok().or_else(bracketed);
    let address = bare.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, x_forwarded_for: &[&str], forwarded: &[&str]) -> String {
        let networks =
            ["10.0.0.0/8", "2001:db8:1::/48"].map(|n| n.parse().expect("a test's network"));
        let bytes = |lines: &[&str]| {
            lines
                .iter()
                .map(|line| line.as_bytes().to_vec())
                .collect::<Vec<_>>()
        };
        let (x, f) = (bytes(x_forwarded_for), bytes(forwarded));
        let peer = peer.parse().expect("a test's address");
        let trusted = TrustedProxies::new(networks.to_vec());
        trusted
            .client(
                peer,
                x.iter().map(Vec::as_slice),
                f.iter().map(Vec::as_slice),
            )
            .to_string()
    }

    #[test]
    fn a_stranger_is_not_believed() {
        assert_eq!(
            client("203.0.113.1", &["198.51.100.7"], &["for=198.51.100.7"]),
            "203.0.113.1"
        );
    }

    #[test]
    fn the_nearest_hop_that_is_no_trusted_proxy_is_the_client() {
        for (lines, expected) in [
            (&["198.51.100.7"][..], "198.51.100.7"),
            (&["1.1.1.1, 198.51.100.7, 10.2.0.1"][..], "198.51.100.7"),
            (
                &["1.1.1.1", "198.51.100.7", "10.2.0.1,10.2.0.2"][..],
                "198.51.100.7",
            ),
            (&["198.51.100.7:4711"][..], "198.51.100.7"),
            (&["::ffff:198.51.100.7"][..], "198.51.100.7"),
            (&["2001:db8:2::9"][..], "2001:db8:2::9"),
            (&["[2001:db8:2::9]:443, 2001:db8:1::1"][..], "2001:db8:2::9"),
            (&["10.9.9.9, 10.8.8.8"][..], "10.9.9.9"),
            (&[][..], "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", lines, &[]), expected, "{lines:?}");
        }
    }

    #[test]
    fn an_entry_that_is_no_address_ends_the_walk() {
        for (line, expected) in [
            ("198.51.100.7, unknown", "10.0.0.1"),
            ("198.51.100.7, , 10.0.0.2", "10.0.0.2"),
            ("198.51.100.7, 10.0.0.256", "10.0.0.1"),
            ("198.51.100.7 10.0.0.2", "10.0.0.1"),
            ("", "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", &[line], &[]), expected, "{line:?}");
        }
    }

    #[test]
    fn the_standard_header_is_read_with_its_quotes_and_parameters() {
        for (line, expected) in [
            ("for=198.51.100.7", "198.51.100.7"),
            (
                "For=\"[2001:db8:2::9]:4711\";proto=https;by=10.0.0.1",
                "2001:db8:2::9",
            ),
            (
                "proto=http; for=198.51.100.7;host=qr.example.com, for=10.0.0.2",
                "198.51.100.7",
            ),
            ("for=_hidden", "10.0.0.1"),
            ("for=unknown, for=10.0.0.3", "10.0.0.3"),
            ("by=198.51.100.7", "10.0.0.1"),
            ("for=\"198.51.100.\\7\"", "198.51.100.7"),
            ("for=9.9.9.9;host=\"a,for=1.1.1.1\"", "9.9.9.9"),
            ("host=\"a;for=1.1.1.1;b\";for=9.9.9.9", "9.9.9.9"),
            ("host=\"a\\\",for=1.1.1.1;b\";for=9.9.9.9", "9.9.9.9"),
            ("for=1.1.1.1;host=\"a, for=9.9.9.9", "10.0.0.1"),
            ("for=1.1.1.1;host=\", for=\"9.9.9.9\"", "10.0.0.1"),
            ("for=\"9.9.9.9\"x\"\"", "10.0.0.1"),
            ("for=9.9.9.9;for=1.1.1.1", "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", &[], &[line]), expected, "{line}");
        }
    }

    #[test]
    fn a_trusted_proxy_says_whether_it_was_https_and_nobody_else() {
        let trusted = TrustedProxies::new(vec!["10.0.0.0/8".parse().expect("a test's network")]);
        let say = |peer: &str, x: &[&str], standard: &[&str]| {
            let peer = peer.parse().expect("a test's address");
            let (x, standard) = (x.iter(), standard.iter());
            trusted.say_https(
                peer,
                x.map(|l| l.as_bytes()),
                standard.map(|l| l.as_bytes()),
            )
        };
        for (x, standard, https) in [
            (&["https"][..], &[][..], true),
            (&["HTTPS"][..], &[][..], true),
            (&["http"][..], &["for=1.1.1.1;proto=https"][..], false),
            (&["https"][..], &["for=1.1.1.1;proto=http"][..], false),
            (&["https"][..], &["for=1.1.1.1;proto=https"][..], true),
            (&["https"][..], &["for=1.1.1.1"][..], true),
            (
                &["https"][..],
                &["host=\", for=1.1.1.1;proto=http"][..],
                false,
            ),
            (
                &[][..],
                &["for=9.9.9.9;host=\"sec.example.com,proto=https;x\";proto=http"][..],
                false,
            ),
            (
                &[][..],
                &["for=9.9.9.9;host=\"a\\\",proto=https;x\";proto=\"https\""][..],
                true,
            ),
            (&["https, http"][..], &[][..], false),
            (&["http", "https"][..], &[][..], true),
            (&[][..], &["for=1.1.1.1;proto=https"][..], true),
            (
                &[][..],
                &["proto=http, for=\"1.1.1.1\"; Proto=\"https\""][..],
                true,
            ),
            (&[][..], &["proto=https, for=1.1.1.1"][..], false),
            (&[][..], &[][..], false),
        ] {
            assert_eq!(say("10.0.0.1", x, standard), https, "{x:?} {standard:?}");
            assert!(!say("203.0.113.1", x, standard), "{x:?} {standard:?}");
        }
    }

    #[test]
    fn a_line_that_cannot_be_read_says_nothing_and_those_of_nearer_proxies_still_do() {
        let lines = ["for=1.1.1.1;host=\"a", "for=198.51.100.7, for=10.2.0.1"];
        assert_eq!(client("10.0.0.1", &[], &lines), "198.51.100.7");
        let lines = ["for=1.1.1.1;host=\"a", "for=10.2.0.1"];
        assert_eq!(client("10.0.0.1", &[], &lines), "10.2.0.1");
    }

    #[test]
    fn two_headers_that_disagree_are_both_disbelieved() {
        assert_eq!(
            client("10.0.0.1", &["198.51.100.7"], &["for=198.51.100.7"]),
            "198.51.100.7"
        );
        assert_eq!(
            client("10.0.0.1", &["198.51.100.7"], &["for=198.51.100.8"]),
            "10.0.0.1"
        );
    }
}
