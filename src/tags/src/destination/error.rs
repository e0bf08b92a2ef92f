//! Why a destination was refused, in words for the person who gave it.

use std::net::IpAddr;

/// Why a URL is not a destination. Its text is what the API shows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DestinationError {
    /// C0 or C1, anywhere.
    #[error("a destination has no control characters, such as tabs and line breaks: take them out")]
    ControlCharacter,
    /// At either end.
    #[error("a destination has no spaces before or after it: take them away")]
    OuterSpace,
    /// Not an absolute URL.
    #[error("a destination is a whole URL: begin with https://, http://, tel:, mailto: or sms:")]
    NoScheme,
    /// Any other than the five.
    #[error("'{scheme}:' is not allowed: begin with https://, http://, tel:, mailto: or sms:")]
    Scheme {
        /// What was given, in lower case, its beginning if it is long.
        scheme: String,
    },
    /// http or https without exactly two slashes.
    #[error("a web address has exactly two slashes before its host: write https://example.com/")]
    Slashes,
    /// Browsers read it as a slash, others do not.
    #[error(
        "a backslash in or before the host is not allowed: write https://example.com/ with slashes"
    )]
    Backslash,
    /// A user name or password, empty or encoded ones too.
    #[error(
        "a user name, password or @ before or in the host is not allowed: write https://example.com/"
    )]
    Credentials,
    /// Nothing between the slashes and the path.
    #[error("the host is missing: write https://example.com/")]
    EmptyHost,
    /// Neither a name nor an address.
    #[error("the host is not a valid name or IP address: write it like example.com")]
    MalformedHost,
    /// Not a number, 0, or above 65,535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// A name that only a local network can know.
    #[error("the host '{host}' has no domain: write a public name like example.com")]
    SingleLabel {
        /// The name.
        host: String,
    },
    /// Reserved by RFC 6761 or kin, or by use.
    #[error(
        "the host '{host}' is reserved for local, private or special use: write a public name like example.com"
    )]
    SpecialUse {
        /// The name.
        host: String,
    },
    /// Private, local, reserved, or a form that embeds another address.
    #[error("{address} is not an address on the public internet: use a public address or name")]
    NotPublic {
        /// As it was understood, whatever way it was spelt.
        address: IpAddr,
    },
    /// After normalisation.
    #[error("a destination has at most 2048 bytes once encoded: this one has {bytes}")]
    TooLong {
        /// How many there are.
        bytes: usize,
    },
    /// RFC 3966.
    #[error(
        "a telephone destination is tel: and one number of digits, without spaces: write tel:+493012345"
    )]
    Telephone,
    /// RFC 5724.
    #[error(
        "a message destination is sms: and one or more numbers: write sms:+493012345 or sms:+493012345?body=Hello"
    )]
    Message,
    /// RFC 6068.
    #[error(
        "a mail destination is mailto: and an address, without spaces or quotes: write mailto:name@example.com or mailto:name@example.com?subject=Hello"
    )]
    Mail,
    /// Encoded, in tel, mailto or sms; line breaks are allowed in a body.
    #[error(
        "encoded control characters are not allowed here (line breaks only in the body): take out %0D, %0A and the like"
    )]
    EncodedControl,
    /// A `#` in tel, mailto or sms.
    #[error("a # is only for web addresses: write it as %23")]
    Fragment,
    /// A stored record that was not written by this policy.
    #[error(
        "a stored destination is normalised, printable ASCII without spaces: give the tag its destination again"
    )]
    NotNormalised,
}
