//! Reads the head of an HTTP/1.x request, strictly. This is the only parser of request heads, so that there is one answer to hostile
//! framing: what is not exactly RFC 9112's grammar is refused, and nothing is repaired.

use httparse::{EMPTY_HEADER, Header};
use scans::HttpVersion;

use crate::host::Host;
use crate::options::Limits;
use crate::pages::Page;
use crate::request::{Method, Request};

/// A request head.
#[derive(Debug)]
pub(crate) struct Head<'b, 'h> {
    pub(crate) request: Request<'b>,
    pub(crate) version: HttpVersion,
    /// All fields, in the order of the request.
    pub(crate) fields: &'h [Header<'b>],
    /// Whether the client wants to go on after the answer (RFC 9112 §9.3).
    pub(crate) keep_alive: bool,
    /// Whether content follows, which is never read as a request.
    pub(crate) has_body: bool,
}

impl<'b> Head<'b, '_> {
    /// The values of a field's lines.
    pub(crate) fn lines(&self, name: &str) -> impl DoubleEndedIterator<Item = &'b [u8]> {
        self.fields
            .iter()
            .filter(move |f| f.name.eq_ignore_ascii_case(name))
            .map(|f| f.value)
    }

    /// The value of a field's first line, or nothing.
    pub(crate) fn first(&self, name: &str) -> &'b [u8] {
        self.lines(name).next().unwrap_or_default()
    }
}

/// How far the search for a head's end has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// More bytes are needed.
    Partial,
    /// The head is that long.
    Complete(usize),
    /// It is not going to be one.
    Refused(Page),
}

/// Finds the end of a head as its bytes come in, looking at each once, and refuses every line that RFC 9112 §2.2 and §5 do not allow.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    seen: usize,
    line_start: usize,
    /// Where the request line starts and the fields do, once that is known.
    request_line: usize,
    fields: Option<usize>,
    lines: usize,
}

impl Scanner {
    /// Looks at what has been added to `buffer` since the last call. The buffer begins with the head.
    pub(crate) fn scan(&mut self, buffer: &[u8], limits: &Limits) -> Scan {
        while let Some(&byte) = buffer.get(self.seen) {
            let at = self.seen;
            self.seen += 1;
            let after_cr = at > self.line_start && buffer[at - 1] == b'\r';
            match byte {
                b'\n' if after_cr => match self.line(&buffer[..at - 1], at + 1, limits) {
                    Scan::Partial => {}
                    ended => return ended,
                },
                // A bare LF, a bare CR, or a control character.
                _ if byte == b'\n'
                    || after_cr
                    || (byte < b' ' && byte != b'\t' && byte != b'\r')
                    || byte == 0x7f =>
                {
                    return Scan::Refused(Page::BadRequest);
                }
                _ => {}
            }
        }
        self.check_size(buffer, limits)
    }

    /// A line has ended before the CRLF that ends at `next`.
    fn line(&mut self, up_to: &[u8], next: usize, limits: &Limits) -> Scan {
        let line = &up_to[self.line_start..];
        let is_first = self.line_start == 0;
        self.line_start = next;
        let Some(fields) = self.fields else {
            if line.is_empty() && is_first {
                // RFC 9112 §2.2: at least one empty line before the request line is ignored. One is.
                self.request_line = next;
                return Scan::Partial;
            }
            self.fields = Some(next);
            return too_long(line, limits)
                .or_else(|| request_line(line, limits).err())
                .map_or(Scan::Partial, Scan::Refused);
        };
        if line.is_empty() {
            return match next - fields > limits.headers + 2 {
                true => Scan::Refused(Page::FieldsTooLarge),
                false => Scan::Complete(next),
            };
        }
        self.lines += 1;
        if line[0] == b' ' || line[0] == b'\t' {
            return Scan::Refused(Page::BadRequest); // obs-fold, or a line that pretends to belong to no field
        }
        if self.lines > Limits::FIELDS {
            Scan::Refused(Page::FieldsTooLarge)
        } else {
            Scan::Partial
        }
    }

    fn check_size(&self, buffer: &[u8], limits: &Limits) -> Scan {
        match self.fields {
            Some(fields) if buffer.len() - fields > limits.headers + 2 => {
                Scan::Refused(Page::FieldsTooLarge)
            }
            None => {
                let line = &buffer[self.request_line..];
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                too_long(line, limits).map_or(Scan::Partial, Scan::Refused)
            }
            Some(_) => Scan::Partial,
        }
    }
}

/// RFC 9112 §3: a method longer than any that is implemented is 501, a target longer than any is 414. The line may not be all there.
fn too_long(line: &[u8], limits: &Limits) -> Option<Page> {
    let is_too_long = line.len() > limits.target + REQUEST_LINE_REST;
    is_too_long.then(|| match line[..REQUEST_LINE_REST].contains(&b' ') {
        true => Page::TargetTooLong,
        false => Page::NotImplemented,
    })
}

