//! A scan comes out of protobuf as it went in, but for what is too long or not UTF-8; and `proto/scans.proto` says what is written.

mod collecting;

use std::collections::HashMap;
use std::net::IpAddr;

use collecting::scan;
use proptest::prelude::*;
use scans::{
    BatchError, NewScan, Purpose, Scan, ScanBatch, ScanError, WriterKey, encode_batch, limits,
    referrer_host,
};

fn writer() -> WriterKey {
    WriterKey {
        edge: "edge-1".into(),
        boot: 0xfeed_0000_0000_0001,
        writer: 2,
    }
}

fn round_trip(scan: &NewScan<'_>) -> Scan {
    let mut bytes = Vec::new();
    scan.encode(u64::MAX, &mut bytes);
    assert!(bytes.len() <= limits::RECORD, "{} bytes", bytes.len());
    Scan::decode(&bytes).expect("decodes")
}

#[test]
fn every_field_comes_back() {
    let new = NewScan {
        rule: "Commuters",
        destination_index: 7,
        referrer_host: b"www.example.com",
        purpose: Purpose::Preview,
        bot_network: "searchbot",
        ..scan("Ab3")
    };
    let back = round_trip(&new);
    assert_eq!(
        (back.seq, back.time, back.tag_version),
        (u64::MAX, new.time, 3)
    );
    let texts = [
        &back.workspace,
        &back.domain,
        &back.code,
        &back.campaign,
        &back.rule,
        &back.language,
        &back.referrer_host,
        &back.bot_network,
    ];
    assert_eq!(
        texts,
        [
            "default",
            "qr.example.com",
            "Ab3",
            "Été 2026",
            "Commuters",
            "de-AT,de;q=0.9,en;q=0.5",
            "www.example.com",
            "searchbot"
        ]
    );
    assert_eq!((back.outcome, back.destination_index), (new.outcome, 7));
    assert_eq!(
        (back.method, back.purpose, back.http_version),
        (new.method, Purpose::Preview, new.http_version)
    );
    assert_eq!(
        (back.ip_prefix.to_string().as_str(), back.visitor),
        ("203.0.113.0/24", new.visitor)
    );
    assert_eq!(back.user_agent.as_bytes(), new.user_agent);
}

#[test]
fn the_longest_of_everything_still_fits() {
    let long = "é".repeat(1_000);
    let text = long.as_str();
    let new = NewScan {
        workspace: text,
        domain: text,
        code: text,
        campaign: text,
        rule: text,
        ..scan("")
    };
    let back = round_trip(&NewScan {
        user_agent: text.as_bytes(),
        language: text.as_bytes(),
        referrer_host: text.as_bytes(),
        bot_network: text,
        ..new
    });
    assert_eq!(
        (
            back.user_agent.len(),
            back.language.len(),
            back.referrer_host.len(),
            back.bot_network.len()
        ),
        (512, 128, 252, 64)
    );
}

#[test]
fn bytes_that_are_not_utf8_are_replaced_and_never_refused() {
    let back = round_trip(&NewScan {
        user_agent: b"caf\xe9 \xff\xff",
        ..scan("a")
    });
    assert_eq!(back.user_agent, "caf\u{fffd} \u{fffd}\u{fffd}");
    let back = round_trip(&NewScan {
        language: b"\xf0\x9f",
        ..scan("a")
    });
    assert_eq!(back.language, "\u{fffd}");
}

#[test]
fn a_referrer_is_cut_to_its_host() {
    for (referer, host) in [
        ("https://www.example.com/a?b#c", "www.example.com"),
        ("https://user:secret@example.com:8443/", "example.com"),
        ("http://[2001:db8::1]:80/x", "[2001:db8::1]"),
        ("android-app://com.example.app/", "com.example.app"),
        ("https://example.com?q=a@b", "example.com"),
        ("about:blank", ""),
        ("", ""),
    ] {
        assert_eq!(
            referrer_host(referer.as_bytes()),
            host.as_bytes(),
            "{referer}"
        );
    }
}

#[test]
fn a_purpose_is_read_from_what_browsers_send() {
    for (value, purpose) in [
        ("prefetch", Purpose::Prefetch),
        ("prefetch;prerender", Purpose::Prefetch),
        ("prefetch;anonymous-client-ip", Purpose::Prefetch),
        ("Preview", Purpose::Preview),
        ("", Purpose::Navigation),
        ("prefetching", Purpose::Navigation),
    ] {
        assert_eq!(Purpose::parse(value.as_bytes()), purpose, "{value}");
    }
}

#[test]
fn a_batch_comes_back_with_its_scans_in_order() {
    let batch =
        ScanBatch::decode(&encode_batch(&writer(), 41, [scan("a"), scan("b")])).expect("decodes");
    assert_eq!(
        (batch.writer, batch.first_seq, batch.count),
        (writer(), 41, 2)
    );
    let scans: Vec<_> = batch
        .scans
        .iter()
        .map(|scan| (scan.seq, scan.code.as_str()))
        .collect();
    assert_eq!(scans, [(41, "a"), (42, "b")]);
}

