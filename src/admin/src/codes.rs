//! Making codes that nobody can guess and everybody can read aloud.

use tags::Code;

/// Without 0 O o, 1 I i l L, which look alike in print.
const MIXED: &[u8] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz";
/// The same for domains on which case does not matter; in capitals, these fit a QR code's alphanumeric mode (ISO/IEC 18004 §7.3.4).
const ONE_CASE: &[u8] = b"23456789abcdefghjkmnpqrstuvwxyz";

/// A random code: 7 characters (40 bits), or 9 of one case (44 bits).
pub fn random_code(case_insensitive: bool) -> Result<Code, getrandom::Error> {
    let (alphabet, length) = if case_insensitive {
        (ONE_CASE, 9)
    } else {
        (MIXED, 7)
    };
    let text = random_text(alphabet, length)?;
    Ok(Code::parse(&text)
        .expect("the alphabets are within a code's, and no reserved word can be spelt with them"))
}

/// An identifier that nobody has yet: a prefix that says of what, and 12 characters of one case (59 bits).
pub fn random_id(prefix: &str) -> Result<String, getrandom::Error> {
    Ok(format!("{prefix}{}", random_text(ONE_CASE, 12)?))
}

/// Text of evenly distributed characters of an alphabet, from the operating system's random source.
pub fn random_text(alphabet: &[u8], length: usize) -> Result<String, getrandom::Error> {
    // Bytes at or above the largest multiple would favour the alphabet's beginning.
    let limit = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        let fair = bytes
            .iter()
            .map(|byte| usize::from(*byte))
            .filter(|byte| *byte < limit);
        text.extend(
            fair.take(length - text.len())
                .map(|byte| char::from(alphabet[byte % alphabet.len()])),
        );
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_have_no_look_alikes_and_do_not_repeat() {
        let codes: HashSet<_> = (0..10_000)
            .map(|_| random_code(false).expect("random").to_string())
            .collect();
        // 10,000 draws of 54^7: a repetition has a chance of 1 in 27,000.
        assert!(codes.len() >= 9_999);
        assert!(codes.iter().all(
            |code| code.len() == 7 && !code.contains(['0', 'O', 'o', '1', 'I', 'i', 'l', 'L'])
        ));
        // Every character of the alphabet occurs in 70,000.
        let used: HashSet<_> = codes.iter().flat_map(|code| code.bytes()).collect();
        assert_eq!(used.len(), MIXED.len());
    }

    #[test]
    fn codes_of_case_insensitive_domains_are_of_one_case() {
        let code = random_code(true).expect("random");
        assert_eq!(code.as_str().len(), 9);
        assert_eq!(code.to_lowercase(), code);
    }
}