/// What a request line has beside its target: the longest registered method, two spaces, the version, CR; and some to spare.
const REQUEST_LINE_REST: usize = 40;

/// The places for a head's fields.
pub(crate) type FieldPlaces<'b> = [Header<'b>; Limits::FIELDS];

/// No field yet.
pub(crate) fn places<'b>() -> FieldPlaces<'b> {
    [EMPTY_HEADER; Limits::FIELDS]
}

/// Reads a head that [`Scanner`] has found complete.
pub(crate) fn parse<'b, 'h>(
    head: &'b [u8],
    places: &'h mut FieldPlaces<'b>,
    limits: &Limits,
) -> Result<Head<'b, 'h>, Page> {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    let line_len = head
        .iter()
        .position(|b| *b == b'\r')
        .ok_or(Page::BadRequest)?;
    let line = request_line(&head[..line_len], limits)?;
    let fields = match httparse::parse_headers(&head[line_len + 2..], places) {
        Ok(httparse::Status::Complete((len, fields))) if line_len + 2 + len == head.len() => fields,
        Err(httparse::Error::TooManyHeaders) => return Err(Page::FieldsTooLarge),
        _ => return Err(Page::BadRequest),
    };
    let framing = Framing::read(fields, line.version)?;
    let target = Target::read(line.target, line.method)?;
    let request = Request {
        method: Method::parse(line.method),
        // RFC 9112 §3.2.2: an absolute target's authority stands for Host, which has to be there all the same.
        host: target.host.or(framing.host),
        path: target.path,
        query: target.query,
    };
    Ok(Head {
        request,
        version: line.version,
        fields,
        keep_alive: framing.keep_alive,
        has_body: framing.has_body,
    })
}

struct RequestLine<'b> {
    method: &'b str,
    target: &'b str,
    version: HttpVersion,
}

/// RFC 9112 §3: `method SP request-target SP HTTP-version`, and no other white space.
fn request_line<'b>(line: &'b [u8], limits: &Limits) -> Result<RequestLine<'b>, Page> {
    let mut parts = line.split(|b| *b == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Page::BadRequest);
    };
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
    let method_ok = !method.is_empty() && method.iter().all(|b| is_token(*b));
    // No fragment (RFC 9112 §3.2), and no byte that RFC 3986 leaves no place for but those that browsers do send, such as `|`.
    let target_ok = !target.is_empty() && target.iter().all(|b| b.is_ascii_graphic() && *b != b'#');
    match (str::from_utf8(method), str::from_utf8(target)) {
        (Ok(method), Ok(target)) if method_ok && target_ok => Ok(RequestLine {
            method,
            target,
            version,
        }),
        _ => Err(Page::BadRequest),
    }
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

struct Target<'b> {
    host: Option<Host<'b>>,
    path: &'b str,
    query: &'b str,
}

impl<'b> Target<'b> {
    /// The four forms of RFC 9112 §3.2. Authority-form belongs to CONNECT and `*` to OPTIONS alone; neither method is served.
    fn read(target: &'b str, method: &str) -> Result<Self, Page> {
        if method == "CONNECT" {
            return match Host::parse(target) {
                Some(_) if target.contains(':') => Ok(Self {
                    host: None,
                    path: "",
                    query: "",
                }),
                _ => Err(Page::BadRequest),
            };
        }
        if target == "*" {
            return if method == "OPTIONS" {
                Ok(Self {
                    host: None,
                    path: "*",
                    query: "",
                })
            } else {
                Err(Page::BadRequest)
            };
        }
        if target.starts_with('/') {
            return Ok(Self::split(None, target));
        }
        let (scheme, rest) = target.split_once("://").ok_or(Page::BadRequest)?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(Page::BadRequest);
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let host = Host::parse(authority).ok_or(Page::BadRequest)?;
        Ok(Self::split(Some(host), path))
    }

    fn split(host: Option<Host<'b>>, target: &'b str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            host,
            path: if path.is_empty() { "/" } else { path },
            query,
        }
    }
}

/// What the fields say about the message itself.
struct Framing<'b> {
    host: Option<Host<'b>>,
    keep_alive: bool,
    has_body: bool,
}

