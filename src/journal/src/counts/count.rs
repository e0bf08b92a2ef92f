//! One count, and the key that it has.

use tags::{Code, Domain};

use super::CountError;
use crate::EdgeRun;

/// How often a tag has been scanned, by one series of counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The host of the tag's short URL.
    pub domain: Domain,
    /// Its path.
    pub code: Code,
    /// The series: the edge that counts, and the run in which it began. A later run may count on in it.
    pub series: EdgeRun,
    /// How many scans, [`tags::MaxScans::MAX`] at most. It only grows.
    pub scans: u64,
}

impl Count {
    /// The record's key: `DOMAIN/CODE/EDGE/BOOT`. None of the four has a slash.
    pub fn key(&self) -> String {
        format!("{}/{}/{}", self.domain, self.code, self.series)
    }

    /// A count from its key.
    pub(super) fn of_key(key: &str, scans: u64) -> Result<Self, CountError> {
        let mut parts = key.splitn(3, '/');
        let mut next = || parts.next().unwrap_or_default();
        let (domain, code, series) = (next(), next(), next());
        let named = |error: &dyn ToString| CountError::Key(error.to_string());
        let count = Self {
            domain: Domain::parse(domain).map_err(|error| named(&error))?,
            code: Code::parse(code).map_err(|error| named(&error))?,
            series: EdgeRun::parse(series).map_err(|error| named(&error))?,
            scans,
        };
        // A domain in capitals is another key than ours.
        match count.key() == key {
            true => Ok(count),
            false => Err(CountError::Key(format!(
                "it is spelt otherwise than '{}'",
                count.key()
            ))),
        }
    }
}
