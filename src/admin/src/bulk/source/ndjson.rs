//! Lines of JSON: an object each, as of <https://github.com/ndjson/ndjson-spec>. Blank lines are passed over.

use std::io;

use super::text::Text;
use super::{Line, MOST_LINE_BYTES, Place, too_long, whole_line};
use crate::fields::Fields;

pub(crate) struct JsonLines {
    text: Text,
    line: Vec<u8>,
}

impl JsonLines {
    pub(super) fn open(mut text: Text, place: Place) -> io::Result<Self> {
        text.go_on_at(place)?;
        let line = Vec::new();
        Ok(Self { text, line })
    }

    pub(super) fn place(&self) -> Place {
        self.text.place()
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let number = self.text.line_number();
            let content = match self.read_line()? {
                Read::End => return Ok(None),
                Read::TooLong => Err(too_long()),
                Read::Whole if self.line.iter().all(u8::is_ascii_whitespace) => continue,
                Read::Whole => {
                    Fields::read(&self.line).map_err(|error| whole_line(error.to_string()))
                }
            };
            return Ok(Some(Line { number, content }));
        }
    }

    /// Reads to the line's end; what is longer than it may be is passed over.
    fn read_line(&mut self) -> io::Result<Read> {
        self.line.clear();
        let mut read = Read::End;
        loop {
            let ahead = self.text.ahead()?;
            if ahead.is_empty() {
                return Ok(read);
            }
            let end = ahead.iter().position(|byte| *byte == b'\n');
            let part = &ahead[..end.unwrap_or(ahead.len())];
            if read == Read::TooLong || self.line.len() + part.len() > MOST_LINE_BYTES {
                read = Read::TooLong;
            } else {
                read = Read::Whole;
                self.line.extend_from_slice(part);
            }
            let passed = part.len() + usize::from(end.is_some());
            self.text.pass(passed);
            if end.is_some() {
                return Ok(read);
            }
        }
    }
}

/// What came of reading a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    End,
    Whole,
    TooLong,
}
