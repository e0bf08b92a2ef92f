//! Rules for texts of a request, whether they come in its body or in its query: those for people, and points in time.

use jiff::Timestamp;

/// Refuses a text of more than `max` characters, or with one that controls.
pub fn check_text(text: &str, max: usize) -> Result<(), String> {
    if text.chars().count() > max {
        return Err(format!("must have at most {max} characters"));
    }
    if text.chars().any(char::is_control) {
        return Err("must not contain control characters".to_owned());
    }
    Ok(())
}

/// As [`check_text`], for one that is kept, and without white space around it: two names that look the same would not be, and one of
/// spaces alone looks like none.
pub fn check_label(text: &str, max: usize) -> Result<(), String> {
    check_text(text, max)?;
    if text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace) {
        return Err(
            "must not begin or end with white space; between other characters it is allowed"
                .to_owned(),
        );
    }
    Ok(())
}

/// RFC 3339 with a zone offset, to the microsecond; none for anything else.
pub fn parse_time(text: &str) -> Option<Timestamp> {
    // What RFC 3339 leaves out of ISO 8601 and the parser takes: signed years, basic format, annotations, offsets of hours alone.
    let digits_as_zeros: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    let rest = digits_as_zeros
        .strip_prefix("0000-00-00T00:00:00")
        .or_else(|| digits_as_zeros.strip_prefix("0000-00-00t00:00:00"))?;
    let offset = match rest.strip_prefix('.') {
        Some(fraction) if fraction.starts_with('0') => fraction.trim_start_matches('0'),
        Some(_) => return None,
        None => rest,
    };
    if !matches!(offset, "Z" | "z" | "+00:00" | "-00:00") {
        return None;
    }
    let time: Timestamp = text.parse().ok()?;
    Timestamp::from_microsecond(time.as_microsecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_taken_inside_a_text_and_not_around_it() {
        assert_eq!(check_label("Spring sale", 11), Ok(()));
        for bad in [" ", "   ", " a", "a ", "\u{a0}", "a\u{3000}", "\u{2003}a"] {
            let refusal = check_label(bad, 9).expect_err(bad);
            assert!(refusal.contains("white space"), "{bad:?}: {refusal}");
        }
    }

    #[test]
    fn times_with_other_offsets_are_taken_and_dates_alone_are_not() {
        assert_eq!(
            parse_time("2026-12-24T19:00:00.1234567+01:00")
                .map(|t| t.to_string())
                .as_deref(),
            Some("2026-12-24T18:00:00.123456Z")
        );
        for bad in [
            "2026-12-24",
            "2026-12-24T18:00:00",
            "tomorrow",
            "",
            "20261224T180000Z",
            "2026-12-24T18Z",
            "2026-12-24T18:00:00+01",
            "2026-12-24T18:00:00+01:00[Europe/Berlin]",
            "2026-12-24T18:00:00.Z",
            "-002026-12-24T18:00:00Z",
            "2026-12-24T18:00:00Z ",
            "2026-13-01T00:00:00Z",
        ] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }
}
