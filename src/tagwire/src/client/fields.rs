//! What a command sets: fields on the command line as HTTPie has them, and files.

use std::fs;
use std::io::{self, Read};

use clap::Args;
use serde_json::{Map, Value};

use super::Failure;

/// What a request's body holds.
#[derive(Debug, Args)]
pub(crate) struct Fields {
    /// NAME=TEXT, NAME= for none, NAME:=JSON for what is not text, as in 'labels:=["can"]'; the names are the API's
    #[arg(value_name = "FIELD", value_parser = parse)]
    fields: Vec<(String, Value)>,
    /// A file with a JSON object, '-' for standard input; fields win over it
    #[arg(long, value_name = "FILE")]
    file: Option<String>,
}

impl Fields {
    /// All of them.
    pub(super) fn object(&self) -> Result<Map<String, Value>, Failure> {
        let mut object = match &self.file {
            Some(file) => match read_json(file)? {
                Value::Object(object) => object,
                _ => return Err(Failure::new(format!("{file} holds no JSON object"))),
            },
            None => Map::new(),
        };
        object.extend(self.fields.iter().cloned());
        Ok(object)
    }
}

/// The JSON in a file, or on standard input.
pub(super) fn read_json(file: &str) -> Result<Value, Failure> {
    let mut text = String::new();
    let read = match file {
        "-" => io::stdin().read_to_string(&mut text).map(drop),
        file => fs::read_to_string(file).map(|read| text = read),
    };
    read.map_err(|error| Failure::new(format!("reading {file}: {error}")))?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::new(format!("{file} is not JSON: {error}")))
}

fn parse(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("is no NAME=TEXT and no NAME:=JSON")?;
    match name.strip_suffix(':') {
        Some(name) => {
            let json = serde_json::from_str(value);
            Ok((
                name.to_owned(),
                json.map_err(|error| format!("{value} is not JSON: {error}"))?,
            ))
        }
        None if value.is_empty() => Ok((name.to_owned(), Value::Null)),
        None => Ok((name.to_owned(), Value::from(value))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_is_text_none_or_json() {
        for (text, name, value) in [
            ("name=Summer sale", "name", json!("Summer sale")),
            (
                "destination=https://example.com/?a=b",
                "destination",
                json!("https://example.com/?a=b"),
            ),
            ("campaign=", "campaign", json!(null)),
            ("redirect_status:=307", "redirect_status", json!(307)),
            ("labels:=[\"a=b\"]", "labels", json!(["a=b"])),
        ] {
            assert_eq!(parse(text), Ok((name.to_owned(), value)), "{text}");
        }
        assert!(parse("name").is_err());
        assert!(parse("labels:=[").unwrap_err().contains("not JSON"));
    }
}
