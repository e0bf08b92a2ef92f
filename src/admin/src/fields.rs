//! Reading a request's JSON object field by field, so that every wrong field is reported at once and by name.

mod lists;

use std::cell::RefCell;
use std::fmt::{self, Display};
use std::str::FromStr;

use axum::http::StatusCode;
use jiff::Timestamp;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use tags::MaxScans;

use crate::problem::{FieldError, MAX_ERRORS, Problem};
use crate::strict_json::{Place, Strict};
use crate::texts::{check_label, parse_time};

/// What a field of a request says; absent and null differ in a merge patch (RFC 7396).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given<T> {
    /// Nothing, or nothing valid, which is noted as an error.
    Absent,
    /// `null`: back to the default.
    Null,
    /// A value.
    Value(T),
}

impl<T> Given<T> {
    /// Changes what is there only if the field was given; null takes it away.
    pub fn replace(self, slot: &mut Option<T>) {
        match self {
            Self::Absent => {}
            Self::Null => *slot = None,
            Self::Value(value) => *slot = Some(value),
        }
    }

    /// Changes what is there only if the field was given; null puts the default back.
    pub fn replace_or_default(self, slot: &mut T, default: T) {
        match self {
            Self::Absent => {}
            Self::Null => *slot = default,
            Self::Value(value) => *slot = value,
        }
    }

    /// The value, if there is one.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }
}

/// Why a text is no JSON object.
#[derive(Debug, thiserror::Error)]
pub enum NoObject {
    /// Not JSON at all.
    #[error("is not valid JSON: {0}")]
    Malformed(serde_json::Error),
    /// JSON of another type.
    #[error("must be a JSON object")]
    AnotherType,
}

/// A JSON object being read: each field is taken once, and what is left over at the end is an error.
#[derive(Debug)]
pub struct Fields {
    object: Map<String, Value>,
    given: Vec<String>,
    allowed: Vec<&'static str>,
    errors: Vec<FieldError>,
}

