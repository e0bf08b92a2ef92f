//! A request for a site: its head as the site gets it, written anew from what the express lane has understood, so that nobody behind us
//! can understand anything else.

use std::borrow::Cow;
use std::io::Write;
use std::net::IpAddr;

use scans::HttpVersion;
use tags::{DomainSettings, Hsts, UpstreamHost, UpstreamUrl};

use super::content::ContentFraming;
use super::failure::Failure;
use crate::answer::Answer;
use crate::head::Head;
use crate::pages::Page;
use crate::request::Method;

/// Who asks, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit {
    /// The client, by what trusted proxies say.
    pub(crate) client: IpAddr,
    /// Who is connected.
    pub(crate) peer: IpAddr,
    /// Whether the peer is a trusted proxy, whose forwarding fields are kept.
    pub(crate) trusted: bool,
    /// Whether the connection is a TLS one.
    pub(crate) secure: bool,
    /// Whether the connection is to be kept for another request.
    pub(crate) keep_alive: bool,
}

/// A request on its way to a site.
#[derive(Debug)]
pub(crate) struct Forward {
    /// For the site, and with it, how the answer is to be framed: its version and `Connection` are the client's.
    pub(crate) head: Vec<u8>,
    pub(crate) content: ContentFraming,
    /// Whether the client waits for a word before it sends the content (RFC 9110 §10.1.1).
    pub(super) waits_to_continue: bool,
    pub(super) site: Site,
    /// Whether it has been here before.
    pub(super) is_loop: bool,
    /// Where the visitor goes when the site does not answer.
    fallback: Option<Box<str>>,
    /// What the answer is made of when it is our own.
    pub(crate) accept: Vec<u8>,
    pub(crate) is_head: bool,
    pub(crate) version: HttpVersion,
    pub(crate) keep_alive: bool,
}

/// A site, and whose it is.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) url: UpstreamUrl,
    pub(super) domain: Box<str>,
    /// What is said of `Strict-Transport-Security` where the site says nothing.
    pub(super) hsts: Option<Hsts>,
}

impl Forward {
    /// The request with this head, for the site at `url` behind this domain.
    pub(crate) fn new(
        head: &Head<'_>,
        domain: &DomainSettings,
        url: &UpstreamUrl,
        visit: &Visit,
    ) -> Self {
        let is_head = head.request.method == Method::Head;
        let safe = is_head || head.request.method == Method::Get;
        let fallback = domain.fallback_url.as_ref().filter(|_| safe);
        let continues = |line: &[u8]| line.eq_ignore_ascii_case(b"100-continue");
        Self {
            head: write_head(head, domain, url, visit),
            content: head.content,
            waits_to_continue: head.version != HttpVersion::Http10
                && head.fields.lines("expect").any(continues),
            site: Site {
                url: url.clone(),
                domain: domain.name.as_str().into(),
                // RFC 6797 §7.2: never over plain HTTP.
                hsts: domain.hsts.filter(|_| visit.secure),
            },
            is_loop: has_been_here(head, domain),
            fallback: fallback.map(|url| url.as_str().into()),
            accept: head
                .fields
                .lines("accept")
                .collect::<Vec<_>>()
                .join(&b", "[..]),
            is_head,
            version: head.version,
            keep_alive: visit.keep_alive,
        }
    }

    /// What is said when the site does not answer; none: there is nobody to say it to.
    pub(crate) fn answer(&self, failure: Failure) -> Option<Answer<'_>> {
        let page = failure.page()?;
        let answer = match &self.fallback {
            Some(url) if failure.is_the_sites() => Answer::fallback(url),
            _ => Answer {
                retry_after: (page == Page::SiteBusy).then_some(1),
                ..Answer::page(page)
            },
        };
        Some(Answer {
            hsts: self.site.hsts,
            ..answer
        })
    }
}

/// What stands behind a domain in `CDN-Loop`, so that only our own requests are taken for such.
const PRODUCT: &str = "by=tagwire";

