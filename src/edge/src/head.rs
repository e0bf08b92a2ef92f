//! Reads the head of an HTTP/1.x request, strictly. This is the only parser of request heads, so that there is one answer to hostile
//! framing: what is not exactly RFC 9112's grammar is refused, and nothing is repaired. Lines and limits here; the request line in
//! `target`, the fields in `fields`.

use memchr::Memchr;
use scans::HttpVersion;

use crate::fields::{Fields, Framing};
use crate::options::Limits;
use crate::pages::Page;
use crate::request::{Method, Request};
use crate::target::{RequestLine, Target};
use crate::upstream::ContentFraming;

/// A request head.
#[derive(Debug)]
pub struct Head<'b> {
    /// What an answer depends on.
    pub request: Request<'b>,
    /// The method as sent.
    pub method: &'b str,
    /// The target as sent.
    pub target: &'b str,
    /// The version that it is read as.
    pub version: HttpVersion,
    /// How many bytes it takes, the empty line at its end included.
    pub len: usize,
    /// Its fields.
    pub fields: Fields<'b>,
    /// Whether the client wants to go on after the answer (RFC 9112 §9.3).
    pub keep_alive: bool,
    /// Whether content follows, which is never read as a request.
    pub has_body: bool,
    /// How that content is framed.
    pub content: ContentFraming,
}

/// What the bytes of a connection begin with.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it lives on the stack, for as long as its request is answered"
)]
pub enum Reading<'b> {
    /// A head of which there is more to come.
    Partial,
    /// What is not going to be a head, and what to say to that.
    Refused(Page),
    /// A head.
    Complete(Head<'b>),
}

impl<'b> Head<'b> {
    /// Reads the head that `bytes` begin with, always from its first byte. More bytes change neither a refusal nor what a complete
    /// head is, so it does not matter how they come in; and as `limits` bound what is read, a client that sends them one by one costs
    /// no more than the packets themselves.
    pub fn read(bytes: &'b [u8], limits: &Limits) -> Reading<'b> {
        let mut lines = Lines::of(bytes);
        match read(&mut lines, limits) {
            Ok(head) if lines.have_no_control_characters() => Reading::Complete(head),
            Err(Stop::More) if lines.rest_has_no_control_characters() => Reading::Partial,
            // What comes first counts: a control character in the lines so far, or what is wrong with the last of them.
            Err(Stop::Refused(page)) if lines.have_no_control_characters() => {
                Reading::Refused(page)
            }
            _ => Reading::Refused(Page::BadRequest),
        }
    }
}

/// Why a head cannot be read.
enum Stop {
    More,
    Refused(Page),
}

impl From<Page> for Stop {
    fn from(page: Page) -> Self {
        Self::Refused(page)
    }
}

fn read<'b>(lines: &mut Lines<'b>, limits: &Limits) -> Result<Head<'b>, Stop> {
    let mut line = lines.next_within(|begun| too_long(begun, limits))?;
    if line.is_empty() {
        // RFC 9112 §2.2: at least one empty line before the request line is ignored. One is.
        line = lines.next_within(|begun| too_long(begun, limits))?;
    }
    let line = RequestLine::read(line, limits)?;
    let section = lines.next;
    let mut fields = Fields::default();
    let mut framing = Framing::default();
    loop {
        let begins = lines.next;
        let too_large =
            |up_to: usize| (up_to - section > limits.headers).then_some(Page::FieldsTooLarge);
        let field = lines.next_within(|begun| too_large(begins + begun.len()))?;
        if field.is_empty() {
            fields.set_section(&lines.bytes[section..begins]);
            break;
        }
        fields.add(field, &mut framing)?;
    }
    let framing = framing.finish(line.version)?;
    let target = Target::read(line.target, line.method)?;
    let request = Request {
        method: Method::parse(line.method),
        // RFC 9112 §3.2.2: an absolute target's authority stands for Host, which has to be there all the same.
        host: target.host.or(framing.host),
        tls: false, // the connection's to say
        path: target.path,
        query: target.query,
    };
    Ok(Head {
        request,
        method: line.method,
        target: line.target,
        version: line.version,
        len: lines.next,
        fields,
        keep_alive: framing.keep_alive,
        has_body: framing.content != ContentFraming::None,
        content: framing.content,
    })
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

/// The lines of a head, one after the other, each of which ends with CRLF and nothing else (RFC 9112 §2.2).
struct Lines<'b> {
    bytes: &'b [u8],
    line_feeds: Memchr<'b>,
    /// Where the next line begins.
    next: usize,
    /// How many have been taken.
    taken: usize,
}

