//! What two JSON documents differ in, field by field, for people to read.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// One field that is not the same in both.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Difference {
    /// Which, as a JSON pointer (RFC 6901).
    #[schema(example = "/destination")]
    pub pointer: String,
    /// What it was; left out where it was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What it is; left out where it is no longer there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// What `after` has otherwise than `before`.
///
/// Objects are compared member by member and lists of the same length item by item. Of lists of different lengths both are shown whole: which
/// item became which cannot be told, and a list shifted by one would differ everywhere.
pub fn differences(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(String::new(), before, after, &mut found);
    found
}

/// What a document holds, as what has come into being with it; nulls say of nothing that it is there.
pub fn contents(document: &Value) -> Vec<Difference> {
    let mut there = document.clone();
    if let Value::Object(members) = &mut there {
        members.retain(|_, value| !value.is_null());
    }
    differences(&Value::Object(Map::new()), &there)
}

fn compare(pointer: String, before: &Value, after: &Value, found: &mut Vec<Difference>) {
    match (before, after) {
        (before, after) if before == after => {}
        (Value::Object(old), Value::Object(new)) => {
            for (name, value) in old {
                let pointer = member(&pointer, name);
                match new.get(name) {
                    Some(after) => compare(pointer, value, after, found),
                    None => found.push(Difference {
                        pointer,
                        before: Some(value.clone()),
                        after: None,
                    }),
                }
            }
            for (name, value) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
                found.push(Difference {
                    pointer: member(&pointer, name),
                    before: None,
                    after: Some(value.clone()),
                });
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (position, (before, after)) in old.iter().zip(new).enumerate() {
                compare(format!("{pointer}/{position}"), before, after, found);
            }
        }
        (before, after) => found.push(Difference {
            pointer,
            before: Some(before.clone()),
            after: Some(after.clone()),
        }),
    }
}

fn member(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(before: Value, after: Value) -> Value {
        serde_json::to_value(differences(&before, &after)).unwrap()
    }

    #[test]
    fn what_is_the_same_is_not_told() {
        let document = json!({"a": [1, {"b": null}], "c": "d"});
        assert_eq!(told(document.clone(), document), json!([]));
    }

    #[test]
    fn a_field_is_told_with_what_it_was_and_what_it_is() {
        assert_eq!(
            told(
                json!({"name": "a", "rules": [{"to": "x"}, {"to": "y"}], "labels": []}),
                json!({"name": null, "rules": [{"to": "x"}, {"to": "z"}], "labels": ["b"]}),
            ),
            json!([
                {"pointer": "/labels", "before": [], "after": ["b"]},
                {"pointer": "/name", "before": "a", "after": null},
                {"pointer": "/rules/1/to", "before": "y", "after": "z"},
            ])
        );
    }

    #[test]
    fn what_is_absent_is_told_from_null_and_names_are_escaped() {
        assert_eq!(
            told(
                json!({"a/b": null, "~": 1}),
                json!({"c": null, "~": {"d": 2}})
            ),
            json!([
                {"pointer": "/a~1b", "before": null},
                {"pointer": "/~0", "before": 1, "after": {"d": 2}},
                {"pointer": "/c", "after": null},
            ])
        );
        assert_eq!(
            told(json!(1), json!([])),
            json!([{"pointer": "", "before": 1, "after": []}])
        );
    }

    #[test]
    fn of_something_new_its_contents_are_told() {
        assert_eq!(
            serde_json::to_value(contents(&json!({"a": 1, "b": null}))).unwrap(),
            json!([{"pointer": "/a", "after": 1}])
        );
    }
}
