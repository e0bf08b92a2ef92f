//! Where a tag may lead: the policy that every URL passes before it is stored. Blocklists are the admin's; what lies behind a
//! name in DNS is the visitor's resolver's.

mod contact;
mod error;
mod host;

use std::fmt;

use url::{ParseError, Position, Url};

pub use error::DestinationError;
pub(crate) use host::is_public as is_public_host;

/// A URL that a tag may lead to: WHATWG-normalised, ASCII, at most [`Destination::MAX_BYTES`] long.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination(Box<str>);

impl Destination {
    /// The length of the longest destination, after normalisation.
    pub const MAX_BYTES: usize = 2048;

    /// Judges what a person or program gave. One thing remains for the caller, who knows the domains: [`Destination::leads_back`].
    ///
    /// ```
    /// use tags::Destination;
    ///
    /// let destination = Destination::parse("HTTPS://Bücher.example.com/Straße")?;
    /// assert_eq!(destination.as_str(), "https://xn--bcher-kva.example.com/Stra%C3%9Fe");
    /// assert!(Destination::parse("https://0x7f.1/").is_err());
    /// # Ok::<(), tags::DestinationError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, DestinationError> {
        // The parser below would silently take these away, so they are looked for first.
        if text.chars().any(char::is_control) {
            return Err(DestinationError::ControlCharacter);
        }
        if text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace) {
            return Err(DestinationError::OuterSpace);
        }
        let (scheme, rest) = scheme(text)?;
        if scheme.is_web() {
            check_authority(rest)?;
        }
        let url = Url::parse(text).map_err(|error| match error {
            ParseError::EmptyHost => DestinationError::EmptyHost,
            ParseError::InvalidPort => DestinationError::Port,
            ParseError::Overflow => DestinationError::TooLong { bytes: text.len() },
            _ => DestinationError::MalformedHost,
        })?;
        match scheme {
            Scheme::Http | Scheme::Https => check_web(&url)?,
            Scheme::Tel => contact::check_telephone(&url)?,
            Scheme::Mailto => contact::check_mail(&url)?,
            Scheme::Sms => contact::check_message(&url)?,
        }
        Self::check_length(url.as_str())?;
        Ok(Self(url.as_str().into()))
    }

    /// Takes back what [`Destination::parse`] once allowed. It does not judge hosts again: a policy that has become stricter must
    /// not take a printed code off the air.
    pub fn from_stored(text: &str) -> Result<Self, DestinationError> {
        Self::check_stored(text)?;
        Ok(Self(text.into()))
    }

    /// As [`Destination::from_stored`], without a copy.
    pub(crate) fn keep(text: String) -> Result<Self, DestinationError> {
        Self::check_stored(&text)?;
        Ok(Self(text.into()))
    }

    /// Whether [`Destination::from_stored`] would take this, which is then not kept.
    pub fn check_stored(text: &str) -> Result<(), DestinationError> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(DestinationError::NotNormalised);
        }
        scheme(text)?;
        Self::check_length(text)
    }

    fn check_length(text: &str) -> Result<(), DestinationError> {
        if text.len() > Self::MAX_BYTES {
            return Err(DestinationError::TooLong { bytes: text.len() });
        }
        Ok(())
    }

    /// The URL, fit for a `Location` field.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is http or https: a visitor's query may be added to these alone.
    pub fn is_web(&self) -> bool {
        is_web(&self.0)
    }

    /// The host of an http or https destination: a name in ASCII, or an address, an IPv6 one in its brackets.
    pub fn host(&self) -> Option<&str> {
        let url = self.web_url()?;
        let start = url[..Position::BeforeHost].len();
        let end = url[..Position::AfterHost].len();
        self.0.get(start..end)
    }

    /// Whether this would come back to Tagwire as a scan: its host, without a trailing dot and at any port, is an own domain, and
    /// its path, still percent-encoded, would be answered as a code.
    pub fn leads_back(
        &self,
        is_own_domain: impl Fn(&str) -> bool,
        is_code_path: impl Fn(&str) -> bool,
    ) -> bool {
        let (Some(host), Some(url)) = (self.host(), self.web_url()) else {
            return false;
        };
        is_own_domain(host.strip_suffix('.').unwrap_or(host)) && is_code_path(url.path())
    }

    fn web_url(&self) -> Option<Url> {
        self.is_web().then(|| Url::parse(&self.0).ok()).flatten()
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a normalised URL is http or https.
pub(crate) fn is_web(normalised: &str) -> bool {
    normalised.starts_with("https://") || normalised.starts_with("http://")
}

#[derive(Clone, Copy)]
enum Scheme {
    Http,
    Https,
    Tel,
    Mailto,
    Sms,
}

impl Scheme {
    const ALL: [(&'static str, Self); 5] = [
        ("https", Self::Https),
        ("http", Self::Http),
        ("tel", Self::Tel),
        ("mailto", Self::Mailto),
        ("sms", Self::Sms),
    ];

    fn is_web(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }
}

/// The scheme, and what follows its colon.
fn scheme(text: &str) -> Result<(Scheme, &str), DestinationError> {
    let (name, rest) = text.split_once(':').ok_or(DestinationError::NoScheme)?;
    let well_formed = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !well_formed {
        return Err(DestinationError::NoScheme);
    }
    let known = Scheme::ALL
        .into_iter()
        .find(|(known, _)| name.eq_ignore_ascii_case(known));
    match known {
        Some((_, scheme)) => Ok((scheme, rest)),
        None => Err(DestinationError::Scheme {
            scheme: name.to_ascii_lowercase().chars().take(32).collect(),
        }),
    }
}

/// Looks at the authority as it was written: parsers disagree about missing or additional slashes, backslashes and `@`, and that
/// disagreement is how a URL shows one host to a reviewer and another to a browser.
fn check_authority(after_colon: &str) -> Result<(), DestinationError> {
    let Some(rest) = after_colon.strip_prefix("//") else {
        return Err(if after_colon.trim_start_matches('/').starts_with('\\') {
            DestinationError::Backslash
        } else {
            DestinationError::Slashes
        });
    };
    if rest.starts_with('/') {
        return Err(DestinationError::Slashes);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    if authority.is_empty() {
        return Err(DestinationError::EmptyHost);
    }
    if authority.contains('\\') {
        return Err(DestinationError::Backslash);
    }
    if authority.contains('@') || authority.contains("%40") {
        return Err(DestinationError::Credentials);
    }
    Ok(())
}

fn check_web(url: &Url) -> Result<(), DestinationError> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(DestinationError::Credentials);
    }
    if url.port() == Some(0) {
        return Err(DestinationError::Port);
    }
    host::check(url.host().ok_or(DestinationError::EmptyHost)?)
}
