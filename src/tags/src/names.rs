//! The names that address a tag: code, domain, workspace. Each is made by one fallible constructor and valid wherever it appears.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A name that was refused, and what is allowed instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// The code's length or alphabet is wrong.
    #[error("a code is 1 to 64 characters of A-Z, a-z, 0-9, '-' and '_'")]
    Code,
    /// The code is a path that every domain answers itself.
    #[error("'{0}' is a path of Tagwire itself and cannot be a code; choose another")]
    ReservedCode(String),
    /// Not a host name.
    #[error(
        "'{0}' is not a host name: use a domain name or an IP address, without scheme, port or path"
    )]
    Domain(String),
    /// Not a workspace identifier.
    #[error("a workspace id is 1 to 64 characters of a-z, 0-9, '-' and '_'")]
    Workspace,
}

macro_rules! text_newtype {
    ($name:ident) => {
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::parse(text)
            }
        }
    };
}

/// What is printed: the last part of a short URL, `[A-Za-z0-9_-]{1,64}`, but for the words that every domain answers itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(Box<str>);
text_newtype!(Code);

impl Code {
    /// Paths that are answered without a look-up: the health path and the prefix of `/q/{code}`.
    pub const RESERVED: [&str; 2] = ["healthz", "q"];
    /// The longest code, in characters.
    pub const MAX_LEN: usize = 64;

    /// A code as it is stored; see [`Code::is_well_formed`] for the rule.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        Self::check(text)?;
        Ok(Self(text.into()))
    }

    /// As [`Code::parse`], without a copy.
    pub(crate) fn keep(text: String) -> Result<Self, InvalidName> {
        Self::check(&text)?;
        Ok(Self(text.into()))
    }

    fn check(text: &str) -> Result<(), InvalidName> {
        if !Self::is_well_formed(text) {
            return Err(InvalidName::Code);
        }
        if Self::RESERVED.contains(&text) {
            return Err(InvalidName::ReservedCode(text.to_owned()));
        }
        Ok(())
    }

    /// Whether the text has a code's length and alphabet. Does not allocate: the redirect path asks it of every request.
    pub fn is_well_formed(text: &str) -> bool {
        (1..=Self::MAX_LEN).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    }

    /// The form in which a case-insensitive domain stores and looks up this code.
    #[must_use]
    pub fn to_lowercase(&self) -> Self {
        Self(self.0.to_ascii_lowercase().into())
    }
}

/// A host name that answers short URLs: lower-case ASCII (international names in their `xn--` form) or an IP address, without port
/// and trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(Box<str>);
text_newtype!(Domain);

impl Domain {
    /// The longest host name, RFC 1035 §2.3.4.
    pub const MAX_LEN: usize = 253;