/// Whether `CDN-Loop` (RFC 8586) says that this domain has forwarded the request before: its site leads back to it. `Via` would say so
/// too, but servers take it for a reason not to compress.
fn has_been_here(head: &Head<'_>, domain: &DomainSettings) -> bool {
    let name = bracketed(domain.name.as_str());
    let ours = |entry: &[u8]| {
        let mut parts = entry.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        parts.next() == Some(name.as_bytes()) && parts.any(|part| part == PRODUCT.as_bytes())
    };
    head.fields
        .lines("cdn-loop")
        .any(|line| line.split(|byte| *byte == b',').any(ours))
}

fn write_head(
    head: &Head<'_>,
    domain: &DomainSettings,
    url: &UpstreamUrl,
    visit: &Visit,
) -> Vec<u8> {
    let version = match head.version {
        HttpVersion::Http10 => "1.0",
        _ => "1.1",
    };
    let visitor_host = visitor_host(head, domain);
    let host = match domain.upstream_host {
        UpstreamHost::Visitor => &visitor_host,
        UpstreamHost::Upstream => url.authority(),
    };
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(head.method.as_bytes());
    out.push(b' ');
    write_target(&mut out, head.target);
    line(&mut out, &[b" HTTP/", version.as_bytes()]);
    line(&mut out, &[b"Host: ", host.as_bytes()]);
    let nominated = nominated(head);
    let is_nominated = |name: &[u8]| {
        !nominated.is_empty() && nominated.binary_search(&name.to_ascii_lowercase()).is_ok()
    };
    for (name, value) in head.fields.all() {
        if !is_ours_to_say(name) && !is_nominated(name) {
            line(&mut out, &[name, b": ", value]);
        }
    }
    write_forwarding(&mut out, head, visit, &visitor_host);
    let name = bracketed(domain.name.as_str());
    let parts = [b"CDN-Loop: ", name.as_bytes(), b"; ", PRODUCT.as_bytes()];
    line(&mut out, &parts);
    match head.content {
        ContentFraming::None => {}
        ContentFraming::Length(length) => {
            let length = length.to_string();
            line(&mut out, &[b"Content-Length: ", length.as_bytes()]);
        }
        ContentFraming::Chunked => line(&mut out, &[b"Transfer-Encoding: chunked"]),
    }
    // This one is for the general lane's answer to the client, and goes no further.
    let connection = if visit.keep_alive {
        "keep-alive"
    } else {
        "close"
    };
    line(&mut out, &[b"Connection: ", connection.as_bytes()]);
    line(&mut out, &[]);
    out
}

/// The value of a field's first line, or nothing.
fn first<'b>(head: &Head<'b>, name: &str) -> &'b [u8] {
    head.fields.lines(name).next().unwrap_or_default()
}

fn line(out: &mut Vec<u8>, parts: &[&[u8]]) {
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.extend_from_slice(b"\r\n");
}

/// The origin-form of the target (RFC 9112 §3.2.1). Bytes that no URL has, but browsers once sent, are percent-encoded.
fn write_target(out: &mut Vec<u8>, target: &str) {
    let origin = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => {
            &rest[rest.find(['/', '?']).unwrap_or(rest.len())..]
        }
        _ => target,
    };
    if !origin.starts_with('/') {
        out.push(b'/');
    }
    for byte in origin.bytes() {
        if b"\"<>`{}".contains(&byte) {
            let _ = write!(out, "%{byte:02X}"); // a Vec takes everything
        } else {
            out.push(byte);
        }
    }
}

/// The host that was asked for, with its port, as the client spelt it.
fn visitor_host<'a>(head: &Head<'a>, domain: &'a DomainSettings) -> Cow<'a, str> {
    if let Some((_, rest)) = head.target.split_once("://")
        && !head.target.starts_with('/')
    {
        return Cow::Borrowed(&rest[..rest.find(['/', '?']).unwrap_or(rest.len())]);
    }
    match str::from_utf8(first(head, "host")) {
        Ok(host) if !host.is_empty() => Cow::Borrowed(host),
        _ => bracketed(domain.name.as_str()),
    }
}

/// An IPv6 address stands in brackets.
fn bracketed(host: &str) -> Cow<'_, str> {
    if host.contains(':') {
        Cow::Owned(format!("[{host}]"))
    } else {
        Cow::Borrowed(host)
    }
}

