//! Heads of HTTP/1.x requests: judged the same however they come in, read the same again, and by another parser too.

use std::fmt::Write;

use edge::{ContentFraming, Head, Limits, Page, Reading};

use crate::input::Input;

pub(crate) fn run(bytes: &[u8]) {
    let whole = judge(bytes);
    for cut in cuts(bytes.len()) {
        let part = judge(&bytes[..cut]);
        assert!(
            part.is_none() || part == whole,
            "{cut} bytes are {part:?}, all of them {whole:?}"
        );
    }
    if let Some(Ok(len)) = whole {
        accepted(&bytes[..len]);
    }
}

/// A head's length, or why it is refused; none: more is needed.
fn judge(bytes: &[u8]) -> Option<Result<usize, Page>> {
    match Head::read(bytes, &Limits::default()) {
        Reading::Partial => None,
        Reading::Refused(page) => Some(Err(page)),
        Reading::Complete(head) => Some(Ok(head.len)),
    }
}

/// Every place where a short head can be cut, and fewer of a longer one's, so that each costs about the same.
fn cuts(len: usize) -> impl Iterator<Item = usize> {
    (0..len).step_by(1 + len * len / (64 << 10))
}

/// What holds of every head that is accepted.
fn accepted(bytes: &[u8]) {
    let head = read(bytes);
    assert_eq!(head.len, bytes.len(), "nothing behind it matters");
    assert!(bytes.ends_with(b"\r\n\r\n"));
    let line_ends = bytes.iter().filter(|byte| **byte == b'\n').count();
    let controls = bytes
        .iter()
        .filter(|byte| byte.is_ascii_control() && **byte != b'\t')
        .count();
    assert_eq!(controls, 2 * line_ends, "no control characters but CRLF");
    let count = |name: &str| head.fields.lines(name).count();
    let (codings, lengths) = (count("transfer-encoding"), count("content-length"));
    assert!(
        codings <= 1 && (codings == 0 || lengths == 0),
        "one way to tell where content ends"
    );
    assert_eq!(codings == 1, head.content == ContentFraming::Chunked);
    assert!(count("host") <= 1, "one host");
    as_another_parser_reads_it(bytes, &head);
    the_same_written_anew(&head);
}

fn read(bytes: &[u8]) -> Head<'_> {
    match Head::read(bytes, &Limits::default()) {
        Reading::Complete(head) => head,
        other => panic!("{other:?} for {:?}", String::from_utf8_lossy(bytes)),
    }
}

fn as_another_parser_reads_it(bytes: &[u8], head: &Head<'_>) {
    let mut fields = [httparse::EMPTY_HEADER; Limits::FIELDS];
    let mut other = httparse::Request::new(&mut fields);
    // It knows no minor version above 1, and we read the higher ones as that.
    let mut lines = bytes
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii_end);
    let request_line = lines.find(|line| !line.is_empty()).unwrap_or_default();
    let higher = ![b" HTTP/1.0", b" HTTP/1.1"]
        .iter()
        .any(|version| request_line.ends_with(*version));
    let status = match other.parse(bytes) {
        Err(httparse::Error::Version) if higher => return,
        status => status,
    };
    assert_eq!(status, Ok(httparse::Status::Complete(bytes.len())));
    // A fragment is no part of a target, and we leave it out.
    let target = other.path.and_then(|path| path.split('#').next());
    assert_eq!(
        (other.method, target),
        (Some(head.method), Some(head.target))
    );
    let ours: Vec<_> = head.fields.all().collect();
    let theirs: Vec<_> = other
        .headers
        .iter()
        .map(|field| (field.name.as_bytes(), field.value.trim_ascii()))
        .collect();
    assert_eq!(ours, theirs);
}

/// The head in its plainest spelling is read as the same.
fn the_same_written_anew(head: &Head<'_>) {
    let version = if head.version == scans::HttpVersion::Http10 {
        "1.0"
    } else {
        "1.1"
    };
    let mut line = String::new();
    let _ = write!(line, "{} {} HTTP/{version}\r\n", head.method, head.target);
    let mut anew = line.into_bytes();
    for (name, value) in head.fields.all() {
        for part in [name, b": ", value, b"\r\n"] {
            anew.extend_from_slice(part);
        }
    }
    anew.extend_from_slice(b"\r\n");
    // A space more in each field can be one too many.
    if let Reading::Complete(again) = Head::read(&anew, &Limits::default()) {
        assert_eq!(
            again.fields.all().collect::<Vec<_>>(),
            head.fields.all().collect::<Vec<_>>()
        );
        assert_eq!(
            (
                again.method,
                again.target,
                again.content,
                again.keep_alive,
                again.version
            ),
            (
                head.method,
                head.target,
                head.content,
                head.keep_alive,
                head.version
            )
        );
        assert_eq!(
            (again.request.host, again.request.path, again.request.query),
            (head.request.host, head.request.path, head.request.query)
        );
    } else {
        assert!(
            anew.len() > Limits::default().headers,
            "{:?}",
            String::from_utf8_lossy(&anew)
        );
    }
}

/// Whether a head is one that a strict server takes: what we send to sites has to be.
pub(crate) fn check_forwarded(bytes: &[u8]) {
    accepted(bytes);
}

/// Cuts bytes into pieces at places that the input names.
pub(crate) fn pieces<'b>(mut places: Input<'_>, bytes: &'b [u8]) -> Vec<&'b [u8]> {
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    while !places.is_empty() && !rest.is_empty() {
        let (piece, tail) = rest.split_at(usize::from(places.byte()).min(rest.len()));
        pieces.push(piece);
        rest = tail;
    }
    pieces.push(rest);
    pieces
}
