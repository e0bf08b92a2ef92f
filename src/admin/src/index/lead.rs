//! Which condition of a search leads: its tags are gone through in order, and the other conditions are checked of each.

use ::tags::{Status, WorkspaceId};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::IndexError;
use super::search::{Order, TagFilter};
use super::texts::workspace_mark;

/// Tags that are looked at for one page: 20 ms of one core.
pub(super) const MOST_LOOKED_AT: usize = 10_000;
/// Up to so many tags are counted to find out which condition is met by the fewest: one or two milliseconds.
const PROBE: i64 = 5_000;
/// Of a text to look for, at most so many pieces of three characters are looked up; the whole text is compared anyway.
const MOST_TRIGRAMS: usize = 24;

/// Where entries of the index of texts are.
const TEXTS: &str = "texts";

/// A condition that leads: its tags are gone through in order.
pub(super) struct Lead {
    from: &'static str,
    /// The same without the tags themselves, to count.
    entries: &'static str,
    condition: &'static str,
    pub(super) values: Vec<Value>,
    id: &'static str,
}

impl Lead {
    /// Whether its tags are found by their texts.
    pub(super) fn is_texts(&self) -> bool {
        self.entries == TEXTS
    }

    /// Its tags behind a place; the key is null for those that do not meet all conditions.
    pub(super) fn sql(&self, checks: &str, order: Order) -> String {
        let (id, from, condition) = (self.id, self.from, self.condition);
        let (beyond, direction) = match order {
            Order::NewestFirst => ("<", "DESC"),
            Order::OldestFirst => (">", "ASC"),
        };
        format!(
            "{} FROM {from} WHERE {condition} AND {id} {beyond} ? ORDER BY {id} {direction}",
            select(id, checks)
        )
    }
}

/// The tag at a place; the key is null if it does not meet all conditions.
pub(super) fn sql_of_place(checks: &str) -> String {
    format!("{} FROM tags WHERE tags.id = ?", select("tags.id", checks))
}

fn select(id: &str, checks: &str) -> String {
    format!("SELECT {id}, CASE WHEN {checks} THEN tags.domain || '/' || tags.code END, tags.record")
}

/// The condition that the fewest tags meet, as far as that is soon found out.
pub(super) fn lead(
    reader: &Connection,
    workspace: &WorkspaceId,
    filter: &TagFilter,
) -> Result<Lead, IndexError> {
    let workspace_value = || Value::from(workspace.to_string());
    let mut leads = Vec::new();
    if let Some(pieces) = filter.text.as_deref().and_then(trigrams) {
        leads.push(Lead {
            from: "texts CROSS JOIN tags ON tags.id = texts.rowid",
            entries: TEXTS,
            condition: "texts MATCH ?",
            values: vec![format!("\"{}\" AND {pieces}", workspace_mark(workspace)).into()],
            id: "texts.rowid",
        });
    }
    if let Some(label) = &filter.label {
        leads.push(Lead {
            from: "labels CROSS JOIN tags ON tags.id = labels.id",
            entries: "labels",
            condition: "labels.workspace = ? AND labels.label = ?",
            values: vec![workspace_value(), label.clone().into()],
            id: "labels.id",
        });
    }
    if let Some(campaign) = &filter.campaign {
        leads.push(Lead {
            from: "tags INDEXED BY tags_of_campaign",
            entries: "tags INDEXED BY tags_of_campaign",
            condition: "tags.workspace = ? AND tags.campaign = ? AND tags.campaign <> ''",
            values: vec![workspace_value(), campaign.clone().into()],
            id: "tags.id",
        });
    }
    if let Some(status) = filter.status.filter(|status| *status != Status::Active) {
        leads.push(Lead {
            from: "tags INDEXED BY tags_not_active",
            entries: "tags INDEXED BY tags_not_active",
            condition: "tags.workspace = ? AND tags.status = ? AND tags.status <> 'active'",
            values: vec![workspace_value(), status.as_str().to_owned().into()],
            id: "tags.id",
        });
    }
    let mut best: Option<(i64, Lead)> = None;
    let only_one = leads.len() == 1;
    for lead in leads {
        if only_one {
            return Ok(lead);
        }
        let (entries, condition) = (lead.entries, lead.condition);
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 FROM {entries} WHERE {condition} LIMIT {PROBE})"
        );
        let count = reader
            .prepare_cached(&sql)?
            .query_row(params_from_iter(lead.values.iter()), |row| row.get(0))?;
        if best.as_ref().is_none_or(|(fewest, _)| count < *fewest) {
            best = Some((count, lead));
        }
    }
    Ok(match best {
        Some((_, lead)) => lead,
        None => Lead {
            from: "tags INDEXED BY tags_of_workspace",
            entries: "tags INDEXED BY tags_of_workspace",
            condition: "tags.workspace = ?",
            values: vec![workspace_value()],
            id: "tags.id",
        },
    })
}

/// All conditions, as they are checked of one tag.
pub(super) fn checks(workspace: &WorkspaceId, filter: &TagFilter) -> (String, Vec<Value>) {
    let mut conditions = vec!["tags.workspace = ?"];
    let mut values: Vec<Value> = vec![workspace.to_string().into()];
    if let Some(status) = filter.status {
        conditions.push("tags.status = ?");
        values.push(status.as_str().to_owned().into());
    }
    if let Some(campaign) = &filter.campaign {
        conditions.push("tags.campaign = ?");
        values.push(campaign.clone().into());
    }
    if let Some(label) = &filter.label {
        conditions.push(
            "EXISTS (SELECT 1 FROM labels WHERE workspace = tags.workspace AND label = ? AND labels.id = tags.id)",
        );
        values.push(label.clone().into());
    }
    if let Some(text) = &filter.text {
        conditions.push(
            "(tags.code LIKE ? ESCAPE '\\' OR tags.name LIKE ? ESCAPE '\\' OR tags.destination LIKE ? ESCAPE '\\')",
        );
        values.extend(std::iter::repeat_n(Value::from(contains(text)), 3));
    }
    (conditions.join(" AND "), values)
}

/// A query for texts that have all pieces of three characters of this one; none if it is shorter.
fn trigrams(text: &str) -> Option<String> {
    let characters: Vec<char> = text.chars().collect();
    let mut pieces: Vec<String> = characters
        .windows(3)
        .map(|piece| piece.iter().collect())
        .collect();
    pieces.sort_unstable();
    pieces.dedup();
    let step = pieces.len().div_ceil(MOST_TRIGRAMS).max(1);
    let quoted: Vec<_> = pieces
        .iter()
        .step_by(step)
        .map(|piece| format!("\"{}\"", piece.replace('"', "\"\"")))
        .collect();
    (!quoted.is_empty()).then(|| quoted.join(" AND "))
}

fn contains(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_");
    format!("%{escaped}%")
}
