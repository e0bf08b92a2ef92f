//! Real messages, with which each target's corpus begins: made by the code that writes them, or as clients send them.

use jiff::Timestamp;
use journal::{EdgeRun, EdgeState, Heartbeat, Positions, RefusedRecord};
use scans::{HttpVersion, IpPrefix, Method, NewScan, Purpose, Visitor, WriterKey, encode_batch};
use table::SnapshotInfo;
use tags::{
    Action, ApiKey, AuditEntry, Browser, Change, Country, Dates, Day, Destination, Device, Hours,
    KeyId, LanguageTag, Os, Outcome, Permission, PreviousSecret, Region, Role, Rule, Rules,
    ScanNumbers, SecretHash, Share, Tag, Target, Targets, Topic, Weight, When, Workspace,
    WorkspaceId, Zone, parse_network,
};

use crate::connection::{domain, settings_and_tags, table, tag};
use crate::snapshot::{folder, unseal};

/// A target's messages.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "request_head" => HEADS.iter().map(|head| head.to_vec()).collect(),
        "connection" => connections(),
        "content" => CONTENT
            .iter()
            .map(|(piece, length, bytes)| content(*piece, *length, bytes))
            .collect(),
        "http2_request" => http2_requests(),
        "proxy_protocol" => proxy_headers(),
        "snapshot" => vec![snapshot()],
        "snapshot_frames" => vec![unseal(&snapshot())],
        "change" => changes().iter().map(record).collect(),
        "rules" => compiled_rules(),
        "rules_json" => RULES_JSON
            .iter()
            .map(|text| text.as_bytes().to_vec())
            .collect(),
        "import" => FILES.iter().map(|bytes| bytes.to_vec()).collect(),
        "heartbeat" => vec![heartbeat().encode()],
        "scan_batch" => scan_batches(),
        "segment" => segments(),
        "destination" => DESTINATIONS
            .iter()
            .map(|text| text.as_bytes().to_vec())
            .collect(),
        "symbol" => SYMBOLS.iter().map(|bytes| bytes.to_vec()).collect(),
        _ => Vec::new(),
    }
}

/// The first byte is odd for CSV.
const FILES: &[&[u8]] = &[
    b"\x00{\"code\": \"a\", \"destination\": \"https://example.com/\", \"labels\": [\"x\"], \"status\": \"paused\"}\n\n{\"code\": \"b\"}\r\n[1]\n{\"code\": \"c\", \"destination\": \"tel:+49\", \"code\": \"d\"}",
    b"\x02\xef\xbb\xbf{\"code\": \"a\", \"destination\": \"https://example.com/\", \"rules\": [{\"name\": \"r\", \"when\": {\"country\": [\"DE\"]}, \"to\": \"https://example.com/de\"}]}\n{\n{}\n",
    b"\x01code,destination,labels,redirect_status,name\r\na,https://example.com/a,\"x, y\",301,'=1\r\n\r\nb,https://example.com/b,\"[\"\"a,b\"\"]\",,\"two\nlines\"\r\nc,d\r\n",
    b"\x05\xef\xbb\xbfcode,destination,expires_at,rules\nq,http://127.0.0.1/,2030-01-01T00:00:00Z,\"[{\"\"name\"\": \"\"r\"\"}]\"\n\"open,\n",
    b"\x03code;destination\na;b\n",
];

const HEADS: &[&[u8]] = &[
    b"GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n",
    b"GET /q/a?utm_source=can HTTP/1.1\r\nHost: a.example:8080\r\nUser-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X)\r\nAccept: text/html;q=0.9,*/*\r\nAccept-Language: de-DE,de;q=0.9\r\nReferer: https://news.example/x\r\nSec-Purpose: prefetch\r\nConnection: keep-alive\r\n\r\n",
    b"HEAD http://[2001:db8::1]:80/%61/?x#y HTTP/1.0\r\n\r\n",
    b"\r\nPOST /form HTTP/1.1\r\nHost: b.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
    b"PUT / HTTP/1.1\r\nhost: b.example\r\ntransfer-encoding: chunked\r\nte: trailers\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a.example\r\nConnection: close, x\r\n\r\n",
    b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET / HTTP/1.1\nHost: a.example\n\n",
    b"GET / HTTP/1.1\r\nHost: a.example\r\n folded\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost : a.example\r\n\r\n",
    b"GET / HTTP/2.0\r\nHost: a.example\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /%2e%2e/a;x=y|z HTTP/1.3\r\nHost: A.EXAMPLE.\r\nX: \xfc\t\r\n\r\n",
];

