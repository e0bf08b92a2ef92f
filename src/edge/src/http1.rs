//! Puts an answer into HTTP/1.1's words (RFC 9112). Which words an answer has is the same for every protocol, see `answer`.

use std::io::Write;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use scans::HttpVersion;

use crate::answer::{Answer, Body};
use crate::pages::CONTENT_SECURITY_POLICY;

/// What the answer says about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) version: HttpVersion,
    pub(crate) close: bool,
}

/// Appends the answer to `out`.
pub(crate) fn write<'l>(
    out: &mut Vec<u8>,
    answer: &Answer<'_>,
    is_head: bool,
    connection: Connection,
    date: &Date,
    accept: impl Iterator<Item = &'l [u8]>,
) {
    let content = answer.content(accept);
    out.extend_from_slice(status_line(answer.status));
    field(out, "Date", date.as_bytes());
    if let Some(location) = &answer.location {
        // Destinations are ASCII, and so is a query that passed the request line's check: nothing here can end the line.
        debug_assert!(location.bytes().all(|b| b.is_ascii_graphic()));
        field(out, "Location", location.as_bytes());
    }
    match answer.max_age {
        None => out.extend_from_slice(b"Cache-Control: no-store\r\n"),
        Some(seconds) => numeric_field(out, "Cache-Control: private, max-age=", seconds.into()),
    }
    if let Some(seconds) = answer.retry_after {
        numeric_field(out, "Retry-After: ", seconds.into());
    }
    if let Some(exceeded) = answer.exceeded {
        let _ = write!(out, "RateLimit-Policy: {}\r\n", exceeded.policy()); // a Vec takes everything
        field(out, "RateLimit", exceeded.service_limit().as_bytes());
    }
    if let Some(hsts) = answer.hsts {
        field(
            out,
            "Strict-Transport-Security",
            hsts.to_string().as_bytes(),
        );
    }
    if answer.says_allow() {
        field(out, "Allow", b"GET, HEAD");
    }
    if let Some((media_type, _)) = content {
        describe(out, media_type);
        if matches!(answer.body, Body::Page(_)) {
            field(out, "Vary", b"Accept");
        }
    }
    match content {
        Some((_, bytes)) => numeric_field(out, "Content-Length: ", bytes.len() as u64),
        None if answer.status == 204 => {} // RFC 9110 §8.6: it has none
        None => out.extend_from_slice(b"Content-Length: 0\r\n"), // a redirect's, and not worth the formatting
    }
    match connection {
        Connection { close: true, .. } => field(out, "Connection", b"close"),
        Connection {
            version: HttpVersion::Http10,
            ..
        } => field(out, "Connection", b"keep-alive"),
        _ => {}
    }
    out.extend_from_slice(b"\r\n");
    if let (Some((_, bytes)), false) = (content, is_head) {
        out.extend_from_slice(bytes);
    }
}

/// What goes along with content, so that a browser does with it nothing but show it.
fn describe(out: &mut Vec<u8>, media_type: &str) {
    field(out, "Content-Type", media_type.as_bytes());
    field(out, "X-Content-Type-Options", b"nosniff");
    if media_type.starts_with("text/html") {
        field(
            out,
            "Content-Security-Policy",
            CONTENT_SECURITY_POLICY.as_bytes(),
        );
        field(out, "Referrer-Policy", b"no-referrer");
    }
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn numeric_field(out: &mut Vec<u8>, beginning: &str, number: u64) {
    // A Vec takes everything.
    let _ = write!(out, "{beginning}{number}\r\n");
}

fn status_line(status: u16) -> &'static [u8] {
    match status {
        200 => b"HTTP/1.1 200 OK\r\n",
        204 => b"HTTP/1.1 204 No Content\r\n",
        301 => b"HTTP/1.1 301 Moved Permanently\r\n",
        302 => b"HTTP/1.1 302 Found\r\n",
        303 => b"HTTP/1.1 303 See Other\r\n",
        307 => b"HTTP/1.1 307 Temporary Redirect\r\n",
        308 => b"HTTP/1.1 308 Permanent Redirect\r\n",
        400 => b"HTTP/1.1 400 Bad Request\r\n",
        404 => b"HTTP/1.1 404 Not Found\r\n",
        405 => b"HTTP/1.1 405 Method Not Allowed\r\n",
        408 => b"HTTP/1.1 408 Request Timeout\r\n",
        410 => b"HTTP/1.1 410 Gone\r\n",
        413 => b"HTTP/1.1 413 Content Too Large\r\n",
        414 => b"HTTP/1.1 414 URI Too Long\r\n",
        421 => b"HTTP/1.1 421 Misdirected Request\r\n",
        429 => b"HTTP/1.1 429 Too Many Requests\r\n",
        431 => b"HTTP/1.1 431 Request Header Fields Too Large\r\n",
        501 => b"HTTP/1.1 501 Not Implemented\r\n",
        502 => b"HTTP/1.1 502 Bad Gateway\r\n",
        503 => b"HTTP/1.1 503 Service Unavailable\r\n",
        504 => b"HTTP/1.1 504 Gateway Timeout\r\n",
        505 => b"HTTP/1.1 505 HTTP Version Not Supported\r\n",
        508 => b"HTTP/1.1 508 Loop Detected\r\n",
        _ => b"HTTP/1.1 500 Internal Server Error\r\n",
    }
}

/// The `Date` of this second (RFC 9110 §6.6.1: an origin server with a clock must send it), written once for all its answers.
#[derive(Debug)]
pub(crate) struct Date {
    second: i64,
    text: Vec<u8>,
}

impl Date {
    pub(crate) fn new() -> Self {
        Self {
            second: i64::MIN,
            text: Vec::new(),
        }
    }

    /// The date of `now`.
    pub(crate) fn at(&mut self, now: Timestamp) -> &Self {
        if now.as_second() != self.second {
            self.second = now.as_second();
            let printed = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&now);
            // It fails for years beyond 9999 only, which a Timestamp cannot hold.
            self.text = printed.unwrap_or_default().into_bytes();
        }
        self
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::Page;

    #[test]
    fn every_page_has_a_status_line_of_its_own() {
        for page in Page::ALL {
            let line = String::from_utf8_lossy(status_line(page.status()));
            assert!(
                line.starts_with(&format!("HTTP/1.1 {} ", page.status())),
                "{line}"
            );
        }
    }

    #[test]
    fn the_date_is_that_of_the_moment_in_the_fixed_form() {
        let mut date = Date::new();
        for (now, text) in [
            ("1994-11-06T08:49:37.9Z", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("1994-11-06T08:49:38Z", "Sun, 06 Nov 1994 08:49:38 GMT"),
        ] {
            assert_eq!(
                date.at(now.parse().expect("a test's time")).as_bytes(),
                text.as_bytes()
            );
        }
    }
}
