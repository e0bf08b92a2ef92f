//! What a list of rules says that its author can hardly mean: a rule that can never hold, or one that hides all after it. Only what is
//! certain is told; what visitors there are is not known here.

use jiff::Timestamp;

use super::model::{Dates, Hours, Rule, ScanNumbers, When};
use super::{LanguageTag, Rules};

/// Something about a rule that is allowed, and hardly meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleWarning {
    /// Which rule, as a JSON pointer (RFC 6901) in the list.
    pub pointer: String,
    /// What is odd about it.
    pub detail: String,
}

impl Rules {
    /// What is odd about them at this time, in a tag that begins and ends at these.
    pub fn warnings(
        &self,
        starts_at: Option<Timestamp>,
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Vec<RuleWarning> {
        let list = self.list();
        let mut warnings = Vec::new();
        for (number, rule) in list.iter().enumerate() {
            let mut warn = |detail: String| {
                let pointer = format!("/{number}");
                warnings.push(RuleWarning { pointer, detail });
            };
            if let Some(reason) = contradiction(&rule.when, starts_at, expires_at, now) {
                warn(format!("can never hold: {reason}"));
                continue;
            }
            // The one that hides them all is told once, not with each that it hides.
            let before = list[..number].iter();
            if let Some(hiding) = before
                .clone()
                .find(|before| implies(&rule.when, &before.when))
                && !always_holds(&hiding.when)
            {
                warn(format!(
                    "can never hold: whenever its conditions do, those of '{}' before it do",
                    hiding.name
                ));
            } else if always_holds(&rule.when)
                && number + 1 < list.len()
                && !before.clone().any(|before| always_holds(&before.when))
            {
                warn(hides(rule));
            }
        }
        warnings
    }
}

fn hides(rule: &Rule) -> String {
    match rule.when == When::default() {
        true => "has no conditions, so it always holds, and hides all rules after it".to_owned(),
        false => "holds for every visitor, and hides all rules after it".to_owned(),
    }
}

/// Whether it holds whoever comes.
fn always_holds(when: &When) -> bool {
    let everyone = When {
        share: when.share.filter(|share| share.per_cent() == 100),
        ..When::default()
    };
    *when == everyone
}

/// Why conditions cannot hold together from now on.
fn contradiction(
    when: &When,
    starts_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Option<&'static str> {
    if let Some(dates) = when.dates {
        if dates.to().is_some_and(|to| to <= now) {
            return Some("its dates are past");
        }
        let before = |end: Option<Timestamp>, start: Option<Timestamp>| {
            end.zip(start).is_some_and(|(end, start)| end <= start)
        };
        if before(dates.to(), starts_at) {
            return Some("its dates end before the tag starts");
        }
        if before(expires_at, dates.from()) {
            return Some("its dates begin after the tag has ended");
        }
    }
    let in_country = |region: &super::Region| {
        when.country
            .iter()
            .any(|country| country.as_str() == region.country())
    };
    if !when.country.is_empty() && !when.region.is_empty() && !when.region.iter().any(in_country) {
        return Some("none of its regions is in one of its countries");
    }
    None
}

/// Whether one rule's conditions hold whenever another's do.
fn implies(these: &When, those: &When) -> bool {
    let regions_imply_countries = !these.region.is_empty()
        && these.region.iter().all(|region| {
            those
                .country
                .iter()
                .any(|country| country.as_str() == region.country())
        });
    implies_list(&these.device, &those.device, |a, b| a == b)
        && implies_list(&these.os, &those.os, |a, b| a == b)
        && implies_list(&these.browser, &those.browser, |a, b| a == b)
        && (implies_list(&these.country, &those.country, |a, b| a == b) || regions_imply_countries)
        && implies_list(&these.region, &those.region, |a, b| a == b)
        && implies_list(&these.language, &those.language, LanguageTag::is_same)
        && those.dates.is_none_or(|those| these.dates.is_some_and(|these| lie_in(these, those)))
        && those.hours.as_ref().is_none_or(|those| these.hours.as_ref().is_some_and(|these| are_in(these, those)))
        && those.query.iter().all(|(name, values)| {
            let same = these.query.iter().find(|(other, _)| other == name);
            same.is_some_and(|(_, given)| match (given, values) {
                (None, None) => true,
                (Some(given), Some(values)) => implies_list(given, values, |a, b| a == b),
                _ => false,
            })
        })
        && those.bot.is_none_or(|bot| these.bot == Some(bot))
        && implies_list(&these.network, &those.network, |net, wider| wider.contains(net))
        // Who is in the share of one rule need not be in that of another.
        && those.share.is_none_or(|share| share.per_cent() == 100)
        && those.scan_number.is_none_or(|those| these.scan_number.is_some_and(|these| numbers_lie_in(these, those)))
}

/// Whether who meets one of these values meets one of those; no values are no condition.
fn implies_list<T>(these: &[T], those: &[T], within: impl Fn(&T, &T) -> bool) -> bool {
    those.is_empty()
        || !these.is_empty()
            && these
                .iter()
                .all(|this| those.iter().any(|that| within(this, that)))
}

fn lie_in(these: Dates, those: Dates) -> bool {
    those
        .from()
        .is_none_or(|from| these.from().is_some_and(|own| own >= from))
        && those
            .to()
            .is_none_or(|to| these.to().is_some_and(|own| own <= to))
}

fn numbers_lie_in(these: ScanNumbers, those: ScanNumbers) -> bool {
    these.from().unwrap_or(1) >= those.from().unwrap_or(1)
        && those
            .to()
            .is_none_or(|to| these.to().is_some_and(|own| own <= to))
}

/// Of hours on the same clock; those that pass midnight are compared as a whole.
fn are_in(these: &Hours, those: &Hours) -> bool {
    let days = implies_list(these.days(), those.days(), |a, b| a == b);
    let times = match these.from() < these.to() && those.from() < those.to() {
        true => those.from() <= these.from() && these.to() <= those.to(),
        false => (these.from(), these.to()) == (those.from(), those.to()),
    };
    these.zone() == those.zone() && days && times
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Destination, Share, Targets};

