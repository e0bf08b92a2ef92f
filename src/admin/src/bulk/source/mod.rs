//! Reading a file of tags line by line, in bounded memory, from any place that was reached before.

mod csv;
mod ndjson;
mod text;

use std::io;

use axum::http::{HeaderMap, header};
use mediatype::names::{self, APPLICATION, TEXT};
use mediatype::{MediaType, Name, ReadParams};
use serde::{Deserialize, Serialize};

use self::csv::CsvLines;
use self::ndjson::JsonLines;
use self::text::{Input, Text};
use crate::body::Body;
use crate::fields::Fields;
use crate::problem::FieldError;

/// The most bytes of a line: what a request for one tag may have.
const MOST_LINE_BYTES: usize = Body::MAX_BYTES;

const NDJSON: MediaType<'static> = MediaType::new(APPLICATION, Name::new_unchecked("x-ndjson"));
const CSV: MediaType<'static> = MediaType::new(TEXT, names::CSV);

/// How a file of tags is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// A JSON object a line.
    Ndjson,
    /// RFC 4180, with a header, in UTF-8.
    Csv,
}

impl Format {
    /// The one that a request's body is in.
    pub(crate) fn of_body(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let kind = MediaType::parse(value).ok()?;
        // RFC 4180 has `header`; others mean nothing to us.
        let charset = kind.get_param(names::CHARSET);
        if charset.is_some_and(|charset| !charset.unquoted_str().eq_ignore_ascii_case("utf-8")) {
            return None;
        }
        [(NDJSON, Self::Ndjson), (CSV, Self::Csv)]
            .into_iter()
            .find_map(|(known, format)| (kind.essence() == known).then_some(format))
    }
}

/// A place between two lines of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Bytes before it.
    pub(crate) offset: u64,
    /// Line ends before it.
    pub(crate) line: u64,
}

/// A line that is not blank.
pub(crate) struct Line {
    /// Its number in the file, from 1; where a CSV record has several, that of the first.
    pub(crate) number: u64,
    /// What it says, or why it cannot be read.
    pub(crate) content: Result<Fields, FieldError>,
}

/// A file that is being read.
pub(crate) enum Source {
    Ndjson(JsonLines),
    Csv(Box<CsvLines>),
}

impl Source {
    /// Goes on at a place; [`Place::default`] is the beginning. The inner errors are of the file's header, without which nothing in it can be
    /// read.
    pub(crate) fn open(
        file: Box<dyn Input>,
        format: Format,
        place: Place,
        field_names: &[&'static str],
        read_only: &[&str],
    ) -> io::Result<Result<Self, Vec<FieldError>>> {
        let text = Text::begin(file)?;
        Ok(match format {
            Format::Ndjson => Ok(Self::Ndjson(JsonLines::open(text, place)?)),
            Format::Csv => CsvLines::open(text, place, field_names, read_only)?
                .map(|lines| Self::Csv(Box::new(lines))),
        })
    }

    /// The next line; none at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line>> {
        match self {
            Self::Ndjson(lines) => lines.next(),
            Self::Csv(lines) => lines.next(),
        }
    }

    /// The place behind the last line.
    pub(crate) fn place(&self) -> Place {
        match self {
            Self::Ndjson(lines) => lines.place(),
            Self::Csv(lines) => lines.place(),
        }
    }
}

/// What is said of a line that is not read, since it is too long.
fn too_long() -> FieldError {
    whole_line(format!(
        "the line is too long: at most {MOST_LINE_BYTES} bytes are allowed"
    ))
}

/// An error of a line, and of no field in it.
fn whole_line(detail: String) -> FieldError {
    FieldError {
        pointer: String::new(),
        detail,
    }
}

#[cfg(test)]
mod tests;
