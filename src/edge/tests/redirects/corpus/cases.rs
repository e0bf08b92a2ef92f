//! Request heads as bytes: what is understood, what is refused, and what becomes of the connection. Each case names its rule.

/// A rule, the bytes, the statuses of the answers, and what becomes of the connection.
pub type Case = (&'static str, &'static [u8], &'static [u16], After);

/// Whether the connection can still be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    Open,
    Closed,
}
use After::{Closed, Open};

/// All cases by what they are about.
pub const CORPUS: [(&str, &[Case]); 6] = [
    ("targets and versions", TARGETS_AND_VERSIONS),
    ("methods", METHODS),
    ("lines", LINES),
    ("hosts", HOSTS),
    ("content is never read as a request", CONTENT),
    ("persistence", PERSISTENCE),
];

/// Heads beyond the limits: a rule, the bytes, and the status of the refusal.
pub fn oversized() -> Vec<(&'static str, Vec<u8>, u16)> {
    let request = |target: &str, fields: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: qr.example.com\r\n{fields}\r\n").into_bytes()
    };
    let long = |len: usize| "a".repeat(len);
    vec![
        (
            "RFC 9112 3 a target of 9 KB",
            request(&format!("/{}", long(9_000)), ""),
            414,
        ),
        (
            "RFC 9112 3 a target of 1 MB",
            request(&format!("/{}", long(1 << 20)), ""),
            414,
        ),
        (
            "RFC 9112 3 a query of 1 MB",
            request(&format!("/abc?{}", long(1 << 20)), ""),
            414,
        ),
        (
            "RFC 9112 3 a method of 1 MB",
            long(1 << 20).into_bytes(),
            501,
        ),
        (
            "RFC 6585 5 a field of 1 MB",
            request("/abc", &format!("X: {}\r\n", long(1 << 20))),
            431,
        ),
        (
            "RFC 6585 5 a name of 1 MB",
            request("/abc", &format!("{}: x\r\n", long(1 << 20))),
            431,
        ),
        (
            "RFC 6585 5 a cookie of 40 KB",
            request("/abc", &format!("Cookie: {}\r\n", long(40_000))),
            431,
        ),
        (
            "RFC 6585 5 a hundred fields and one",
            request("/abc", &"X: y\r\n".repeat(100)),
            431,
        ),
        (
            "RFC 6585 5 a hundred thousand fields",
            request("/abc", &"X: y\r\n".repeat(100_000)),
            431,
        ),
    ]
}

/// Requests that end before their end: nothing is answered, and nothing is a request.
pub const CUT_SHORT: &[(&str, &[u8])] = &[
    ("RFC 9112 8 within the request line", b"GET /form"),
    (
        "RFC 9112 8 behind the request line",
        b"GET /form HTTP/1.1\r\n",
    ),
    (
        "RFC 9112 8 within a field",
        b"GET /form HTTP/1.1\r\nHost: qr.exa",
    ),
    (
        "RFC 9112 8 before the empty line",
        b"GET /form HTTP/1.1\r\nHost: qr.example.com\r\n",
    ),
    (
        "RFC 9112 8 within the last line's end",
        b"GET /form HTTP/1.1\r\nHost: qr.example.com\r\n\r",
    ),
];

pub const TARGETS_AND_VERSIONS: &[Case] = &[
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
        "RFC 9112 3.2 a fragment is cut off",
        b"GET /abc#x HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
        &[302],
        Open,
    ),
    (
        "RFC 9112 3.2 nothing but a fragment",
        b"GET #x HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
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
];

pub const METHODS: &[Case] = &[
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
];

pub const LINES: &[Case] = &[
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
];

pub const HOSTS: &[Case] = &[
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
];

pub const CONTENT: &[Case] = &[
    ("RFC 9110 9.3.1 GET with content", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nContent-Length: 45\r\n\r\nGET /moved HTTP/1.1\r\nHost: qr.example.com\r\n\r\n", &[302], Closed),
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
];

pub const PERSISTENCE: &[Case] = &[
    ("RFC 9112 9.3 1.1 stays", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nConnection: keep-alive\r\n\r\n", &[302], Open),
    ("RFC 9112 9.6 close", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nConnection: close\r\n\r\n", &[302], Closed),
    ("RFC 9112 9.6 close in a list, any case", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nConnection: keep-alive, CLOSE\r\n\r\n", &[302], Closed),
    ("RFC 9112 9.6 close in a second line", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nConnection: x\r\nConnection: close\r\n\r\n", &[302], Closed),
    ("RFC 9112 9.6 nothing behind close", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nConnection: close\r\n\r\nGET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n", &[302], Closed),
    ("RFC 9112 9.3 1.0 closes", b"GET /abc HTTP/1.0\r\nHost: qr.example.com\r\n\r\n", &[302], Closed),
    ("RFC 9112 9.3 1.0 stays when asked", b"GET /abc HTTP/1.0\r\nHost: qr.example.com\r\nConnection: Keep-Alive\r\n\r\n", &[302], Open),
    ("RFC 9112 9.3.2 pipelined", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\nGET /moved2 HTTP/1.1\r\nHost: qr.example.com\r\n\r\nGET /ended HTTP/1.1\r\nHost: qr.example.com\r\n\r\n", &[302, 404, 410], Open),
    ("RFC 9112 9.3.2 answers before a bad one", b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\nGET /abc HTTP/1.1\r\n\r\nGET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n", &[302, 400], Closed),
];
