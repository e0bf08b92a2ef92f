//! Rules in protobuf. A value that this build does not know is refused with the whole tag: a rule that held for others than it was written
//! for would be worse than the version before. So is a rule with a condition that this build does not know, which would be passed over: each
//! rule says how many it has.

use ipnet::IpNet;
use jiff::Timestamp;
use prost::Message;

use super::{WireError, field, time, unspecified};
use crate::rules::parse_network;
use crate::{
    Condition, Country, Dates, Destination, Hours, LanguageTag, Region, Rule, RuleError, Rules,
    ScanNumbers, Share, Target, Targets, TimeOfDay, Weight, When, Zone,
};

#[derive(Clone, PartialEq, Message)]
pub(super) struct RuleRecord {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, repeated, tag = "2")]
    device: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    os: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    browser: Vec<String>,
    #[prost(string, repeated, tag = "5")]
    country: Vec<String>,
    #[prost(string, repeated, tag = "6")]
    region: Vec<String>,
    #[prost(string, repeated, tag = "7")]
    language: Vec<String>,
    #[prost(message, optional, tag = "8")]
    dates: Option<RangeRecord>,
    #[prost(message, optional, tag = "9")]
    hours: Option<HoursRecord>,
    #[prost(message, repeated, tag = "10")]
    query: Vec<ParameterRecord>,
    #[prost(bool, optional, tag = "11")]
    bot: Option<bool>,
    #[prost(string, repeated, tag = "12")]
    network: Vec<String>,
    #[prost(uint32, optional, tag = "13")]
    share: Option<u32>,
    #[prost(message, optional, tag = "14")]
    scan_number: Option<RangeRecord>,
    #[prost(message, repeated, tag = "15")]
    to: Vec<TargetRecord>,
    #[prost(uint32, tag = "16")]
    conditions: u32,
}

#[derive(Clone, PartialEq, Message)]
struct RangeRecord {
    #[prost(int64, optional, tag = "1")]
    from: Option<i64>,
    #[prost(int64, optional, tag = "2")]
    to: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct HoursRecord {
    #[prost(string, repeated, tag = "1")]
    days: Vec<String>,
    #[prost(uint32, tag = "2")]
    from: u32,
    #[prost(uint32, tag = "3")]
    to: u32,
    #[prost(string, tag = "4")]
    zone: String,
}

#[derive(Clone, PartialEq, Message)]
struct ParameterRecord {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, repeated, tag = "2")]
    values: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct TargetRecord {
    #[prost(string, tag = "1")]
    url: String,
    #[prost(uint32, tag = "2")]
    weight: u32,
}

pub(super) fn records(rules: &Rules) -> Vec<RuleRecord> {
    rules.list().iter().map(RuleRecord::from).collect()
}

pub(super) fn rules(records: Vec<RuleRecord>) -> Result<Rules, WireError> {
    if records.is_empty() {
        return Ok(Rules::default());
    }
    let list = records
        .into_iter()
        .map(Rule::try_from)
        .collect::<Result<_, _>>()?;
    let first = |errors: Vec<RuleError>| errors.first().map(ToString::to_string);
    Rules::new(list).map_err(|errors| WireError::Field {
        field: "rules",
        reason: first(errors).unwrap_or_default(),
    })
}

impl From<&Rule> for RuleRecord {
    fn from(rule: &Rule) -> Self {
        let when = &rule.when;
        Self {
            name: rule.name.clone(),
            device: texts(&when.device),
            os: texts(&when.os),
            browser: texts(&when.browser),
            country: texts(&when.country),
            region: texts(&when.region),
            language: texts(&when.language),
            dates: when.dates.map(|dates| RangeRecord {
                from: dates.from().map(Timestamp::as_microsecond),
                to: dates.to().map(Timestamp::as_microsecond),
            }),
            hours: when.hours.as_ref().map(|hours| HoursRecord {
                days: texts(hours.days()),
                from: hours.from().minutes().into(),
                to: hours.to().minutes().into(),
                zone: hours.zone().to_string(),
            }),
            query: when
                .query
                .iter()
                .map(|(name, values)| ParameterRecord {
                    name: name.clone(),
                    values: values.clone().unwrap_or_default(),
                })
                .collect(),
            bot: when.bot,
            network: texts(&when.network),
            share: when.share.map(|share| share.per_cent().into()),
            scan_number: when.scan_number.map(|numbers| RangeRecord {
                from: numbers.from().map(u64::cast_signed),
                to: numbers.to().map(u64::cast_signed),
            }),
            to: match &rule.to {
                Targets::One(url) => vec![TargetRecord {
                    url: url.to_string(),
                    weight: 0,
                }],
                Targets::Weighted(targets) => targets
                    .iter()
                    .map(|target| TargetRecord {
                        url: target.url.to_string(),
                        weight: target.weight.get() as u32, // at most 1,000
                    })
                    .collect(),
            },
            conditions: conditions(when),
        }
    }
}