impl<'b> Lines<'b> {
    fn of(bytes: &'b [u8]) -> Self {
        Self {
            bytes,
            line_feeds: memchr::memchr_iter(b'\n', bytes),
            next: 0,
            taken: 0,
        }
    }

    /// The next line without its end, unless `too_long` has something to say of it, or of as much of it as is there.
    fn next_within(&mut self, too_long: impl Fn(&[u8]) -> Option<Page>) -> Result<&'b [u8], Stop> {
        let Some(line_feed) = self.line_feeds.next() else {
            let begun = &self.bytes[self.next..];
            let begun = begun.strip_suffix(b"\r").unwrap_or(begun);
            return Err(too_long(begun).map_or(Stop::More, Stop::Refused));
        };
        let line = &self.bytes[self.next..line_feed];
        self.next = line_feed + 1;
        self.taken += 1;
        let line = line.strip_suffix(b"\r").ok_or(Page::BadRequest)?;
        too_long(line).map_or(Ok(line), |page| Err(Stop::Refused(page)))
    }

    /// Whether the lines taken have no control characters but their ends, and tabs. Bare CR is one.
    fn have_no_control_characters(&self) -> bool {
        control_characters(&self.bytes[..self.next]) == 2 * self.taken
    }

    /// The same of all bytes, where the last may be half a line's end.
    fn rest_has_no_control_characters(&self) -> bool {
        let half = usize::from(self.bytes[self.next..].ends_with(b"\r"));
        control_characters(self.bytes) == 2 * self.taken + half
    }
}

/// How many there are, tabs not counted: RFC 9110 §5.5 allows no other in a value. In one pass over the whole head, which compiles to
/// vector instructions, as a look at each line as it comes does not.
fn control_characters(bytes: &[u8]) -> usize {
    let in_chunk = |chunk: &[u8]| {
        let each = chunk.iter();
        let count: u8 = each
            .map(|b| u8::from(((*b < b' ') & (*b != b'\t')) | (*b == 0x7f)))
            .sum();
        usize::from(count)
    };
    bytes.chunks(255).map(in_chunk).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a buffer's first head comes to: its length, or why it is refused; none: more is needed.
    fn judge(bytes: &[u8]) -> Option<Result<usize, Page>> {
        match Head::read(bytes, &Limits::default()) {
            Reading::Partial => None,
            Reading::Refused(page) => Some(Err(page)),
            Reading::Complete(head) => Some(Ok(head.len)),
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
    fn what_is_too_long_gets_the_same_answer_in_one_piece_as_in_many() {
        let method = format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "A".repeat(9_000));
        let target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9_000));
        let value = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
            "a".repeat(40_000)
        );
        for (bytes, page) in [
            (method.as_bytes(), Page::NotImplemented),
            (target.as_bytes(), Page::TargetTooLong),
            (value.as_bytes(), Page::FieldsTooLarge),
        ] {
            assert_eq!(judge(bytes), Some(Err(page)), "in one piece");
            let mut lengths = (1..bytes.len()).step_by(61).chain([bytes.len()]);
            let first = lengths.find_map(|len| judge(&bytes[..len]));
            assert_eq!(first, Some(Err(page)), "in pieces");
        }
    }

    #[test]
    fn as_many_fields_as_are_allowed_and_no_more() {
        for (count, expected) in [(99, None), (100, Some(Page::FieldsTooLarge))] {
            let head = format!(
                "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
                "X: y\r\n".repeat(count)
            );
            assert_eq!(judge(head.as_bytes()).and_then(Result::err), expected);
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
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).chain([bytes.len()]).collect();
            cuts.sort_unstable();
            let in_pieces = cuts.into_iter().find_map(|cut| judge(&bytes[..cut]));
            prop_assert_eq!(in_pieces, judge(&bytes));
        }

        #[test]
        fn what_is_accepted_has_neither_bare_line_ends_nor_two_lengths(bytes in nearly_a_request()) {
            if let Some(Ok(len)) = judge(&bytes) {
                let head = String::from_utf8_lossy(&bytes[..len]).replace("\r\n", "\u{2424}");
                prop_assert!(!head.contains(['\r', '\n', '\0']));
                // Behind a line's end: `XContent-Length` is another field.
                let has = |name: &str| head.contains(&format!("\u{2424}{name}"));
                prop_assert!(!(has("Content-Length") && has("Transfer-Encoding")));
            }
        }
    }
}
