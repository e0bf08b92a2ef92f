//! A tag as files have it: what may be set of it, and nothing that has its default or is known from elsewhere.

use serde_json::{Map, Value};
use tags::Tag;

use crate::api::TagAnswer;
use crate::service::Admin;

/// A tag's writable fields that are set, as they are answered.
pub(super) fn fields(admin: &Admin, tag: &Tag, names: &[&'static str]) -> Map<String, Value> {
    let answer = serde_json::to_value(TagAnswer::new(admin, tag));
    let Ok(Value::Object(mut answer)) = answer else {
        unreachable!("a tag's answer has no keys but strings, and nothing that JSON has not");
    };
    if tag.cache_max_age.is_none() {
        // Answers show the default, which then would be one's own.
        answer.remove("cache_max_age");
    }
    let is_set = |value: &Value| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        _ => true,
    };
    names
        .iter()
        .filter_map(|name| answer.remove_entry(*name))
        .filter(|(_, value)| is_set(value))
        .collect()
}

/// The names of the fields in which two tags differ.
pub(super) fn differences(
    admin: &Admin,
    one: &Tag,
    other: &Tag,
    names: &[&'static str],
) -> Vec<&'static str> {
    let (one, other) = (fields(admin, one, names), fields(admin, other, names));
    let differs = |name: &&&'static str| one.get(**name) != other.get(**name);
    names.iter().filter(differs).copied().collect()
}
