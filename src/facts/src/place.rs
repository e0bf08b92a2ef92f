//! Where an address is, as far as a GeoIP record tells: country, region, city. Which record belongs to an address is left to
//! `places`.

use maxminddb::{LookupResult, MaxMindDbError, PathElement, path};

/// Where an address is, in the words of the database that it was looked up in. What that does not know is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place<'a> {
    /// ISO 3166-1 alpha-2.
    pub country: Option<CountryCode>,
    /// ISO 3166-2; only from files that hold codes, not names.
    pub region: Option<RegionCode>,
    /// The city's English name, as the file spells it.
    pub city: Option<&'a str>,
}

/// An ISO 3166-1 alpha-2 code: two capital letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CountryCode([u8; 2]);

/// An ISO 3166-2 code: a country's, a hyphen, and one to three letters or digits, as in `DE-BY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionCode {
    /// Zeros behind the end.
    bytes: [u8; 6],
    len: u8,
}

/// A text that is not two capital letters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no country code; use two capital letters as in ISO 3166-1, like DE")]
pub struct NotACountryCode(String);

impl CountryCode {
    /// The two letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("made of ASCII capitals only")
    }
}

impl std::str::FromStr for CountryCode {
    type Err = NotACountryCode;

    fn from_str(text: &str) -> Result<CountryCode, NotACountryCode> {
        match text.as_bytes() {
            &[first, second] if first.is_ascii_uppercase() && second.is_ascii_uppercase() => {
                Ok(CountryCode([first, second]))
            }
            _ => Err(NotACountryCode(text.to_owned())),
        }
    }
}

impl std::fmt::Display for CountryCode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl RegionCode {
    /// The code of a country's subdivision, if it has the form of one.
    fn new(country: CountryCode, subdivision: &str) -> Option<RegionCode> {
        let fits = (1..=3).contains(&subdivision.len())
            && subdivision
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        if !fits {
            return None;
        }
        let mut bytes = [0; 6];
        bytes[..2].copy_from_slice(&country.0);
        bytes[2] = b'-';
        bytes[3..3 + subdivision.len()].copy_from_slice(subdivision.as_bytes());
        let len = 3 + subdivision.len() as u8; // at most 3
        Some(RegionCode { bytes, len })
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).expect("made of ASCII only")
    }
}

impl std::fmt::Display for RegionCode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl<'a> Place<'a> {
    /// Reads a record of either layout: MaxMind's (`country.iso_code`, `subdivisions[].iso_code`, `city.names.en`), which DB-IP
    /// uses too, or the flat one of ip-location-db (`country_code`, `city`; its `state1` is a name and no code, so unused).
    ///
    /// # Errors
    ///
    /// When the record is damaged. What it lacks is no error.
    pub(crate) fn read<S: AsRef<[u8]>>(
        record: &LookupResult<'a, S>,
    ) -> Result<Place<'a>, MaxMindDbError> {
        // The flat layout is told by a name that the other has not: to look for one layout's places in the other makes errors, with
        // words that are allocated.
        let flat = text(record, &path!["country_code"])?;
        let (country, subdivision, city) = match flat {
            Some(_) => (flat, None, text(record, &path!["city"])?),
            None => (
                text(record, &path!["country", "iso_code"])?,
                text(record, &path!["subdivisions", 0, "iso_code"])?,
                text(record, &path!["city", "names", "en"])?,
            ),
        };
        let country = country.and_then(|code| code.parse::<CountryCode>().ok());
        let region = country
            .zip(subdivision)
            .and_then(|(country, subdivision)| RegionCode::new(country, subdivision));
        Ok(Place {
            country,
            region,
            city,
        })
    }
}

/// The text at `path`, if there is one. A record of the other layout has something else there, which is no damage.
fn text<'de, S: AsRef<[u8]>>(
    record: &LookupResult<'de, S>,
    path: &[PathElement<'_>],
) -> Result<Option<&'de str>, MaxMindDbError> {
    match record.decode_path::<&str>(path) {
        Ok(text) => Ok(text.filter(|text| !text.is_empty())),
        Err(MaxMindDbError::Decoding { .. }) => Ok(None),
        Err(damage) => Err(damage),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_code_is_two_capital_letters() {
        assert_eq!("DE".parse::<CountryCode>().unwrap().to_string(), "DE");
        for text in ["", "D", "de", "DEU", "D1", "ÄÖ", "Ä"] {
            assert!(text.parse::<CountryCode>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_region_takes_one_to_three_letters_or_digits() {
        let country = "FR".parse().unwrap();
        for (subdivision, code) in [("IDF", "FR-IDF"), ("75", "FR-75"), ("B", "FR-B")] {
            let region = RegionCode::new(country, subdivision).unwrap();
            assert_eq!((region.as_str(), region.to_string().as_str()), (code, code));
        }
        for name in ["", "Bretagne", "b", "É"] {
            assert_eq!(RegionCode::new(country, name), None, "{name}");
        }
    }
}
