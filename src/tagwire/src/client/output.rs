//! What is printed: tables for people, the API's JSON for programs.

use std::io::{self, IsTerminal, Write};

use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use super::Failure;

/// For whom.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Output {
    /// Print JSON, the API's where it is asked; failures too, as problem details
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// A list's item is one row.
pub(crate) struct Column {
    head: &'static str,
    cell: fn(&Value) -> String,
}

/// Columns that show fields by their names.
macro_rules! columns {
    ($($field:literal),+ $(,)?) => {
        &[$($crate::client::output::Column::new($field, |item| $crate::client::output::cell(&item[$field]))),+]
    };
}
pub(crate) use columns;

impl Column {
    pub(crate) const fn new(head: &'static str, cell: fn(&Value) -> String) -> Self {
        Self { head, cell }
    }
}

impl Output {
    /// One thing, field by field, without those that are not set.
    pub(super) fn thing(self, thing: &Value) -> Result<(), Failure> {
        if self.json {
            return print_json(thing);
        }
        let mut table = table();
        for (name, value) in thing.as_object().into_iter().flatten() {
            match value {
                Value::Object(parts) => {
                    let parts = parts.iter();
                    table.add_rows(
                        parts.map(|(part, value)| [format!("{name}.{part}"), cell(value)]),
                    );
                }
                value if cell(value).is_empty() => {}
                value => drop(table.add_row([name.clone(), cell(value)])),
            }
        }
        write_table(table)
    }

    /// A list: its items in a table, or the whole answer.
    pub(super) fn list(self, answer: &Value, columns: &[Column]) -> Result<(), Failure> {
        if self.json {
            return print_json(answer);
        }
        let items = answer["items"].as_array().map(Vec::as_slice);
        self.rows(items.unwrap_or_default(), columns)
    }

    /// Rows of a table.
    pub(crate) fn rows(self, items: &[Value], columns: &[Column]) -> Result<(), Failure> {
        let mut table = table();
        table.set_header(columns.iter().map(|column| column.head.to_uppercase()));
        for item in items {
            table.add_row(columns.iter().map(|column| (column.cell)(item)));
        }
        write_table(table)
    }

    /// A word to people beside what is printed.
    pub(crate) fn note(self, text: &str) {
        if !self.json {
            let _ = writeln!(io::stderr(), "{}", printable(text)); // nobody is left to tell
        }
    }
}

/// One value as a table shows it.
pub(crate) fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let texts = items.iter().filter_map(Value::as_str);
            texts.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    };
    printable(&text)
}

/// Without what a terminal would obey instead of showing it.
pub(super) fn printable(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    text.chars().map(shown).collect()
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    // Where it is not a terminal that shows it, lines are as long as they are.
    if let Some(width) = terminal_width() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(width);
    }
    table
}

fn write_table(mut table: Table) -> Result<(), Failure> {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    write(&table.trim_fmt())
}

fn terminal_width() -> Option<u16> {
    let out = io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&out).ok()?;
    Some(size.ws_col).filter(|width| *width > 0)
}

/// JSON for programs.
pub(crate) fn print_json(value: &Value) -> Result<(), Failure> {
    write(&pretty(value)?)
}

fn pretty(value: &Value) -> Result<String, Failure> {
    serde_json::to_string_pretty(value).map_err(Failure::new)
}

fn write(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}