impl Fields {
    /// Reads a body. Malformed JSON is a 400, anything but an object a 422.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        Self::read(body).map_err(|error| match error {
            NoObject::Malformed(error) => Problem::new(
                StatusCode::BAD_REQUEST,
                format!("The body is not valid JSON: {error}."),
            ),
            NoObject::AnotherType => Problem::fields(vec![FieldError {
                pointer: String::new(),
                detail: "the body must be a JSON object".into(),
            }]),
        })
    }

    /// Reads one JSON object.
    pub fn read(json: &[u8]) -> Result<Self, NoObject> {
        let Members { members, doubled } = match serde_json::from_slice(json) {
            Ok(members) => members,
            Err(error) if error.is_data() => {
                serde_json::from_slice::<IgnoredAny>(json).map_err(NoObject::Malformed)?;
                return Err(NoObject::AnotherType);
            }
            Err(error) => return Err(NoObject::Malformed(error)),
        };
        let mut fields = Self::of(members);
        fields.refuse_doubled(doubled);
        Ok(fields)
    }

    /// Notes what is given twice inside of fields, by JSON pointers.
    pub(crate) fn refuse_doubled(&mut self, pointers: Vec<String>) {
        let doubled = pointers.into_iter().map(|pointer| FieldError {
            pointer,
            detail: "is given twice".to_owned(),
        });
        self.errors.extend(doubled);
    }

    /// The fields that these members make.
    pub fn of(members: Vec<(String, Value)>) -> Self {
        let mut fields = Self {
            object: Map::new(),
            given: Vec::new(),
            allowed: Vec::new(),
            errors: Vec::new(),
        };
        for (name, value) in members {
            // Readers of JSON differ about which one counts (RFC 8259 §4), so that a reviewer may have seen another than we would take.
            if fields.object.insert(name.clone(), value).is_some() {
                if fields.errors.len() < MAX_ERRORS {
                    fields.refuse(&name, "is given twice");
                }
            } else {
                fields.given.push(name);
            }
        }
        fields
    }

    /// The names of the fields that have been asked for so far.
    pub fn allowed(&self) -> &[&'static str] {
        &self.allowed
    }

    /// Whether the request names this field.
    pub fn has(&self, name: &str) -> bool {
        self.given.iter().any(|given| given == name)
    }

    /// Notes that a field is wrong.
    pub fn refuse(&mut self, name: &str, detail: impl ToString) {
        self.errors.push(FieldError::new(name, detail));
    }

    /// Notes what is wrong inside of a field that is an object.
    pub fn refuse_in(&mut self, name: &str, errors: Vec<FieldError>) {
        let outer = FieldError::new(name, "").pointer;
        let inside = errors.into_iter().map(|error| FieldError {
            pointer: format!("{outer}{}", error.pointer),
            ..error
        });
        self.errors.extend(inside);
    }

    /// Whether a field has been refused.
    pub fn is_refused(&self, name: &str) -> bool {
        let pointer = FieldError::new(name, "").pointer;
        self.errors.iter().any(|error| error.pointer == pointer)
    }

    /// A text.
    pub fn text(&mut self, name: &'static str) -> Given<String> {
        self.take(name, "a string", |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
    }

    /// A text for people or filters: `max` characters at most, no control characters; an empty one counts as null.
    pub fn label(&mut self, name: &'static str, max: usize) -> Given<String> {
        match self.text(name) {
            Given::Value(text) if text.is_empty() => Given::Null,
            Given::Value(text) => match check_label(&text, max) {
                Ok(()) => Given::Value(text),
                Err(detail) => self.refused(name, detail),
            },
            other => other,
        }
    }

    /// A list of such texts.
    pub fn labels(
        &mut self,
        name: &'static str,
        max_items: usize,
        max: usize,
    ) -> Given<Vec<String>> {
        let list = self.take(name, "a list of strings", |value| match value {
            Value::Array(items) => Some(items),
            _ => None,
        });
        let items = match list {
            Given::Absent => return Given::Absent,
            Given::Null => return Given::Null,
            Given::Value(items) => items,
        };
        if items.len() > max_items {
            return self.refused(name, format!("at most {max_items} are allowed"));
        }
        let mut labels = Vec::with_capacity(items.len());
        let before = self.errors.len();
        for (position, item) in items.into_iter().enumerate() {
            let detail = match item {
                Value::String(text) if text.is_empty() => "must not be empty".to_owned(),
                Value::String(text) if labels.contains(&text) => "is in the list twice".to_owned(),
                Value::String(text) => match check_label(&text, max) {
                    Ok(()) => {
                        labels.push(text);
                        continue;
                    }
                    Err(detail) => detail,
                },
                _ => "must be a string".to_owned(),
            };
            self.errors.push(FieldError {
                pointer: format!("/{name}/{position}"),
                detail,
            });
        }
        if self.errors.len() == before {
            Given::Value(labels)
        } else {
            Given::Absent
        }
    }

    /// A text with a meaning of its own.
    pub fn parsed<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Given<T> {
        match self.text(name) {
            Given::Absent => Given::Absent,
            Given::Null => Given::Null,
            Given::Value(text) => match parse(&text) {
                Ok(value) => Given::Value(value),
                Err(detail) => self.refused(name, detail),
            },
        }
    }

    /// One of a type's words.
    pub fn word<T>(&mut self, name: &'static str) -> Given<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.parsed(name, |text| {
            text.parse().map_err(|error: T::Err| error.to_string())
        })
    }

    /// A point in time, RFC 3339 with any offset, kept to the microsecond.
    pub fn time(&mut self, name: &'static str) -> Given<Timestamp> {
        self.parsed(name, |text| {
            parse_time(text).map_err(|error| error.to_string())
        })
    }

    /// A value that is read elsewhere, with pointers from the body on to what is wrong in it.
    pub fn value<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Value) -> Result<T, Vec<FieldError>>,
    ) -> Given<T> {
        match self.take(name, "a value", Some) {
            Given::Absent => Given::Absent,
            Given::Null => Given::Null,
            Given::Value(value) => match read(value) {
                Ok(value) => Given::Value(value),
                Err(errors) => {
                    self.errors.extend(errors);
                    Given::Absent
                }
            },
        }
    }

    /// A whole number within a range.
    pub fn integer<T>(&mut self, name: &'static str, min: T, max: T) -> Given<T>
    where
        T: TryFrom<u64> + PartialOrd + Copy + Display,
    {
        let number = self.take(name, "a whole number", |value| value.as_u64());
        match number {
            Given::Absent => Given::Absent,
            Given::Null => Given::Null,
            Given::Value(number) => match T::try_from(number)
                .ok()
                .filter(|number| (min..=max).contains(number))
            {
                Some(number) => Given::Value(number),
                None => self.refused(name, format!("must be from {min} to {max}")),
            },
        }
    }

    /// A whole number with a meaning of its own.
    pub fn checked_integer<T, E: Display>(
        &mut self,
        name: &'static str,
        check: impl FnOnce(u32) -> Result<T, E>,
    ) -> Given<T> {
        match self.integer(name, 0, u32::MAX) {
            Given::Absent => Given::Absent,
            Given::Null => Given::Null,
            Given::Value(number) => match check(number) {
                Ok(value) => Given::Value(value),
                Err(error) => self.refused(name, error),
            },
        }
    }

    /// How often a tag may redirect.
    pub fn max_scans(&mut self, name: &'static str) -> Given<MaxScans> {
        match self.integer(name, 1, MaxScans::MAX) {
            Given::Absent => Given::Absent,
            Given::Null => Given::Null,
            Given::Value(scans) => match MaxScans::new(scans) {
                Ok(scans) => Given::Value(scans),
                Err(error) => self.refused(name, error),
            },
        }
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, name: &'static str) -> Given<bool> {
        self.take(name, "true or false", |value| value.as_bool())
    }

    /// An object, whose fields are read apart.
    pub fn object(&mut self, name: &'static str) -> Given<Map<String, Value>> {
        self.take(name, "an object", |value| match value {
            Value::Object(object) => Some(object),
            _ => None,
        })
    }

    /// All errors as one refusal; see [`Fields::errors`].
    pub fn finish(self, read_only: &[&str]) -> Result<(), Problem> {
        let errors = self.errors(read_only);
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Problem::fields(errors))
        }
    }

    /// All errors, with those of fields that nobody asked for: `read_only` ones exist in answers and cannot be set here.
    pub fn errors(self, read_only: &[&str]) -> Vec<FieldError> {
        let Self {
            object,
            allowed,
            mut errors,
            ..
        } = self;
        for name in object.keys().take(MAX_ERRORS) {
            let detail = if read_only.contains(&name.as_str()) {
                "is read-only".to_owned()
            } else {
                format!("is not a field here; allowed are {}", allowed.join(", "))
            };
            errors.push(FieldError::new(name, detail));
        }
        // A large body of nothing but unknown fields is not answered with one many times as large.
        errors.truncate(MAX_ERRORS);
        errors
    }

    fn take<T>(
        &mut self,
        name: &'static str,
        kind: &str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Given<T> {
        self.allowed.push(name);
        match self.object.remove(name) {
            None => Given::Absent,
            Some(Value::Null) => Given::Null,
            Some(value) => match read(value) {
                Some(value) => Given::Value(value),
                None => self.refused(name, format!("must be {kind}")),
            },
        }
    }

    fn refused<T>(&mut self, name: &str, detail: impl ToString) -> Given<T> {
        self.refuse(name, detail);
        Given::Absent
    }
}

