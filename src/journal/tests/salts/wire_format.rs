//! A salt survives the way through protobuf, and what is none is refused with its reason, which never says what was in it.

use journal::{Salt, SaltError};
use proptest::prelude::*;

use crate::salt;

const DAY: &str = "2026-11-29";

fn decode(bytes: &[u8]) -> Result<Salt, SaltError> {
    Salt::decode(DAY, bytes)
}

#[test]
fn a_salt_comes_back_as_it_went_and_is_not_printed() {
    let made = salt(DAY);
    assert_eq!(Salt::key(made.day()), DAY);
    let back = decode(&made.encode()).unwrap();
    assert_eq!(back, made);
    assert_eq!(back.secret(), made.secret());
    let printed = format!("{made:?}");
    assert_eq!(printed, "Salt { day: 2026-11-29, .. }");
}

#[test]
fn what_is_no_salt_is_refused() {
    // Field 1 = 2, then the secret as a number.
    let newer = decode(&[0x08, 0x02, 0x10, 5]);
    assert!(matches!(newer, Err(SaltError::Major { found: 2 })));
    let short = decode(&[0x08, 0x01, 0x12, 2, 7, 7]);
    assert!(matches!(short, Err(SaltError::Secret { found: 2 })));
    let none = decode(&[0x08, 0x01]);
    assert!(matches!(none, Err(SaltError::Secret { found: 0 })));
    let large = decode(&[0; 5_000]);
    assert!(matches!(large, Err(SaltError::TooLarge { bytes: 5_000 })));
    for key in ["", "2026-11-31", "2026-W48-7", "20261129", "2026-11-29T00"] {
        let refused = Salt::decode(key, &salt(DAY).encode());
        assert!(matches!(refused, Err(SaltError::Key(_))), "{key}");
    }
}

#[test]
fn fields_that_this_build_does_not_know_are_passed_over() {
    let mut bytes = salt(DAY).encode().to_vec();
    prost::encoding::string::encode(1_000, &"from a later minor".to_owned(), &mut bytes);
    assert_eq!(decode(&bytes).unwrap(), salt(DAY));
}

#[test]
fn the_proto_file_names_each_field_with_the_number_that_is_written() {
    let proto = include_str!("../../proto/salts.proto");
    let made = salt(DAY);
    let written = made.encode();
    assert_eq!(written[..4], [0x08, 1, 0x12, 16]);
    assert_eq!(&written[4..], made.secret());
    for field in ["uint32 major = 1;", "bytes secret = 2;"] {
        assert!(proto.contains(field), "{field}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_or_read_without_a_panic(
        key in "\\PC{0,40}", bytes in proptest::collection::vec(any::<u8>(), 0..100)
    ) {
        let _ = Salt::decode(&key, &bytes);
        let _ = decode(&bytes);
    }
}
