//! Languages: tags as rules name them, and which of those a visitor prefers.
//!
//! `Accept-Language` is RFC 9110 §12.5.4's; of all tags that the rules name the visitor gets the one that RFC 4647 §3.4 (look-up) finds
//! for the range of the highest weight, of several for the first.

use std::fmt;

use arrayvec::ArrayVec;
use oxilangtag::LanguageTag as WellFormed;

use super::nearest::nearest;
use super::place::{Country, unknown};
use super::{InvalidRuleValue, Rules};

/// A language tag, RFC 5646, as it was written. Case makes no difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanguageTag(Box<str>);

/// Codes that were replaced, and that browsers and systems still say.
const REPLACED: [&str; 6] = ["iw", "in", "ji", "jw", "mo", "sh"];

impl LanguageTag {
    /// The longest, in bytes: almost twice what RFC 5646 §4.4.1 expects.
    pub const MAX_LEN: usize = 64;

    /// A well-formed tag, of a language and a country that there are.
    pub fn parse(text: &str) -> Result<Self, InvalidRuleValue> {
        let tag = Self::from_stored(text);
        let (Ok(tag), Ok(parts)) = (tag, WellFormed::parse(text)) else {
            let with_hyphens = text.replace('_', "-");
            if with_hyphens != text && Self::parse(&with_hyphens).is_ok() {
                return Err(not_a_language(text, Some(&with_hyphens)));
            }
            return Err(not_a_language(text, nearest_language(text)));
        };
        let language = parts.primary_language().to_ascii_lowercase();
        if !is_language(&language) {
            let rest = &text[parts.primary_language().len()..];
            let near = nearest_language(&language).map(|near| format!("{near}{rest}"));
            return Err(not_a_language(text, near.as_deref()));
        }
        // Three digits are an area of UN M.49, such as 419 for Latin America.
        if let Some(region) = parts.region().filter(|region| region.len() == 2)
            && let Err(refusal) = Country::parse(&region.to_ascii_uppercase())
        {
            return Err(InvalidRuleValue(format!("in '{text}', {refusal}")));
        }
        Ok(tag)
    }

    /// One that was taken before. Only its form is judged: subtags of letters and digits.
    pub fn from_stored(text: &str) -> Result<Self, InvalidRuleValue> {
        let of_subtag = |byte: u8| byte.is_ascii_alphanumeric();
        let well_formed = text.len() <= Self::MAX_LEN
            && text
                .split('-')
                .all(|subtag| (1..=8).contains(&subtag.len()) && subtag.bytes().all(of_subtag));
        if !well_formed {
            return Err(not_a_language(text, None));
        }
        Ok(Self(text.into()))
    }

    /// The tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether both name the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl fmt::Display for LanguageTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn not_a_language(given: &str, near: Option<&str>) -> InvalidRuleValue {
    unknown(
        "a language tag of RFC 5646, such as de or pt-BR",
        given,
        near,
    )
}

/// Whether there is such a language, or it is a matter of private agreement.
fn is_language(code: &str) -> bool {
    match code.len() {
        2 => isolang::Language::from_639_1(code).is_some() || REPLACED.contains(&code),
        // One that has a code of two letters is written with that (RFC 5646 §2.2.1).
        3 => isolang::Language::from_639_3(code)
            .is_some_and(|language| language.to_639_1().is_none()),
        // `i-klingon` and `x-ours`; four letters and more are no language's yet.
        length => length < 2 || code.starts_with("i-") || code.starts_with("x-"),
    }
}

fn nearest_language(given: &str) -> Option<&'static str> {
    let code = |language: isolang::Language| language.to_639_1().unwrap_or(language.to_639_3());
    let by_name =
        isolang::languages().find(|language| language.to_name().eq_ignore_ascii_case(given));
    let by_three = || isolang::Language::from_639_3(&given.to_ascii_lowercase());
    if let Some(language) = by_name.or_else(by_three) {
        return Some(code(language));
    }
    // The 183 that browsers offer, not the 7,900 that there are.
    let mut two_letters: Vec<&str> = isolang::languages()
        .filter_map(|language| language.to_639_1())
        .collect();
    two_letters.sort_unstable();
    nearest(given, two_letters.into_iter())
}