#[test]
fn one_bad_scan_does_not_spoil_its_batch() {
    let mut bytes = encode_batch(&writer(), 0, [scan("first"), scan("second")]);
    // The second's outcome becomes a number from the future: field 8, varint.
    let second = bytes
        .windows(6)
        .position(|w| w == b"second")
        .expect("there");
    let outcome = second
        + bytes[second..]
            .windows(3)
            .position(|w| w == [0x38, 3, 0x40])
            .expect("version, then outcome")
        + 3;
    bytes[outcome] = 99;
    let batch = ScanBatch::decode(&bytes).expect("decodes");
    assert_eq!(batch.scans.len(), 1);
    assert_eq!(batch.refused[0].seq, 1);
    assert!(matches!(
        batch.refused[0].error,
        ScanError::Field {
            field: "outcome",
            ..
        }
    ));
}

#[test]
fn a_batch_of_a_newer_major_is_refused_whatever_follows() {
    assert!(matches!(
        ScanBatch::decode(&[0x08, 0x02]),
        Err(BatchError::Major { found: 2 })
    ));
    assert!(matches!(
        ScanBatch::decode(&[]),
        Err(BatchError::Major { found: 0 })
    ));
}

#[test]
fn the_proto_file_declares_every_field_that_is_written_with_its_wire_type() {
    let proto = include_str!("../proto/scans.proto");
    let new = NewScan {
        rule: "r",
        destination_index: 1,
        referrer_host: b"h",
        ..scan("a")
    };
    let batch = encode_batch(&writer(), 1, [new]);
    let mut scan = Vec::new();
    new.encode(1, &mut scan);
    for (message, bytes, fields) in [("ScanBatch", batch, 7), ("Scan", scan, 18)] {
        let body = proto
            .split(&format!("message {message} {{"))
            .nth(1)
            .and_then(|rest| rest.split('}').next())
            .expect("declared");
        let declared: HashMap<u32, &str> = body
            .split(';')
            .filter_map(|line| {
                let (left, number) = line.rsplit_once(" = ")?;
                Some((number.parse().ok()?, left.split_whitespace().rev().nth(1)?))
            })
            .collect();
        let (mut rest, mut seen): (&[u8], _) = (&bytes, 0);
        while !rest.is_empty() {
            let (number, wire_type) = prost::encoding::decode_key(&mut rest).expect("a key");
            let expected = match declared[&number] {
                "uint64" | "int64" | "uint32" | "Outcome" | "Method" | "Purpose"
                | "HttpVersion" => prost::encoding::WireType::Varint,
                "fixed64" => prost::encoding::WireType::SixtyFourBit,
                _ => prost::encoding::WireType::LengthDelimited,
            };
            assert_eq!(wire_type, expected, "{message} field {number}");
            prost::encoding::skip_field(
                wire_type,
                number,
                &mut rest,
                prost::encoding::DecodeContext::default(),
            )
            .expect("a field");
            seen += 1;
        }
        assert_eq!(seen, fields, "{message}");
    }
}

proptest! {
    #[test]
    fn any_text_is_written_as_its_repaired_beginning(bytes in proptest::collection::vec(any::<u8>(), 0..700), chars in "\\PC{0,400}") {
        for bytes in [bytes.as_slice(), chars.as_bytes()] {
            let back = round_trip(&NewScan { user_agent: bytes, ..scan("a") }).user_agent;
            let whole = String::from_utf8_lossy(bytes);
            prop_assert!(back.len() <= limits::USER_AGENT);
            // A character that is cut off at the look-ahead may show as a replacement; all before it is exact.
            let exact = whole.starts_with(back.trim_end_matches(char::REPLACEMENT_CHARACTER));
            prop_assert!(exact);
            prop_assert!(back.len() + 4 > limits::USER_AGENT || back == whole);
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Scan::decode(&bytes);
        let _ = ScanBatch::decode(&[&[0x08, 0x01], bytes.as_slice()].concat());
    }

    #[test]
    fn a_visitor_is_the_same_within_a_day_and_another_on_the_next(address in any::<[u8; 16]>(), agent in proptest::collection::vec(any::<u8>(), 0..80), second in 0i64..86_400) {
        let made = prometheus::IntCounter::new("made", "Keys that were made").expect("a counter");
        let visitors = scans::Visitors::new(made.clone()).expect("random numbers");
        let address = IpAddr::from(address);
        let at = |second| jiff::Timestamp::from_second(1_795_046_400 / 86_400 * 86_400 + second).expect("in range");
        let morning = visitors.visitor(at(0), address, &agent);
        prop_assert_eq!(visitors.visitor(at(second), address, &agent), morning);
        let tomorrow = visitors.visitor(at(86_400), address, &agent);
        prop_assert_ne!(tomorrow, morning);
        prop_assert_eq!(visitors.visitor(at(86_399), address, &agent), morning, "a thread that is late");
        visitors.forget(at(86_400 * 3));
        prop_assert_ne!(visitors.visitor(at(second), address, &agent), morning, "the key is gone");
        prop_assert!(made.get() == 3, "each day's key is counted: {}", made.get());
    }
}