fn connections() -> Vec<Vec<u8>> {
    let pipelined: &[&[u8]] = &[
        b"GET /a HTTP/1.1\r\nHost: a.example\r\n\r\nHEAD /b?x=1 HTTP/1.1\r\nHost: a.example\r\n\r\nGET /c HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"POST /form HTTP/1.1\r\nHost: b.example\r\nContent-Length: 5\r\n\r\nhelloGET /a HTTP/1.1\r\nHost: b.example\r\n\r\n",
        b"POST /form HTTP/1.1\r\nHost: b.example\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX: y\r\n\r\nGET /d HTTP/1.1\r\nHost: b.example\r\n\r\n",
        b"GET /about HTTP/1.1\r\nHost: b.example\r\nConnection: close, X-Secret\r\nX-Secret: 1\r\nX_Forwarded_For: 1.2.3.4\r\n\r\nGET /a HTTP/1.1\r\n",
        b"GET /A HTTP/1.1\r\nHost: c.example\r\n\r\nGET / HTTP/1.0\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: a.example\r\nContent-Length: 30\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    let cuts = [3, 20, 40, 1, 1];
    let heads = HEADS.iter().chain(pipelined);
    heads
        .map(|bytes| [&[cuts.len() as u8], &cuts[..], bytes].concat())
        .collect()
}

const CONTENT: &[(u8, u16, &[u8])] = &[
    (1, 5, b"helloGET / HTTP/1.1\r\n"),
    (
        3,
        0,
        b"5;name=value\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\nGET /",
    ),
    (7, 0, b"0\r\n\r\n"),
    (2, 0, b"5 \r\nhello\r\n0\r\n\r\n"),
    (9, 0, b"ffffffffffffffff\r\n"),
];

fn content(piece: u8, length: u16, bytes: &[u8]) -> Vec<u8> {
    [&[piece], &length.to_le_bytes()[..], bytes].concat()
}

fn http2_requests() -> Vec<Vec<u8>> {
    let requests: [&[&str]; 4] = [
        &[
            "GET",
            "https://a.example/a?x=y",
            "accept",
            "*/*",
            "cookie",
            "a=1",
            "x",
            "y",
            "cookie",
            "b=2",
        ],
        &[
            "POST",
            "http://b.example:8080/form",
            "content-length",
            "5",
            "host",
            "b.example:8080",
        ],
        &["CONNECT", "a.example:443"],
        &[
            "OPTIONS",
            "/",
            "host",
            "a.example",
            "transfer-encoding",
            "chunked",
            "connection",
            "close",
        ],
    ];
    let with_lengths = |texts: &&[&str]| {
        texts
            .iter()
            .flat_map(|text| [&[text.len() as u8], text.as_bytes()].concat())
            .collect()
    };
    requests.iter().map(with_lengths).collect()
}

fn proxy_headers() -> Vec<Vec<u8>> {
    let binary = |command: u8, family: u8, payload: &[u8]| {
        let length = (payload.len() as u16).to_be_bytes();
        [
            &b"\r\n\r\n\0\r\nQUIT\n"[..],
            &[command, family],
            &length,
            payload,
            b"GET / HTTP/1.1\r\n",
        ]
        .concat()
    };
    let v4 = [203, 0, 113, 7, 10, 0, 0, 1, 0x12, 0x67, 0, 80];
    let mut v6 = [0; 36];
    v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    let mut headers = vec![
        binary(0x21, 0x11, &v4),
        binary(
            0x21,
            0x11,
            &[&v4[..], &[4, 0, 3, 0, 0, 0], &[0x20, 0, 1, 0xff]].concat(),
        ),
        binary(0x21, 0x21, &v6),
        binary(0x21, 0x31, &[b'/'; 216]),
        binary(0x20, 0x00, &[]),
    ];
    for line in [
        "TCP4 203.0.113.7 10.0.0.1 4711 80",
        "TCP6 2001:db8::9 2001:db8::1 99 80",
        "UNKNOWN",
        "UNKNOWN ffff::1 ::1 1 2",
        "TCP4 203.0.113.256 10.0.0.1 1 2",
    ] {
        headers.push(format!("PROXY {line}\r\nGET / HTTP/1.1\r\n").into_bytes());
    }
    headers
}

fn snapshot() -> Vec<u8> {
    let folder = folder();
    let path = folder.path().join("tags.snapshot");
    let info = SnapshotInfo {
        cluster: "kafka:q1Sh-9_ASYGnbJ2vUZkOgA".to_owned(),
        positions: vec![(Topic::Tags, 0, 41), (Topic::Settings, 0, 7)],
        taken_at: time(),
        build: "0.1.0".to_owned(),
    };
    table()
        .write_snapshot(&path, &info)
        .expect("room for a snapshot");
    std::fs::read(&path).expect("what was written")
}

fn changes() -> Vec<Change> {
    let workspace = WorkspaceId::default_workspace();
    let mut changes: Vec<_> = settings_and_tags().into_iter().step_by(2).collect();
    let ruled = Tag {
        rules: every_condition(),
        ..tag(&domain("a.example").name, "ruled")
    };
    changes.extend([
        Change::Tag(ruled),
        Change::Workspace(Workspace {
            retention_days: Some(400),
            ..Workspace::new(workspace.clone(), "Acme".to_owned(), time())
        }),
        Change::Key(ApiKey {
            name: "ci".to_owned(),
            scopes: Some([Permission::TagsRead].into_iter().collect()),
            previous: Some(PreviousSecret {
                hash: SecretHash([6; 32]),
                expires_at: time(),
            }),
            expires_at: Some(time()),
            revoked_at: Some(time()),
            ..ApiKey::new(
                KeyId::parse("key_1").expect("a key's id"),
                workspace.clone(),
                Role::Viewer,
                SecretHash([7; 32]),
                time(),
            )
        }),
        Change::Audit(AuditEntry {
            workspace,
            at: time(),
            actor: "key_1".to_owned(),
            remote: "192.0.2.1".to_owned(),
            action: Action::Rollback,
            subject: "tag/a.example/a".to_owned(),
            before: None,
            after: None,
            fields_before: None,
            fields_after: Some(r#"{"role":"viewer"}"#.to_owned()),
        }),
    ]);
    changes
}

fn record(change: &Change) -> Vec<u8> {
    let topic = Topic::ALL.iter().position(|topic| *topic == change.topic());
    [&[topic.unwrap_or_default() as u8], &change.encode()[..]].concat()
}

/// A request, then rules.
fn compiled_rules() -> Vec<Vec<u8>> {
    let texts = ["ref=tv&x", "DE-BY", "de-AT,de;q=0.9,*;q=0", "curl/8"];
    let texts = texts.map(|text| [&[text.len() as u8], text.as_bytes()].concat());
    let rest = [
        [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0],
        [1; 8],
        [3, 0, 0, 0, 0, 0, 0, 0],
        [0x80, 0xd5, 0x4b, 0x6b, 0, 0, 0, 0],
    ];
    let request = [texts.concat(), vec![0x49], rest.concat()].concat();
    let all = [every_condition(), Rules::default()];
    all.iter()
        .map(|rules| [&request, rules.view().as_bytes()].concat())
        .collect()
}

fn every_condition() -> Rules {
    let url = |path: &str| {
        Destination::parse(&format!("https://example.com/{path}")).expect("a destination")
    };
    let when = When {
        device: vec![Device::Mobile],
        os: vec![Os::Ios, Os::Android],
        browser: vec![Browser::Safari],
        country: vec![Country::parse("DE").expect("a country")],
        region: vec![Region::parse("DE-BY").expect("a region")],
        language: ["de", "de-AT"]
            .map(|tag| LanguageTag::parse(tag).expect("a language"))
            .into(),
        dates: Dates::new(Some(time()), None).ok(),
        hours: Hours::new(
            vec![Day::Mon, Day::Fri],
            "22:00".parse().expect("a time"),
            "02:00".parse().expect("a time"),
            Zone::parse("Europe/Berlin").expect("a zone"),
        )
        .ok(),
        query: vec![
            ("ref".to_owned(), Some(vec!["tv".to_owned()])),
            ("beta".to_owned(), None),
        ],
        bot: Some(false),
        network: ["203.0.113.0/24", "2001:db8::/32"]
            .map(|net| parse_network(net).expect("a network"))
            .into(),
        share: Share::new(25).ok(),
        scan_number: ScanNumbers::new(Some(1), Some(1001)).ok(),
    };
    let weighted = [1, 3].map(|weight| Target {
        url: url(&weight.to_string()),
        weight: Weight::new(weight).expect("a weight"),
    });
    let rules = vec![
        Rule {
            name: "Every condition".to_owned(),
            when,
            to: Targets::One(url("one")),
        },
        Rule {
            name: "Weights".to_owned(),
            when: When::default(),
            to: Targets::Weighted(weighted.into()),
        },
    ];
    Rules::new(rules).expect("rules")
}

fn heartbeat() -> Heartbeat {
    let mut positions = Positions::default();
    positions.advance(Topic::Tags, 3, 41);
    Heartbeat {
        run: EdgeRun::new("edge-1", 7).expect("a name"),
        state: EdgeState::Serving,
        positions,
        newest: Some(time()),
        refused: vec![RefusedRecord::new(Topic::Tags, 0, 7, "not understood")],
        tags: 1_000_000,
        version: "0.1.0".to_owned(),
        addresses: vec!["192.0.2.1:8080".to_owned()],
        started_at: time(),
        sent_at: time(),
    }
}

fn scan_batches() -> Vec<Vec<u8>> {
    let key = WriterKey {
        edge: "edge-1".into(),
        boot: 7,
        writer: 2,
    };
    let batch = encode_batch(&key, 41, [scan(b"curl/8"), scan(b"")]);
    let mut one = Vec::new();
    scan(b"curl/8").encode(41, &mut one);
    vec![
        batch,
        encode_batch(&key, 43, []),
        one,
        b"https://user@news.example:8080/x".to_vec(),
    ]
}

fn segments() -> Vec<Vec<u8>> {
    let whole = |first_seq: u64, count: u8, damage: &[u8]| {
        let texts = b"\x06curl/8".repeat(count.into());
        [
            &first_seq.to_le_bytes()[..],
            &[count, 0, 0, 0xff, 0xff],
            &texts,
            damage,
        ]
        .concat()
    };
    // A record's length, its checksum and its end; the header's committed length; the magic.
    let damages: [&[u8]; 5] = [
        b"\x00\x10\x01\xff",
        b"\x04\x10\x01\xff",
        b"\x60\x10\x02\xff\xff",
        b"\x40\x01\x08\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x00\x00\x01\x00",
    ];
    let damaged = damages.iter().map(|damage| whole(41, 5, damage));
    damaged
        .chain([
            whole(0, 0, b""),
            whole(0, 31, b""),
            whole(u64::MAX - 2, 5, b""),
        ])
        .collect()
}

fn scan(user_agent: &[u8]) -> NewScan<'_> {
    NewScan {
        time: time(),
        workspace: "default",
        domain: "a.example",
        code: "a",
        campaign: "spring",
        tag_version: 3,
        outcome: Outcome::Redirected,
        rule: "Commuters",
        destination_index: 1,
        method: Method::Get,
        purpose: Purpose::Prefetch,
        ip_prefix: IpPrefix::of([192, 0, 2, 1].into()),
        visitor: Visitor::from_u64(1),
        user_agent,
        language: b"de-DE,de;q=0.9",
        referrer_host: b"news.example",
        http_version: HttpVersion::Http2,
        bot_network: "",
    }
}

fn time() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("in range")
}

