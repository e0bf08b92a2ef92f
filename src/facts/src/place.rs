//! Where an address is, as far as a GeoIP record tells: country, region, city. Which record belongs to an address is left to
//! `places`.

use maxminddb::{LookupResult, MaxMindDbError, PathElement, path};

/// Where an address is. What the GeoIP file does not know is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// ISO 3166-1 alpha-2.
    pub country: Option<CountryCode>,
    /// ISO 3166-2 with its country, as in `DE-BY`; only from files that hold codes, not names.
    pub region: Option<String>,
    /// The city's English name, as the file spells it.
    pub city: Option<String>,
}

/// An ISO 3166-1 alpha-2 code: two capital letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CountryCode([u8; 2]);

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

impl Place {
    /// Reads a record of either layout: MaxMind's (`country.iso_code`, `subdivisions[].iso_code`, `city.names.en`), which DB-IP
    /// uses too, or the flat one of ip-location-db (`country_code`, `city`; its `state1` is a name and no code, so unused).
    ///
    /// # Errors
    ///
    /// When the record is damaged. What it lacks is no error.
    pub(crate) fn read<S: AsRef<[u8]>>(
        record: &LookupResult<'_, S>,
    ) -> Result<Place, MaxMindDbError> {
        let country = match text(record, &path!["country", "iso_code"])? {
            Some(code) => Some(code),
            None => text(record, &path!["country_code"])?,
        };
        let country = country.and_then(|code| code.parse::<CountryCode>().ok());
        let subdivision = text(record, &path!["subdivisions", 0, "iso_code"])?;
        let region = country
            .zip(subdivision)
            .and_then(|(country, subdivision)| region_code(country, subdivision));
        let city = match text(record, &path!["city", "names", "en"])? {
            Some(name) => Some(name),
            None => text(record, &path!["city"])?,
        };
        Ok(Place {
            country,
            region,
            city: city.map(str::to_owned),
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

/// ISO 3166-2: the country, a hyphen, and one to three letters or digits.
fn region_code(country: CountryCode, subdivision: &str) -> Option<String> {
    let fits = (1..=3).contains(&subdivision.len())
        && subdivision
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    fits.then(|| format!("{country}-{subdivision}"))
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
        assert_eq!(region_code(country, "IDF"), Some("FR-IDF".to_owned()));
        assert_eq!(region_code(country, "75"), Some("FR-75".to_owned()));
        for name in ["", "Bretagne", "b", "É"] {
            assert_eq!(region_code(country, name), None, "{name}");
        }
    }
}