/// The tags that a tag's rules name, in lower case, by their numbers.
pub(super) trait Named {
    /// The number of a tag that is given in any case.
    fn find(&self, tag: &[u8]) -> Option<u16>;
    /// A tag by its number.
    fn get(&self, number: u16) -> &[u8];
}

/// So many well-formed entries of `Accept-Language` are looked at, in so many bytes: several times what any browser sends, and a bound on
/// what a stranger can ask for.
const ENTRIES: usize = 64;
const BYTES: usize = 4 << 10;

/// So many numbers have room in a set: 32 rules of 16 values name no more tags.
const NUMBERS: usize = Rules::MAX * Rules::MAX_VALUES;

/// The number of the tag that the visitor prefers, who sent these lines.
pub(super) fn preferred<'l>(
    lines: impl Iterator<Item = &'l [u8]>,
    named: &impl Named,
) -> Option<u16> {
    let mut entries = ArrayVec::<_, ENTRIES>::new();
    entries.extend(self::entries(lines).take(ENTRIES));
    let some_are_refused = entries.iter().any(|(_, weight)| *weight == 0);
    // The most specific range that covers a tag says whether it may be had at all.
    let is_refused = |number: u16| {
        let tag = named.get(number);
        let covering = entries.iter().filter(|(range, _)| covers(range, tag));
        let decides = covering.reduce(|longest, next| match next.0.len() > longest.0.len() {
            true => next,
            false => longest,
        });
        decides.is_some_and(|(_, weight)| *weight == 0)
    };
    // Many entries can begin with the same tag, which is judged once.
    let mut refused = [0_u64; NUMBERS.div_ceil(64)];
    let mut is_free = |number: u16| {
        let Some(word) = refused.get_mut(usize::from(number / 64)) else {
            return false; // there is no such tag
        };
        let bit = 1 << (number % 64);
        if some_are_refused && *word & bit == 0 && is_refused(number) {
            *word |= bit;
        }
        *word & bit == 0
    };
    let mut best: Option<(u16, u16)> = None;
    for &(range, weight) in &entries {
        if weight == 0 || best.is_some_and(|(best, _)| weight <= best) {
            continue;
        }
        let found = prefixes(range)
            .filter_map(|prefix| named.find(prefix))
            .find(|number| is_free(*number));
        best = found.map(|number| (weight, number)).or(best);
    }
    best.map(|(_, number)| number)
}

/// The well-formed entries of the first bytes of these lines. One that goes beyond them is left out: its beginning may say something else.
fn entries<'l>(lines: impl Iterator<Item = &'l [u8]>) -> impl Iterator<Item = (&'l [u8], u16)> {
    let mut left = BYTES;
    lines
        .flat_map(|line| line.split(|byte| *byte == b','))
        .map_while(move |element| {
            // With the comma behind it.
            left = left.checked_sub(element.len() + 1)?;
            Some(element)
        })
        .filter_map(entry)
}

/// A range and its weight in thousandths; none: it is malformed, or `*`, which looks nothing up.
fn entry(element: &[u8]) -> Option<(&[u8], u16)> {
    let mut parts = element.splitn(2, |byte| *byte == b';');
    let range = parts.next()?.trim_ascii();
    let is = |subtag: &[u8], of: fn(&u8) -> bool| {
        (1..=8).contains(&subtag.len()) && subtag.iter().all(of)
    };
    let mut subtags = range.split(|byte| *byte == b'-');
    let well_formed = is(subtags.next()?, u8::is_ascii_alphabetic)
        && subtags.all(|subtag| is(subtag, u8::is_ascii_alphanumeric));
    let weight = match parts.next() {
        None => 1000,
        Some(parameter) => weight(parameter.trim_ascii())?,
    };
    well_formed.then_some((range, weight))
}

/// `q=0.8` in thousandths, RFC 9110 §12.4.2.
fn weight(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', value @ ..] = parameter else {
        return None;
    };
    let (whole, fraction) = match value {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', fraction @ ..] => (whole, fraction),
        _ => return None,
    };
    if fraction.len() > 3 || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let places = [100, 10, 1].into_iter();
    let thousandths = fraction
        .iter()
        .zip(places)
        .map(|(digit, place)| u16::from(digit - b'0') * place)
        .sum();
    match whole {
        b'0' => Some(thousandths),
        _ => (thousandths == 0).then_some(1000),
    }
}

