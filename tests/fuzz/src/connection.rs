//! A whole connection of HTTP/1.x, pipelined: it comes to the same in one piece, cut where the input says, and byte by byte; and what
//! a site gets is what a strict server reads in one way only.

use std::cell::RefCell;

use edge::EdgeMetrics;
use edge::fuzzing::Conversations;
use jiff::Timestamp;
use prometheus::Registry;
use scans::{ScanLog, ScanLogOptions};
use table::Table;
use tags::{
    Change, Code, Destination, Domain, DomainSettings, Hsts, LanguageTag, QueryMode, Rule, Rules,
    Share, Status, Tag, Targets, UpstreamUrl, When, WorkspaceId,
};
use tempfile::TempDir;

use crate::content::data;
use crate::input::Input;
use crate::request_head::{check_forwarded, pieces};

thread_local! {
    static CONVERSATIONS: RefCell<(Conversations, TempDir)> = RefCell::new(conversations());
}

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let places = Input(input.short_bytes());
    let sent = input.0;
    CONVERSATIONS.with_borrow_mut(|(conversations, _)| {
        let whole = see(conversations, [sent]);
        assert!(whole.read <= sent.len());
        whole
            .forwarded
            .iter()
            .for_each(|(head, _)| check_forwarded(head));
        let cut = see(conversations, pieces(places, sent));
        assert_eq!(cut, whole, "cut into pieces");
        if sent.len() <= 512 {
            let byte_by_byte = see(conversations, sent.chunks(1));
            assert_eq!(byte_by_byte, whole, "byte by byte");
        }
    });
}

/// What a client and a site see of a connection, in one spelling.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// Statuses, and where they lead. Whether a refusal is told to people or to programs depends on how much of the request was there.
    answers: Vec<(u16, Vec<u8>)>,
    /// Heads and their content: a chunk that came in pieces is passed on in pieces.
    forwarded: Vec<(Vec<u8>, Vec<u8>)>,
    read: usize,
    closed: bool,
}

fn see<'p>(conversations: &mut Conversations, pieces: impl IntoIterator<Item = &'p [u8]>) -> Seen {
    let said = conversations.converse(pieces);
    let (mut answers, mut rest) = (Vec::new(), &said.answers[..]);
    while !rest.is_empty() {
        rest = take_answer(rest, &mut answers);
    }
    let plain = |(head, content): (Vec<u8>, Vec<u8>)| {
        let chunked = head.windows(CHUNKED.len()).any(|part| part == CHUNKED);
        let content = if chunked { data(&content) } else { content };
        (head, content)
    };
    Seen {
        answers,
        forwarded: said.forwarded.into_iter().map(plain).collect(),
        read: said.read,
        closed: said.closed,
    }
}

/// As we write it to a site.
const CHUNKED: &[u8] = b"\r\nTransfer-Encoding: chunked\r\n";

/// Reads one answer, as another parser does, and returns what is behind it.
fn take_answer<'b>(bytes: &'b [u8], answers: &mut Vec<(u16, Vec<u8>)>) -> &'b [u8] {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut answer = httparse::Response::new(&mut fields);
    let status = answer.parse(bytes);
    let Ok(httparse::Status::Complete(len)) = status else {
        panic!("{status:?} for {:?}", String::from_utf8_lossy(bytes));
    };
    let field = |name: &str| {
        let mut fields = answer.headers.iter();
        fields
            .find(|field| field.name == name)
            .map(|field| field.value)
    };
    let location = field("Location").unwrap_or_default().to_vec();
    answers.push((answer.code.expect("a status"), location));
    let length = String::from_utf8_lossy(field("Content-Length").unwrap_or(b"0"));
    let rest = &bytes[len..];
    // HEAD is told the length, and gets nothing.
    if rest.is_empty() || rest.starts_with(b"HTTP/1.") {
        rest
    } else {
        &rest[length.parse().expect("digits")..]
    }
}

fn conversations() -> (Conversations, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let options = ScanLogOptions {
        segment_bytes: 64 << 10,
        max_bytes: 256 << 10,
        ..ScanLogOptions::new("fuzz", folder.path())
    };
    let log = ScanLog::open(&options, &Registry::new()).expect("a scan log");
    let metrics = EdgeMetrics::register(&Registry::new()).expect("metrics");
    let now = Timestamp::from_second(1_800_000_000).expect("in range");
    (
        Conversations::new(table(), &log, &metrics, now).expect("a writer"),
        folder,
    )
}

/// The table that answers.
pub(crate) fn table() -> Table {
    let table = Table::new();
    settings_and_tags().into_iter().for_each(|change| {
        table.apply(change);
    });
    table.complete();
    table
}

/// A domain with codes alone, one with a site, one that folds case and wants HTTPS.
pub(crate) fn settings_and_tags() -> Vec<Change> {
    let plain = DomainSettings {
        is_default: true,
        home_url: url("https://example.com/"),
        ..domain("a.example")
    };
    let site = DomainSettings {
        upstream_url: UpstreamUrl::parse("https://www.example.com", &[]).ok(),
        fallback_url: url("https://example.com/later"),
        ..domain("b.example")
    };
    let strict = DomainSettings {
        case_insensitive: true,
        https_redirect: true,
        hsts: Some(Hsts {
            max_age: 300,
            include_subdomains: true,
        }),
        ..domain("c.example")
    };
    // By what a request says, but for what is found out of a User-Agent, which is read elsewhere.
    let rules = || {
        let with = |name: &str, when| Rule {
            name: name.to_owned(),
            when,
            to: Targets::One(url("https://example.com/ruled").expect("a destination")),
        };
        let language = LanguageTag::parse("de").expect("a language");
        let by_language = When {
            language: vec![language],
            ..When::default()
        };
        let by_query = When {
            query: vec![
                ("x".to_owned(), Some(vec!["1".to_owned(), String::new()])),
                ("y".to_owned(), None),
            ],
            share: Share::new(50).ok(),
            ..When::default()
        };
        Rules::new(vec![with("language", by_language), with("query", by_query)]).expect("rules")
    };
    let codes = [
        ("a", Status::Active, QueryMode::Append),
        ("b", Status::Active, QueryMode::Override),
        ("c", Status::Paused, QueryMode::Drop),
        ("d", Status::Revoked, QueryMode::Drop),
    ];
    let mut changes = Vec::new();
    for settings in [plain, site, strict] {
        for (code, status, query) in codes {
            let tag = tag(&settings.name, code);
            changes.push(Change::Tag(Tag {
                status,
                query,
                rules: rules(),
                ..tag
            }));
        }
        changes.push(Change::Domain(settings));
    }
    changes
}

pub(crate) fn tag(domain: &Domain, code: &str) -> Tag {
    let tag = Tag::new(
        WorkspaceId::default_workspace(),
        domain.clone(),
        Code::parse(code).expect("a code"),
        url("https://example.com/x?a=1&b=2#c").expect("a destination"),
        Timestamp::UNIX_EPOCH,
    );
    Tag {
        campaign: "spring".to_owned(),
        ..tag
    }
}

pub(crate) fn domain(name: &str) -> DomainSettings {
    let name = Domain::parse(name).expect("a domain");
    DomainSettings::new(name, Timestamp::UNIX_EPOCH)
}

fn url(text: &str) -> Option<Destination> {
    Destination::parse(text).ok()
}
