//! Records of CSV (RFC 4180), by the header's columns. csv-core parses into memory of ours, so that an open quote costs no more than a
//! line may have.

use std::cell::RefCell;
use std::io;

use csv_core::{ReadRecordResult, Reader};

use super::text::Text;
use super::{Line, MOST_LINE_BYTES, Place, too_long, whole_line};
use crate::bulk::columns;
use crate::fields::Fields;
use crate::problem::FieldError;

/// The most cells of a record; a tag has far fewer fields.
const MOST_CELLS: usize = 256;

pub(crate) struct CsvLines {
    records: Records,
    columns: Vec<&'static str>,
}

impl CsvLines {
    /// Reads the header, and goes on at the place or behind it.
    pub(super) fn open(
        text: Text,
        place: Place,
        field_names: &[&'static str],
        read_only: &[&str],
    ) -> io::Result<Result<Self, Vec<FieldError>>> {
        let mut records = Records {
            text,
            parser: Reader::new(),
            cells: vec![0; MOST_LINE_BYTES],
            ends: vec![0; MOST_CELLS],
        };
        let columns = match records.next()? {
            None => Err(vec![whole_line(
                "the file is empty; its first line has to name the columns".to_owned(),
            )]),
            Some((_, Err(error))) => Err(vec![error]),
            Some((_, Ok(count))) => {
                columns::of_header(records.cells_of(count), field_names, read_only)
            }
        };
        let columns = match columns {
            Ok(columns) => columns,
            Err(errors) => return Ok(Err(errors)),
        };
        records.text.go_on_at(place)?;
        Ok(Ok(Self { records, columns }))
    }

    pub(super) fn place(&self) -> Place {
        self.records.text.place()
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let Some((number, count)) = self.records.next()? else {
                return Ok(None);
            };
            let content = match count {
                Err(error) => Err(error),
                // As spreadsheets leave rows in which there was something once.
                Ok(count) if self.records.cells_of(count).all(<[u8]>::is_empty) => continue,
                Ok(count) if count != self.columns.len() => Err(whole_line(format!(
                    "has {count} cells, the header {}",
                    self.columns.len()
                ))),
                Ok(count) => fields(&self.columns, self.records.cells_of(count)),
            };
            return Ok(Some(Line { number, content }));
        }
    }
}

fn fields<'a>(
    columns: &[&'static str],
    cells: impl Iterator<Item = &'a [u8]>,
) -> Result<Fields, FieldError> {
    let mut members = Vec::with_capacity(columns.len());
    let doubled = RefCell::default();
    for (column, cell) in columns.iter().zip(cells) {
        let cell = std::str::from_utf8(cell)
            .map_err(|_| FieldError::new(column, "is not UTF-8; save the file as CSV in UTF-8"))?;
        if let Some(value) = columns::read_cell(column, cell, &doubled) {
            members.push(((*column).to_owned(), value));
        }
    }
    let mut fields = Fields::of(members);
    fields.refuse_doubled(doubled.take());
    Ok(fields)
}

/// The records of a file, one in memory at a time.
struct Records {
    text: Text,
    parser: Reader,
    /// The cells' bytes without a gap, and where each of them ends.
    cells: Vec<u8>,
    ends: Vec<usize>,
}

impl Records {
    /// The next record's first line and count of cells, or what is wrong with it; none at the end.
    fn next(&mut self) -> io::Result<Option<(u64, Result<usize, FieldError>)>> {
        self.pass_blank_lines()?;
        let number = self.text.line_number();
        let (mut written, mut ended) = (0, 0);
        let mut problem = None;
        loop {
            let ahead = self.text.ahead()?;
            let (result, read, wrote, ends) =
                self.parser
                    .read_record(ahead, &mut self.cells[written..], &mut self.ends[ended..]);
            self.text.pass(read);
            written += wrote;
            ended += ends;
            match result {
                ReadRecordResult::InputEmpty => {}
                // What does not fit is passed over up to its end.
                ReadRecordResult::OutputFull => {
                    problem = problem.or(Some(too_long()));
                    (written, ended) = (0, 0);
                }
                ReadRecordResult::OutputEndsFull => {
                    let detail = format!("has more than {MOST_CELLS} cells");
                    problem = problem.or(Some(whole_line(detail)));
                    (written, ended) = (0, 0);
                }
                ReadRecordResult::Record => {
                    return Ok(Some((number, problem.map_or(Ok(ended), Err))));
                }
                ReadRecordResult::End => return Ok(None),
            }
        }
    }

    /// So that a record's number is that of its own line.
    fn pass_blank_lines(&mut self) -> io::Result<()> {
        loop {
            let ahead = self.text.ahead()?;
            let count = ahead
                .iter()
                .take_while(|byte| matches!(byte, b'\r' | b'\n'))
                .count();
            if count == 0 {
                return Ok(());
            }
            self.text.pass(count);
        }
    }

    /// The cells of the record that was read last.
    fn cells_of(&self, count: usize) -> impl Iterator<Item = &[u8]> {
        let ends = &self.ends[..count];
        (0..count).map(move |number| {
            let begin = number.checked_sub(1).map_or(0, |before| ends[before]);
            &self.cells[begin..ends[number]]
        })
    }
}