/// Who asked, and for what. What clients say of it themselves is believed of trusted proxies alone.
fn write_forwarding(out: &mut Vec<u8>, head: &Head<'_>, visit: &Visit, host: &str) {
    let said = first(head, "x-forwarded-proto").to_ascii_lowercase();
    let proto: &[u8] = match said.as_slice() {
        said @ (b"http" | b"https") if visit.trusted => said,
        _ if visit.secure => b"https",
        _ => b"http",
    };
    out.extend_from_slice(b"X-Forwarded-For: ");
    if visit.trusted {
        for chain in head
            .fields
            .lines("x-forwarded-for")
            .filter(|line| !line.is_empty())
        {
            out.extend_from_slice(chain);
            out.extend_from_slice(b", ");
        }
    }
    line(out, &[visit.peer.to_string().as_bytes()]);
    line(out, &[b"X-Forwarded-Host: ", host.as_bytes()]);
    line(out, &[b"X-Forwarded-Proto: ", proto]);
    // RFC 7239 §6: an IPv6 address is quoted, and so is a host, which may have a port.
    let client = match visit.client {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("\"[{address}]\""),
    };
    let parts = [
        b"Forwarded: for=",
        client.as_bytes(),
        b";host=\"",
        host.as_bytes(),
        b"\";proto=",
        proto,
    ];
    line(out, &parts);
}

/// What a connection's fields say of themselves (RFC 9110 §7.6.1), what we say instead of the client, and `Expect`, which is answered
/// here. Servers that hand fields to programs as variables read an underscore as a hyphen, so it counts as one.
fn is_ours_to_say(name: &[u8]) -> bool {
    const OURS: [&str; 15] = [
        "connection",
        "content-length",
        "expect",
        "forwarded",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-real-ip",
    ];
    const PREFIX: &str = "x-forwarded-";
    let is = |ours: &str, name: &[u8]| {
        ours.len() == name.len() && ours.bytes().zip(name).all(|(a, b)| a == folded(*b))
    };
    OURS.iter().any(|ours| is(ours, name))
        || name
            .get(..PREFIX.len())
            .is_some_and(|prefix| is(PREFIX, prefix))
}

fn folded(byte: u8) -> u8 {
    if byte == b'_' {
        b'-'
    } else {
        byte.to_ascii_lowercase()
    }
}

