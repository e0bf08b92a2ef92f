//! A tag's fields as cells of CSV, in both directions.

use std::cell::RefCell;

use serde::de::DeserializeSeed;
use serde_json::Value;

use crate::problem::FieldError;
use crate::strict_json::{Place, Strict};

/// Columns whose cells are what they say; the others hold JSON: numbers, lists, rules.
const TEXTS: [&str; 10] = [
    "code",
    "domain",
    "destination",
    "fallback_url",
    "starts_at",
    "expires_at",
    "query",
    "campaign",
    "name",
    "status",
];
/// Spreadsheets take a cell that begins with one of these for a formula, or for more than one cell.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// The columns that a header names, or what is wrong with it.
pub(super) fn of_header<'a>(
    cells: impl Iterator<Item = &'a [u8]>,
    field_names: &[&'static str],
    read_only: &[&str],
) -> Result<Vec<&'static str>, Vec<FieldError>> {
    let mut columns: Vec<&'static str> = Vec::new();
    let mut errors = Vec::new();
    for cell in cells {
        let name = String::from_utf8_lossy(cell);
        let name = name.trim();
        match field_names.iter().find(|known| **known == name) {
            Some(known) if columns.contains(known) => {
                errors.push(FieldError::new(name, "is a column twice"));
            }
            Some(known) => columns.push(known),
            None if read_only.contains(&name) => {
                errors.push(FieldError::new(name, "is read-only; leave the column out"));
            }
            None => {
                let allowed = field_names.join(", ");
                let detail = format!(
                    "is not a column here; allowed are {allowed}, in UTF-8 and with commas between them"
                );
                errors.push(FieldError::new(name, detail));
            }
        }
    }
    if errors.is_empty() {
        Ok(columns)
    } else {
        Err(errors)
    }
}

/// What a cell says; none if it is empty. What cannot be read is left a text, of which the field's own check says what it must be. Where
/// members of its JSON are given twice is noted in `doubled`, as JSON pointers.
pub(super) fn read_cell(column: &str, cell: &str, doubled: &RefCell<Vec<String>>) -> Option<Value> {
    let text = without_mark(cell);
    if text.is_empty() {
        return None;
    }
    if TEXTS.contains(&column) {
        return Some(text.into());
    }
    if column == "labels" && !text.starts_with('[') {
        return Some(text.split(',').map(str::trim).collect());
    }
    Some(read_json(column, text, doubled).unwrap_or_else(|_| text.into()))
}

fn read_json(
    column: &str,
    text: &str,
    doubled: &RefCell<Vec<String>>,
) -> Result<Value, serde_json::Error> {
    let at = Place::Top(column);
    let mut json = serde_json::Deserializer::from_str(text);
    let value = Strict { at: &at, doubled }.deserialize(&mut json)?;
    json.end()?;
    Ok(value)
}

/// The cell for a field's value; an absent one is empty.
pub(super) fn write_cell(column: &str, value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(labels)) if column == "labels" => {
            join_labels(labels).unwrap_or_else(|| Value::from(labels.clone()).to_string())
        }
        Some(other) => other.to_string(),
    };
    if is_marked(&text) {
        format!("'{text}")
    } else {
        text
    }
}

/// As people write lists, where that can be read back.
fn join_labels(labels: &[Value]) -> Option<String> {
    let texts: Option<Vec<&str>> = labels.iter().map(Value::as_str).collect();
    let joined = texts?.join(",");
    let read_back = read_cell("labels", &joined, &RefCell::default());
    (read_back.as_ref().and_then(Value::as_array)? == labels).then_some(joined)
}

/// Whether a cell gets a leading apostrophe: if it is a formula, or would be without those that it has, so that one can always be taken off.
fn is_marked(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(FORMULA)
}

fn without_mark(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(text) if is_marked(text) => text,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Of a cell in which nothing is given twice.
    fn read_cell(column: &str, cell: &str) -> Option<Value> {
        let doubled = RefCell::default();
        let value = super::read_cell(column, cell, &doubled);
        assert!(doubled.take().is_empty(), "{cell}");
        value
    }

    #[test]
    fn no_cell_begins_like_a_formula_and_each_is_read_back_as_it_was() {
        for text in [
            "=1+1", "+49", "-a", "@x", "\tx", "'=x", "''-x", "'x", "x", "it's", "=", "'",
        ] {
            let cell = write_cell("name", Some(&json!(text)));
            assert!(!cell.starts_with(FORMULA), "{cell}");
            assert_eq!(read_cell("name", &cell), Some(json!(text)), "{cell}");
        }
        assert_eq!(write_cell("name", Some(&json!("'x"))), "'x");
        assert_eq!(write_cell("name", Some(&json!("=x"))), "'=x");
    }

    #[test]
    fn labels_are_written_as_people_do_where_that_can_be_read_back() {
        for (labels, cell) in [
            (json!(["a", "b c"]), "a,b c"),
            (json!(["a,b"]), r#"["a,b"]"#),
            (json!(["[a]"]), r#"["[a]"]"#),
            (json!(["12"]), "12"),
            (json!(["a", "true"]), "a,true"),
            (json!(["-a", "b"]), "'-a,b"),
        ] {
            assert_eq!(write_cell("labels", Some(&labels)), cell);
            assert_eq!(read_cell("labels", cell), Some(labels));
        }
        assert_eq!(read_cell("labels", "a, b"), Some(json!(["a", "b"])));
        assert_eq!(read_cell("labels", "[a"), Some(json!("[a")));
    }

    #[test]
    fn numbers_and_rules_are_json_and_texts_are_not() {
        assert_eq!(read_cell("redirect_status", "301"), Some(json!(301)));
        assert_eq!(read_cell("redirect_status", "soon"), Some(json!("soon")));
        assert_eq!(
            read_cell("rules", r#"[{"name": "a"}]"#),
            Some(json!([{"name": "a"}]))
        );
        assert_eq!(read_cell("name", "301"), Some(json!("301")));
        assert_eq!(read_cell("name", ""), None);
    }

    #[test]
    fn members_that_are_given_twice_in_a_cell_are_told() {
        let doubled = RefCell::default();
        let cell = r#"[{"name": "a", "to": {"x": 1, "x": 2}, "name": "b"}]"#;
        super::read_cell("rules", cell, &doubled);
        assert_eq!(doubled.take(), ["/rules/0/to/x", "/rules/0/name"]);
    }

    #[test]
    fn a_header_is_refused_with_all_that_is_wrong_with_it() {
        let cells = |line: &'static str| line.split(',').map(str::as_bytes);
        let known = ["code", "destination"];
        assert_eq!(
            of_header(cells("destination, code"), &known, &[]),
            Ok(vec!["destination", "code"])
        );
        let errors =
            of_header(cells("code,code,colour,version"), &known, &["version"]).unwrap_err();
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/code", "/colour", "/version"]);
    }
}
