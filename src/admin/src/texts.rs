//! Rules for texts of a request, whether they come in its body or in its query: those for people, and points in time.

use jiff::Timestamp;
use jiff::civil::DateTime;

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

/// The beginning of the year 0000; those before it have a sign.
pub(crate) const FIRST_TIME: Timestamp = Timestamp::constant(-62_167_219_200, 0);

/// Why a text is no point in time that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTime {
    /// Not what RFC 3339 §5.6 describes.
    #[error(
        "must be a time as in RFC 3339, such as 2026-12-24T18:00:00Z or 2026-12-24T19:00:00+01:00"
    )]
    Form,
    /// A time, but one that cannot be kept, or not be shown in UTC with a year of four digits.
    #[error("must be from 0000-01-01T00:00:00Z to 9999-12-30T22:00:00Z; leave it out for no limit")]
    Range,
}

/// RFC 3339 with a zone offset, to the microsecond.
pub fn parse_time(text: &str) -> Result<Timestamp, InvalidTime> {
    let (local, offset) = split_time(text).ok_or(InvalidTime::Form)?;
    // The parser takes more hours than a day has.
    let has_such_an_offset =
        matches!(offset, "Z" | "z") || (&offset[1..3] <= "23" && &offset[4..6] <= "59");
    if !has_such_an_offset {
        return Err(InvalidTime::Form);
    }
    match text.parse::<Timestamp>() {
        Ok(time) if time < FIRST_TIME => Err(InvalidTime::Range),
        Ok(time) => {
            Timestamp::from_microsecond(time.as_microsecond()).map_err(|_| InvalidTime::Range)
        }
        // A time of day on a day that there is, so that only its place on the time line can be wrong.
        Err(_) if local.parse::<DateTime>().is_ok() => Err(InvalidTime::Range),
        Err(_) => Err(InvalidTime::Form),
    }
}

/// The local time and the offset of a text that has the form of RFC 3339. What that leaves out of ISO 8601 and the parser takes: signed
/// years, basic format, annotations, offsets of hours alone.
fn split_time(text: &str) -> Option<(&str, &str)> {
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
    let has_offset = matches!(offset, "Z" | "z" | "+00:00" | "-00:00");
    has_offset.then(|| text.split_at(text.len() - offset.len()))
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
            Ok("2026-12-24T18:00:00.123456Z")
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
            "2026-12-24T24:00:01Z",
            "2026-12-24T18:00:00+24:00",
            "2026-12-24T18:00:00+25:00",
            "2026-12-24T18:00:00-25:59",
            "2026-12-24T18:00:00+01:60",
            "9999-12-32T00:00:00Z",
            "9999-12-31T23:59:59+24:00",
        ] {
            assert_eq!(parse_time(bad), Err(InvalidTime::Form), "{bad}");
        }
        let widest = parse_time("2026-12-24T18:00:00+23:59").map(|time| time.to_string());
        assert_eq!(widest.as_deref(), Ok("2026-12-23T18:01:00Z"));
    }

    #[test]
    fn a_time_at_the_end_of_the_calendar_is_told_the_range() {
        let allowed = InvalidTime::Range.to_string();
        let bounds: Vec<&str> = allowed
            .split([' ', ';'])
            .filter(|word| word.ends_with('Z'))
            .collect();
        assert_eq!(bounds.len(), 2, "{allowed}");
        for bound in bounds {
            assert_eq!(
                parse_time(bound).map(|time| time.to_string()).as_deref(),
                Ok(bound)
            );
        }
        for beyond in [
            "9999-12-31T23:59:59Z",
            "9999-12-30T22:00:01Z",
            "9999-12-30T23:00:00-00:01",
            "0000-01-01T00:00:00+23:59",
        ] {
            assert_eq!(parse_time(beyond), Err(InvalidTime::Range), "{beyond}");
        }
    }
}