impl<'b> Framing<'b> {
    fn read(fields: &[Header<'b>], version: HttpVersion) -> Result<Self, Page> {
        let (mut host, mut length, mut coding) = (None, None, None);
        let (mut close, mut keep_alive) = (false, version != HttpVersion::Http10);
        for Header { name, value } in fields {
            if name.eq_ignore_ascii_case("host") {
                // RFC 9112 §3.2: exactly one, and a valid one.
                let given = str::from_utf8(value)
                    .ok()
                    .and_then(Host::parse)
                    .ok_or(Page::BadRequest)?;
                if host.replace(given).is_some() {
                    return Err(Page::BadRequest);
                }
            } else if name.eq_ignore_ascii_case("content-length") {
                // RFC 9112 §6.3: a repetition must say the same.
                let given = content_length(value).ok_or(Page::BadRequest)?;
                if length.replace(given).is_some_and(|before| before != given) {
                    return Err(Page::BadRequest);
                }
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                let known = value.eq_ignore_ascii_case(b"chunked") && coding.is_none();
                coding = Some(known);
            } else if name.eq_ignore_ascii_case("connection") {
                for option in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                    close |= option.eq_ignore_ascii_case(b"close");
                    keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
        }
        match coding {
            // RFC 9112 §6.1: both together are how requests are smuggled, and HTTP/1.0 has no transfer codings.
            Some(_) if length.is_some() || version == HttpVersion::Http10 => {
                return Err(Page::BadRequest);
            }
            Some(false) => return Err(Page::NotImplemented),
            _ => {}
        }
        if host.is_none() && version != HttpVersion::Http10 {
            return Err(Page::BadRequest);
        }
        let has_body = coding.is_some() || length.is_some_and(|length| length > 0);
        Ok(Self {
            host,
            keep_alive: keep_alive && !close,
            has_body,
        })
    }
}

/// RFC 9110 §8.6: digits only; a list of equal lengths, which it lets pass, is refused too.
fn content_length(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

/// The Accept lines of a request that was refused before its fields were read, as far as they can be made out.
pub(crate) fn accept_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .split(|b| *b == b'\n')
        .skip(1)
        .take(Limits::FIELDS)
        .filter_map(|line| {
            let (name, value) = line.split_at_checked("accept:".len())?;
            name.eq_ignore_ascii_case(b"accept:")
                .then(|| value.trim_ascii())
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a buffer's first head comes to: its length, or why it is refused; none: more is needed.
    fn judge(bytes: &[u8]) -> Option<Result<usize, Page>> {
        let limits = Limits::default();
        match Scanner::default().scan(bytes, &limits) {
            Scan::Partial => None,
            Scan::Refused(page) => Some(Err(page)),
            Scan::Complete(len) => Some(parse(&bytes[..len], &mut places(), &limits).map(|_| len)),
        }
    }

    /// Bytes that look like requests more often than chance would have them.
    fn nearly_a_request() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"GET / HTTP/1.1\r\n".to_vec()),
            Just(b"Host: a\r\n".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
            Just(b"Content-Length: 5\r\n".to_vec()),
            Just(b"GET http://[::1]/x?y HTTP/1.0\r\n".to_vec()),
            "[ -~\t\r\n]{0,12}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..8),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    #[test]
    fn a_request_line_that_is_too_long_gets_the_same_answer_in_one_piece_as_in_many() {
        let limits = Limits::default();
        let method = format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "A".repeat(9_000));
        let target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9_000));
        for (bytes, page) in [
            (method.as_bytes(), Page::NotImplemented),
            (target.as_bytes(), Page::TargetTooLong),
        ] {
            assert_eq!(judge(bytes), Some(Err(page)), "in one piece");
            let mut scanner = Scanner::default();
            let first = (1..=bytes.len())
                .map(|len| scanner.scan(&bytes[..len], &limits))
                .find(|scan| *scan != Scan::Partial);
            assert_eq!(first, Some(Scan::Refused(page)), "byte by byte");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn no_bytes_whatever_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            judge(&bytes);
        }

        #[test]
        fn a_head_is_judged_the_same_however_it_is_cut_into_pieces(bytes in nearly_a_request(), cuts in prop::collection::vec(0usize..200, 0..6)) {
            let limits = Limits::default();
            let mut scanner = Scanner::default();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).chain([bytes.len()]).collect();
            cuts.sort_unstable();
            let in_pieces = cuts.into_iter().map(|cut| scanner.scan(&bytes[..cut], &limits)).find(|scan| *scan != Scan::Partial);
            let at_once = Some(Scanner::default().scan(&bytes, &limits)).filter(|scan| *scan != Scan::Partial);
            prop_assert_eq!(in_pieces, at_once);
        }

        #[test]
        fn what_is_accepted_has_neither_bare_line_ends_nor_two_lengths(bytes in nearly_a_request()) {
            if let Some(Ok(len)) = judge(&bytes) {
                let head = String::from_utf8_lossy(&bytes[..len]).replace("\r\n", "\u{2424}");
                prop_assert!(!head.contains(['\r', '\n', '\0']));
                prop_assert!(!(head.contains("Content-Length") && head.contains("Transfer-Encoding")));
            }
        }
    }
}
