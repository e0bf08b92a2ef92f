//! One corpus of requests through every way in: plain HTTP/1.1, TLS, and HTTP/2. The answers and the recorded scans are the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use jiff::Timestamp;
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use scans::{HttpVersion, Scan};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::certificates::Secure;
use crate::fixture::{BRAND, CASELESS, HOST};
use crate::tls_client::TlsClient;

/// What a request says: method, target, host, and more fields.
pub type Asked = (
    &'static str,
    &'static str,
    &'static str,
    Vec<(&'static str, &'static str)>,
);

/// What a client sees of an answer: status, fields, content.
pub type Seen = (u16, BTreeMap<String, String>, String);

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)";

fn corpus() -> Vec<Asked> {
    let plain = || vec![("user-agent", IPHONE), ("accept", "text/html,*/*;q=0.8")];
    let json = || vec![("accept", "application/json")];
    let hosts = [
        HOST,
        BRAND,
        CASELESS,
        "unknown.example",
        "QR.Example.COM:8443",
    ];
    let targets = [
        "/",
        "/abc",
        "/abc?x=1&y=%20z",
        "/abc/",
        "/q/abc",
        "/%61bc",
        "/ABC-9",
        "/moved",
        "/kept",
        "/other",
        "/same",
        "/paused",
        "/soon",
        "/ended",
        "/revoked",
        "/instead",
        "/nowhere",
        "/no.code",
        "//abc",
        "/a/b/c",
        "/robots.txt",
        "/favicon.ico",
        "/healthz",
        "/healthz?x",
        "/abc?a|b",
        "/abc?{}",
        "/-_",
        "/abc?",
    ];
    let of_host = |host| {
        targets
            .into_iter()
            .map(move |target| ("GET", target, host, Vec::new()))
    };
    let mut corpus: Vec<Asked> = hosts.into_iter().flat_map(of_host).collect();
    for target in ["/abc", "/nowhere", "/ended", "/"] {
        corpus.push(("HEAD", target, HOST, plain()));
        corpus.push(("GET", target, HOST, plain()));
        corpus.push(("GET", target, HOST, json()));
    }
    for method in [
        "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "BREW", "get",
    ] {
        corpus.push((method, "/abc", HOST, json()));
    }
    let fields = [
        ("accept-language", "de-AT,de;q=0.9"),
        ("referer", "https://www.example.org/page?x"),
        ("sec-purpose", "prefetch;prerender"),
        ("x-moz", "prefetch"),
        ("cookie", "a=b"),
        ("x-forwarded-for", "198.51.100.7"),
        ("x-forwarded-proto", "https"),
        ("expect", "100-continue"),
    ];
    corpus.extend(fields.map(|field| ("GET", "/abc", HOST, vec![field])));
    corpus.push(("GET", "/abc", HOST, fields.to_vec()));
    // Refused before they are understood.
    let long_target: &str = format!("/{}", "a".repeat(9_000)).leak();
    let long_value: &str = "a".repeat(33_000).leak();
    for method in ["GET", "HEAD"] {
        corpus.push((method, long_target, HOST, plain()));
        corpus.push((method, "/abc", HOST, vec![("x", long_value)]));
    }
    corpus
}

/// By one connection for each, as some answers close.
pub fn over_http_1_1(secure: &Secure, tls: bool, asked: &Asked) -> Seen {
    let (method, target, host, fields) = asked;
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
    for (name, value) in fields {
        head += &format!("{name}: {value}\r\n");
    }
    head += "Connection: close\r\n\r\n";
    let answer = if tls {
        let config = secure.authority.client(&[&TLS13]);
        let address = secure.edge.server.tls_addresses()[0];
        let mut client = TlsClient::connect(address, config, HOST).unwrap();
        client.send(head.as_bytes());
        let mut answer = Vec::new();
        loop {
            match client.receive() {
                more if more.is_empty() => break String::from_utf8(answer).unwrap(),
                more => answer.extend(more),
            }
        }
    } else {
        let response = secure.edge.get(&head);
        response.head + &response.body
    };
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let fields = lines.map(|line| line.split_once(": ").unwrap());
    let fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    (status.parse().unwrap(), fields.collect(), body.to_owned())
}

