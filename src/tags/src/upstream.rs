//! A brand's own site behind a domain: the origin to which the paths go that are not Tagwire's.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use url::{Host, Url};

use crate::destination::is_public_host;
use crate::{Destination, DestinationError, InvalidValue};

/// The origin of a brand's own site: `http` or `https`, a host, perhaps a port, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamUrl(Url);

/// Why a URL is no upstream. Its text is what the API shows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// What a destination may not be, an upstream may not be either.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// tel, mailto, sms.
    #[error("an upstream is a web server: begin with https:// or http://")]
    Scheme,
    /// A path, query or fragment.
    #[error(
        "an upstream is an origin, to which every path is added: write https://www.example.com, without path, query or fragment"
    )]
    NotAnOrigin,
}

impl UpstreamUrl {
    /// Judges what a person or program gave, by the policy for destinations: an edge goes there itself, and must not be sent into the
    /// operator's own network. Addresses in `networks`, which the operator opens, are allowed all the same; and where there are any, so
    /// are names of local networks, whose addresses the edge judges when it connects.
    ///
    /// ```
    /// use tags::UpstreamUrl;
    ///
    /// assert_eq!(UpstreamUrl::parse("https://www.example.com", &[])?.as_str(), "https://www.example.com/");
    /// assert!(UpstreamUrl::parse("http://127.0.0.1:8000", &[]).is_err());
    /// assert!(UpstreamUrl::parse("http://127.0.0.1:8000", &["127.0.0.0/8".parse().unwrap()]).is_ok());
    /// # Ok::<(), tags::UpstreamError>(())
    /// ```
    pub fn parse(text: &str, networks: &[IpNet]) -> Result<Self, UpstreamError> {
        judge_web(text, networks)?;
        Self::from_stored(text)
    }

    /// Takes back what [`UpstreamUrl::parse`] once allowed. Hosts are not judged again.
    pub fn from_stored(text: &str) -> Result<Self, UpstreamError> {
        let url = Url::parse(text).map_err(|_| DestinationError::NotNormalised)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UpstreamError::Scheme);
        }
        let credentials = !url.username().is_empty() || url.password().is_some();
        let more = url.path() != "/" || url.query().is_some() || url.fragment().is_some();
        if credentials || more || url.host().is_none() {
            return Err(UpstreamError::NotAnOrigin);
        }
        Ok(Self(url))
    }

    /// The origin, with the `/` that a URL has.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it is spoken to over TLS.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The host, in ASCII: a name, or an address without brackets.
    pub fn host(&self) -> &str {
        let host = self.0.host_str().unwrap_or_default();
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        bare.unwrap_or(host)
    }

    /// The port, whether it was given or is the scheme's.
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(80)
    }

    /// What a request there says in its Host field: the port only where it is not the scheme's.
    pub fn authority(&self) -> &str {
        self.0.authority()
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Judges a URL to which a server of ours goes itself by the policy for destinations; what is in the operator's `networks` is excepted.
pub(crate) fn judge_web(text: &str, networks: &[IpNet]) -> Result<(), DestinationError> {
    match Destination::parse(text) {
        Ok(_) => Ok(()),
        Err(DestinationError::NotPublic { address }) if contain(networks, address) => Ok(()),
        Err(DestinationError::SingleLabel { .. } | DestinationError::SpecialUse { .. })
            if !networks.is_empty() =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Whether an address, as DNS or a person gave it, is one that an upstream may have: on the public internet, or in one of the
/// `networks` that the operator opens.
pub fn is_upstream_address(address: IpAddr, networks: &[IpNet]) -> bool {
    let host = match address.to_canonical() {
        IpAddr::V4(address) => Host::Ipv4(address),
        IpAddr::V6(address) => Host::Ipv6(address),
    };
    is_public_host(host) || contain(networks, address)
}

fn contain(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// Which host a request to an upstream names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum UpstreamHost {
    /// The one that the visitor asked for, so that the site makes links and cookies for the name in the visitor's address bar.
    #[default]
    Visitor,
    /// The upstream's own, for sites that answer to no other name.
    Upstream,
}

impl UpstreamHost {
    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Visitor => "visitor",
            Self::Upstream => "upstream",
        }
    }
}

impl FromStr for UpstreamHost {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "visitor" => Ok(Self::Visitor),
            "upstream" => Ok(Self::Upstream),
            _ => Err(InvalidValue::new(
                "host for an upstream",
                text,
                "visitor or upstream",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks() -> Vec<IpNet> {
        vec![
            "127.0.0.0/8".parse().expect("a network"),
            "fd00::/8".parse().expect("a network"),
        ]
    }

    #[test]
    fn an_origin_is_understood_whole() {
        for (text, host, port, https, authority) in [
            (
                "https://www.example.com",
                "www.example.com",
                443,
                true,
                "www.example.com",
            ),
            (
                "HTTP://WWW.Example.COM:80/",
                "www.example.com",
                80,
                false,
                "www.example.com",
            ),
            (
                "http://93.184.215.14:8080",
                "93.184.215.14",
                8080,
                false,
                "93.184.215.14:8080",
            ),
            (
                "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:444",
                "2606:2800:21f:cb07:6820:80da:af6b:8b2c",
                444,
                true,
                "[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:444",
            ),
        ] {
            let url = UpstreamUrl::parse(text, &[]).expect(text);
            let seen = (url.host(), url.port(), url.is_https(), url.authority());
            assert_eq!(seen, (host, port, https, authority), "{text}");
            assert_eq!(UpstreamUrl::from_stored(url.as_str()), Ok(url));
        }
    }

    #[test]
    fn what_is_more_or_less_than_an_origin_is_refused() {
        for text in [
            "https://www.example.com/shop",
            "https://www.example.com/?x",
            "https://www.example.com/#x",
            "https://user@www.example.com/",
            "tel:+493012345",
            "www.example.com",
            "https://",
            "ftp://www.example.com",
            "",
        ] {
            assert!(UpstreamUrl::parse(text, &networks()).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_public_is_refused_unless_the_operator_opens_its_network() {
        for text in [
            "http://127.0.0.1:8000",
            "http://2130706433",
            "http://[fd00::1]",
            "http://localhost:3000",
            "http://site.internal",
        ] {
            assert!(UpstreamUrl::parse(text, &[]).is_err(), "{text}");
            assert!(UpstreamUrl::parse(text, &networks()).is_ok(), "{text}");
        }
        for text in [
            "http://10.0.0.1",
            "http://169.254.169.254",
            "http://[fe80::1]",
        ] {
            assert!(UpstreamUrl::parse(text, &networks()).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_is_judged_as_what_it_really_is() {
        let judge = |text: &str, networks: &[IpNet]| {
            is_upstream_address(text.parse().expect("an address"), networks)
        };
        for text in ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"] {
            assert!(judge(text, &[]), "{text}");
        }
        for text in ["127.0.0.1", "::ffff:127.0.0.1", "fd00::1"] {
            assert!(!judge(text, &[]), "{text}");
            assert!(judge(text, &networks()), "{text}");
        }
        for text in [
            "10.1.2.3",
            "169.254.169.254",
            "::1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
        ] {
            assert!(!judge(text, &networks()), "{text}");
        }
    }
}
