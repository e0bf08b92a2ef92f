//! What a rule says, in types that hold nothing but what is allowed. What they cannot rule out is checked in `check`.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use jiff::Timestamp;

use super::{Condition, Country, LanguageTag, Region, Zone};
use crate::spelling::spelled;
use crate::{Browser, Destination, Device, Os};

/// A value that a rule cannot have. Its text says what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRuleValue(pub(super) String);

/// Where a tag leads under which conditions.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What it is called, for people and in analytics; unique in its tag.
    pub name: String,
    /// What must hold.
    pub when: When,
    /// Where it leads.
    pub to: Targets,
}

/// A rule's conditions, all of which must hold. An empty list and none is no condition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct When {
    /// One of these classes of devices.
    pub device: Vec<Device>,
    /// One of these operating systems.
    pub os: Vec<Os>,
    /// One of these browsers.
    pub browser: Vec<Browser>,
    /// In one of these countries.
    pub country: Vec<Country>,
    /// In one of these regions.
    pub region: Vec<Region>,
    /// Of all languages that the tag's rules name, the visitor prefers one of these.
    pub language: Vec<LanguageTag>,
    /// Between points in time.
    pub dates: Option<Dates>,
    /// On days of the week, at times of day.
    pub hours: Option<Hours>,
    /// With or without these parameters: names and their values, of which one must be there; none: the name must not be.
    pub query: Vec<(String, Option<Vec<String>>)>,
    /// From a bot, or from none.
    pub bot: Option<bool>,
    /// From one of these networks.
    pub network: Vec<IpNet>,
    /// For a part of the visitors.
    pub share: Option<Share>,
    /// For scans of these numbers.
    pub scan_number: Option<ScanNumbers>,
}

impl When {
    /// Whether there is a condition of this kind.
    pub fn has(&self, condition: Condition) -> bool {
        match condition {
            Condition::Device => !self.device.is_empty(),
            Condition::Os => !self.os.is_empty(),
            Condition::Browser => !self.browser.is_empty(),
            Condition::Country => !self.country.is_empty(),
            Condition::Region => !self.region.is_empty(),
            Condition::Language => !self.language.is_empty(),
            Condition::Dates => self.dates.is_some(),
            Condition::Hours => self.hours.is_some(),
            Condition::Query => !self.query.is_empty(),
            Condition::Bot => self.bot.is_some(),
            Condition::Network => !self.network.is_empty(),
            Condition::Share => self.share.is_some(),
            Condition::ScanNumber => self.scan_number.is_some(),
        }
    }
}

/// Where a rule leads.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// To one place.
    One(Destination),
    /// Each visitor to one of these, always the same.
    Weighted(Vec<Target>),
}

/// One of several places.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Which.
    pub url: Destination,
    /// How many visitors are sent there, compared with the others' weights.
    pub weight: Weight,
}

/// A destination's weight among others, 1 to 1,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight(u16);

impl Weight {
    /// The lightest.
    pub const ONE: Self = Self(1);
    /// The heaviest.
    pub const MAX: u64 = 1_000;

    /// A weight from its number.
    pub fn new(number: u64) -> Result<Self, InvalidRuleValue> {
        match number {
            1..=Self::MAX => Ok(Self(number as u16)), // at most 1,000
            _ => Err(InvalidRuleValue(format!(
                "must be a whole number from 1 to {}",
                Self::MAX
            ))),
        }
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0.into()
    }
}

/// From a point in time, inside, to another, outside; one of them may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Dates {
    /// A range that has an end, and lasts.
    pub fn new(from: Option<Timestamp>, to: Option<Timestamp>) -> Result<Self, InvalidRuleValue> {
        check_range(from, to)?;
        Ok(Self { from, to })
    }

    /// When it begins.
    pub fn from(self) -> Option<Timestamp> {
        self.from
    }

    /// When it has ended.
    pub fn to(self) -> Option<Timestamp> {
        self.to
    }
}

/// From a number, inside, to another, outside; one of them may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanNumbers {
    from: Option<u64>,
    to: Option<u64>,
}

impl ScanNumbers {
    /// The highest number: readers of JSON keep whole numbers up to here exactly.
    pub const MAX: u64 = (1 << 53) - 1;

