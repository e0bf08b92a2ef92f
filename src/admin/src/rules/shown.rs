//! Rules as requests give them and answers show them, and what is odd about them; for the OpenAPI document, their JSON Schema.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use tags::{Dates, Rule, RuleWarning, ScanNumbers, Tag, Target, Targets};
use utoipa::ToSchema;

/// Where a tag leads for whom. Rules are tried in order; the first of which all conditions hold decides, else the tag's `destination`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rule)]
pub(crate) struct RuleJson {
    /// What it is called, for people and in analytics; unique in its tag.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    when: WhenJson,
    to: ToJson,
}

/// A rule's conditions, all of which must hold; `{}` always holds. Within a list any value is enough. A fact that is unknown makes its
/// condition false.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = RuleConditions)]
pub(crate) struct WhenJson {
    /// The class of the device.
    #[schema(value_type = Option<Vec<DeviceWord>>, min_items = 1, max_items = 16)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    device: Vec<&'static str>,
    /// The operating system.
    #[schema(value_type = Option<Vec<OsWord>>, min_items = 1, max_items = 16)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    os: Vec<&'static str>,
    /// The browser.
    #[schema(value_type = Option<Vec<BrowserWord>>, min_items = 1, max_items = 16)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    browser: Vec<&'static str>,
    /// Countries, ISO 3166-1 alpha-2 in capitals.
    #[schema(value_type = Option<Vec<String>>, min_items = 1, max_items = 16, example = json!(["DE", "AT"]))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    country: Vec<String>,
    /// Regions, ISO 3166-2.
    #[schema(value_type = Option<Vec<String>>, min_items = 1, max_items = 16, example = json!(["DE-BY"]))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    region: Vec<String>,
    /// Language tags, RFC 5646. Of all that the tag's rules name, the one that the visitor prefers (RFC 4647 look-up) has to be one of these.
    #[schema(value_type = Option<Vec<String>>, min_items = 1, max_items = 16, example = json!(["de"]))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    language: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dates: Option<DatesJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hours: Option<HoursJson>,
    /// Parameters of the request: names, each with values of which one must be there; null: the request must not have it.
    #[schema(example = json!({"ref": ["tv"], "beta": null}))]
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<BTreeMap<String, Option<Vec<String>>>>,
    /// Whether the User-Agent says that no person is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    bot: Option<bool>,
    /// Networks of the client's address.
    #[schema(value_type = Option<Vec<String>>, min_items = 1, max_items = 16, example = json!(["203.0.113.0/24"]))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    network: Vec<String>,
    /// Per cent of the visitors, the same ones each time.
    #[schema(minimum = 1, maximum = 100)]
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scan_number: Option<ScanNumbersJson>,
}

/// Points in time, from the first, inside, to the last, outside; one may be missing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RuleDates)]
pub(crate) struct DatesJson {
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Timestamp>,
}

/// Times of day on a zone's wall clock, from the first minute, inside, to the last, outside. What is behind midnight belongs to the day
/// before.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RuleHours)]
pub(crate) struct HoursJson {
    /// On which days; without them, every day.
    #[schema(value_type = Option<Vec<DayWord>>, min_items = 1, max_items = 7)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    days: Vec<&'static str>,
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$", example = "22:00")]
    from: String,
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$", example = "02:00")]
    to: String,
    /// A zone of the IANA time zone database.
    #[schema(example = "Europe/Berlin")]
    zone: String,
}

/// Numbers of the tag's scans, from the first, inside, to the last, outside; one may be missing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RuleScanNumbers)]
pub(crate) struct ScanNumbersJson {
    #[schema(minimum = 1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<u64>,
    #[schema(minimum = 1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<u64>,
}

/// Where a rule leads: to one destination, or each visitor to one of several, always the same.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RuleDestination)]
#[serde(untagged)]
pub(crate) enum ToJson {
    /// As a tag's `destination`.
    One(String),
    /// At most 16.
    Weighted(Vec<TargetJson>),
}

/// One of several destinations.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WeightedDestination)]
pub(crate) struct TargetJson {
    /// As a tag's `destination`.
    url: String,
    /// How many visitors are sent there, compared with the others' weights.
    #[schema(minimum = 1, maximum = 1000)]
    weight: u64,
}

