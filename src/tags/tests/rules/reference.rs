//! What rules say, evaluated as plainly as it can be written down: from the model, with allocations, without a thought of speed, and without
//! the library's own evaluation. Only the hash that shares and weights go by is the library's word, repeated here from its documentation.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tags::{Condition, Hours, Rule, Tag, Targets, When};
use twox_hash::XxHash3_64;

use crate::facts::Told;

/// A rule's name, and the first condition that fails.
type Verdict = (String, Option<Condition>);
/// The name of the rule that decides, a destination, and its index.
type Target = (String, String, u32);

/// Of every rule its name and the first condition that fails; and of the first rule that holds its name, destination and the index of that.
pub fn evaluate(tag: &Tag, facts: &Told, now: Timestamp) -> (Vec<Verdict>, Option<Target>) {
    let rules = tag.rules.list();
    let language = preferred_language(rules, facts);
    let judged: Vec<_> = rules
        .iter()
        .map(|rule| {
            (
                rule.name.clone(),
                first_failed(tag, rule, facts, language.as_deref(), now),
            )
        })
        .collect();
    let first = rules
        .iter()
        .zip(&judged)
        .find(|(_, (_, failed))| failed.is_none());
    let target = first.map(|(rule, _)| {
        let (url, index) = target(tag, rule, facts);
        (rule.name.clone(), url, index)
    });
    (judged, target)
}

fn first_failed(
    tag: &Tag,
    rule: &Rule,
    facts: &Told,
    language: Option<&str>,
    now: Timestamp,
) -> Option<Condition> {
    let holds =
        |condition: &Condition| condition_holds(*condition, tag, rule, facts, language, now);
    Condition::ALL
        .iter()
        .copied()
        .find(|condition| !holds(condition))
}

fn condition_holds(
    condition: Condition,
    tag: &Tag,
    rule: &Rule,
    facts: &Told,
    language: Option<&str>,
    now: Timestamp,
) -> bool {
    let When {
        device,
        os,
        browser,
        country,
        region,
        language: languages,
        dates,
        hours,
        query,
        bot,
        network,
        share,
        scan_number,
    } = &rule.when;
    match condition {
        Condition::Device => {
            device.is_empty() || facts.device.is_some_and(|it| device.contains(&it))
        }
        Condition::Os => os.is_empty() || facts.os.is_some_and(|it| os.contains(&it)),
        Condition::Browser => {
            browser.is_empty() || facts.browser.is_some_and(|it| browser.contains(&it))
        }
        Condition::Country => {
            country.is_empty()
                || country
                    .iter()
                    .any(|it| facts.country.as_deref() == Some(it.as_str()))
        }
        Condition::Region => {
            region.is_empty()
                || region
                    .iter()
                    .any(|it| facts.region.as_deref() == Some(it.as_str()))
        }
        Condition::Language => {
            languages.is_empty()
                || languages
                    .iter()
                    .any(|it| Some(it.as_str().to_lowercase().as_str()) == language)
        }
        Condition::Dates => dates.is_none_or(|dates| {
            dates.from().is_none_or(|from| now >= from) && dates.to().is_none_or(|to| now < to)
        }),
        Condition::Hours => hours.as_ref().is_none_or(|hours| hours_hold(hours, now)),
        Condition::Query => {
            let given = parameters(&facts.query);
            query.iter().all(
                |(name, values)| match (given.get(name.as_bytes()), values) {
                    (given, None) => given.is_none(),
                    (None, Some(_)) => false,
                    (Some(given), Some(values)) => values
                        .iter()
                        .any(|value| given.iter().any(|given| given == value.as_bytes())),
                },
            )
        }
        Condition::Bot => bot.is_none() || *bot == facts.bot,
        Condition::Network => {
            let address = facts.address.map(|it| it.to_canonical());
            network.is_empty()
                || address.is_some_and(|it| network.iter().any(|net| net.contains(&it)))
        }
        Condition::Share => share.is_none_or(|share| {
            let number = visitor_number(1, tag, rule, facts);
            number.is_some_and(|number| percentile(number, 100) < u128::from(share.per_cent()))
        }),
        Condition::ScanNumber => scan_number.is_none_or(|range| {
            facts.scan_number.is_some_and(|number| {
                number >= range.from().unwrap_or(0) && range.to().is_none_or(|to| number < to)
            })
        }),
    }
}

