//! What an hour's rollup says: its scans, each read once, counted in memory in all the ways in which they are asked for.

use std::collections::HashMap;

use rusqlite::{Connection, Transaction, params};

use super::report::expression;
use crate::rollups::{Rolled, Table};
use crate::{Dimension, Hour};

/// A text of this hour, by its number.
type Word = u32;

/// An hour's counts.
#[derive(Default)]
pub(super) struct Counts {
    words: Words,
    minutes: HashMap<OfMinute, i64>,
    values: HashMap<OfValue, i64>,
    tags: HashMap<OfTag, i64>,
}

#[derive(PartialEq, Eq, Hash)]
struct OfMinute {
    workspace: Word,
    /// None: the workspace's.
    campaign: Option<Word>,
    minute: i64,
    automated: bool,
}

#[derive(PartialEq, Eq, Hash)]
struct OfValue {
    workspace: Word,
    dimension: Dimension,
    /// None: the workspace's.
    campaign: Option<Word>,
    value: Word,
    automated: bool,
}

#[derive(PartialEq, Eq, Hash)]
struct OfTag {
    workspace: Word,
    domain: Word,
    code: Word,
    campaign: Word,
    automated: bool,
}

/// Counts the scans of an hour.
pub(super) fn of_hour(connection: &Connection, hour: Hour) -> rusqlite::Result<Counts> {
    let dimensions: Vec<Dimension> = Rolled::dimensions().collect();
    let values: Vec<&str> = dimensions.iter().map(|one| expression(*one)).collect();
    // From one workspace to the next in the index, and of each the hour alone.
    let mut statement = connection.prepare_cached(&format!(
        "WITH RECURSIVE workspaces (workspace) AS (
            SELECT min(workspace) FROM scans
            UNION ALL
            SELECT (SELECT min(workspace) FROM scans WHERE workspace > workspaces.workspace) FROM workspaces WHERE workspace IS NOT NULL
         )
         SELECT scans.workspace, domain, code, campaign, time / 60000000, automated, {}
         FROM workspaces CROSS JOIN scans INDEXED BY scans_by_time ON scans.workspace = workspaces.workspace
         WHERE time >= ?1 AND time < ?2 AND tag_version > 0",
        values.join(", ")
    ))?;
    let (from, to) = hour.micros();
    let mut scans = statement.query(params![from, to])?;
    let mut counts = Counts::default();
    while let Some(scan) = scans.next()? {
        let mut word = |column| -> rusqlite::Result<Word> {
            Ok(counts.words.number(scan.get_ref(column)?.as_str()?))
        };
        let (workspace, domain, code, campaign) = (word(0)?, word(1)?, word(2)?, word(3)?);
        let (minute, automated) = (scan.get(4)?, scan.get(5)?);
        let tag = OfTag {
            workspace,
            domain,
            code,
            campaign,
            automated,
        };
        *counts.tags.entry(tag).or_default() += 1;
        let both = [None, Some(campaign)];
        for campaign in both {
            let minute = OfMinute {
                workspace,
                campaign,
                minute,
                automated,
            };
            *counts.minutes.entry(minute).or_default() += 1;
        }
        for (column, dimension) in (6..).zip(&dimensions) {
            let value = word(column)?;
            for campaign in both {
                let value = OfValue {
                    workspace,
                    dimension: *dimension,
                    campaign,
                    value,
                    automated,
                };
                *counts.values.entry(value).or_default() += 1;
            }
        }
    }
    Ok(counts)
}

impl Counts {
    /// Writes the hour's lines, of which there are none yet.
    pub(super) fn write(&self, to: &Transaction<'_>, hour: i64) -> rusqlite::Result<()> {
        let word = |number: Word| self.words.text(number);
        let per = |campaign: Option<Word>| match campaign {
            None => ("workspace", ""),
            Some(campaign) => ("campaign", word(campaign)),
        };
        let mut statement = to.prepare_cached(&insert(Table::Minutes, 7))?;
        for (of, scans) in &self.minutes {
            let (per, campaign) = per(of.campaign);
            let workspace = word(of.workspace);
            statement.execute(params![
                hour,
                workspace,
                per,
                campaign,
                of.minute,
                of.automated,
                scans
            ])?;
        }
        let mut statement = to.prepare_cached(&insert(Table::Hours, 8))?;
        for (of, scans) in &self.values {
            let (per, campaign) = per(of.campaign);
            let (workspace, value) = (word(of.workspace), word(of.value));
            let dimension = of.dimension.as_str();
            statement.execute(params![
                hour,
                workspace,
                per,
                dimension,
                campaign,
                value,
                of.automated,
                scans
            ])?;
        }
        let mut statement = to.prepare_cached(&insert(Table::Tags, 7))?;
        for (of, scans) in &self.tags {
            let (workspace, domain) = (word(of.workspace), word(of.domain));
            let (code, campaign) = (word(of.code), word(of.campaign));
            statement.execute(params![
                hour,
                workspace,
                domain,
                code,
                campaign,
                of.automated,
                scans
            ])?;
        }
        Ok(())
    }
}

fn insert(table: Table, columns: usize) -> String {
    let places = vec!["?"; columns].join(", ");
    format!("INSERT INTO {} VALUES ({places})", table.name())
}

/// Texts, each kept once.
#[derive(Default)]
struct Words {
    numbers: HashMap<String, Word>,
    texts: Vec<String>,
}

impl Words {
    fn number(&mut self, text: &str) -> Word {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.texts.len() as Word;
        self.numbers.insert(text.to_owned(), number);
        self.texts.push(text.to_owned());
        number
    }

    fn text(&self, number: Word) -> &str {
        &self.texts[number as usize]
    }
}
