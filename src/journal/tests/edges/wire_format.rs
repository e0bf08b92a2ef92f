//! A heartbeat survives the way through protobuf, and what is none is refused with its reason.

use journal::{EdgeState, Heartbeat, HeartbeatError};
use proptest::prelude::*;

use crate::samples::heartbeat;

fn decode(bytes: &[u8]) -> Result<Heartbeat, HeartbeatError> {
    Heartbeat::decode(&heartbeat("edge-1", 9, 5).run.to_string(), bytes)
}

/// A heartbeat with something behind it, where a later field wins over an earlier one.
fn with(more: &[u8]) -> Vec<u8> {
    [heartbeat("edge-1", 9, 5).encode().as_slice(), more].concat()
}

#[test]
fn a_heartbeat_comes_back_as_it_went() {
    for state in [EdgeState::Starting, EdgeState::Serving, EdgeState::Draining] {
        let said = Heartbeat {
            state,
            ..heartbeat("edge-1", 9, 5)
        };
        assert_eq!(decode(&said.encode()).unwrap(), said);
    }
}

#[test]
fn a_newer_major_is_refused_whatever_follows() {
    // Field 1 = 2, then a wire type that does not exist.
    let error = decode(&[0x08, 0x02]).unwrap_err();
    assert!(
        matches!(error, HeartbeatError::Major { found: 2 }),
        "{error}"
    );
    assert!(matches!(
        decode(&[]),
        Err(HeartbeatError::Major { found: 0 })
    ));
}

#[test]
fn fields_and_topics_that_this_build_does_not_know_are_passed_over() {
    let mut bytes = with(&[]);
    prost::encoding::string::encode(1_000, &"from a later minor".to_owned(), &mut bytes);
    // Field 5: a position in topic `salts`.
    bytes.extend([0x2a, 9, 0x0a, 5, b's', b'a', b'l', b't', b's', 0x18, 1]);
    assert_eq!(decode(&bytes).unwrap(), heartbeat("edge-1", 9, 5));
}

#[test]
fn what_cannot_be_is_refused_with_the_fields_name() {
    // state = 0 and 99, a control character in the version, a position at -1, a time behind the last.
    let end_of_time: Vec<u8> = [0x48].into_iter().chain([0xff; 8]).chain([0x7f]).collect();
    let minus_one: Vec<u8> = [0x2a, 17, 0x0a, 4, b't', b'a', b'g', b's', 0x18]
        .into_iter()
        .chain([0xff; 9])
        .chain([0x01])
        .collect();
    // Field 12: a record at offset -1 of topic `tags`.
    let refused_minus_one = [&[0x62], &minus_one[1..]].concat();
    for (more, field) in [
        (&refused_minus_one[..], "refused"),
        (&[0x20, 0], "state"),
        (&[0x20, 99], "state"),
        (&[0x3a, 1, 0x1b], "version"),
        (&minus_one, "positions"),
        (&end_of_time, "started_at"),
    ] {
        let error = decode(&with(more)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("field {field}:")), "{error}");
    }
    let other_edge = decode(&with(&[0x12, 1, b'x'])).unwrap_err().to_string();
    assert!(other_edge.contains("x/0000000000000009"), "{other_edge}");
    assert!(matches!(
        decode(&with(&[0x12, 1, b'/'])),
        Err(HeartbeatError::Run(_))
    ));
}

#[test]
fn an_edge_that_does_not_say_when_its_newest_change_was_published_is_understood() {
    let silent = Heartbeat {
        newest: None,
        ..heartbeat("edge-1", 9, 5)
    };
    assert_eq!(decode(&silent.encode()).unwrap(), silent);
}

#[test]
fn the_proto_file_names_each_field_with_the_number_that_is_written() {
    let proto = include_str!("../../proto/edges.proto");
    let body = |message: &str| {
        let rest = proto.split(&format!("message {message} {{")).nth(1);
        rest.and_then(|rest| rest.split("\n}").next()).unwrap()
    };
    let numbers = |bytes: &[u8]| {
        let (mut rest, mut numbers) = (bytes, Vec::new());
        while !rest.is_empty() {
            let (number, wire_type) = prost::encoding::decode_key(&mut rest).unwrap();
            let context = prost::encoding::DecodeContext::default();
            prost::encoding::skip_field(wire_type, number, &mut rest, context).unwrap();
            numbers.push(number);
        }
        numbers.dedup();
        numbers
    };
    let written = numbers(&heartbeat("edge-1", 9, 5).encode());
    assert_eq!(written, (1..=12).collect::<Vec<_>>(), "every field is set");
    for number in written {
        assert!(body("Heartbeat").contains(&format!(" = {number};")));
    }
    for number in 1..=3 {
        assert!(body("AppliedPosition").contains(&format!(" = {number};")));
    }
    for number in 1..=4 {
        assert!(body("RefusedRecord").contains(&format!(" = {number};")));
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_or_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn a_damaged_record_is_never_read_as_another_edge(position in 0usize..200, bit in 0u8..8) {
        let mut bytes = with(&[]);
        let position = position % bytes.len();
        bytes[position] ^= 1 << bit;
        if let Ok(read) = decode(&bytes) {
            prop_assert_eq!(read.run, heartbeat("edge-1", 9, 5).run);
        }
    }
}