const DESTINATIONS: &[&str] = &[
    "HTTPS://B\u{fc}cher.example.com/Stra\u{df}e?a=1&b=2#c\nb=3&%61=4&d",
    "http://www.example.com:8443/x/../y?x=%zz\nx=%C3%BC%26%20&&=",
    "https://93.184.216.34/\na=b",
    "https://[2606:2800:220:1::1]/",
    "https://0x7f.1/",
    "tel:+49-30-12345;ext=7",
    "mailto:a@example.com?subject=Hi%20there",
    "sms:+493012345?body=Hi",
    "https://user@example.com\\@evil.example/",
    "javascript:alert(1)",
];

const SYMBOLS: &[&[u8]] = &[
    b"\x01\x08\x04#000 #fff   https://a.example/a",
    b"\x03\x02\x0a#aa0000 #ffHTTPS://A.EXAMPLE/Q/AB12345678",
    b"\x00\x01\x0400000 fffff12345678901234567890",
];

const RULES_JSON: &[&str] = &[
    r#"{"rules":[{"name":"Commuters on iPhones","when":{"device":["mobile"],"os":["ios"],"browser":["safari"],"country":["DE","AT"],"region":["DE-BY"],"language":["de"],"dates":{"from":"2026-12-01T00:00:00Z","to":"2026-12-25T00:00:00Z"},"hours":{"days":["mon","fri"],"from":"06:00","to":"09:30","zone":"Europe/Berlin"},"query":{"ref":["tv"],"beta":null},"bot":false,"network":["203.0.113.0/24"],"share":25,"scan_number":{"from":1,"to":1001}},"to":"https://example.com/a"}]}"#,
    r#"{"rules":[{"name":"a","when":{},"to":[{"url":"https://example.com/b","weight":3},{"url":"tel:+493012345","weight":1}]},{"name":"b","when":{"hours":{"from":"22:00","to":"02:00","zone":"Asia/Kathmandu"},"network":["::ffff:203.0.113.0/120","2001:db8::/32"]},"to":"http://go.example/q/abc"}]}"#,
    r#"{"rules":[{"name":"\u00e4","when":{"language":["de_AT"],"query":{"a/b":[""],"a/b":null}},"to":[]}]}"#,
];
