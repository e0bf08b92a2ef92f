//! JSON values in which nothing was said twice: readers of JSON differ about which of two members of one name counts (RFC 8259 §4), so that
//! a reviewer may have seen another than we would take.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::problem::MAX_ERRORS;

/// Where a value is. A reference to where its parent is: a text of its own for every value would take a hostile body's length for each.
#[derive(Clone, Copy)]
pub(crate) enum Place<'p> {
    /// A member of the body itself.
    Top(&'p str),
    /// A member of an object.
    Member(&'p Place<'p>, &'p str),
    /// An item of a list.
    Item(&'p Place<'p>, usize),
}

impl fmt::Display for Place<'_> {
    /// As a JSON pointer. Recursion is no deeper than what `serde_json` reads, 128 levels.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top(name) => write!(formatter, "/{}", escaped(name)),
            Self::Member(parent, name) => write!(formatter, "{parent}/{}", escaped(name)),
            Self::Item(parent, number) => write!(formatter, "{parent}/{number}"),
        }
    }
}

/// Reads a value. Where members of objects in it are given twice is noted in `doubled`, as JSON pointers, as many as are told.
#[derive(Clone, Copy)]
pub(crate) struct Strict<'p> {
    pub(crate) at: &'p Place<'p>,
    pub(crate) doubled: &'p RefCell<Vec<String>>,
}

/// A step of a JSON pointer (RFC 6901 §3).
pub(crate) fn escaped(step: &str) -> String {
    step.replace('~', "~0").replace('/', "~1")
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let below = Strict {
                at: &Place::Item(self.at, list.len()),
                doubled: self.doubled,
            };
            match items.next_element_seed(below)? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let at = Place::Member(self.at, &name);
            let value = members.next_value_seed(Strict {
                at: &at,
                doubled: self.doubled,
            })?;
            if object.contains_key(&name) {
                let mut doubled = self.doubled.borrow_mut();
                if doubled.len() < MAX_ERRORS {
                    doubled.push(at.to_string());
                }
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}
