//! A count survives the way through protobuf, and what is none is refused with its reason.

use journal::{Count, CountError};
use proptest::prelude::*;
use tags::MaxScans;

use crate::count;

fn decode(bytes: &[u8]) -> Result<Count, CountError> {
    Count::decode(&count("a", "edge-1", 9, 5).key(), bytes)
}

#[test]
fn a_count_comes_back_as_it_went() {
    for scans in [0, 1, MaxScans::MAX] {
        let told = count("Ab3-_x", "edge.1", u64::MAX, scans);
        let key = "qr.example.com/Ab3-_x/edge.1/ffffffffffffffff";
        assert_eq!(told.key(), key);
        assert_eq!(Count::decode(key, &told.encode()).unwrap(), told);
    }
}

#[test]
fn more_scans_than_can_be_numbered_are_refused() {
    for scans in [MaxScans::MAX + 1, u64::MAX] {
        let error = decode(&count("a", "edge-1", 9, scans).encode()).unwrap_err();
        assert!(
            matches!(error, CountError::Scans { found } if found == scans),
            "{error}"
        );
    }
}

#[test]
fn a_newer_major_is_refused_whatever_follows() {
    // Field 1 = 2, then the scans as a text.
    let error = decode(&[0x08, 0x02, 0x12, 1, b'5']).unwrap_err();
    assert!(matches!(error, CountError::Major { found: 2 }), "{error}");
    assert!(matches!(decode(&[]), Err(CountError::Major { found: 0 })));
}

#[test]
fn fields_that_this_build_does_not_know_are_passed_over() {
    let mut bytes = count("a", "edge-1", 9, 5).encode();
    prost::encoding::string::encode(1_000, &"from a later minor".to_owned(), &mut bytes);
    assert_eq!(decode(&bytes).unwrap(), count("a", "edge-1", 9, 5));
}

#[test]
fn a_key_that_names_no_tag_or_no_series_is_refused() {
    let value = count("a", "edge-1", 9, 5).encode();
    for key in [
        "",
        "qr.example.com/a",
        "qr.example.com/a/edge-1",
        "qr.example.com/a/edge-1/9",
        "qr.example.com/a/b/edge-1/0000000000000009",
        "QR.example.com/a/edge-1/0000000000000009",
        "qr.example.com/a b/edge-1/0000000000000009",
        "not a domain/a/edge-1/0000000000000009",
    ] {
        let error = Count::decode(key, &value).unwrap_err();
        assert!(matches!(error, CountError::Key(_)), "{key}: {error}");
    }
    let large = vec![0; 5_000];
    assert!(matches!(decode(&large), Err(CountError::TooLarge { .. })));
}

#[test]
fn the_proto_file_names_each_field_with_the_number_that_is_written() {
    let proto = include_str!("../../proto/counts.proto");
    let written = count("a", "edge-1", 9, 5).encode();
    assert_eq!(written, [0x08, 1, 0x10, 5]);
    for field in ["uint32 major = 1;", "uint64 scans = 2;"] {
        assert!(proto.contains(field), "{field}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_or_read_without_a_panic(
        key in "\\PC{0,40}", bytes in proptest::collection::vec(any::<u8>(), 0..100)
    ) {
        let _ = Count::decode(&key, &bytes);
        let _ = decode(&bytes);
    }
}
