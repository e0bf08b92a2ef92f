//! Lists that are taken out whole: as lines of JSON or of CSV, and scans also as Parquet. Which of them a request wants, and how lines are
//! written.

use std::borrow::Cow;
use std::str::FromStr;

use axum::http::{HeaderMap, StatusCode, Version, header};
use headers_accept::Accept;
use mediatype::MediaType;
use serde::Serialize;

use super::params::Params;
use crate::problem::Problem;

/// As which lines all of a list is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lines {
    /// A JSON object each.
    NdJson,
    /// Of CSV (RFC 4180), the first with the columns' names.
    Csv,
}

/// As which file scans are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileFormat {
    Lines(Lines),
    /// Apache Parquet: columns with types.
    Parquet,
}

const JSON: MediaType<'static> = known("application", "json");
const ND_JSON: MediaType<'static> = known("application", "x-ndjson");
const CSV: MediaType<'static> = known("text", "csv");
const PARQUET: MediaType<'static> = known("application", "vnd.apache.parquet");

const fn known(kind: &'static str, subtype: &'static str) -> MediaType<'static> {
    MediaType::new(
        mediatype::Name::new_unchecked(kind),
        mediatype::Name::new_unchecked(subtype),
    )
}

impl Lines {
    /// Those that a request's `Accept` prefers (RFC 9110 §12.5.1); none: a page, which it gets, too, where it has none.
    pub(super) fn wanted(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let offered = [
            (JSON, None),
            (ND_JSON, Some(Self::NdJson)),
            (CSV, Some(Self::Csv)),
        ];
        preferred(headers, &offered)
    }

    /// The same of a list that is always taken out whole.
    pub(super) fn wanted_file(headers: &HeaderMap) -> Result<Self, Problem> {
        preferred(headers, &[(ND_JSON, Self::NdJson), (CSV, Self::Csv)])
    }

    /// The type of the answer.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::NdJson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }
}

impl FileFormat {
    /// The one that a request names as `format`, or without that its `Accept` prefers; none: a page.
    pub(super) fn wanted(headers: &HeaderMap, params: &Params) -> Result<Option<Self>, Problem> {
        let (nd_json, csv) = (Self::Lines(Lines::NdJson), Self::Lines(Lines::Csv));
        match params.text("format") {
            None => preferred(
                headers,
                &[
                    (JSON, None),
                    (ND_JSON, Some(nd_json)),
                    (CSV, Some(csv)),
                    (PARQUET, Some(Self::Parquet)),
                ],
            ),
            Some("json") => Ok(None),
            Some("ndjson") => Ok(Some(nd_json)),
            Some("csv") => Ok(Some(csv)),
            Some("parquet") => Ok(Some(Self::Parquet)),
            Some(_) => {
                let detail = "must be json, ndjson, csv or parquet.";
                Err(Problem::parameter("format", detail))
            }
        }
    }

    /// The type of the answer.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Lines(lines) => lines.content_type(),
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
}

/// What a request's `Accept` prefers of these, of which the first is taken by who has no preference.
fn preferred<T: Copy>(
    headers: &HeaderMap,
    offered: &[(MediaType<'static>, T)],
) -> Result<T, Problem> {
    let mut accepted = String::new();
    for value in headers.get_all(header::ACCEPT) {
        let value = value.to_str().map_err(|_| unreadable())?;
        accepted.push_str(if accepted.is_empty() { "" } else { ", " });
        accepted.push_str(value);
    }
    if accepted.trim().is_empty() {
        "*/*".clone_into(&mut accepted);
    }
    let accepted = Accept::from_str(&accepted).map_err(|_| unreadable())?;
    let kinds = || offered.iter().map(|(kind, _)| kind);
    let found = accepted.negotiate(kinds());
    let found = found.and_then(|found| offered.iter().find(|(kind, _)| kind == found));
    found.map(|(_, format)| *format).ok_or_else(|| {
        let kinds: Vec<String> = kinds()
            .map(|kind| match *kind == JSON {
                true => format!("{kind} (a page)"),
                false => kind.to_string(),
            })
            .collect();
        Problem::new(
            StatusCode::NOT_ACCEPTABLE,
            format!(
                "This is answered as one of {}; send one of them as Accept.",
                kinds.join(", ")
            ),
        )
    })
}

/// Refuses what is sent as it is read to who asks by HTTP/1.0. There it ends with the connection, so that what was broken off would be taken
/// for whole (RFC 9112 §8).
pub(super) fn has_an_end(version: Version) -> Result<(), Problem> {
    if version >= Version::HTTP_11 {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UPGRADE_REQUIRED,
        "An export is sent as it is read, and in HTTP/1.0 one that was broken off looks like a whole one. Ask by HTTP/1.1.",
    ))
}

fn unreadable() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "The Accept header is not a list of media types.",
    )
}

