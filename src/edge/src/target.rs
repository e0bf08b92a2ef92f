//! The request line and the forms of its target (RFC 9112 §3).

use scans::HttpVersion;

use crate::host::Host;
use crate::options::Limits;
use crate::pages::Page;

/// The parts of a request line.
pub(crate) struct RequestLine<'b> {
    pub(crate) method: &'b str,
    pub(crate) target: &'b str,
    pub(crate) version: HttpVersion,
}

impl<'b> RequestLine<'b> {
    /// RFC 9112 §3: `method SP request-target SP HTTP-version`, and no other white space.
    pub(crate) fn read(line: &'b [u8], limits: &Limits) -> Result<Self, Page> {
        let first = line.iter().position(|b| *b == b' ');
        let first = first.ok_or(Page::BadRequest)?;
        let (method, rest) = (&line[..first], &line[first + 1..]);
        let last = memchr::memrchr(b' ', rest).ok_or(Page::BadRequest)?;
        let (target, version) = (&rest[..last], &rest[last + 1..]);
        let method_ok = method == b"GET" || (!method.is_empty() && method.iter().all(is_token));
        if !method_ok || !is_target(target) {
            return Err(Page::BadRequest);
        }
        let version = match version {
            b"HTTP/1.1" => HttpVersion::Http11,
            b"HTTP/1.0" => HttpVersion::Http10,
            // RFC 9110 §2.5: a higher minor version is read as the highest that is known.
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'] => HttpVersion::Http11,
            [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
                return Err(Page::VersionNotSupported);
            }
            _ => return Err(Page::BadRequest),
        };
        if target.len() > limits.target {
            return Err(Page::TargetTooLong);
        }
        let target = without_fragment(target);
        if target.is_empty() {
            return Err(Page::BadRequest);
        }
        match (str::from_utf8(method), str::from_utf8(target)) {
            (Ok(method), Ok(target)) => Ok(Self {
                method,
                target,
                version,
            }),
            _ => Err(Page::BadRequest),
        }
    }
}

/// No byte that could be taken for anything but part of a target. RFC 3986 leaves no place for ten of these, but browsers send some of
/// them (`|`), and apps that scan codes send what is printed. Over HTTP/2 the `http` crate takes fewer, and has the stream reset before
/// it gets here: not `<` and `>`, not `"` in a query, not a backtick in a path. Looks at all bytes, which is faster than to stop at the
/// first.
fn is_target(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |ok, b| ok & b.is_ascii_graphic())
}

/// A fragment has no place in a request (RFC 9112 §3.2) and says nothing to a server. Of those who send it all the same, HTTP/2 takes the
/// rest, so HTTP/1.1 does too.
fn without_fragment(target: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'#', target);
    end.map_or(target, |end| &target[..end])
}

/// RFC 9110 §5.6.2.
pub(crate) fn is_token(byte: &u8) -> bool {
    TOKEN[usize::from(*byte)]
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut others: &[u8] = b"!#$%&'*+-.^_`|~";
    while let [other, rest @ ..] = others {
        table[*other as usize] = true;
        others = rest;
    }
    table
};

/// What a target names.
pub(crate) struct Target<'b> {
    pub(crate) host: Option<Host<'b>>,
    pub(crate) path: &'b str,
    pub(crate) query: &'b str,
}

impl<'b> Target<'b> {
    /// The four forms of RFC 9112 §3.2. Authority-form belongs to CONNECT and `*` to OPTIONS alone; neither method is served.
    pub(crate) fn read(target: &'b str, method: &str) -> Result<Self, Page> {
        if method == "CONNECT" {
            return match Host::parse(target) {
                Some(_) if target.contains(':') => Ok(Self::of_path("")),
                _ => Err(Page::BadRequest),
            };
        }
        if target.starts_with('/') {
            return Ok(Self::split(None, target));
        }
        if target == "*" {
            return match method {
                "OPTIONS" => Ok(Self::of_path("*")),
                _ => Err(Page::BadRequest),
            };
        }
        let (scheme, rest) = target.split_once("://").ok_or(Page::BadRequest)?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(Page::BadRequest);
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let host = Host::parse(authority).ok_or(Page::BadRequest)?;
        Ok(Self::split(Some(host), path))
    }

    fn of_path(path: &'b str) -> Self {
        Self {
            host: None,
            path,
            query: "",
        }
    }

    fn split(host: Option<Host<'b>>, target: &'b str) -> Self {
        let (path, query) = match memchr::memchr(b'?', target.as_bytes()) {
            Some(at) => (&target[..at], &target[at + 1..]),
            None => (target, ""),
        };
        Self {
            host,
            path: if path.is_empty() { "/" } else { path },
            query,
        }
    }
}