    fn rule(name: &str, when: When) -> Rule {
        let url = Destination::parse("https://example.com/").expect("a destination");
        Rule {
            name: name.to_owned(),
            when,
            to: Targets::One(url),
        }
    }

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn warned(list: Vec<When>) -> Vec<(String, String)> {
        let named = list
            .into_iter()
            .enumerate()
            .map(|(number, when)| rule(&format!("rule {number}"), when));
        let rules = Rules::new(named.collect()).expect("rules");
        let ends = (
            Some(time("2026-06-01T00:00:00Z")),
            Some(time("2026-07-01T00:00:00Z")),
        );
        let warnings = rules.warnings(ends.0, ends.1, time("2026-05-01T00:00:00Z"));
        warnings
            .into_iter()
            .map(|warning| (warning.pointer, warning.detail))
            .collect()
    }

    fn countries(codes: &[&str]) -> When {
        When {
            country: codes
                .iter()
                .map(|code| crate::Country::parse(code).expect("a country"))
                .collect(),
            ..When::default()
        }
    }

    fn dates(from: Option<&str>, to: Option<&str>) -> When {
        When {
            dates: Some(Dates::new(from.map(time), to.map(time)).expect("a range")),
            ..When::default()
        }
    }

    fn share(per_cent: u64) -> When {
        When {
            share: Some(Share::new(per_cent).expect("a share")),
            ..When::default()
        }
    }

    #[test]
    fn a_rule_without_conditions_hides_all_after_it_and_is_fine_as_the_last() {
        let empty = When::default;
        assert_eq!(warned(vec![countries(&["DE"]), empty()]), []);
        for hiding in [empty(), share(100)] {
            let warnings = warned(vec![
                countries(&["DE"]),
                hiding,
                countries(&["AT"]),
                empty(),
            ]);
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            assert!(
                warnings[0].0 == "/1" && warnings[0].1.contains("hides all rules after it"),
                "{warnings:?}"
            );
        }
    }

    #[test]
    fn a_rule_that_another_before_it_covers_can_never_hold() {
        let bot = |bot, when| When {
            bot: Some(bot),
            ..when
        };
        for (before, behind, covers) in [
            (countries(&["DE", "AT"]), countries(&["AT"]), true),
            (
                countries(&["DE", "AT"]),
                bot(true, countries(&["DE"])),
                true,
            ),
            (countries(&["AT"]), countries(&["DE", "AT"]), false),
            (bot(true, countries(&["DE"])), countries(&["DE"]), false),
            (share(50), share(50), false),
            (
                dates(None, Some("2026-06-20T00:00:00Z")),
                dates(None, Some("2026-06-10T00:00:00Z")),
                true,
            ),
            (
                dates(None, Some("2026-06-20T00:00:00Z")),
                dates(None, Some("2026-06-21T00:00:00Z")),
                false,
            ),
        ] {
            let warnings = warned(vec![before.clone(), behind.clone()]);
            let expected: &[&str] = if covers { &["/1"] } else { &[] };
            let pointers: Vec<&str> = warnings
                .iter()
                .map(|(pointer, _)| pointer.as_str())
                .collect();
            assert_eq!(pointers, expected, "{before:?} before {behind:?}");
        }
    }

    #[test]
    fn a_rule_that_contradicts_itself_its_tag_or_the_calendar_can_never_hold() {
        let bavaria = When {
            region: vec![crate::Region::parse("DE-BY").expect("a region")],
            ..countries(&["AT"])
        };
        for (when, reason) in [
            (bavaria, "none of its regions"),
            (dates(None, Some("2026-05-01T00:00:00Z")), "are past"),
            (
                dates(None, Some("2026-06-01T00:00:00Z")),
                "before the tag starts",
            ),
            (
                dates(Some("2026-07-01T00:00:00Z"), None),
                "after the tag has ended",
            ),
        ] {
            let warnings = warned(vec![when.clone(), countries(&["DE"])]);
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            assert!(
                warnings[0].0 == "/0" && warnings[0].1.contains(reason),
                "{warnings:?}"
            );
        }
    }
}
