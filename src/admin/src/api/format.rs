//! Lists that are taken out whole, as newline-delimited JSON or as CSV: which of them a request wants, and how they are written.

use std::borrow::Cow;
use std::str::FromStr;

use axum::http::{HeaderMap, StatusCode, header};
use headers_accept::Accept;
use mediatype::MediaType;
use serde::Serialize;

use crate::problem::Problem;

/// What a list is answered as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A page.
    Json,
    /// All of it, a JSON object a line.
    NdJson,
    /// All of it, a line each (RFC 4180), the first with the columns' names.
    Csv,
}

const JSON: MediaType<'static> = known("application", "json");
const ND_JSON: MediaType<'static> = known("application", "x-ndjson");
const CSV: MediaType<'static> = known("text", "csv");

const fn known(kind: &'static str, subtype: &'static str) -> MediaType<'static> {
    MediaType::new(
        mediatype::Name::new_unchecked(kind),
        mediatype::Name::new_unchecked(subtype),
    )
}

impl Format {
    /// The one that a request's `Accept` prefers (RFC 9110 §12.5.1); a page where it has none.
    pub(super) fn wanted(headers: &HeaderMap) -> Result<Self, Problem> {
        Self::negotiated(headers, &[JSON, ND_JSON, CSV])
    }

    /// The same of a list that is always taken out whole.
    pub(super) fn wanted_file(headers: &HeaderMap) -> Result<Self, Problem> {
        Self::negotiated(headers, &[ND_JSON, CSV])
    }

    /// What is preferred of these, of which the first is taken by who has no preference.
    fn negotiated(headers: &HeaderMap, offered: &[MediaType<'static>]) -> Result<Self, Problem> {
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
        match accepted.negotiate(offered) {
            Some(found) if *found == ND_JSON => Ok(Self::NdJson),
            Some(found) if *found == CSV => Ok(Self::Csv),
            Some(_) => Ok(Self::Json),
            None => {
                let page = match offered.contains(&JSON) {
                    true => format!("{JSON} (a page), "),
                    false => String::new(),
                };
                Err(Problem::new(
                    StatusCode::NOT_ACCEPTABLE,
                    format!(
                        "This is answered as {page}{ND_JSON} or {CSV} (all of it); send one of them as Accept."
                    ),
                ))
            }
        }
    }

    /// The type of the answer.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::NdJson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }
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

    fn wanted(accept: &str) -> Result<Format, u16> {
        let mut headers = HeaderMap::new();
        for value in accept.split('\n').filter(|value| !value.is_empty()) {
            headers.append(header::ACCEPT, value.parse().unwrap());
        }
        Format::wanted(&headers).map_err(|problem| problem.status.as_u16())
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
            assert_eq!(wanted(page), Ok(Format::Json), "{page}");
        }
        for (accept, format) in [
            ("text/csv", Format::Csv),
            ("TEXT/CSV", Format::Csv),
            ("text/*", Format::Csv),
            ("application/x-ndjson", Format::NdJson),
            (
                "application/json;q=0.1, application/x-ndjson;q=0.2",
                Format::NdJson,
            ),
            ("text/csv;q=0.5\napplication/x-ndjson", Format::NdJson),
        ] {
            assert_eq!(wanted(accept), Ok(format), "{accept}");
        }
    }

    #[test]
    fn a_file_is_newline_delimited_json_unless_csv_is_preferred() {
        for (accept, format) in [
            ("", Ok(Format::NdJson)),
            ("*/*", Ok(Format::NdJson)),
            ("text/*", Ok(Format::Csv)),
            ("application/x-ndjson;q=0.5, text/csv", Ok(Format::Csv)),
            ("text/csv;q=0.5, */*;q=0.9", Ok(Format::NdJson)),
            ("application/json", Err(406)),
        ] {
            let mut headers = HeaderMap::new();
            if !accept.is_empty() {
                headers.append(header::ACCEPT, accept.parse().unwrap());
            }
            let wanted = Format::wanted_file(&headers);
            let wanted = wanted.map_err(|problem| problem.status.as_u16());
            assert_eq!(wanted, format, "{accept}");
        }
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