    /// A range that has an end, and holds a number. The first scan has number 1.
    pub fn new(from: Option<u64>, to: Option<u64>) -> Result<Self, InvalidRuleValue> {
        let numbers = [from, to];
        if numbers
            .iter()
            .flatten()
            .any(|number| !(1..=Self::MAX).contains(number))
        {
            let detail = format!("a scan number is from 1 to {}", Self::MAX);
            return Err(InvalidRuleValue(detail));
        }
        check_range(Some(from.unwrap_or(1)), to)?;
        if numbers == [None, None] {
            return Err(InvalidRuleValue(NO_END.to_owned()));
        }
        Ok(Self { from, to })
    }

    /// The first number.
    pub fn from(self) -> Option<u64> {
        self.from
    }

    /// The number behind the last.
    pub fn to(self) -> Option<u64> {
        self.to
    }
}

const NO_END: &str = "needs from, to, or both";

fn check_range<T: PartialOrd>(from: Option<T>, to: Option<T>) -> Result<(), InvalidRuleValue> {
    match (from, to) {
        (None, None) => Err(InvalidRuleValue(NO_END.to_owned())),
        (Some(from), Some(to)) if from >= to => Err(InvalidRuleValue(
            "to must be after from: the range is from its beginning, inside, to its end, outside"
                .to_owned(),
        )),
        _ => Ok(()),
    }
}

spelled! {
    /// A day of the week.
    Day, "day of the week", {
        /// Monday.
        Mon = "mon",
        /// Tuesday.
        Tue = "tue",
        /// Wednesday.
        Wed = "wed",
        /// Thursday.
        Thu = "thu",
        /// Friday.
        Fri = "fri",
        /// Saturday.
        Sat = "sat",
        /// Sunday.
        Sun = "sun",
    }
}

/// A time of day as a clock shows it, to the minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    /// From minutes since midnight.
    pub fn from_minutes(minutes: u16) -> Option<Self> {
        (minutes < 24 * 60).then_some(Self(minutes))
    }

    /// Minutes since midnight.
    pub fn minutes(self) -> u16 {
        self.0
    }
}

impl FromStr for TimeOfDay {
    type Err = InvalidRuleValue;
    fn from_str(text: &str) -> Result<Self, InvalidRuleValue> {
        let form = || {
            InvalidRuleValue("must be a time of day from 00:00 to 23:59, such as 06:30".to_owned())
        };
        let digits = |text: &str| {
            let two = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u16>().ok().filter(|_| two)
        };
        let (hours, minutes) = text.split_once(':').ok_or_else(form)?;
        let hours = digits(hours).filter(|hours| *hours < 24);
        let minutes = digits(minutes).filter(|minutes| *minutes < 60);
        match (hours, minutes) {
            (Some(hours), Some(minutes)) => Ok(Self(hours * 60 + minutes)),
            _ => Err(form()),
        }
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// Times of day on the wall clock of a time zone. Where they pass midnight, what is behind it belongs to the day before.
#[derive(Clone, Debug, PartialEq)]
pub struct Hours {
    days: Vec<Day>,
    from: TimeOfDay,
    to: TimeOfDay,
    zone: Zone,
}

impl Hours {
    /// Hours that last; no days: every day.
    pub fn new(
        days: Vec<Day>,
        from: TimeOfDay,
        to: TimeOfDay,
        zone: Zone,
    ) -> Result<Self, InvalidRuleValue> {
        if from == to {
            return Err(InvalidRuleValue(
                "to must differ from from: hours from a time of day to the same have no length"
                    .to_owned(),
            ));
        }
        Ok(Self {
            days,
            from,
            to,
            zone,
        })
    }

    /// On which days; none: every day.
    pub fn days(&self) -> &[Day] {
        &self.days
    }

    /// The first minute.
    pub fn from(&self) -> TimeOfDay {
        self.from
    }

    /// The minute behind the last.
    pub fn to(&self) -> TimeOfDay {
        self.to
    }

    /// Whose wall clock.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }
}

/// A part of the visitors, in per cent, 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u8);

impl Share {
    /// A part from its per cent.
    pub fn new(per_cent: u64) -> Result<Self, InvalidRuleValue> {
        match per_cent {
            1..=100 => Ok(Self(per_cent as u8)), // at most 100
            _ => Err(InvalidRuleValue(
                "must be a whole number of per cent from 1 to 100".to_owned(),
            )),
        }
    }

    /// The per cent.
    pub fn per_cent(self) -> u8 {
        self.0
    }
}
