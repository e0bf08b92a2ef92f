//! Time zones by their names in the IANA database that is part of the program, so that all edges of a build agree whatever their machines
//! have. A zone is read once, when a rule that names it is; what time it is there is then found without allocating.

use std::collections::HashMap;
use std::fmt;
use std::sync::{LazyLock, OnceLock};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::InvalidRuleValue;
use super::nearest::nearest;
use super::place::unknown;

/// A time zone of the IANA database, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(Box<str>);

const A_ZONE: &str = "a time zone of the IANA database, such as Europe/Berlin";

/// All zones, by their names.
static KNOWN: LazyLock<HashMap<String, OnceLock<Option<TimeZone>>>> = LazyLock::new(|| {
    let database = TimeZoneDatabase::bundled();
    let names = database.available();
    names
        .map(|name| (name.as_str().to_owned(), OnceLock::new()))
        .collect()
});

impl Zone {
    /// A zone by its name, as in `Europe/Berlin`.
    pub fn parse(name: &str) -> Result<Self, InvalidRuleValue> {
        find(name).map(|_| Self(name.into())).ok_or_else(|| {
            let mut names: Vec<&str> = KNOWN.keys().map(String::as_str).collect();
            names.sort_unstable();
            // Who names a city alone means that city's zone.
            let city = name.replace(' ', "_");
            let by_city = names.iter().copied().find(|known| {
                known
                    .rsplit('/')
                    .next()
                    .is_some_and(|last| last.eq_ignore_ascii_case(&city))
            });
            let near = by_city.or_else(|| nearest(name, names.into_iter()));
            unknown(A_ZONE, name, near)
        })
    }

    /// The zone of UTC.
    pub fn utc() -> Self {
        Self("UTC".into())
    }

    /// One that was taken before, maybe by a build whose database has more zones. Only its form is judged; where this build does not know
    /// it, a rule of it holds for nobody.
    pub fn from_stored(name: &str) -> Result<Self, InvalidRuleValue> {
        let of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte);
        let well_formed = (1..=Self::MAX_LEN).contains(&name.len()) && name.bytes().all(of_name);
        if !well_formed {
            return Err(unknown(A_ZONE, name, None));
        }
        Ok(Self(name.into()))
    }

    /// The longest name, in bytes: twice that of the longest zone that there is.
    const MAX_LEN: usize = 64;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its clocks; none: this build does not know the zone.
    pub fn clocks(&self) -> Option<TimeZone> {
        find(&self.0).cloned()
    }
}

/// What the clocks of a zone show; none: there is no zone of exactly this name in this build.
pub(super) fn local(name: &str, now: Timestamp) -> Option<DateTime> {
    Some(find(name)?.to_datetime(now))
}

fn find(name: &str) -> Option<&'static TimeZone> {
    let read = || TimeZoneDatabase::bundled().get(name).ok();
    KNOWN.get(name)?.get_or_init(read).as_ref()
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