/// Whether a range is a tag or the beginning of one.
fn covers(range: &[u8], tag: &[u8]) -> bool {
    tag.get(..range.len())
        .is_some_and(|beginning| beginning.eq_ignore_ascii_case(range))
        && tag.get(range.len()).is_none_or(|next| *next == b'-')
}

/// The range, and what it begins with, the longest first. What is longer than any tag is not tried.
fn prefixes(range: &[u8]) -> impl Iterator<Item = &[u8]> {
    let cut = |text: &[u8]| text.iter().rposition(|byte| *byte == b'-');
    let first = match range.get(..=LanguageTag::MAX_LEN) {
        None => Some(range.len()),
        Some(beginning) => cut(beginning),
    };
    let next = move |end: &usize| cut(&range[..*end]);
    std::iter::successors(first, next).map(move |end| &range[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tags(&'static [&'static str]);

    impl Named for Tags {
        fn find(&self, tag: &[u8]) -> Option<u16> {
            let found = self
                .0
                .iter()
                .position(|named| named.as_bytes().eq_ignore_ascii_case(tag));
            found.map(|position| position as u16)
        }

        fn get(&self, number: u16) -> &[u8] {
            self.0[usize::from(number)].as_bytes()
        }
    }

    fn preferred_of(named: &'static [&'static str], lines: &[&str]) -> Option<&'static str> {
        let named = Tags(named);
        let number = preferred(lines.iter().map(|line| line.as_bytes()), &named);
        number.map(|number| named.0[usize::from(number)])
    }

    #[test]
    fn the_language_is_the_one_that_look_up_finds_for_what_is_wanted_most() {
        for (named, header, found) in [
            // The highest weight, then the first.
            (&["de", "en"][..], "de,en", Some("de")),
            (&["de", "en"], "en;q=0.8,de;q=0.9", Some("de")),
            (&["de", "en"], "en;q=0.8,de;q=0.8", Some("en")),
            (&["de", "en"], "fr,en;q=0.1", Some("en")),
            (&["de", "en"], "fr,it", None),
            (&["de"], "", None),
            // The longest named beginning.
            (&["de"], "de-AT", Some("de")),
            (&["de-at"], "de", None),
            (&["de", "de-at"], "de-AT-1901", Some("de-at")),
            (&["de", "de-at"], "de-CH", Some("de")),
            (
                &["zh-hant", "zh"],
                "zh-Hant-CN-x-private1-private2",
                Some("zh-hant"),
            ),
            (&["d"], "de", None),
            (&["de-de"], "de-DEVA", None),
            (&["de-at", "en"], "de,en;q=0.5", Some("en")),
            // In any case, with any white space that is allowed.
            (&["de-at"], "DE-at", Some("de-at")),
            (
                &["de", "en"],
                " fr ;q=1 ,\tde ; q=0.7 , en;Q=0.6",
                Some("de"),
            ),
            // `*` looks nothing up.
            (&["de"], "*", None),
            (&["de", "en"], "*;q=1, en;q=0.1", Some("en")),
            (&["de"], "*;q=0, de", Some("de")),
            // q=0: the most specific entry decides.
            (&["de"], "de;q=0", None),
            (&["de"], "de-AT, de;q=0", None),
            (&["de", "de-at"], "de, de-AT;q=0", Some("de")),
            (&["de-at"], "de;q=0, de-AT", Some("de-at")),
            (&["de-at"], "de, de-AT;q=0", None),
            (&["de", "de-at"], "de-AT-1901, de-AT;q=0", Some("de")),
            (&["de-at"], "de-AT-1901, de;q=0", None),
            (&["de", "en"], "de;q=0.0, en;q=0.001", Some("en")),
            (&["de"], "de;q=0.000", None),
            // What is malformed is as if it were not there.
            (&["de", "en"], "de;q=2,en;q=0.5", Some("en")),
            (&["de", "en"], "de;q=0.1234,en;q=0.5", Some("en")),
            (&["de", "en"], "de;q=1.001,en;q=0.5", Some("en")),
            (&["de", "en"], "de;q=high,en;q=0.5", Some("en")),
            (&["de", "en"], "de;q=,en;q=0.5", Some("en")),
            (&["de", "en"], "de;,en;q=0.5", Some("en")),
            (&["de", "en"], "de;level=1,en;q=0.5", Some("en")),
            (&["de", "en"], "de;q=1;q=1,en;q=0.5", Some("en")),
            (&["de", "en"], "de q=1,en;q=0.5", Some("en")),
            (&["de", "en"], "de_AT,en;q=0.5", Some("en")),
            (&["de", "en"], "de--AT,en;q=0.5", Some("en")),
            (&["de", "en"], "de-,en;q=0.5", Some("en")),
            (&["de", "en"], "-de,en;q=0.5", Some("en")),
            (&["de", "en"], "de-*,en;q=0.5", Some("en")),
            (&["de", "en"], "abcdefghi,en;q=0.5", Some("en")),
            (&["de", "en"], ",, ,en;q=0.5,", Some("en")),
            (&["de"], "de;q=0;x, de", Some("de")),
            (&["de", "en"], "de;q=1.,en;q=0.5", Some("de")),
        ] {
            assert_eq!(
                preferred_of(named, &[header]),
                found,
                "{named:?} for {header:?}"
            );
        }
    }

    #[test]
    fn lines_are_one_list_and_its_end_is_not_looked_at_when_it_is_too_long() {
        assert_eq!(
            preferred_of(&["de", "en"], &["fr", "en;q=0.5,de"]),
            Some("de")
        );
        let long = format!("{}de", "fr,".repeat(ENTRIES - 1));
        assert_eq!(preferred_of(&["de"], &[&long]), Some("de"));
        assert_eq!(preferred_of(&["de"], &["fr", &long]), None);
        let empty = format!("{}de", ", ,de;q=2,*,".repeat(ENTRIES));
        assert_eq!(preferred_of(&["de"], &[&empty]), Some("de"));
        let deep = format!("de-{}", "a-".repeat(BYTES / 2 - 3));
        let deep = deep.trim_end_matches('-');
        assert!(deep.len() < BYTES);
        assert_eq!(preferred_of(&["de"], &[deep]), Some("de"));
        // What is cut off is not read as what it begins with.
        assert_eq!(preferred_of(&["de"], &[&format!("{deep}-a-a")]), None);
        let white = " ".repeat(BYTES);
        assert_eq!(preferred_of(&["de"], &[&white, "de"]), None);
    }

    #[test]
    fn a_tag_that_is_refused_once_stays_so_and_hides_no_shorter_one() {
        let named = &["de", "de-at", "de-at-1901", "en"];
        let many = "de-AT-1901-x-a;q=0.5,".repeat(60);
        for (refused, found) in [
            ("de-AT-1901;q=0", "de-at"),
            ("de-AT-1901;q=0,de-AT;q=0", "de"),
            ("de-AT-1901;q=0,de-AT;q=0,de;q=0", "en"),
        ] {
            let header = format!("{many}{refused},en;q=0.1");
            assert_eq!(preferred_of(named, &[&header]), Some(found), "{refused}");
        }
    }

    #[test]
    fn a_tag_that_is_none_is_refused_with_the_nearest_that_is() {
        for good in [
            "de",
            "de-AT",
            "DE-at",
            "zh-Hant-TW",
            "es-419",
            "gsw",
            "x-ours",
            "i-klingon",
            "iw",
            "sr-Latn-RS",
        ] {
            assert_eq!(
                LanguageTag::parse(good)
                    .map(|tag| tag.to_string())
                    .as_deref(),
                Ok(good)
            );
        }
        for (bad, near) in [
            ("de_DE", "did you mean de-DE?"),
            ("German", "did you mean de?"),
            ("deu", "did you mean de?"),
            ("deu-AT", "did you mean de-AT?"),
            ("en-UK", "did you mean GB?"),
            ("de-", "did you mean de?"),
            ("xy", "did you mean"),
            ("", "such as de or pt-BR"),
            ("*", "such as de or pt-BR"),
        ] {
            let refusal = LanguageTag::parse(bad).expect_err(bad).to_string();
            assert!(refusal.contains(near), "{bad}: {refusal}");
        }
    }
}
