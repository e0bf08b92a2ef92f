//! Fields that are lists.

use serde_json::Value;

use super::{Fields, Given};
use crate::problem::FieldError;

impl Fields {
    /// A list of texts with a meaning of their own, each once. What is wrong with an item is told at its place.
    pub fn items<T: PartialEq>(
        &mut self,
        name: &'static str,
        max_items: usize,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Given<Vec<T>> {
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
        let mut read = Vec::with_capacity(items.len());
        let before = self.errors.len();
        for (position, item) in items.iter().enumerate() {
            let parsed = match item {
                Value::String(text) => parse(text),
                _ => Err("must be a string".to_owned()),
            };
            let detail = match parsed {
                Ok(item) if read.contains(&item) => "is in the list twice".to_owned(),
                Ok(item) => {
                    read.push(item);
                    continue;
                }
                Err(detail) => detail,
            };
            self.errors.push(FieldError {
                pointer: format!("/{name}/{position}"),
                detail,
            });
        }
        if self.errors.len() == before {
            Given::Value(read)
        } else {
            Given::Absent
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrong_item_is_named_by_its_place() {
        let body = br#"{"ports": ["80", "x", 443, "80"], "more": ["1", "2"], "none": []}"#;
        let mut fields = Fields::parse(body).expect("an object");
        let port = |text: &str| text.parse::<u16>().map_err(|error| error.to_string());
        assert_eq!(fields.items("ports", 4, port), Given::Absent);
        assert_eq!(fields.items("more", 1, port), Given::Absent);
        assert_eq!(fields.items("none", 1, port), Given::Value(Vec::new()));
        assert_eq!(fields.items("absent", 1, port), Given::Absent);
        let problem = fields.finish(&[]).expect_err("refused");
        let pointers = problem.errors.iter().map(|error| error.pointer.as_str());
        let expected = ["/ports/1", "/ports/2", "/ports/3", "/more"];
        assert_eq!(pointers.collect::<Vec<_>>(), expected);
    }
}