/// The fields that `Connection` names as the connection's own, in lower case and in order: there may be thousands, and each field is
/// looked for among them.
fn nominated(head: &Head<'_>) -> Vec<Vec<u8>> {
    let lines = head.fields.lines("connection");
    let options = lines.flat_map(|line| line.split(|byte| *byte == b','));
    let mut nominated: Vec<Vec<u8>> = options
        .map(|option| option.trim_ascii().to_ascii_lowercase())
        .filter(|option| !option.is_empty())
        .collect();
    nominated.sort_unstable();
    nominated
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tags::Domain;

    use super::*;
    use crate::head::Reading;
    use crate::options::Limits;

    fn domain(upstream_host: UpstreamHost) -> DomainSettings {
        let name = Domain::parse("brand.example.org").expect("a domain");
        DomainSettings {
            upstream_host,
            ..DomainSettings::new(name, Timestamp::UNIX_EPOCH)
        }
    }

    fn forward(request: &str, upstream_host: UpstreamHost, trusted: bool) -> Forward {
        let Reading::Complete(head) = Head::read(request.as_bytes(), &Limits::default()) else {
            panic!("not a head: {request:?}");
        };
        let url = UpstreamUrl::parse("https://www.example.com:8443", &[]).expect("a URL");
        let visit = Visit {
            client: "2001:db8::7".parse().expect("an address"),
            peer: "198.51.100.7".parse().expect("an address"),
            trusted,
            secure: false,
            keep_alive: true,
        };
        Forward::new(&head, &domain(upstream_host), &url, &visit)
    }

    fn text(forward: &Forward) -> &str {
        str::from_utf8(&forward.head).expect("a test's text")
    }

    #[test]
    fn the_site_gets_the_request_and_not_the_connection() {
        let request = "POST /a%2fb?x=1|2 HTTP/1.1\r\nHost: Brand.Example.org:8080\r\nCookie: a=1\r\nContent-Length: 5\r\n\
            Connection: keep-alive, X-Private\r\nX-Private: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nTrailer: x\r\nUpgrade: websocket\r\n\
            Proxy-Authorization: x\r\nProxy-Connection: close\r\nHTTP2-Settings: x\r\nExpect: 100-continue\r\n\
            X-Forwarded-For: 192.0.2.1\r\nx_forwarded_host: evil.example\r\nX-Forwarded-Proto: https\r\nForwarded: for=192.0.2.1\r\n\
            X-Real-IP: 192.0.2.1\r\nContent_Length: 7\r\nVia: 1.1 cdn\r\nX-Odd: a\tb\r\n\r\n";
        let forward = forward(request, UpstreamHost::Visitor, false);
        let expected = "POST /a%2fb?x=1|2 HTTP/1.1\r\nHost: Brand.Example.org:8080\r\nCookie: a=1\r\nVia: 1.1 cdn\r\nX-Odd: a\tb\r\n\
            X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Host: Brand.Example.org:8080\r\nX-Forwarded-Proto: http\r\n\
            Forwarded: for=\"[2001:db8::7]\";host=\"Brand.Example.org:8080\";proto=http\r\n\
            CDN-Loop: brand.example.org; by=tagwire\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n";
        assert_eq!(text(&forward), expected);
        assert!(forward.waits_to_continue && !forward.is_loop);
        assert_eq!(forward.content, ContentFraming::Length(5));
    }

    #[test]
    fn a_trusted_proxy_s_word_about_the_client_is_passed_on() {
        let request = "GET / HTTP/1.1\r\nHost: brand.example.org\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 10.0.0.9\r\nX-Forwarded-Proto: HTTPS\r\n\r\n";
        let forward = forward(request, UpstreamHost::Upstream, true);
        for line in [
            "Host: www.example.com:8443",
            "X-Forwarded-For: 192.0.2.1, 10.0.0.9, 198.51.100.7",
            "X-Forwarded-Host: brand.example.org",
            "X-Forwarded-Proto: https",
        ] {
            assert!(
                text(&forward).contains(&format!("\r\n{line}\r\n")),
                "{line}"
            );
        }
    }

    #[test]
    fn the_target_becomes_one_in_origin_form() {
        for (target, origin) in [
            ("/", "/"),
            ("/x?", "/x?"),
            ("/a://b?c://d", "/a://b?c://d"),
            ("//x/../y", "//x/../y"),
            ("/a<b>\"{`}", "/a%3Cb%3E%22%7B%60%7D"),
            ("http://brand.example.org", "/"),
            ("http://brand.example.org?x", "/?x"),
            ("HTTP://brand.example.org:80/x?y", "/x?y"),
        ] {
            let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            let forward = forward(&request, UpstreamHost::Visitor, false);
            let line = format!("GET {origin} HTTP/1.1\r\n");
            assert!(text(&forward).starts_with(&line), "{}", text(&forward));
        }
        let absolute = "GET http://brand.example.org:81/x HTTP/1.1\r\nHost: a\r\n\r\n";
        let absolute = forward(absolute, UpstreamHost::Visitor, false);
        assert!(text(&absolute).contains("\r\nHost: brand.example.org:81\r\n"));
        let without = forward("GET / HTTP/1.0\r\n\r\n", UpstreamHost::Visitor, false);
        assert!(text(&without).contains("\r\nHost: brand.example.org\r\n"));
    }

    #[test]
    fn a_request_that_this_domain_has_forwarded_before_is_a_loop() {
        for (loops, is_loop) in [
            ("brand.example.org; by=tagwire", true),
            ("cdn, brand.example.org;x=y;by=tagwire , other", true),
            ("brand.example.org", false),
            ("other.example.org; by=tagwire", false),
        ] {
            let request = format!("GET / HTTP/1.1\r\nHost: a\r\nCDN-Loop: {loops}\r\n\r\n");
            let forward = forward(&request, UpstreamHost::Visitor, false);
            assert_eq!(forward.is_loop, is_loop, "{loops}");
        }
    }
}