    /// Reads a host name in any case or script; IPv6 addresses with or without brackets.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if is_plain_name(text) {
            return Ok(Self(text.into()));
        }
        Self::normalise(text)
    }

    /// As [`Domain::parse`], without a copy of what is as it has to be.
    pub(crate) fn keep(text: String) -> Result<Self, InvalidName> {
        if is_plain_name(&text) {
            return Ok(Self(text.into()));
        }
        Self::normalise(&text)
    }

    fn normalise(text: &str) -> Result<Self, InvalidName> {
        let refused = || InvalidName::Domain(text.chars().take(100).collect());
        let bare = text.strip_suffix('.').unwrap_or(text);
        if let Ok(v6) = bare
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<Ipv6Addr>()
        {
            return Ok(Self(v6.to_string().into()));
        }
        if let Ok(v4) = bare.parse::<Ipv4Addr>() {
            return Ok(Self(v4.to_string().into()));
        }
        let ascii = match url::Host::parse(bare) {
            Ok(url::Host::Domain(name)) => name,
            // Another spelling of an address, such as `0x7f.1`, which no Host header has.
            Ok(url::Host::Ipv4(_) | url::Host::Ipv6(_)) | Err(_) => return Err(refused()),
        };
        if ascii.len() > Self::MAX_LEN || !ascii.split('.').all(is_label) {
            return Err(refused());
        }
        Ok(Self(ascii.into()))
    }

    /// Whether this is an address rather than a name.
    pub fn is_address(&self) -> bool {
        self.0.parse::<IpAddr>().is_ok()
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Whether this is surely a host name in its one spelling, as nearly all are: international names (`xn--`) and what could be an
/// address, by its last label, need a closer look, which costs ten times as much. A journal has one for each of its tags.
fn is_plain_name(text: &str) -> bool {
    let is_plain = |label: &str| is_label(label) && !label.contains("--");
    text.len() <= Domain::MAX_LEN
        && !text.bytes().any(|b| b.is_ascii_uppercase())
        && text.split('.').all(is_plain)
        && text
            .rsplit('.')
            .next()
            .is_some_and(|last| last.starts_with(|first: char| first.is_ascii_lowercase()))
}

/// A tenant's identifier: `default`, or one that the admin made.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkspaceId(Box<str>);
text_newtype!(WorkspaceId);

impl WorkspaceId {
    /// `[a-z0-9_-]{1,64}`.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        Self::check(text)?;
        Ok(Self(text.into()))
    }

    /// As [`WorkspaceId::parse`], without a copy.
    pub(crate) fn keep(text: String) -> Result<Self, InvalidName> {
        Self::check(&text)?;
        Ok(Self(text.into()))
    }

    fn check(text: &str) -> Result<(), InvalidName> {
        let ok = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        if ok {
            Ok(())
        } else {
            Err(InvalidName::Workspace)
        }
    }

    /// The workspace that exists from the first start on.
    #[must_use]
    pub fn default_workspace() -> Self {
        Self("default".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_the_documented_alphabet_and_length() {
        for ok in ["a", "A-b_9", &"x".repeat(64)] {
            assert_eq!(Code::parse(ok).map(|c| c.to_string()), Ok(ok.to_owned()));
        }
        for bad in ["", "a b", "a.b", "ä", "a/b", "%41", &"x".repeat(65)] {
            assert_eq!(Code::parse(bad), Err(InvalidName::Code), "{bad:?}");
        }
    }

    #[test]
    fn the_paths_that_every_domain_answers_itself_are_no_codes() {
        for word in Code::RESERVED {
            assert!(matches!(
                Code::parse(word),
                Err(InvalidName::ReservedCode(_))
            ));
        }
        assert!(Code::parse("Q").is_ok(), "reserved as written only");
    }

    #[test]
    fn a_domain_is_kept_in_one_spelling() {
        for (given, kept) in [
            ("QR.Example.com", "qr.example.com"),
            ("qr.example.com.", "qr.example.com"),
            ("müller.example", "xn--mller-kva.example"),
            ("localhost", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("[2001:DB8::1]", "2001:db8::1"),
            ("::1", "::1"),
        ] {
            assert_eq!(
                Domain::parse(given).map(|d| d.to_string()),
                Ok(kept.to_owned()),
                "{given}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn a_name_that_is_taken_at_a_glance_is_what_the_closer_look_makes_of_it(
            text in "([a-z0-9]{1,3}|xn--[a-z]{1,3}|[A-Za-z0-9-]{0,4}|0x[0-9a-f]{0,2})([.]([a-z0-9]{1,3}|[A-Za-z0-9-]{0,4}|0x[0-9a-f]{0,2})){0,4}"
        ) {
            proptest::prop_assert_eq!(Domain::parse(&text), Domain::normalise(&text));
            proptest::prop_assert_eq!(Domain::keep(text.clone()), Domain::parse(&text));
        }
    }

    #[test]
    fn what_no_host_header_can_name_is_no_domain() {
        for bad in [
            "",
            ".",
            "a..b",
            "a b",
            "http://a.b",
            "a.b:80",
            "a.b/",
            "0x7f.1",
            "-a.b",
            "a-.b",
            "a_b.c",
            "u@a.b",
            &"a.".repeat(130),
        ] {
            assert!(
                matches!(Domain::parse(bad), Err(InvalidName::Domain(_))),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_workspace_id_is_lower_case() {
        assert!(WorkspaceId::parse("acme-1_x").is_ok());
        for bad in ["", "Acme", "a b", "a/b", &"a".repeat(65)] {
            assert_eq!(WorkspaceId::parse(bad), Err(InvalidName::Workspace));
        }
    }
}