/// An object's members as they are written, repeated ones too; and the pointers of what is repeated inside of them.
struct Members {
    members: Vec<(String, Value)>,
    doubled: Vec<String>,
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                let doubled = RefCell::default();
                while let Some(name) = map.next_key::<String>()? {
                    let value = map.next_value_seed(Strict {
                        at: &Place::Top(&name),
                        doubled: &doubled,
                    })?;
                    members.push((name, value));
                }
                let doubled = doubled.into_inner();
                Ok(Members { members, doubled })
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Fields {
        Fields::parse(body.as_bytes()).expect("an object")
    }

    #[test]
    fn all_wrong_fields_are_reported_at_once() {
        let mut fields = fields(
            r#"{"a": 1, "labels": ["x", 2, "x", ""], "when": "soon", "version": 3, "b/c": 1, "n": 70000}"#,
        );
        assert_eq!(fields.text("a"), Given::Absent);
        assert_eq!(fields.labels("labels", 5, 5), Given::Absent);
        assert_eq!(fields.time("when"), Given::Absent);
        assert_eq!(fields.integer("n", 0, 65_535), Given::Absent);
        let problem = fields.finish(&["version"]).expect_err("refused");
        let pointers: Vec<_> = problem
            .errors
            .iter()
            .map(|error| error.pointer.as_str())
            .collect();
        assert_eq!(
            pointers,
            [
                "/a",
                "/labels/1",
                "/labels/2",
                "/labels/3",
                "/when",
                "/n",
                "/b~1c",
                "/version"
            ]
        );
    }

