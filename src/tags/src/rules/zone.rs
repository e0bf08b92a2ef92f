//! Time zones by their names in the IANA database that is part of the program, so that all edges of a build agree whatever their machines
//! have. A zone is read once, when a rule that names it is; what time it is there is then found without allocating.

use std::fmt;
use std::sync::{LazyLock, OnceLock};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::InvalidRuleValue;
use super::nearest::nearest;
use super::place::unknown;

/// A time zone of the IANA database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone(&'static Known);

#[derive(Debug)]
struct Known {
    name: String,
    zone: OnceLock<Option<TimeZone>>,
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Known {}

/// All zones, by their names in order.
static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let database = TimeZoneDatabase::bundled();
    let mut names: Vec<String> = database
        .available()
        .map(|name| name.as_str().to_owned())
        .collect();
    names.sort_unstable();
    let known = |name| Known {
        name,
        zone: OnceLock::new(),
    };
    names.into_iter().map(known).collect()
});

impl Zone {
    /// A zone by its name, as in `Europe/Berlin`.
    pub fn parse(name: &str) -> Result<Self, InvalidRuleValue> {
        Self::find(name).ok_or_else(|| {
            let names = || KNOWN.iter().map(|known| known.name.as_str());
            // Who names a city alone means that city's zone.
            let city = name.replace(' ', "_");
            let by_city = names().find(|known| {
                known
                    .rsplit('/')
                    .next()
                    .is_some_and(|last| last.eq_ignore_ascii_case(&city))
            });
            let near = by_city.or_else(|| nearest(name, names()));
            unknown(
                "a time zone of the IANA database, such as Europe/Berlin",
                name,
                near,
            )
        })
    }

    /// The zone of exactly this name, if there is one that can be read.
    pub(super) fn find(name: &str) -> Option<Self> {
        let at = KNOWN
            .binary_search_by(|known| known.name.as_str().cmp(name))
            .ok()?;
        let known = &KNOWN[at];
        known.zone().map(|_| Self(known))
    }

    /// The name.
    pub fn as_str(self) -> &'static str {
        &self.0.name
    }

    /// What its clocks show.
    pub(super) fn local(self, now: Timestamp) -> Option<DateTime> {
        Some(self.0.zone()?.to_datetime(now))
    }
}

impl Known {
    fn zone(&self) -> Option<&TimeZone> {
        let read = || TimeZoneDatabase::bundled().get(&self.name).ok();
        self.zone.get_or_init(read).as_ref()
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
