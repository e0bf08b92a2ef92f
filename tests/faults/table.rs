//! The table at the end: what each case found. It is Markdown, which lines up on a terminal too, so that the same stands in
//! docs/reliability.md.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use comfy_table::{CellAlignment, Table, presets};

use crate::figures::{Figures, Scans};

/// The document is written where this variable names it.
pub const DOCUMENT: &str = "TAGWIRE_TEST_FAULTS_TABLE";

/// Between these lines of the document.
const BEGIN: &str = "<!-- The table: tests/run --faults --write -->";
const END: &str = "<!-- The table ends -->";

const COLUMNS: usize = 8;
/// In place of a figure that there is none of.
const NOTHING: &str = "-";
const HEAD: [&str; COLUMNS] = [
    "row and fault",
    "redirects failed (asked again)",
    "scans accepted",
    "stored",
    "told as lost",
    "duplicates",
    "gaps",
    "recovery",
];

/// Lines by case, in the cases' order.
#[derive(Default)]
pub struct Lines(BTreeMap<String, [String; COLUMNS]>);

impl Lines {
    /// Adds what a case found; none: it failed.
    pub fn add(&mut self, case: &str, found: Option<&Figures>) {
        let title = title(case);
        self.0.insert(title.clone(), line(title, found));
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn print(&self) {
        println!("{}", self.table());
    }

    /// Puts them into the document, instead of those of the same cases. Those of cases that did not run stay, of cases that are no more go.
    pub fn write(self, document: &Path, cases: &[&str]) -> anyhow::Result<()> {
        let text = fs::read_to_string(document)
            .with_context(|| format!("reading {}", document.display()))?;
        let cut = text.split_once(BEGIN).and_then(|(before, rest)| {
            let (between, after) = rest.split_once(END)?;
            Some((before, between, after))
        });
        let Some((before, between, after)) = cut else {
            bail!("{} has no lines {BEGIN} and {END}", document.display());
        };
        let titles: Vec<String> = cases.iter().map(|case| title(case)).collect();
        let mut all = Self(between.lines().filter_map(read).collect());
        all.0.retain(|title, _| titles.contains(title));
        all.0.extend(self.0);
        let table = all.table();
        let text = format!("{before}{BEGIN}\n\n{table}\n\n{END}{after}");
        fs::write(document, text).with_context(|| format!("writing {}", document.display()))
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN).set_header(HEAD);
        table.add_rows(self.0.values());
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

/// `row_03_an_edge_is_killed`: "03 an edge is killed".
fn title(case: &str) -> String {
    case.trim_start_matches("row_").replace('_', " ")
}

fn line(title: String, found: Option<&Figures>) -> [String; COLUMNS] {
    let Some(found) = found else {
        let mut failed = [(); COLUMNS].map(|()| String::new());
        (failed[0], failed[1]) = (title, "FAILED".to_owned());
        return failed;
    };
    let of_scans = |number: fn(&Scans) -> String| {
        let told = found.scans.as_ref().map(number);
        told.unwrap_or_else(|| NOTHING.to_owned())
    };
    let recovery = found
        .recovery
        .map(|took| format!("{:.1} s", took.as_secs_f64()));
    [
        title,
        of_scans(|scans| format!("{} ({})", scans.failed, scans.asked_again)),
        of_scans(|scans| scans.accepted.to_string()),
        of_scans(|scans| scans.stored.to_string()),
        of_scans(|scans| scans.told_lost.to_string()),
        of_scans(|scans| scans.duplicates.to_string()),
        of_scans(|scans| scans.gaps.to_string()),
        recovery.unwrap_or_else(|| NOTHING.to_owned()),
    ]
}

/// A line of the document's, unless it is the head.
fn read(line: &str) -> Option<(String, [String; COLUMNS])> {
    let cells: Vec<String> = line
        .trim()
        .trim_matches('|')
        .split('|')
        .map(|cell| cell.trim().to_owned())
        .collect();
    let cells: [String; COLUMNS] = cells.try_into().ok()?;
    Some((cells[0].clone(), cells))
}