    #[test]
    fn null_and_absent_are_different_things() {
        let mut fields = fields(r#"{"name": null}"#);
        assert_eq!(
            (fields.label("name", 9), fields.label("campaign", 9)),
            (Given::Null, Given::Absent)
        );
        assert!(fields.finish(&[]).is_ok());
    }

    #[test]
    fn a_field_given_twice_is_refused_and_not_chosen_from() {
        let mut fields = fields(r#"{"name": "one", "name": "two"}"#);
        fields.label("name", 9);
        let problem = fields.finish(&[]).expect_err("refused");
        assert_eq!(problem.errors, [FieldError::new("name", "is given twice")]);
    }

    #[test]
    fn what_is_given_twice_is_found_at_any_depth() {
        let fields =
            fields(r#"{"a": [{"b": 1, "b": 2}, {"c/d": {"e": null, "e": null}}], "f": 1}"#);
        let pointers: Vec<_> = fields
            .errors
            .iter()
            .map(|error| error.pointer.as_str())
            .collect();
        assert_eq!(pointers, ["/a/0/b", "/a/1/c~1d/e"]);
        assert_eq!(
            fields.object["a"],
            serde_json::json!([{"b": 2}, {"c/d": {"e": null}}])
        );
    }

    #[test]
    fn of_what_is_given_twice_no_more_is_noted_than_is_told() {
        // Long names above many short ones: with a text for each place, a body of 256 KiB took gigabytes.
        let members = vec![r#"{"b":0,"b":0}"#; 9_000].join(",");
        let body = format!(r#"{{"{}": [{members}]}}"#, "a".repeat(100_000));
        let fields = fields(&body);
        assert_eq!(fields.errors.len(), MAX_ERRORS);
        assert!(fields.errors[99].pointer.ends_with("a/99/b"));
        let fields = self::fields(&format!("{{{}}}", vec![r#""a":0"#; 1_000].join(",")));
        assert_eq!(fields.errors.len(), MAX_ERRORS);
    }

    #[test]
    fn a_body_that_is_no_object_is_unprocessable_and_one_that_is_no_json_malformed() {
        assert_eq!(
            Fields::parse(b"[1]").expect_err("refused").status.as_u16(),
            422
        );
        for malformed in ["{", "[1", "\"x", "{} x", "[1] x"] {
            let problem = Fields::parse(malformed.as_bytes()).expect_err("refused");
            assert_eq!(problem.status.as_u16(), 400, "{malformed}");
        }
        assert_eq!(
            Fields::parse(b"").expect_err("refused").status.as_u16(),
            400
        );
    }
}
