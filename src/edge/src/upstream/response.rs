//! A site's answer on its way to the visitor: refused where its framing could be read in two ways, and rid of what is between two hops.

use http::Version;
use http::header::{
    ALT_SVC, CONNECTION, CONTENT_LENGTH, HeaderName, PROXY_AUTHENTICATE, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use pingora_http::ResponseHeader;

/// Fields of a connection (RFC 9110 §7.6.1). `Alt-Svc` is of the connection's two ends, and the site's other ports are not ours.
const HOP_BY_HOP: [HeaderName; 6] = [
    CONNECTION,
    PROXY_AUTHENTICATE,
    TE,
    TRAILER,
    UPGRADE,
    ALT_SVC,
];
const HOP_BY_HOP_BY_USE: [&str; 2] = ["keep-alive", "proxy-connection"];

/// Takes away what is not for the visitor. Err: why the answer is refused.
pub(super) fn clean(response: &mut ResponseHeader) -> Result<(), &'static str> {
    if response.status.as_u16() == 101 {
        return Err("it switches protocols, which nobody asked for");
    }
    let mut codings = response.headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        if !chunked || codings.next().is_some() {
            return Err("its transfer coding is not chunked alone");
        }
        if response.version == Version::HTTP_10 {
            return Err("it is HTTP/1.0 with a transfer coding");
        }
    }
    let mut lengths = response.headers.get_all(CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next() {
        let digits = !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit);
        if !digits || lengths.next().is_some() {
            return Err("its Content-Length is not one number");
        }
    }
    let nominated: Vec<HeaderName> = response
        .headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| *name != TRANSFER_ENCODING && *name != CONTENT_LENGTH)
        .collect();
    for name in nominated.iter().chain(&HOP_BY_HOP) {
        response.remove_header(name);
    }
    for name in HOP_BY_HOP_BY_USE {
        response.remove_header(name);
    }
    Ok(())
}

/// Puts it into HTTP/1.0's words, which have no chunks: the content ends with the connection (RFC 9112 §6.3).
pub(super) fn for_http_10(response: &mut ResponseHeader) {
    response.remove_header(&TRANSFER_ENCODING);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, fields: &[(&'static str, &str)]) -> ResponseHeader {
        let mut response = ResponseHeader::build(status, None).expect("a status");
        for (name, value) in fields {
            response.append_header(*name, *value).expect("a field");
        }
        response.set_version(Version::HTTP_11);
        response
    }

    #[test]
    fn framing_that_can_be_read_in_two_ways_is_refused() {
        for (status, fields) in [
            (200, &[("Transfer-Encoding", "gzip, chunked")][..]),
            (200, &[("Transfer-Encoding", "identity")]),
            (
                200,
                &[
                    ("Transfer-Encoding", "chunked"),
                    ("Transfer-Encoding", "chunked"),
                ],
            ),
            (200, &[("Content-Length", "5"), ("Content-Length", "6")]),
            (200, &[("Content-Length", "5"), ("Content-Length", "5")]),
            (200, &[("Content-Length", "+5")]),
            (200, &[("Content-Length", "5, 5")]),
            (101, &[("Upgrade", "websocket")]),
        ] {
            assert!(clean(&mut response(status, fields)).is_err(), "{fields:?}");
        }
    }

    #[test]
    fn what_is_between_two_hops_stays_there() {
        let mut answer = response(
            200,
            &[
                ("Connection", "close, X-Private"),
                ("X-Private", "1"),
                ("Keep-Alive", "timeout=5"),
                ("Upgrade", "h2c"),
                ("Alt-Svc", "h3=\":443\""),
                ("Set-Cookie", "a=1"),
                ("Set-Cookie", "b=2"),
                ("Content-Length", "5"),
            ],
        );
        assert_eq!(clean(&mut answer), Ok(()));
        let left: Vec<&str> = answer.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["set-cookie", "content-length"]);
        assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 2);
    }
}
