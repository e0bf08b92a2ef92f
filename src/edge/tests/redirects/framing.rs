//! Request heads as bytes: what is understood, what is refused, and what becomes of the connection. Each case names its rule.

use crate::fixture::Edge;

/// A rule, the bytes, the statuses of the answers, and what becomes of the connection.
type Case<'a> = (&'a str, &'a [u8], &'a [u16], After);

#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Open,
    Closed,
}
use After::{Closed, Open};

#[track_caller]
fn check(cases: &[Case<'_>]) {
    let edge = Edge::start();
    for (rule, bytes, statuses, after) in cases {
        let shown = format!("{rule}: {}", String::from_utf8_lossy(bytes).escape_debug());
        let mut client = edge.connect();
        client.send(bytes);
        for status in *statuses {
            let response = client
                .response(bytes.starts_with(b"HEAD"))
                .unwrap_or_else(|| panic!("closed without an answer: {shown}"));
            assert_eq!(response.status, *status, "{shown}");
            assert_eq!(response.field("Cache-Control"), Some("no-store"), "{shown}");
        }
        match after {
            Closed => assert!(client.is_closed(), "should be closed: {shown}"),
            Open => {
                client.send(b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n");
                assert_eq!(
                    client.response(false).map(|r| r.status),
                    Some(302),
                    "should be open: {shown}"
                );
            }
        }
    }
}

#[test]
fn targets_and_versions() {
    check(&[
        (
            "RFC 9112 3.2.1 origin-form",
            b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[302],
            Open,
        ),
        (
            "RFC 9112 3.2.1 query",
            b"GET /abc?x=1|2 HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[302],
            Open,
        ),
        (
            "RFC 9112 3.2.2 absolute-form",
            b"GET http://qr.example.com/abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[302],
            Open,
        ),
        (
            "RFC 9112 3.2.2 its authority wins",
            b"GET http://QR.example.com:80/abc HTTP/1.1\r\nHost: unknown.example\r\n\r\n",
            &[302],
            Open,
        ),
        (
            "RFC 9112 3.2.2 its authority wins",
            b"GET http://unknown.example/abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[421],
            Open,
        ),
        (
            "RFC 9112 3.2.2 https",
            b"GET HTTPS://qr.example.com/abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[302],
            Open,
        ),
        (
            "RFC 9112 3.2.2 no path",
            b"GET http://qr.example.com HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[200],
            Open,
        ),
        (
            "RFC 9112 3.2.2 no path, a query",
            b"GET http://qr.example.com?x HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[200],
            Open,
        ),
        (
            "RFC 9112 3.2 Host is required all the same",
            b"GET http://qr.example.com/abc HTTP/1.1\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9110 4.2.4 no user information",
            b"GET http://u@qr.example.com/abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9110 4.2.1 no host",
            b"GET http:///abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9110 4.2 another scheme",
            b"GET ftp://qr.example.com/abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 3.2.3 authority-form",
            b"CONNECT example.com:443 HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[405],
            Open,
        ),
        (
            "RFC 9112 3.2.3 of CONNECT alone",
            b"GET example.com:443 HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 3.2.3 CONNECT has no other",
            b"CONNECT /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 3.2.4 asterisk-form",
            b"OPTIONS * HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[405],
            Open,
        ),
        (
            "RFC 9112 3.2.4 of OPTIONS alone",
            b"GET * HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 3.2 no fragment",
            b"GET /abc#x HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 3986 2 no bytes beyond ASCII",
            b"GET /\xc3\xa4 HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 3.2 no relative target",
            b"GET abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 3986 6.2.2.2 unreserved",
            b"GET /%61bc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[302],
            Open,
        ),
        (
            "RFC 3986 2.1 invalid percent",
            b"GET /%zz HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[404],
            Open,
        ),
        (
            "RFC 3986 3.3 empty segment",
            b"GET //abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[404],
            Open,
        ),
        (
            "RFC 3986 5.2.4 dot segments",
            b"GET /x/../abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[404],
            Open,
        ),
        (
            "RFC 9110 2.5 higher minor version",
            b"GET /abc HTTP/1.2\r\nHost: qr.example.com\r\n\r\n",
            &[302],
            Open,
        ),
        (
            "RFC 9110 15.6.6 major version",
            b"GET /abc HTTP/2.0\r\nHost: qr.example.com\r\n\r\n",
            &[505],
            Closed,
        ),
        (
            "RFC 9110 15.6.6 major version",
            b"GET /abc HTTP/0.9\r\n\r\n",
            &[505],
            Closed,
        ),
        (
            "RFC 9113 3.4 preface of HTTP/2",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            &[505],
            Closed,
        ),
        ("RFC 1945 4.1 HTTP/0.9", b"GET /abc\r\n", &[400], Closed),
        (
            "RFC 9112 2.3 version's case",
            b"GET /abc http/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 2.3 version's digits",
            b"GET /abc HTTP/1.10\r\nHost: qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
    ]);
}

#[test]
fn methods() {
    check(&[
        (
            "RFC 9110 9.3.2 HEAD",
            b"HEAD /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[302],
            Open,
        ),
        (
            "RFC 9110 15.5.6",
            b"DELETE /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[405],
            Open,
        ),
        (
            "RFC 9110 15.5.6 with empty content",
            b"POST /abc HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: 0\r\n\r\n",
            &[405],
            Open,
        ),
        (
            "RFC 9112 9.3 content is not read",
            b"POST /abc HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: 3\r\n\r\na=b",
            &[405],
            Closed,
        ),
        (
            "RFC 9110 9.1 case-sensitive",
            b"get /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[501],
            Open,
        ),
        (
            "RFC 9110 9.1 unknown",
            b"BREW /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[501],
            Open,
        ),
        (
            "RFC 9110 9.1 a token",
            b"G(T /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9110 9.1 not empty",
            b" /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
    ]);
}

#[test]
fn lines() {
    check(&[
        (
            "RFC 9112 2.2 one empty line before",
            b"\r\nGET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[302],
            Open,
        ),
        (
            "RFC 9112 2.2 no more",
            b"\r\n\r\nGET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 2.2 bare LF in the request line",
            b"GET /abc HTTP/1.1\nHost: qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 2.2 bare LF in a field",
            b"GET /abc HTTP/1.1\r\nHost: qr.example.com\nX: y\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 2.2 bare LF at the end",
            b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 2.2 bare LF before",
            b"\nGET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 2.2 bare CR in a value",
            b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nX: a\rb\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 2.2 bare CR before CRLF",
            b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 2.2 bare CR in the target",
            b"GET /a\rbc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 5.2 obs-fold",
            b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nX: a\r\n b\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 5.2 obs-fold by a tab",
            b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nX: a\r\n\tb\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 2.2 white space before the first field",
            b"GET /abc HTTP/1.1\r\n Host: qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 5.1 space before the colon",
            b"GET /abc HTTP/1.1\r\nHost : qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 5.1 tab before the colon",
            b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nX\t: y\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 5 no colon",
            b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nX\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 5 no name",
            b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\n: y\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9110 5.1 no token for a name",
            b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nX(: y\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9110 5.5 NUL",
            b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nX: a\0b\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9110 5.5 a control character",
            b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nX: a\x1bb\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9110 5.5 DEL",
            b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nX: a\x7fb\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9110 5.5 a tab inside a value",
            b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nX: a\tb\r\n\r\n",
            &[302],
            Open,
        ),
        (
            "RFC 9110 5.5 obs-text",
            b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nX: \xe4\r\n\r\n",
            &[302],
            Open,
        ),
        (
            "RFC 9112 5.1 white space around a value",
            b"GET /abc HTTP/1.1\r\nHost: \t qr.example.com \t\r\n\r\n",
            &[302],
            Open,
        ),
        (
            "RFC 9112 5 an empty value",
            b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nX:\r\n\r\n",
            &[302],
            Open,
        ),
        (
            "RFC 9112 3 two spaces",
            b"GET  /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 3 a tab",
            b"GET\t/abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 3 a space in the target",
            b"GET /a bc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 3 a space at the end",
            b"GET /abc HTTP/1.1 \r\nHost: qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 8446 5.1 TLS on a plain port",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            &[400],
            Closed,
        ),
    ]);
}

#[test]
fn hosts() {
    check(&[
        (
            "RFC 9112 3.2 missing",
            b"GET /abc HTTP/1.1\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 3.2 twice",
            b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nHost: qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 3.2 empty",
            b"GET /abc HTTP/1.1\r\nHost:\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9112 3.2 empty in 1.0",
            b"GET /abc HTTP/1.0\r\nHost: \r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9110 7.2 no URL",
            b"GET /abc HTTP/1.1\r\nHost: http://qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9110 7.2 no user information",
            b"GET /abc HTTP/1.1\r\nHost: u@qr.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9110 7.2 a port is digits",
            b"GET /abc HTTP/1.1\r\nHost: qr.example.com:8x\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9110 7.2 no space",
            b"GET /abc HTTP/1.1\r\nHost: qr.example.com x\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9110 7.2 no bytes beyond ASCII",
            b"GET /abc HTTP/1.1\r\nHost: \xe4.example.com\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9110 7.2 port ignored",
            b"GET /abc HTTP/1.1\r\nHost: qr.example.com:8080\r\n\r\n",
            &[302],
            Open,
        ),
        (
            "RFC 9110 4.2.3 case and trailing dot ignored",
            b"GET /abc HTTP/1.1\r\nhOST: QR.Example.COM.\r\n\r\n",
            &[302],
            Open,
        ),
        (
            "RFC 3986 3.2.2 IPv6",
            b"GET /abc HTTP/1.1\r\nHost: [2001:DB8::0:1]:8080\r\n\r\n",
            &[302],
            Open,
        ),
        (
            "RFC 3986 3.2.2 IPv6 unclosed",
            b"GET /abc HTTP/1.1\r\nHost: [2001:DB8::0:1\r\n\r\n",
            &[400],
            Closed,
        ),
        (
            "RFC 9110 15.5.20 misdirected",
            b"GET /abc HTTP/1.1\r\nHost: unknown.example\r\n\r\n",
            &[421],
            Open,
        ),
        (
            "RFC 9112 3.3 none in 1.0",
            b"GET /abc HTTP/1.0\r\n\r\n",
            &[302],
            Closed,
        ),
        (
            "health check on any host",
            b"GET /healthz HTTP/1.1\r\nHost: unknown.example\r\n\r\n",
            &[200],
            Open,
        ),
    ]);
}

#[test]
fn content_is_never_read_as_a_request() {
    check(&[
        ("RFC 9110 9.3.1 GET with content", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: 51\r\n\r\nGET /moved HTTP/1.1\r\nHost: qr.example.com\r\n\r\n", &[302], Closed),
        ("RFC 9110 9.3.2 HEAD with content", b"HEAD /abc HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: 3\r\n\r\nabc", &[302], Closed),
        ("RFC 9112 7.1 chunked", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /moved HTTP/1.1\r\nHost: qr.example.com\r\n\r\n", &[302], Closed),
        ("RFC 9112 7 any case", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", &[302], Closed),
        ("RFC 9110 8.6 no content", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: 0\r\n\r\n", &[302], Open),
        ("RFC 9112 6.3 the same length twice", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", &[302], Open),
        ("RFC 9112 6.3 length and coding", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &[400], Closed),
        ("RFC 9112 6.3 coding and length 0", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n", &[400], Closed),
        ("RFC 9112 6.3 two lengths", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nhello", &[400], Closed),
        ("RFC 9112 6.3 a list of lengths", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: 0, 5\r\n\r\nhello", &[400], Closed),
        ("RFC 9110 8.6 a sign", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: +5\r\n\r\nhello", &[400], Closed),
        ("RFC 9110 8.6 negative", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: -1\r\n\r\n", &[400], Closed),
        ("RFC 9110 8.6 hexadecimal", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: 0x5\r\n\r\nhello", &[400], Closed),
        ("RFC 9110 8.6 empty", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length:\r\n\r\n", &[400], Closed),
        ("RFC 9110 8.6 beyond 64 bits", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: 99999999999999999999\r\n\r\n", &[400], Closed),
        ("RFC 9112 6.1 unknown coding", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: gzip\r\n\r\n", &[501], Closed),
        ("RFC 9112 6.1 chunked not alone", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", &[501], Closed),
        ("RFC 9112 6.1 identity", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: identity\r\n\r\n", &[501], Closed),
        ("RFC 9112 7 chunked twice", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", &[501], Closed),
        ("RFC 9112 7 a disguise", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: xchunked\r\n\r\n", &[501], Closed),
        ("RFC 9112 7 a disguise", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", &[501], Closed),
        ("RFC 9112 6.1 a coding in 1.0", b"GET /abc HTTP/1.0\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &[400], Closed),
        ("RFC 9110 10.1.1 Expect is ignored", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nExpect: 100-continue\r\n\r\n", &[302], Open),
        ("RFC 9110 7.8 Upgrade is ignored", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n", &[302], Open),
    ]);
}

#[test]
fn persistence() {
    check(&[
        ("RFC 9112 9.3 1.1 stays", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nConnection: keep-alive\r\n\r\n", &[302], Open),
        ("RFC 9112 9.6 close", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nConnection: close\r\n\r\n", &[302], Closed),
        ("RFC 9112 9.6 close in a list, any case", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nConnection: keep-alive, CLOSE\r\n\r\n", &[302], Closed),
        ("RFC 9112 9.6 close in a second line", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nConnection: x\r\nConnection: close\r\n\r\n", &[302], Closed),
        ("RFC 9112 9.6 nothing behind close", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nConnection: close\r\n\r\nGET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n", &[302], Closed),
        ("RFC 9112 9.3 1.0 closes", b"GET /abc HTTP/1.0\r\nHost: qr.example.com\r\n\r\n", &[302], Closed),
        ("RFC 9112 9.3 1.0 stays when asked", b"GET /abc HTTP/1.0\r\nHost: qr.example.com\r\nConnection: Keep-Alive\r\n\r\n", &[302], Open),
        ("RFC 9112 9.3.2 pipelined", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\nGET /moved2 HTTP/1.1\r\nHost: qr.example.com\r\n\r\nGET /ended HTTP/1.1\r\nHost: qr.example.com\r\n\r\n", &[302, 404, 410], Open),
        ("RFC 9112 9.3.2 answers before a bad one", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\nGET /abc HTTP/1.1\r\n\r\nGET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n", &[302, 400], Closed),
    ]);
}

#[test]
fn an_answer_has_the_fields_that_it_should_and_no_others() {
    let edge = Edge::start();
    let response = edge.get("GET /abc?x=1 HTTP/1.1\r\nHost: qr.example.com\r\n\r\n");
    let names: Vec<&str> = response
        .head
        .lines()
        .skip(1)
        .filter_map(|line| Some(line.split_once(':')?.0))
        .collect();
    assert_eq!(
        names,
        ["Date", "Location", "Cache-Control", "Content-Length"]
    );
    assert_eq!(
        response.field("Location"),
        Some("https://example.com/abc?x=1")
    );
    let not_allowed = edge.get("POST /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n");
    assert_eq!(not_allowed.field("Allow"), Some("GET, HEAD"));
    let kept = edge.get("GET /kept HTTP/1.1\r\nHost: qr.example.com\r\n\r\n");
    assert_eq!(
        (kept.status, kept.field("Cache-Control")),
        (308, Some("private, max-age=60"))
    );
    let empty = edge.get("GET /favicon.ico HTTP/1.1\r\nHost: qr.example.com\r\n\r\n");
    assert_eq!(
        (empty.status, empty.field("Content-Length")),
        (204, None),
        "RFC 9110 8.6"
    );
    let old = edge.get("GET /abc HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(old.field("Connection"), Some("keep-alive"));
}

#[test]
fn head_gets_the_fields_of_get_and_no_body() {
    let edge = Edge::start();
    for path in ["/abc", "/nowhere", "/", "/robots.txt", "/ended"] {
        let get = edge.get(&format!(
            "GET {path} HTTP/1.1\r\nHost: qr.example.com\r\n\r\n"
        ));
        let mut client = edge.connect();
        client.send(
            format!("HEAD {path} HTTP/1.1\r\nHost: qr.example.com\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        );
        let head = client.response(true).unwrap();
        assert!(client.is_closed(), "a body came for HEAD {path}");
        let without = |head: &str| {
            head.lines()
                .filter(|l| !l.starts_with("Date") && !l.starts_with("Connection"))
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(without(&head.head), without(&get.head), "{path}");
    }
}

#[test]
fn problems_are_told_to_people_and_to_programs() {
    let edge = Edge::start();
    let ask = |rest: &str| {
        edge.get(&format!(
            "GET /nowhere HTTP/1.1\r\nHost: qr.example.com\r\n{rest}\r\n"
        ))
    };
    let page = ask("Accept: text/html,*/*;q=0.8\r\n");
    assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
    assert_eq!(
        page.field("Content-Security-Policy"),
        Some(edge::CONTENT_SECURITY_POLICY)
    );
    assert_eq!(page.field("X-Content-Type-Options"), Some("nosniff"));
    assert!(page.body.starts_with("<!doctype html>") && page.body.contains("lang=\"en\""));
    let problem = ask("Accept: application/json\r\n");
    assert_eq!(
        problem.field("Content-Type"),
        Some("application/problem+json")
    );
    let parsed: serde_json::Value = serde_json::from_str(&problem.body).unwrap();
    assert_eq!(parsed["status"], 404);
    let refused = edge.get("GET /abc HTTP/1.1\r\nAccept: application/json\r\n\r\n");
    assert_eq!(
        (refused.status, refused.field("Content-Type")),
        (400, Some("application/problem+json"))
    );
}
