//! Reading tags: one, its versions, and pages of a workspace's.

use ::tags::{Code, Domain, Status, Tag, Version, WorkspaceId};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::{Index, IndexError, decode_tag};

/// What a list of tags is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct TagFilter {
    /// Part of the code, name or destination, in any case.
    pub text: Option<String>,
    /// The campaign, exactly.
    pub campaign: Option<String>,
    /// One of the labels, exactly.
    pub label: Option<String>,
    /// The status.
    pub status: Option<Status>,
}

/// Where a page of a list ended: the next begins behind it, whatever was added meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    created_at: i64,
    domain: String,
    code: String,
}

impl Cursor {
    fn after(tag: &Tag) -> Self {
        Self {
            created_at: tag.created_at.as_microsecond(),
            domain: tag.domain.to_string(),
            code: tag.code.to_string(),
        }
    }

    /// The cursor as clients carry it: opaque, safe in a URL.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}/{}/{}", self.created_at, self.domain, self.code))
    }

    /// Reads a cursor back; none if it was not made here.
    pub fn decode(text: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let mut parts = text.splitn(3, '/');
        Some(Self {
            created_at: parts.next()?.parse().ok()?,
            domain: Domain::parse(parts.next()?).ok()?.to_string(),
            code: Code::parse(parts.next()?).ok()?.to_string(),
        })
    }
}

/// One page of tags, newest first.
pub struct TagPage {
    /// The tags.
    pub items: Vec<Tag>,
    /// Where the next page begins; none: this was the last.
    pub next: Option<Cursor>,
}

impl Index {
    /// The tag under this name, whoever's it is.
    pub(super) fn tag(&self, domain: &Domain, code: &Code) -> Result<Option<Tag>, IndexError> {
        let reader = self.look_up();
        let record: Option<Vec<u8>> = reader
            .prepare_cached("SELECT record FROM tags WHERE domain = ?1 AND code = ?2")?
            .query_row([domain.as_str(), code.as_str()], |row| row.get(0))
            .optional()?;
        record
            .map(|record| decode_tag(&format!("{domain}/{code}"), &record))
            .transpose()
    }

    /// One version of a tag.
    pub(super) fn version(
        &self,
        domain: &Domain,
        code: &Code,
        version: Version,
    ) -> Result<Option<Tag>, IndexError> {
        read_version(&self.look_up(), domain.as_str(), code.as_str(), version)
    }

    /// So many versions of a tag, newest first: all, or those before one.
    pub(super) fn versions(
        &self,
        domain: &Domain,
        code: &Code,
        before: Option<Version>,
        limit: usize,
    ) -> Result<Vec<Tag>, IndexError> {
        let reader = self.list();
        let mut statement = reader.prepare_cached(
            "SELECT record FROM versions WHERE domain = ?1 AND code = ?2 AND version < ?3 ORDER BY version DESC LIMIT ?4",
        )?;
        let before = before.map_or(i64::MAX, |version| version.get().cast_signed());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let records = statement.query_map(
            params![domain.as_str(), code.as_str(), before, limit],
            |row| row.get::<_, Vec<u8>>(0),
        )?;
        records
            .map(|record| decode_tag(&format!("{domain}/{code}"), &record?))
            .collect()
    }

    /// A page of a workspace's tags, newest first.
    pub(super) fn tags(
        &self,
        workspace: &WorkspaceId,
        filter: &TagFilter,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<TagPage, IndexError> {
        let mut conditions = vec!["workspace = ?"];
        let mut values: Vec<Value> = vec![workspace.to_string().into()];
        if let Some(text) = &filter.text {
            conditions.push("(code LIKE ? ESCAPE '\\' OR name LIKE ? ESCAPE '\\' OR destination LIKE ? ESCAPE '\\')");
            values.extend(std::iter::repeat_n(Value::from(contains(text)), 3));
        }
        if let Some(campaign) = &filter.campaign {
            conditions.push("campaign = ?");
            values.push(campaign.clone().into());
        }
        if let Some(label) = &filter.label {
            conditions.push(
                "EXISTS (SELECT 1 FROM labels WHERE label = ? AND labels.domain = tags.domain AND labels.code = tags.code)",
            );
            values.push(label.clone().into());
        }
        if let Some(status) = filter.status {
            conditions.push("status = ?");
            values.push(status.as_str().to_owned().into());
        }
        if let Some(cursor) = cursor {
            conditions.push("(created_at, domain, code) < (?, ?, ?)");
            values.extend([
                cursor.created_at.into(),
                cursor.domain.clone().into(),
                cursor.code.clone().into(),
            ]);
        }
        // One more than asked for tells whether there is a next page.
        values.push(
            i64::try_from(limit.saturating_add(1))
                .unwrap_or(i64::MAX)
                .into(),
        );
        let sql = format!(
            "SELECT domain, code, record FROM tags WHERE {} ORDER BY created_at DESC, domain DESC, code DESC LIMIT ?",
            conditions.join(" AND ")
        );
        let reader = self.list();
        let mut statement = reader.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(values), keyed_record)?;
        let mut items = rows
            .map(|row| {
                let (key, record) = row?;
                decode_tag(&key, &record)
            })
            .collect::<Result<Vec<_>, IndexError>>()?;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more {
            items.last().map(Cursor::after)
        } else {
            None
        };
        Ok(TagPage { items, next })
    }
}

/// One version of a tag, on a connection that is at hand.
pub(super) fn read_version(
    connection: &Connection,
    domain: &str,
    code: &str,
    version: Version,
) -> Result<Option<Tag>, IndexError> {
    let record: Option<Vec<u8>> = connection
        .prepare_cached(
            "SELECT record FROM versions WHERE domain = ?1 AND code = ?2 AND version = ?3",
        )?
        .query_row(params![domain, code, version.get().cast_signed()], |row| {
            row.get(0)
        })
        .optional()?;
    record
        .map(|record| decode_tag(&format!("{domain}/{code}"), &record))
        .transpose()
}

pub(super) fn keyed_record(row: &Row<'_>) -> rusqlite::Result<(String, Vec<u8>)> {
    let (domain, code): (String, String) = (row.get(0)?, row.get(1)?);
    Ok((format!("{domain}/{code}"), row.get(2)?))
}

fn contains(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_");
    format!("%{escaped}%")
}
