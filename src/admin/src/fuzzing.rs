//! What a fuzzer needs of what is private here: a body in which a tag has rules, and a file of tags. Nothing that serves uses it.

use std::io::Cursor;

use blocklist::Blocklists;
use jiff::Timestamp;
use serde_json::Value;
use tags::{Domain, DomainSettings, Rules};

use crate::bulk::{Format, Line, Place, Source};
use crate::destinations::DestinationPolicy;
use crate::edits::{NewTag, NewTagTerms, READ_ONLY};
use crate::fields::Fields;
use crate::rules::{self, RuleJson};

/// Reads a body whose one field is `rules`, where `go.example` is Tagwire's own: the rules, and how they are answered. None: it is refused.
pub fn read_rules(body: &[u8]) -> Option<(Rules, Value)> {
    let mut fields = Fields::parse(body).ok()?;
    let no_lists = Blocklists::default();
    let policy = DestinationPolicy::new(|host| host == "go.example", &no_lists);
    let rules = fields.value("rules", |value| rules::read(value, &policy));
    fields.finish(&[]).ok()?;
    let rules = rules.value()?;
    let shown: Vec<RuleJson> = rules.list().iter().map(RuleJson::from).collect();
    Some((rules, serde_json::to_value(shown).ok()?))
}

/// A line of a file of tags.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportLine {
    /// Its number in the file.
    pub number: u64,
    /// The tag that it asks for, or all that is wrong with it.
    pub said: Result<String, Vec<String>>,
    /// Behind how many bytes reading goes on after it, and behind how many line ends.
    pub end: (u64, u64),
}

/// Reads a file of tags, CSV or newline-delimited JSON, in a workspace with the domain `go.example`: from its beginning, or from where a line
/// has ended. None: its header is refused.
pub fn read_import(file: &[u8], is_csv: bool, begin: (u64, u64)) -> Option<Vec<ImportLine>> {
    let format = if is_csv { Format::Csv } else { Format::Ndjson };
    let (offset, line) = begin;
    let file = Box::new(Cursor::new(file.to_vec()));
    let place = Place { offset, line };
    let names = NewTag::field_names();
    let opened = Source::open(file, format, place, &names, &READ_ONLY);
    let mut source = opened.expect("memory can be read").ok()?;
    let domain = Domain::parse("go.example").expect("a domain");
    let no_lists = Blocklists::default();
    let terms = NewTagTerms::on(
        vec![DomainSettings::new(domain, Timestamp::UNIX_EPOCH)],
        &no_lists,
    );
    let mut lines = Vec::new();
    while let Some(line) = source.next().expect("memory can be read") {
        let Place { offset, line: ends } = source.place();
        lines.push(ImportLine {
            number: line.number,
            said: said(line, &terms),
            end: (offset, ends),
        });
    }
    Some(lines)
}

fn said(line: Line, terms: &NewTagTerms<'_>) -> Result<String, Vec<String>> {
    let mut fields = line.content.map_err(|error| vec![error.pointer])?;
    let new = NewTag::read(&mut fields, terms, None);
    let errors = fields.errors(&READ_ONLY);
    match new {
        Some(new) if errors.is_empty() => Ok(format!("{new:?}")),
        _ => Err(errors.into_iter().map(|error| error.pointer).collect()),
    }
}