/// All over one connection, two at a time.
pub async fn over_http_2(secure: &Secure, corpus: &[Asked]) -> Vec<Seen> {
    let mut config = secure.authority.client(&[&TLS13]);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let socket = TcpStream::connect(secure.edge.server.tls_addresses()[0])
        .await
        .unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector
        .connect(ServerName::try_from(HOST).unwrap(), socket)
        .await
        .unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let driver = tokio::spawn(connection);
    let mut seen = Vec::new();
    for pair in corpus.chunks(2) {
        let mut answers = Vec::new();
        for asked in pair {
            let mut client = client.clone().ready().await.unwrap();
            answers.push(client.send_request(request(asked), true).unwrap().0);
        }
        for answer in answers {
            seen.push(see(answer.await.unwrap()).await);
        }
    }
    drop(client);
    driver.await.unwrap().unwrap();
    seen
}

fn request((method, target, host, fields): &Asked) -> Request<()> {
    let uri = format!("https://{host}{target}");
    let mut request = Request::builder()
        .method(*method)
        .uri(uri)
        .body(())
        .unwrap();
    for (name, value) in fields {
        request.headers_mut().append(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    request
}

async fn see(answer: http::Response<h2::RecvStream>) -> Seen {
    let (parts, mut content) = answer.into_parts();
    let mut body = Vec::<u8>::new();
    while let Some(bytes) = content.data().await {
        let bytes: Bytes = bytes.unwrap();
        content
            .flow_control()
            .release_capacity(bytes.len())
            .unwrap();
        body.extend(bytes);
    }
    let fields = parts.headers.iter();
    let fields =
        fields.map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()));
    (
        parts.status.as_u16(),
        fields.collect(),
        String::from_utf8(body).unwrap(),
    )
}

/// What is of the protocol, not of the answer.
fn without_protocol((status, mut fields, body): Seen) -> Seen {
    fields.remove("date");
    fields.remove("connection");
    (status, fields, body)
}

/// What a scan says of the request, but when, which, and over which version it came.
fn comparable(scan: &Scan) -> Scan {
    Scan {
        seq: 0,
        time: Timestamp::UNIX_EPOCH,
        http_version: HttpVersion::Http11,
        ..scan.clone()
    }
}

#[test]
fn every_request_gets_the_same_answer_and_is_recorded_the_same_whatever_way_it_came() {
    let secure = Secure::start();
    let corpus = corpus();
    let plain: Vec<Seen> = corpus
        .iter()
        .map(|asked| without_protocol(over_http_1_1(&secure, false, asked)))
        .collect();
    let after_plain = secure.edge.scans.all().len();
    let tls: Vec<Seen> = corpus
        .iter()
        .map(|asked| without_protocol(over_http_1_1(&secure, true, asked)))
        .collect();
    let after_tls = secure.edge.scans.all().len();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let http_2 = runtime.block_on(over_http_2(&secure, &corpus));
    for (number, asked) in corpus.iter().enumerate() {
        assert_eq!(tls[number], plain[number], "TLS: {asked:?}");
        assert_eq!(
            without_protocol(http_2[number].clone()),
            plain[number],
            "HTTP/2: {asked:?}"
        );
    }
    let scans = secure.edge.scans.all();
    let (by_plain, rest) = scans.split_at(after_plain);
    let (by_tls, by_http_2) = rest.split_at(after_tls - after_plain);
    let all = |scans: &[Scan]| scans.iter().map(comparable).collect::<Vec<_>>();
    assert!(by_plain.len() > 50, "{} scans", by_plain.len());
    let mut sorted = [all(by_plain), all(by_tls), all(by_http_2)];
    for scans in &mut sorted {
        // Streams that come together are answered in the order in which the library has them.
        scans.sort_by_key(|scan| format!("{scan:?}"));
    }
    assert_eq!(sorted[1], sorted[0], "TLS");
    assert_eq!(sorted[2], sorted[0], "HTTP/2");
    assert!(
        by_http_2
            .iter()
            .all(|scan| scan.http_version == HttpVersion::Http2)
    );
}