/// Newline-delimited JSON, an item a line.
pub(super) fn nd_json_lines<T: Serialize>(
    items: impl IntoIterator<Item = T>,
) -> serde_json::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for item in items {
        serde_json::to_writer(&mut lines, &item)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// Lines of CSV (RFC 4180), in which no spreadsheet finds a formula.
pub(super) fn csv_lines<R>(rows: impl IntoIterator<Item = R>) -> Result<Vec<u8>, csv::Error>
where
    R: IntoIterator,
    R::Item: AsRef<str>,
{
    let mut csv = csv::WriterBuilder::new();
    let mut csv = csv
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    for row in rows {
        for text in row {
            csv.write_field(cell(text.as_ref()).as_bytes())?;
        }
        csv.write_record(None::<&[u8]>)?;
    }
    let lines = csv.into_inner();
    lines.map_err(|error| error.into_error().into())
}

/// A cell that no spreadsheet takes for a formula: what begins like one has a `'` before it.
fn cell(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(accept: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in accept.split('\n').filter(|value| !value.is_empty()) {
            headers.append(header::ACCEPT, value.parse().unwrap());
        }
        headers
    }

    fn wanted(accept: &str) -> Result<Option<Lines>, u16> {
        Lines::wanted(&headers(accept)).map_err(|problem| problem.status.as_u16())
    }

    #[test]
    fn a_page_is_answered_unless_an_export_is_asked_for() {
        for page in [
            "",
            "*/*",
            "application/json",
            "text/html, */*;q=0.8",
            "application/*, text/csv;q=0.5",
        ] {
            assert_eq!(wanted(page), Ok(None), "{page}");
        }
        for (accept, format) in [
            ("text/csv", Lines::Csv),
            ("TEXT/CSV", Lines::Csv),
            ("text/*", Lines::Csv),
            ("application/x-ndjson", Lines::NdJson),
            (
                "application/json;q=0.1, application/x-ndjson;q=0.2",
                Lines::NdJson,
            ),
            ("text/csv;q=0.5\napplication/x-ndjson", Lines::NdJson),
        ] {
            assert_eq!(wanted(accept), Ok(Some(format)), "{accept}");
        }
    }

    #[test]
    fn a_file_is_newline_delimited_json_unless_csv_is_preferred() {
        for (accept, format) in [
            ("", Ok(Lines::NdJson)),
            ("*/*", Ok(Lines::NdJson)),
            ("text/*", Ok(Lines::Csv)),
            ("application/x-ndjson;q=0.5, text/csv", Ok(Lines::Csv)),
            ("text/csv;q=0.5, */*;q=0.9", Ok(Lines::NdJson)),
            ("application/json", Err(406)),
        ] {
            let wanted = Lines::wanted_file(&headers(accept));
            let wanted = wanted.map_err(|problem| problem.status.as_u16());
            assert_eq!(wanted, format, "{accept}");
        }
    }

    #[test]
    fn scans_are_a_page_or_a_file_of_lines_or_of_columns_and_the_parameter_comes_first() {
        let wanted = |accept: &str, query: &str| {
            let uri = axum::http::Uri::try_from(format!("/?{query}")).unwrap();
            let params = Params::of(&uri);
            let wanted = FileFormat::wanted(&headers(accept), &params);
            wanted.map_err(|problem| problem.status.as_u16())
        };
        let csv = FileFormat::Lines(Lines::Csv);
        let nd_json = FileFormat::Lines(Lines::NdJson);
        for (accept, query, format) in [
            ("", "", Ok(None)),
            ("*/*", "", Ok(None)),
            ("application/*", "", Ok(None)),
            ("text/csv", "", Ok(Some(csv))),
            ("application/x-ndjson", "", Ok(Some(nd_json))),
            (
                "application/vnd.apache.parquet",
                "",
                Ok(Some(FileFormat::Parquet)),
            ),
            (
                "text/csv;q=0.5, application/vnd.apache.parquet",
                "",
                Ok(Some(FileFormat::Parquet)),
            ),
            ("text/csv", "format=parquet", Ok(Some(FileFormat::Parquet))),
            ("image/png", "format=parquet", Ok(Some(FileFormat::Parquet))),
            ("", "format=csv", Ok(Some(csv))),
            ("", "format=ndjson", Ok(Some(nd_json))),
            ("text/csv", "format=json", Ok(None)),
            ("text/csv", "format=Parquet", Err(400)),
            ("text/csv", "format=", Err(400)),
            ("application/parquet", "", Err(406)),
        ] {
            assert_eq!(wanted(accept, query), format, "{accept} {query}");
        }
        // Lists of other things have no columns with types.
        let parquet = headers("application/vnd.apache.parquet");
        assert!(Lines::wanted(&parquet).is_err());
    }

    #[test]
    fn what_cannot_be_answered_or_read_is_refused() {
        for other in ["image/png", "application/ndjson", "text/csv;q=0"] {
            assert_eq!(wanted(other), Err(406), "{other}");
        }
        for broken in ["csv", "/", "text/csv, é"] {
            assert_eq!(wanted(broken), Err(400), "{broken}");
        }
    }

    #[test]
    fn a_cell_that_begins_like_a_formula_is_marked_as_text() {
        for text in ["=1+1", "+1", "-1", "@a", "\ta", "\ra"] {
            assert_eq!(cell(text), format!("'{text}"));
        }
        for text in ["", "a=1", "'=1", " =1", "https://example.com/"] {
            assert_eq!(cell(text), text);
        }
    }
}
