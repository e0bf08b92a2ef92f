//! A file's bytes as they are read, with the place that has been reached.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use super::Place;

const BUFFER: usize = 64 * 1024;
/// The byte order mark that some programs begin a UTF-8 file with.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// What lines are read from: a file.
pub(crate) trait Input: Read + Seek + Send {}

impl<T: Read + Seek + Send> Input for T {}

/// A file that is being read.
pub(super) struct Text {
    reader: BufReader<Box<dyn Input>>,
    place: Place,
}

impl Text {
    /// At the file's beginning, behind its byte order mark.
    pub(super) fn begin(mut file: Box<dyn Input>) -> io::Result<Self> {
        file.rewind()?;
        let mut first = Vec::new();
        Read::by_ref(&mut file)
            .take(BOM.len() as u64)
            .read_to_end(&mut first)?;
        let mut text = Self {
            reader: BufReader::with_capacity(BUFFER, file),
            place: Place::default(),
        };
        let offset = if first == BOM { BOM.len() as u64 } else { 0 };
        text.go_to(Place { offset, line: 0 })?;
        Ok(text)
    }

    /// Goes on there, unless that is before where it is.
    pub(super) fn go_on_at(&mut self, place: Place) -> io::Result<()> {
        if place.offset > self.place.offset {
            self.go_to(place)?;
        }
        Ok(())
    }

    fn go_to(&mut self, place: Place) -> io::Result<()> {
        self.reader.seek(SeekFrom::Start(place.offset))?;
        self.place = place;
        Ok(())
    }

    /// Some of the bytes that come next; none at the end.
    pub(super) fn ahead(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    /// Passes bytes that were ahead.
    pub(super) fn pass(&mut self, count: usize) {
        let passed = &self.reader.buffer()[..count];
        let line_ends = passed.iter().filter(|byte| **byte == b'\n').count();
        self.place.line += line_ends as u64;
        self.place.offset += count as u64;
        self.reader.consume(count);
    }

    /// The place that has been reached.
    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// The number of the line that comes next.
    pub(super) fn line_number(&self) -> u64 {
        self.place.line + 1
    }
}
