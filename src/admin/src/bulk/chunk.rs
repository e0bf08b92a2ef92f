//! Reading one chunk of an import: up to 10,000 lines, each judged by itself.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::sync::Arc;

use tags::{Code, Domain};

use super::job::{Errors, JobError};
use super::source::{Line, Place, Source};
use crate::draft::Draft;
use crate::edits::{NewTag, NewTagTerms, READ_ONLY, tag_key};
use crate::problem::FieldError;

/// Lines of a chunk.
pub(super) const MOST_LINES: usize = 10_000;
/// Bytes of the file that are one chunk, passed by at most one line: what is in memory at a time is a few times as much.
const MOST_BYTES: u64 = 8 * 1024 * 1024;

/// A tag that a line asks for.
pub(super) struct Candidate {
    pub(super) line: u64,
    /// Its place among the lines of its chunk, from 0.
    pub(super) number: usize,
    /// How long the line is.
    pub(super) bytes: u64,
    /// Its domain and code.
    pub(super) key: Arc<str>,
    pub(super) domain: Domain,
    pub(super) code: Code,
    pub(super) draft: Draft,
}

/// Some lines of a file.
#[derive(Default)]
pub(super) struct Chunk {
    /// One for each name.
    pub(super) candidates: Vec<Candidate>,
    /// Lines that are not blank.
    pub(super) read: u64,
    /// Lines with errors.
    pub(super) invalid: u64,
    /// Lines that say what an earlier one of the chunk says.
    pub(super) repeated: u64,
    pub(super) errors: Errors,
    /// The place behind it.
    pub(super) end: Place,
}

impl Chunk {
    /// Reads the next lines; none at the file's end.
    pub(super) fn read(source: &mut Source, terms: &NewTagTerms<'_>) -> io::Result<Option<Self>> {
        let begin = source.place();
        let mut chunk = Self::default();
        let mut lines: HashMap<Arc<str>, usize> = HashMap::new();
        for number in 0..MOST_LINES {
            let before = source.place().offset;
            let Some(line) = source.next()? else { break };
            chunk.read += 1;
            let bytes = source.place().offset - before;
            chunk.take(line, (number, bytes), terms, &mut lines);
            if source.place().offset - begin.offset >= MOST_BYTES {
                break;
            }
        }
        chunk.end = source.place();
        Ok((chunk.read > 0).then_some(chunk))
    }

    fn take(
        &mut self,
        line: Line,
        place: (usize, u64),
        terms: &NewTagTerms<'_>,
        lines: &mut HashMap<Arc<str>, usize>,
    ) {
        let number = line.number;
        let candidate = match line.content {
            Err(error) => Err(vec![error]),
            Ok(mut fields) => {
                // Of a tag that is there already, the end may have passed.
                let new = NewTag::read(&mut fields, terms, None);
                if !fields.has("code") {
                    fields.refuse(
                        "code",
                        "is required in an import, so that the same file sent again makes nothing twice",
                    );
                }
                let errors = fields.errors(&READ_ONLY);
                match new {
                    Some(new) if errors.is_empty() => Candidate::of(number, place, new),
                    _ => Err(errors),
                }
            }
        };
        match candidate {
            Err(errors) => self.refuse(number, &errors),
            Ok(candidate) => match lines.entry(Arc::clone(&candidate.key)) {
                Entry::Vacant(free) => {
                    free.insert(self.candidates.len());
                    self.candidates.push(candidate);
                }
                Entry::Occupied(earlier) => {
                    let earlier = &self.candidates[*earlier.get()];
                    if earlier.draft == candidate.draft {
                        self.repeated += 1;
                    } else {
                        let (code, line) = (&candidate.code, earlier.line);
                        let detail = format!(
                            "The code '{code}' is in line {line} already, with other fields."
                        );
                        self.refuse(number, &[FieldError::new("code", detail)]);
                    }
                }
            },
        }
    }

    /// Notes all that is wrong with a line.
    pub(super) fn refuse(&mut self, line: u64, errors: &[FieldError]) {
        self.invalid += 1;
        for error in errors {
            self.errors.push(JobError::at_line(line, error));
        }
    }
}

impl Candidate {
    fn of(line: u64, (number, bytes): (usize, u64), new: NewTag) -> Result<Self, Vec<FieldError>> {
        let NewTag {
            domain,
            code,
            draft,
            ..
        } = new;
        let code = code.ok_or_else(|| vec![FieldError::new("code", "is required in an import")])?;
        Ok(Self {
            line,
            number,
            bytes,
            key: tag_key(&domain, &code).into(),
            domain,
            code,
            draft,
        })
    }
}
