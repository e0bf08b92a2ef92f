//! A request, whatever protocol brought it: what an answer depends on, and nothing else.

use crate::host::Host;

/// What an answer depends on. Framing, versions and connections have been dealt with before.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// The host; none where HTTP/1.0 named none.
    pub host: Option<Host<'a>>,
    /// Whether it came over TLS, as far as the client is concerned.
    pub tls: bool,
    /// The path as sent, percent-encoded.
    pub path: &'a str,
    /// The query as sent, without `?`.
    pub query: &'a str,
}

/// A method, as far as it makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// One of the IANA registry that is not served, but may be a site's.
    Registered,
    /// One that is neither: CONNECT asks for a tunnel, TRACE would show a site's fields to scripts, PRI is no request of HTTP/1.
    Never,
    /// Any other.
    Unknown,
}

impl Method {
    /// Methods are case-sensitive, RFC 9110 §9.1.
    pub fn parse(token: &str) -> Self {
        match token {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "CONNECT" | "TRACE" | "PRI" => Self::Never,
            _ if REGISTERED.contains(&token) => Self::Registered,
            _ => Self::Unknown,
        }
    }
}

/// The IANA HTTP method registry (as of 2025) without those named above.
const REGISTERED: [&str; 35] = [
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "COPY",
    "DELETE",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "OPTIONS",
    "ORDERPATCH",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PUT",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
];
