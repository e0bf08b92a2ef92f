//! Requests with content, as those who smuggle frame it: what is said, what becomes of the connection, and what a site gets.

use super::cases::After::{self, Closed, Open};

/// A rule, the bytes, the statuses of the answers, what becomes of the connection, and the lines and contents that reach the site.
pub type Smuggling = (
    &'static str,
    &'static [u8],
    &'static [u16],
    After,
    &'static [(&'static str, &'static str)],
);

const FORM: &str = "POST /form HTTP/1.1";
const HELLO: &[(&str, &str)] = &[(FORM, "hello")];
const TWO: &[(&str, &str)] = &[(FORM, "hello"), ("GET /next HTTP/1.1", "")];
const EMPTY: &[(&str, &str)] = &[(FORM, "")];

/// Each is for a path of the site's.
pub const SMUGGLING: &[Smuggling] = &[
    ("RFC 9112 6.2 a length", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: 5\r\n\r\nhello", &[200], Open, HELLO),
    ("RFC 9112 9.3.2 the next request behind it", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: 5\r\n\r\nhelloGET /next HTTP/1.1\r\nHost: qr.example.com\r\n\r\n", &[200, 200], Open, TWO),
    ("RFC 9112 2.2 an empty line behind it", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: 5\r\n\r\nhello\r\nGET /next HTTP/1.1\r\nHost: qr.example.com\r\n\r\n", &[200, 200], Open, TWO),
    ("RFC 9112 6.3 none without framing", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\n\r\nGET /next HTTP/1.1\r\nHost: qr.example.com\r\n\r\n", &[200, 200], Open, &[(FORM, ""), ("GET /next HTTP/1.1", "")]),
    ("RFC 9110 8.6 leading zeros", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: 005\r\n\r\nhello", &[200], Open, HELLO),
    ("RFC 9112 6.3 the same length twice", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", &[200], Open, HELLO),
    ("RFC 9112 6.3 the same length in a list", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: 5, 5\r\n\r\nhello", &[400], Closed, &[]),
    ("RFC 9112 6.3 two lengths", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", &[400], Closed, &[]),
    ("RFC 9112 6.3 length, then coding", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", &[400], Closed, &[]),
    ("RFC 9112 6.3 coding, then length", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG", &[400], Closed, &[]),
    ("RFC 9110 8.6 more than anyone takes", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: 18446744073709551615\r\n\r\n", &[413], Closed, &[]),
    ("RFC 9110 8.6 a space within", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: 1 0\r\n\r\nhello", &[400], Closed, &[]),
    ("RFC 9112 5.1 a space before the colon", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length : 5\r\n\r\nhello", &[400], Closed, &[]),
    ("RFC 9110 5.1 no token for a name", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length\x0b: 5\r\n\r\nhello", &[400], Closed, &[]),
    ("RFC 9110 5.1 an underscore is another name", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nContent_Length: 40\r\nContent-Length: 5\r\n\r\nhello", &[200], Open, HELLO),
    ("RFC 9110 5.1 an underscore is another name", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello", &[200], Open, HELLO),
    ("RFC 9110 7.6.1 the length is not the connection's", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nConnection: Content-Length\r\nContent-Length: 5\r\n\r\nhello", &[200], Open, HELLO),
    ("RFC 9110 7.6.1 the host is not the connection's", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nConnection: Host, X-Forwarded-For\r\nContent-Length: 5\r\n\r\nhello", &[200], Open, HELLO),
    ("RFC 9110 7.6.1 what is the connection's goes no further", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nConnection: X-Evil\r\nX-Evil: 1\r\nTE: trailers\r\nTrailer: X\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n", &[200], Open, EMPTY),
    ("RFC 9112 7.1 chunks", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: qr.example.com\r\n\r\n", &[200, 200], Open, TWO),
    ("RFC 9112 7.1 a size in capitals, and zeros", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n0005\r\nhello\r\n000\r\n\r\n", &[200], Open, HELLO),
    ("RFC 9112 7.1.1 extensions are dropped", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n5;x=\"y\";z\r\nhello\r\n0;last\r\n\r\n", &[200], Open, HELLO),
    ("RFC 9112 7.1.2 trailers are dropped", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Evil: 1\r\nContent-Length: 40\r\n\r\nGET /next HTTP/1.1\r\nHost: qr.example.com\r\n\r\n", &[200, 200], Open, TWO),
    ("RFC 9112 7 white space around the coding", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: \t chunked \t\r\n\r\n5\r\nhello\r\n0\r\n\r\n", &[200], Open, HELLO),
    ("RFC 9112 7.1 a request within a chunk", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n2c\r\nGET /evil HTTP/1.1\r\nHost: qr.example.com\r\n\r\n\r\n0\r\n\r\n", &[200], Open, &[(FORM, "GET /evil HTTP/1.1\r\nHost: qr.example.com\r\n\r\n")]),
    ("RFC 9112 7.1 bare LF behind a size", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", &[400], Closed, &[]),
    ("RFC 9112 7.1 bare LF behind the data", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n", &[400], Closed, &[]),
    ("RFC 9112 7.1 bare LF behind the last", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\n\n", &[400], Closed, &[]),
    ("RFC 9112 7.1 bare CR behind a size", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\rX\r\nhello\r\n0\r\n\r\n", &[400], Closed, &[]),
    ("RFC 9112 7.1.1 a line within an extension", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n", &[400], Closed, &[]),
    ("RFC 9112 7.1.1 NUL within an extension", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n5;a\0b\r\nhello\r\n0\r\n\r\n", &[400], Closed, &[]),
    ("RFC 9112 7.1 a space before a size", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n 5\r\nhello\r\n0\r\n\r\n", &[400], Closed, &[]),
    ("RFC 9112 7.1 a space behind a size", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n", &[400], Closed, &[]),
    ("RFC 9112 7.1 a sign", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n", &[400], Closed, &[]),
    ("RFC 9112 7.1 negative", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n", &[400], Closed, &[]),
    ("RFC 9112 7.1 a prefix", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", &[400], Closed, &[]),
    ("RFC 9112 7.1 no size", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n", &[400], Closed, &[]),
    ("RFC 9112 7.1 no digits", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n;x\r\nhello\r\n0\r\n\r\n", &[400], Closed, &[]),
    ("RFC 9112 7.1 a size beyond 64 bits", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n", &[400], Closed, &[]),
    ("RFC 9110 15.5.14 a size that nobody takes", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\nhello\r\n0\r\n\r\n", &[413], Closed, &[]),
    ("RFC 9112 7.1 more data than its size", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n", &[400], Closed, &[]),
    ("RFC 9112 7.1.2 a folded trailer", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n X: y\r\n\r\n", &[400], Closed, &[]),
    ("RFC 9112 7.1.2 a request for a trailer", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nGET /evil HTTP/1.1\r\nHost: qr.example.com\r\n\r\n", &[400], Closed, &[]),
    ("RFC 9112 5.1 a space before the colon", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", &[400], Closed, &[]),
    ("RFC 9110 5.5 a vertical tab before the coding", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", &[400], Closed, &[]),
    ("RFC 9112 5.2 a folded coding", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", &[400], Closed, &[]),
    ("RFC 9112 6.1 a coding behind chunked", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", &[501], Closed, &[]),
    ("RFC 9112 6.1 an empty coding", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding:\r\nContent-Length: 5\r\n\r\nhello", &[400], Closed, &[]),
    ("RFC 9112 7 a parameter", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", &[501], Closed, &[]),
    ("RFC 9112 6.1 a coding in 1.0", b"POST /form HTTP/1.0\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &[400], Closed, &[]),
    ("RFC 9112 9.3 a length in 1.0", b"POST /form HTTP/1.0\r\nHost: qr.example.com\r\nContent-Length: 5\r\n\r\nhello", &[200], Closed, HELLO),
    ("RFC 9112 9.6 nothing behind close", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhelloGET /evil HTTP/1.1\r\nHost: qr.example.com\r\n\r\n", &[200], Closed, HELLO),
    ("RFC 9110 9.3.8 TRACE is nobody's", b"TRACE /form HTTP/1.1\r\nHost: qr.example.com\r\n\r\n", &[405], Open, &[]),
    ("RFC 3986 2.1 an encoded line", b"GET /a%0d%0aX-Evil:%201 HTTP/1.1\r\nHost: qr.example.com\r\n\r\n", &[200], Open, &[("GET /a%0d%0aX-Evil:%201 HTTP/1.1", "")]),
    ("RFC 3986 5.2.4 dot segments are the site's", b"GET /a/../../etc/passwd HTTP/1.1\r\nHost: qr.example.com\r\n\r\n", &[200], Open, &[("GET /a/../../etc/passwd HTTP/1.1", "")]),
    ("RFC 9112 3.2.1 two slashes name no host", b"GET //evil.example/x HTTP/1.1\r\nHost: qr.example.com\r\n\r\n", &[200], Open, &[("GET //evil.example/x HTTP/1.1", "")]),
    ("RFC 9112 3.2.2 absolute-form becomes origin-form", b"GET http://qr.example.com/x?y HTTP/1.1\r\nHost: evil.example\r\n\r\n", &[200], Open, &[("GET /x?y HTTP/1.1", "")]),
];

/// Requests whose content does not come to its end.
pub const CUT_SHORT_CONTENT: &[(&str, &[u8])] = &[
    ("RFC 9112 8 less than the length", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: 5\r\n\r\nhel"),
    ("RFC 9112 8 nothing of the length", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: 5\r\n\r\n"),
    ("RFC 9112 8 within a size", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n5"),
    ("RFC 9112 8 within a chunk", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"),
    ("RFC 9112 8 behind a chunk", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
    ("RFC 9112 8 within the last", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"),
    ("RFC 9112 8 within the trailers", b"POST /form HTTP/1.1\r\nHost: qr.example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n"),
];
