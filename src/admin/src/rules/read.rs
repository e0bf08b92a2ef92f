//! Reads rules from JSON. Everything that is wrong is reported at once, each at its place; a rule of which something cannot be read goes on
//! with something that can, so that the rest is judged all the same, and is forgotten in the end.

use std::cell::Cell;
use std::fmt::Display;
use std::str::FromStr;

use serde_json::{Map, Value};
use tags::{
    Country, Dates, Destination, Hours, LanguageTag, Region, Rule, RuleError, Rules, ScanNumbers,
    Share, Target, Targets, TimeOfDay, Weight, When, Zone, parse_network,
};

use crate::destinations::DestinationPolicy;
use crate::problem::{FieldError, MAX_ERRORS};
use crate::strict_json::escaped;
use crate::texts::parse_time;

/// The rules that a JSON value is, which stands at `/rules`.
pub(crate) fn read(value: Value, policy: &DestinationPolicy<'_>) -> Result<Rules, Vec<FieldError>> {
    let mut reader = Reader {
        policy,
        suggestions: Cell::new(SUGGESTIONS),
        errors: Vec::new(),
    };
    let at = "/rules";
    let Value::Array(items) = value else {
        reader.refuse(at, "must be a list of rules");
        return Err(reader.errors);
    };
    // One more is enough to tell that there are too many.
    let rules = items.into_iter().take(Rules::MAX + 1).enumerate();
    let rules = rules
        .map(|(number, item)| reader.rule(item, &format!("{at}/{number}")))
        .collect();
    let mut errors = reader.errors;
    match Rules::new(rules) {
        Ok(rules) if errors.is_empty() => return Ok(rules),
        Ok(_) => {}
        Err(more) => {
            // What could not be read is judged by what stands for it.
            for RuleError { pointer, detail } in more {
                let pointer = format!("{at}{pointer}");
                let is_at =
                    |known: &str| pointer == known || pointer.starts_with(&format!("{known}/"));
                if !errors.iter().any(|error| is_at(&error.pointer)) {
                    errors.push(FieldError { pointer, detail });
                }
            }
        }
    }
    Err(errors)
}

/// As many regions that there are not are refused with the one that may be meant, which takes 10 ms to find among all. The body is refused
/// then, and what is well-formed in the rest is judged when these have been mended.
const SUGGESTIONS: usize = 8;

struct Reader<'p> {
    policy: &'p DestinationPolicy<'p>,
    /// How many more there may be.
    suggestions: Cell<usize>,
    errors: Vec<FieldError>,
}

const RULE: &[&str] = &["name", "when", "to"];
const WHEN: &[&str] = &[
    "device",
    "os",
    "browser",
    "country",
    "region",
    "language",
    "dates",
    "hours",
    "query",
    "bot",
    "network",
    "share",
    "scan_number",
];

