//! Countries and regions as rules name them. What ISO has is asked of who writes a rule; what was once taken is kept.

use std::fmt;

use rust_iso3166::iso3166_2::SUBDIVISION_COUNTRY_MAP;

use super::InvalidRuleValue;
use super::nearest::{nearest, shown};

/// A country: ISO 3166-1 alpha-2, two capital letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

/// Kosovo, which has no code in ISO 3166-1; GeoIP files say this one, from the range that the standard leaves to its users.
const KOSOVO: &str = "XK";

/// What people write, and what is meant.
const MEANT: [(&str, &str); 4] = [("UK", "GB"), ("EL", "GR"), ("EN", "GB"), ("USA", "US")];

impl Country {
    /// A country that there is.
    pub fn parse(text: &str) -> Result<Self, InvalidRuleValue> {
        if rust_iso3166::from_alpha2(text).is_some() || text == KOSOVO {
            return Self::from_stored(text);
        }
        let country = |code: &&str| rust_iso3166::from_alpha2(code);
        let by_name = rust_iso3166::ALL
            .iter()
            .find(|country| country.name.eq_ignore_ascii_case(text));
        let by_three = rust_iso3166::from_alpha3(&text.to_uppercase());
        let meant = MEANT
            .iter()
            .find(|(written, _)| written.eq_ignore_ascii_case(text));
        let near = meant
            .and_then(|(_, code)| country(code))
            .or(by_name.copied())
            .or(by_three)
            .map(|country| country.alpha2)
            .or_else(|| nearest(text, rust_iso3166::ALL_ALPHA2.iter().copied()));
        Err(unknown(
            "a country of ISO 3166-1, which are two capital letters such as DE",
            text,
            near,
        ))
    }

    /// One that was taken before.
    pub fn from_stored(text: &str) -> Result<Self, InvalidRuleValue> {
        match *text.as_bytes() {
            [first, second] if first.is_ascii_uppercase() && second.is_ascii_uppercase() => {
                Ok(Self([first, second]))
            }
            _ => Err(unknown("two capital letters", text, None)),
        }
    }

    /// The two letters.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("two ASCII letters")
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A region: ISO 3166-2, a country, a hyphen, and one to three capital letters or digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(Box<str>);

impl Region {
    /// The longest, in bytes.
    pub const MAX_LEN: usize = 6;

    /// A region that there is.
    pub fn parse(text: &str) -> Result<Self, InvalidRuleValue> {
        if rust_iso3166::iso3166_2::from_code(text).is_some() {
            return Self::from_stored(text);
        }
        let upper = text.to_uppercase();
        let regions = || SUBDIVISION_COUNTRY_MAP.values().copied().flatten();
        // Those of the same country first, if it is one.
        let of_country = upper
            .get(..2)
            .and_then(|country| SUBDIVISION_COUNTRY_MAP.get(country));
        let of_country = of_country.copied().unwrap_or_default();
        let by_name = regions().filter(|region| region.name.eq_ignore_ascii_case(text));
        let mut all: Vec<&str> = regions().map(|region| region.code).collect();
        all.sort_unstable();
        // Who leaves the country out.
        let by_part = regions().filter(|region| {
            region
                .code
                .split_once('-')
                .is_some_and(|(_, part)| part == upper)
        });
        let near = by_name
            .chain(by_part)
            .map(|region| region.code)
            .min()
            .or_else(|| nearest(text, of_country.iter().map(|region| region.code)))
            .or_else(|| nearest(text, all.into_iter()));
        Err(unknown("a region of ISO 3166-2, such as DE-BY", text, near))
    }

    /// One that was taken before.
    pub fn from_stored(text: &str) -> Result<Self, InvalidRuleValue> {
        let capital = |byte: &u8| byte.is_ascii_uppercase();
        let of_part = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        match text.as_bytes() {
            [first, second, b'-', part @ ..]
                if capital(first)
                    && capital(second)
                    && (1..=3).contains(&part.len())
                    && part.iter().all(of_part) =>
            {
                Ok(Self(text.into()))
            }
            _ => Err(unknown("a region of ISO 3166-2, such as DE-BY", text, None)),
        }
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The country that it is in.
    pub fn country(&self) -> &str {
        &self.0[..2]
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The refusal of a word that is none of a kind, with the nearest that is.
pub(super) fn unknown(what: &str, given: &str, near: Option<&str>) -> InvalidRuleValue {
    let given = shown(given);
    InvalidRuleValue(match near {
        Some(near) => format!("'{given}' is not {what}; did you mean {near}?"),
        None => format!("'{given}' is not {what}"),
    })
}