fn hours_hold(hours: &Hours, now: Timestamp) -> bool {
    let zone = TimeZone::get(hours.zone().as_str()).expect("a zone");
    let local = now.to_zoned_datetime(zone);
    let minute = |minutes: u16| jiff::civil::time((minutes / 60) as i8, (minutes % 60) as i8, 0, 0);
    let (from, to) = (minute(hours.from().minutes()), minute(hours.to().minutes()));
    // The day on which hours that hold now have begun.
    let begun = if from < to {
        (local.time() >= from && local.time() < to).then(|| local.date())
    } else if local.time() >= from {
        Some(local.date())
    } else if local.time() < to {
        Some(local.date().yesterday().expect("in range"))
    } else {
        None
    };
    let day_word = |date: jiff::civil::Date| match date.weekday() {
        jiff::civil::Weekday::Monday => "mon",
        jiff::civil::Weekday::Tuesday => "tue",
        jiff::civil::Weekday::Wednesday => "wed",
        jiff::civil::Weekday::Thursday => "thu",
        jiff::civil::Weekday::Friday => "fri",
        jiff::civil::Weekday::Saturday => "sat",
        jiff::civil::Weekday::Sunday => "sun",
    };
    begun.is_some_and(|date| {
        hours.days().is_empty()
            || hours
                .days()
                .iter()
                .any(|day| day.as_str() == day_word(date))
    })
}

fn parameters(query: &str) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for parameter in query.split('&').filter(|it| !it.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let decoded = |text| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
        all.entry(decoded(name)).or_default().push(decoded(value));
    }
    all
}

/// RFC 4647 §3.4, range after range in the order of preference, for the whole list of tags that the rules name.
fn preferred_language(rules: &[Rule], facts: &Told) -> Option<String> {
    let named: Vec<String> = rules
        .iter()
        .flat_map(|rule| &rule.when.language)
        .map(|tag| tag.as_str().to_lowercase())
        .collect();
    let mut ranges: Vec<(String, u32)> = Vec::new();
    for entry in facts.languages.join(",").split(',') {
        let (range, parameter) = match entry.split_once(';') {
            Some((range, parameter)) => (range.trim(), Some(parameter.trim())),
            None => (entry.trim(), None),
        };
        let weight = match parameter {
            None => Some(1000),
            Some(text) => text.to_lowercase().strip_prefix("q=").and_then(thousandths),
        };
        let well_formed = range.split('-').enumerate().all(|(position, subtag)| {
            let alphabet = |c: char| c.is_ascii_alphabetic() || position > 0 && c.is_ascii_digit();
            (1..=8).contains(&subtag.len()) && subtag.chars().all(alphabet)
        });
        if let Some(weight) = weight.filter(|_| well_formed) {
            ranges.push((range.to_lowercase(), weight));
        }
    }
    let is_refused = |tag: &str| {
        let covers = |range: &str| tag == range || tag.starts_with(&format!("{range}-"));
        let longest = ranges
            .iter()
            .filter(|(range, _)| covers(range))
            .map(|(range, _)| range.len())
            .max();
        let deciding = ranges
            .iter()
            .find(|(range, _)| covers(range) && Some(range.len()) == longest);
        deciding.is_some_and(|(_, weight)| *weight == 0)
    };
    let mut by_preference = ranges.clone();
    by_preference.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight)); // stable
    for (range, weight) in by_preference {
        let mut subtags: Vec<&str> = range.split('-').collect();
        while weight > 0 && !subtags.is_empty() {
            let tag = subtags.join("-");
            if named.contains(&tag) && !is_refused(&tag) {
                return Some(tag);
            }
            subtags.pop();
        }
    }
    None
}

fn thousandths(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.len() <= 3 && fraction.chars().all(|c| c.is_ascii_digit());
    let fraction: u32 = format!("{fraction:0<3}").parse().ok().filter(|_| digits)?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

fn target(tag: &Tag, rule: &Rule, facts: &Told) -> (String, u32) {
    let targets = match &rule.to {
        Targets::One(url) => return (url.to_string(), 0),
        Targets::Weighted(targets) => targets,
    };
    let lots: Vec<u32> = targets
        .iter()
        .enumerate()
        .flat_map(|(index, target)| std::iter::repeat_n(index as u32, target.weight.get() as usize))
        .collect();
    let number = visitor_number(2, tag, rule, facts).unwrap_or(0);
    let index = lots[percentile(number, lots.len() as u128) as usize];
    (targets[index as usize].url.to_string(), index)
}

fn percentile(number: u64, of: u128) -> u128 {
    u128::from(number) * of / (u128::from(u64::MAX) + 1)
}

fn visitor_number(purpose: u8, tag: &Tag, rule: &Rule, facts: &Told) -> Option<u64> {
    let address = match facts.address?.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    let of_address = XxHash3_64::oneshot_with_seed(0, &address);
    let visitor = XxHash3_64::oneshot_with_seed(of_address, facts.user_agent.as_bytes());
    let mut number = u64::from(purpose);
    for name in [tag.domain.as_str(), tag.code.as_str(), &rule.name] {
        number = XxHash3_64::oneshot_with_seed(number, name.as_bytes());
    }
    Some(XxHash3_64::oneshot_with_seed(
        number,
        &visitor.to_le_bytes(),
    ))
}