fn conditions(when: &When) -> u32 {
    let present = Condition::ALL.iter().filter(|it| when.has(**it));
    present.count() as u32 // at most 13
}

impl TryFrom<RuleRecord> for Rule {
    type Error = WireError;
    fn try_from(record: RuleRecord) -> Result<Self, WireError> {
        let dates = record.dates.map(|range| {
            let end = |end: Option<i64>| end.map(|micros| time("rules.dates", micros)).transpose();
            field("rules.dates", Dates::new(end(range.from)?, end(range.to)?))
        });
        let scan_number = record.scan_number.map(|range| {
            // One below 0 is above all that are allowed.
            let end = |end: Option<i64>| end.map(i64::cast_unsigned);
            field(
                "rules.scan_number",
                ScanNumbers::new(end(range.from), end(range.to)),
            )
        });
        let rule = Self {
            when: When {
                device: values("rules.device", record.device, |word| word.parse())?,
                os: values("rules.os", record.os, |word| word.parse())?,
                browser: values("rules.browser", record.browser, |word| word.parse())?,
                country: values("rules.country", record.country, Country::from_stored)?,
                region: values("rules.region", record.region, Region::from_stored)?,
                language: values("rules.language", record.language, LanguageTag::from_stored)?,
                dates: dates.transpose()?,
                hours: record.hours.map(hours).transpose()?,
                query: record
                    .query
                    .into_iter()
                    .map(ParameterRecord::parameter)
                    .collect(),
                bot: record.bot,
                network: values::<IpNet, _>("rules.network", record.network, parse_network)?,
                share: record
                    .share
                    .map(|share| field("rules.share", Share::new(share.into())))
                    .transpose()?,
                scan_number: scan_number.transpose()?,
            },
            to: targets(record.to)?,
            name: record.name,
        };
        let (written, known) = (record.conditions, conditions(&rule.when));
        if written != known {
            return Err(WireError::Field {
                field: "rules.conditions",
                reason: format!(
                    "the rule has {written} conditions, this build knows {known} of them: upgrade it"
                ),
            });
        }
        Ok(rule)
    }
}

fn hours(record: HoursRecord) -> Result<Hours, WireError> {
    const FIELD: &str = "rules.hours";
    let time_of_day = |minutes: u32| {
        let time = u16::try_from(minutes)
            .ok()
            .and_then(TimeOfDay::from_minutes);
        time.ok_or_else(|| WireError::Field {
            field: FIELD,
            reason: format!("{minutes} minutes are no time of day"),
        })
    };
    let days = values(FIELD, record.days, |word| word.parse())?;
    let zone = field(FIELD, Zone::from_stored(&record.zone))?;
    field(
        FIELD,
        Hours::new(
            days,
            time_of_day(record.from)?,
            time_of_day(record.to)?,
            zone,
        ),
    )
}

impl ParameterRecord {
    fn parameter(self) -> (String, Option<Vec<String>>) {
        let values = (!self.values.is_empty()).then_some(self.values);
        (self.name, values)
    }
}

fn targets(mut records: Vec<TargetRecord>) -> Result<Targets, WireError> {
    const FIELD: &str = "rules.to";
    let url = |url: String| field(FIELD, Destination::keep(url));
    match records.as_mut_slice() {
        [] => Err(unspecified(FIELD)),
        [
            TargetRecord {
                url: only,
                weight: 0,
            },
        ] => Ok(Targets::One(url(std::mem::take(only))?)),
        _ => {
            let target = |record: TargetRecord| {
                Ok(Target {
                    url: url(record.url)?,
                    weight: field(FIELD, Weight::new(record.weight.into()))?,
                })
            };
            let targets = records.into_iter().map(target);
            Ok(Targets::Weighted(
                targets.collect::<Result<_, WireError>>()?,
            ))
        }
    }
}

fn texts(values: &[impl ToString]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

fn values<T, E: super::Reason>(
    name: &'static str,
    words: Vec<String>,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Vec<T>, WireError> {
    let values = words.iter().map(|word| field(name, parse(word)));
    values.collect()
}