/// Something about a tag that is allowed, and hardly meant: a rule that can never hold, or that hides all after it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Warning)]
pub(crate) struct WarningJson {
    /// What it is about, as a JSON pointer (RFC 6901).
    #[schema(example = "/rules/0")]
    pub(crate) pointer: String,
    /// What is odd about it.
    pub(crate) detail: String,
}

impl RuleJson {
    pub(crate) fn of(tag: &Tag) -> Vec<Self> {
        tag.rules.list().iter().map(Self::from).collect()
    }
}

impl WarningJson {
    /// What is odd about a tag at this time.
    pub(crate) fn of(tag: &Tag, now: Timestamp) -> Vec<Self> {
        let of_rule = |warning: RuleWarning| Self {
            pointer: format!("/rules{}", warning.pointer),
            detail: warning.detail,
        };
        let warnings = tag.rules.warnings(tag.starts_at, tag.expires_at, now);
        warnings.into_iter().map(of_rule).collect()
    }
}

impl From<&Rule> for RuleJson {
    fn from(rule: &Rule) -> Self {
        let when = &rule.when;
        let query: BTreeMap<_, _> = when.query.iter().cloned().collect();
        Self {
            name: rule.name.clone(),
            when: WhenJson {
                device: when.device.iter().map(|it| it.as_str()).collect(),
                os: when.os.iter().map(|it| it.as_str()).collect(),
                browser: when.browser.iter().map(|it| it.as_str()).collect(),
                country: texts(&when.country),
                region: texts(&when.region),
                language: texts(&when.language),
                dates: when.dates.map(DatesJson::from),
                hours: when.hours.as_ref().map(|hours| HoursJson {
                    days: hours.days().iter().map(|it| it.as_str()).collect(),
                    from: hours.from().to_string(),
                    to: hours.to().to_string(),
                    zone: hours.zone().to_string(),
                }),
                query: (!query.is_empty()).then_some(query),
                bot: when.bot,
                network: texts(&when.network),
                share: when.share.map(|share| share.per_cent()),
                scan_number: when.scan_number.map(ScanNumbersJson::from),
            },
            to: match &rule.to {
                Targets::One(url) => ToJson::One(url.to_string()),
                Targets::Weighted(targets) => {
                    ToJson::Weighted(targets.iter().map(TargetJson::from).collect())
                }
            },
        }
    }
}

impl From<Dates> for DatesJson {
    fn from(dates: Dates) -> Self {
        let (from, to) = (dates.from(), dates.to());
        Self { from, to }
    }
}

impl From<ScanNumbers> for ScanNumbersJson {
    fn from(numbers: ScanNumbers) -> Self {
        let (from, to) = (numbers.from(), numbers.to());
        Self { from, to }
    }
}

impl From<&Target> for TargetJson {
    fn from(target: &Target) -> Self {
        Self {
            url: target.url.to_string(),
            weight: target.weight.get(),
        }
    }
}

fn texts(values: &[impl ToString]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

macro_rules! words {
    ($($(#[$about:meta])* $name:ident as $shown:ident { $($word:ident),+ })+) => {
        $(
            $(#[$about])*
            #[derive(Debug, Serialize, ToSchema)]
            #[schema(as = $shown)]
            #[serde(rename_all = "snake_case")]
            #[expect(dead_code, reason = "documents the words that `tags` reads; a test compares the two")]
            pub(crate) enum $name { $(#[allow(missing_docs)] $word),+ }
        )+
    };
}

words! {
    /// A class of devices.
    DeviceWord as Device { Mobile, Tablet, Desktop, Tv, Other }
    /// An operating system.
    OsWord as OperatingSystem { Ios, Android, Windows, Macos, Linux, Chromeos, Other }
    /// A browser; `in_app`: a page shown inside another app.
    BrowserWord as Browser { Safari, Chrome, Firefox, Edge, Samsung, Opera, InApp, Other }
    /// A day of the week.
    DayWord as Day { Mon, Tue, Wed, Thu, Fri, Sat, Sun }
}
