//! Reading everything, step by step, for work that is done on all of it.

use ::tags::{Code, Domain, DomainSettings, Tag};
use rusqlite::{Row, params};

use super::{Index, IndexError, decode_tag};

impl Index {
    /// So many of all workspaces' tags that are not revoked, by their names, behind this one.
    pub(super) fn walk_tags(
        &self,
        behind: Option<&(Domain, Code)>,
        limit: usize,
    ) -> Result<Vec<Tag>, IndexError> {
        let (domain, code) = match behind {
            Some((domain, code)) => (domain.as_str(), code.as_str()),
            None => ("", ""),
        };
        let reader = self.list();
        let mut statement = reader.prepare_cached(
            "SELECT domain, code, record FROM tags WHERE (domain, code) > (?1, ?2) AND status <> 'revoked'
             ORDER BY domain, code LIMIT ?3",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![domain, code, limit], keyed_record)?;
        rows.map(|row| {
            let (key, record) = row?;
            decode_tag(&key, &record)
        })
        .collect()
    }

    /// All domains, whoever's they are.
    pub(super) fn walk_domains(&self) -> Result<Vec<DomainSettings>, IndexError> {
        self.select_domains("SELECT name, record FROM domains ORDER BY name", [])
    }
}

fn keyed_record(row: &Row<'_>) -> rusqlite::Result<(String, Vec<u8>)> {
    let (domain, code): (String, String) = (row.get(0)?, row.get(1)?);
    Ok((format!("{domain}/{code}"), row.get(2)?))
}