impl Reader<'_> {
    fn refuse(&mut self, pointer: &str, detail: impl Display) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(FieldError {
                pointer: pointer.to_owned(),
                detail: detail.to_string(),
            });
        }
    }

    fn rule(&mut self, value: Value, at: &str) -> Rule {
        let mut rule = Rule {
            name: String::new(),
            when: When::default(),
            to: Targets::Weighted(Vec::new()),
        };
        let Some(mut members) = self.object(value, at, RULE) else {
            return rule;
        };
        match members.remove("name") {
            Some(Value::String(name)) => rule.name = name,
            None | Some(Value::Null) => {}
            Some(_) => self.refuse(&format!("{at}/name"), "must be a string"),
        }
        match members.remove("when") {
            Some(when) if !when.is_null() => rule.when = self.when(when, &format!("{at}/when")),
            _ => self.refuse(
                &format!("{at}/when"),
                "is required: the conditions, {} for none",
            ),
        }
        let to = members.remove("to").unwrap_or(Value::Null);
        rule.to = self.targets(to, &format!("{at}/to"));
        rule
    }

    fn when(&mut self, value: Value, at: &str) -> When {
        let Some(members) = self.object(value, at, WHEN) else {
            return When::default();
        };
        let mut when = When::default();
        // Null is as if it had not been said.
        for (name, value) in members.into_iter().filter(|(_, value)| !value.is_null()) {
            let at = &format!("{at}/{name}");
            match name.as_str() {
                "device" => when.device = self.words(value, at),
                "os" => when.os = self.words(value, at),
                "browser" => when.browser = self.words(value, at),
                "country" => when.country = self.values(value, at, Country::parse),
                "region" => when.region = self.regions(value, at),
                "language" => when.language = self.values(value, at, LanguageTag::parse),
                "dates" => when.dates = self.dates(value, at),
                "hours" => when.hours = self.hours(value, at),
                "query" => when.query = self.query(value, at),
                "bot" => match value {
                    Value::Bool(bot) => when.bot = Some(bot),
                    _ => self.refuse(at, "must be true or false"),
                },
                "network" => when.network = self.values(value, at, parse_network),
                "share" => when.share = self.number(&value, at, Share::new),
                _ => when.scan_number = self.scan_numbers(value, at),
            }
        }
        when
    }

    fn targets(&mut self, value: Value, at: &str) -> Targets {
        let items = match value {
            Value::String(url) => return Targets::One(self.destination(&url, at)),
            Value::Array(items) => items,
            Value::Null => {
                self.refuse(
                    at,
                    "is required: a destination, or a list of destinations with weights",
                );
                Vec::new()
            }
            _ => {
                self.refuse(
                    at,
                    "must be a destination, or a list of destinations with weights",
                );
                Vec::new()
            }
        };
        let targets = items.into_iter().take(Rules::MAX_TARGETS + 1).enumerate();
        let targets = targets.map(|(number, item)| self.target(item, &format!("{at}/{number}")));
        Targets::Weighted(targets.collect())
    }

    fn target(&mut self, value: Value, at: &str) -> Target {
        let mut members = self.object(value, at, &["url", "weight"]);
        let mut member = |name| {
            members
                .as_mut()
                .map(|members| members.remove(name).unwrap_or(Value::Null))
        };
        let (url, weight) = (member("url"), member("weight"));
        let url_at = format!("{at}/url");
        let url = match url {
            Some(Value::String(url)) => self.destination(&url, &url_at),
            Some(Value::Null) => {
                self.refuse(&url_at, "is required: a destination");
                stand_in()
            }
            Some(_) => {
                self.refuse(&url_at, "must be a string");
                stand_in()
            }
            None => stand_in(),
        };
        let weight_at = format!("{at}/weight");
        let weight = match weight {
            Some(Value::Null) => {
                self.refuse(&weight_at, "is required: a whole number from 1 to 1000");
                None
            }
            Some(value) => self.number(&value, &weight_at, Weight::new),
            None => None,
        };
        Target {
            url,
            weight: weight.unwrap_or(Weight::ONE),
        }
    }

    fn destination(&mut self, url: &str, at: &str) -> Destination {
        self.policy.parse(url).unwrap_or_else(|detail| {
            self.refuse(at, detail);
            stand_in()
        })
    }

    fn dates(&mut self, value: Value, at: &str) -> Option<Dates> {
        let mut members = self.object(value, at, &["from", "to"])?;
        let mut end = |name: &str| {
            let at = format!("{at}/{name}");
            match members.remove(name) {
                None | Some(Value::Null) => Ok(None),
                Some(Value::String(text)) => parse_time(&text)
                    .map(Some)
                    .map_err(|error| self.refuse(&at, error)),
                Some(_) => {
                    self.refuse(&at, "must be a string");
                    Err(())
                }
            }
        };
        let (from, to) = (end("from"), end("to"));
        self.range(at, from.ok()?, to.ok()?, Dates::new)
    }

    fn scan_numbers(&mut self, value: Value, at: &str) -> Option<ScanNumbers> {
        let mut members = self.object(value, at, &["from", "to"])?;
        let mut end = |name: &str| {
            let at = format!("{at}/{name}");
            match members.remove(name) {
                None | Some(Value::Null) => Ok(None),
                Some(value) => match value
                    .as_u64()
                    .filter(|number| (1..=ScanNumbers::MAX).contains(number))
                {
                    Some(number) => Ok(Some(number)),
                    None => {
                        self.refuse(
                            &at,
                            format!("must be a whole number from 1 to {}", ScanNumbers::MAX),
                        );
                        Err(())
                    }
                },
            }
        };
        let (from, to) = (end("from"), end("to"));
        self.range(at, from.ok()?, to.ok()?, ScanNumbers::new)
    }

    /// A range, of which the end is at fault if it is none; without ends, all of it.
    fn range<T, R, E: Display>(
        &mut self,
        at: &str,
        from: Option<T>,
        to: Option<T>,
        range: impl FnOnce(Option<T>, Option<T>) -> Result<R, E>,
    ) -> Option<R> {
        let pointer = match to {
            Some(_) => format!("{at}/to"),
            None => at.to_owned(),
        };
        self.kept(&pointer, range(from, to))
    }

    fn hours(&mut self, value: Value, at: &str) -> Option<Hours> {
        let mut members = self.object(value, at, &["days", "from", "to", "zone"])?;
        let days = match members.remove("days") {
            None | Some(Value::Null) => Vec::new(),
            Some(days) => self.words(days, &format!("{at}/days")),
        };
        let from = self.required(
            &mut members,
            at,
            "from",
            "a time of day such as 06:30",
            TimeOfDay::from_str,
        );
        let to = self.required(
            &mut members,
            at,
            "to",
            "a time of day such as 09:30",
            TimeOfDay::from_str,
        );
        let zone = self.required(
            &mut members,
            at,
            "zone",
            "a time zone such as Europe/Berlin",
            Zone::parse,
        );
        let hours = Hours::new(days, from?, to?, zone?);
        self.kept(&format!("{at}/to"), hours)
    }

    fn required<T, E: Display>(
        &mut self,
        members: &mut Map<String, Value>,
        at: &str,
        name: &str,
        what: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let at = format!("{at}/{name}");
        match members.remove(name) {
            Some(Value::String(text)) => self.kept(&at, parse(&text)),
            Some(value) if !value.is_null() => {
                self.refuse(&at, format!("must be {what}"));
                None
            }
            _ => {
                self.refuse(&at, format!("is required: {what}"));
                None
            }
        }
    }

    fn query(&mut self, value: Value, at: &str) -> Vec<(String, Option<Vec<String>>)> {
        let Value::Object(members) = value else {
            self.refuse(at, "must be an object: names of parameters, each with a list of values, or null for its absence");
            return Vec::new();
        };
        if members.is_empty() {
            self.refuse(at, "must not be empty");
        }
        let parameters = members.into_iter().take(Rules::MAX_QUERY_NAMES + 1);
        let parameters = parameters.map(|(name, values)| {
            let at = format!("{at}/{}", escaped(&name));
            let as_it_is = |text: &str| Ok::<_, &str>(text.to_owned());
            let values = (!values.is_null()).then(|| self.values(values, &at, as_it_is));
            // An empty list has been refused; what it stands for is not an absent parameter.
            (name, values.filter(|values| !values.is_empty()))
        });
        // An object has no order, so that there is one for what is the same.
        let mut parameters: Vec<_> = parameters.collect();
        parameters.sort_unstable();
        parameters
    }

    fn regions(&mut self, value: Value, at: &str) -> Vec<Region> {
        let suggestions = self.suggestions.clone();
        let regions = self.values(value, at, |text| match suggestions.get() {
            0 => Region::from_stored(text),
            left => Region::parse(text).inspect_err(|_| suggestions.set(left - 1)),
        });
        self.suggestions = suggestions;
        regions
    }

    fn words<T: FromStr>(&mut self, value: Value, at: &str) -> Vec<T>
    where
        T::Err: Display,
    {
        self.values(value, at, T::from_str)
    }

    fn values<T, E: Display>(
        &mut self,
        value: Value,
        at: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let Value::Array(items) = value else {
            self.refuse(at, "must be a list of strings");
            return Vec::new();
        };
        if items.is_empty() {
            self.refuse(at, "must not be empty");
        }
        if items.len() > Rules::MAX_VALUES {
            self.refuse(
                at,
                format!("at most {} values are allowed", Rules::MAX_VALUES),
            );
        }
        let mut values = Vec::new();
        for (number, item) in items.into_iter().take(Rules::MAX_VALUES).enumerate() {
            let at = format!("{at}/{number}");
            match item {
                Value::String(text) => values.extend(self.kept(&at, parse(&text))),
                _ => self.refuse(&at, "must be a string"),
            }
        }
        values
    }

    fn number<T, E: Display>(
        &mut self,
        value: &Value,
        at: &str,
        check: impl FnOnce(u64) -> Result<T, E>,
    ) -> Option<T> {
        match value.as_u64() {
            Some(number) => self.kept(at, check(number)),
            // A negative number and a fraction are refused as what they are not.
            None => {
                let refusal = check(u64::MAX).err().map(|refusal| refusal.to_string());
                self.refuse(at, refusal.unwrap_or_default());
                None
            }
        }
    }

    fn object(&mut self, value: Value, at: &str, allowed: &[&str]) -> Option<Map<String, Value>> {
        let Value::Object(mut members) = value else {
            self.refuse(at, format!("must be an object with {}", allowed.join(", ")));
            return None;
        };
        let is_unknown = |name: &&String| !allowed.contains(&name.as_str());
        let unknown: Vec<String> = members.keys().filter(is_unknown).cloned().collect();
        for name in unknown {
            members.remove(&name);
            let detail = format!("is not a field here; allowed are {}", allowed.join(", "));
            self.refuse(&format!("{at}/{}", escaped(&name)), detail);
        }
        Some(members)
    }

    fn kept<T, E: Display>(&mut self, at: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|detail| self.refuse(at, detail)).ok()
    }
}

/// What stands where a destination could not be read.
fn stand_in() -> Destination {
    Destination::parse("https://example.com/").expect("an address as good as any")
}

#[cfg(test)]
mod tests {
    use blocklist::Blocklists;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_regions_that_there_are_not_are_refused_with_what_may_be_meant() {
        let rule = |number: usize| {
            let regions = ["DE-QQ", "de-by", "bavaria", "DE-BY"];
            json!({"name": format!("{number}"), "when": {"region": regions}, "to": "https://example.com/"})
        };
        let rules: Vec<_> = (0..32).map(rule).collect();
        let no_lists = Blocklists::default();
        let policy = DestinationPolicy::new(|_| false, &no_lists);
        let errors = read(rules.into(), &policy).expect_err("refused");
        let suggesting = |error: &&FieldError| error.detail.contains("did you mean");
        assert_eq!(errors.iter().filter(suggesting).count(), SUGGESTIONS);
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(
            pointers[..2],
            ["/rules/0/when/region/0", "/rules/0/when/region/1"]
        );
        // What is not even well-formed is told of all the same.
        assert_eq!(pointers.last(), Some(&"/rules/31/when/region/2"));
        assert!(!pointers.contains(&"/rules/31/when/region/0"));
    }
}
