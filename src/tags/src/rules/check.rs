//! What has to hold for a list of rules beside what the types of `model` rule out: limits, and what must not be said twice.

use std::collections::BTreeSet;

use super::model::{Rule, Targets, When};
use super::{LanguageTag, RuleError, Rules};

/// All that is wrong with a list.
pub(super) fn check(list: &[Rule]) -> Vec<RuleError> {
    let mut check = Check { errors: Vec::new() };
    check.at_most(String::new(), list.len(), Rules::MAX, "rules");
    let mut names = BTreeSet::new();
    // Beyond the limit nothing more need be said.
    for (number, rule) in list.iter().take(Rules::MAX).enumerate() {
        let at = |field: &str| format!("/{number}{field}");
        if let Err(detail) = check_name(&rule.name) {
            check.refuse(at("/name"), detail);
        } else if !names.insert(&rule.name) {
            check.refuse(
                at("/name"),
                "is another rule's name too: names are unique in a tag",
            );
        }
        check.when(&rule.when, &at("/when"));
        if let Targets::Weighted(targets) = &rule.to {
            check.at_least_one(at("/to"), targets.len());
            check.at_most(at("/to"), targets.len(), Rules::MAX_TARGETS, "destinations");
        }
    }
    check.errors
}

fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("is required: a name of 1 to 64 characters");
    }
    if name.chars().count() > Rules::MAX_NAME {
        return Err("must have at most 64 characters");
    }
    if name.chars().any(char::is_control) {
        return Err("must not contain control characters");
    }
    if name.starts_with(char::is_whitespace) || name.ends_with(char::is_whitespace) {
        return Err("must not begin or end with white space");
    }
    Ok(())
}

struct Check {
    errors: Vec<RuleError>,
}

impl Check {
    fn refuse(&mut self, pointer: String, detail: impl Into<String>) {
        let detail = detail.into();
        self.errors.push(RuleError { pointer, detail });
    }

    fn at_most(&mut self, pointer: String, count: usize, max: usize, what: &str) {
        if count > max {
            self.refuse(pointer, format!("at most {max} {what} are allowed"));
        }
    }

    fn at_least_one(&mut self, pointer: String, count: usize) {
        if count == 0 {
            self.refuse(pointer, "must not be empty");
        }
    }

    fn when(&mut self, when: &When, at: &str) {
        self.values(&when.device, &format!("{at}/device"), |a, b| a == b);
        self.values(&when.os, &format!("{at}/os"), |a, b| a == b);
        self.values(&when.browser, &format!("{at}/browser"), |a, b| a == b);
        self.values(&when.country, &format!("{at}/country"), |a, b| a == b);
        self.values(&when.region, &format!("{at}/region"), |a, b| a == b);
        self.values(
            &when.language,
            &format!("{at}/language"),
            LanguageTag::is_same,
        );
        self.values(&when.network, &format!("{at}/network"), |a, b| a == b);
        if let Some(hours) = &when.hours {
            self.values(hours.days(), &format!("{at}/hours/days"), |a, b| a == b);
        }
        self.at_most(
            format!("{at}/query"),
            when.query.len(),
            Rules::MAX_QUERY_NAMES,
            "parameters",
        );
        for (position, (name, values)) in when.query.iter().enumerate().take(Rules::MAX_QUERY_NAMES)
        {
            let pointer = format!("{at}/query/{}", name.replace('~', "~0").replace('/', "~1"));
            if let Err(detail) = check_query_text(name) {
                self.refuse(pointer.clone(), format!("its name {detail}"));
            } else if name.is_empty() {
                self.refuse(pointer.clone(), "its name must not be empty");
            } else if when.query[..position]
                .iter()
                .any(|(other, _)| other == name)
            {
                self.refuse(pointer.clone(), "is given twice");
            }
            let Some(values) = values else { continue };
            self.at_least_one(pointer.clone(), values.len());
            self.values(values, &pointer, |a, b| a == b);
            for (position, value) in values.iter().enumerate().take(Rules::MAX_VALUES) {
                if let Err(detail) = check_query_text(value) {
                    self.refuse(format!("{pointer}/{position}"), detail);
                }
            }
        }
    }

    fn values<T>(&mut self, values: &[T], at: &str, is_same: impl Fn(&T, &T) -> bool) {
        self.at_most(at.to_owned(), values.len(), Rules::MAX_VALUES, "values");
        for (position, value) in values.iter().enumerate().take(Rules::MAX_VALUES) {
            if values[..position].iter().any(|other| is_same(other, value)) {
                self.refuse(format!("{at}/{position}"), "is in the list twice");
            }
        }
    }
}

fn check_query_text(text: &str) -> Result<(), &'static str> {
    if text.chars().count() > Rules::MAX_QUERY_TEXT {
        return Err("must have at most 256 characters");
    }
    if text.chars().any(char::is_control) {
        return Err("must not contain control characters");
    }
    Ok(())
}
