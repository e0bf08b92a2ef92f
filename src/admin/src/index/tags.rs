//! Tags and their versions: how they are taken in, and reading one.

use ::tags::{Change, Code, Domain, Tag, Version};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use siphasher::sip::SipHasher13;

use super::texts::searched_text;
use super::{Index, IndexError, Taken, decode_tag, schedules};

impl Index {
    /// The tag under this name, whoever's it is.
    pub(super) fn tag(&self, domain: &Domain, code: &Code) -> Result<Option<Tag>, IndexError> {
        let reader = self.look_up();
        find(&reader, domain.as_str(), code.as_str())
    }

    /// The tags under these names, whoever's they are, in the names' order.
    pub(super) fn tags_named<'a>(
        &self,
        names: impl IntoIterator<Item = (&'a Domain, &'a Code)>,
    ) -> Result<Vec<Option<Tag>>, IndexError> {
        let reader = self.bulk();
        // One transaction for all, whose locks are taken once.
        let reader = reader.unchecked_transaction()?;
        let names = names.into_iter();
        names
            .map(|(domain, code)| find(&reader, domain.as_str(), code.as_str()))
            .collect()
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
            "SELECT version, record FROM versions WHERE domain = ?1 AND code = ?2 AND version < ?3
             UNION ALL SELECT version, record FROM tags AS first WHERE domain = ?1 AND code = ?2 AND version = 1 AND ?3 > 1
                AND NOT EXISTS (SELECT 1 FROM versions WHERE domain = ?1 AND code = ?2 AND version = 1)
             ORDER BY version DESC LIMIT ?4",
        )?;
        let before = before.map_or(i64::MAX, |version| version.get().cast_signed());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let records = statement.query_map(
            params![domain.as_str(), code.as_str(), before, limit],
            |row| row.get::<_, Vec<u8>>(1),
        )?;
        records
            .map(|record| decode_tag(&format!("{domain}/{code}"), &record?))
            .collect()
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
            "SELECT record FROM versions WHERE domain = ?1 AND code = ?2 AND version = ?3
             UNION ALL SELECT record FROM tags WHERE domain = ?1 AND code = ?2 AND version = ?3 LIMIT 1",
        )?
        .query_row(params![domain, code, version.get().cast_signed()], |row| {
            row.get(0)
        })
        .optional()?;
    record
        .map(|record| decode_tag(&format!("{domain}/{code}"), &record))
        .transpose()
}

/// When the tag under this name was made, on a connection that is at hand.
pub(super) fn made_at(
    connection: &Connection,
    domain: &str,
    code: &str,
) -> Result<Option<Timestamp>, IndexError> {
    Ok(find(connection, domain, code)?.map(|tag| tag.created_at))
}

fn find(reader: &Connection, domain: &str, code: &str) -> Result<Option<Tag>, IndexError> {
    let record: Option<Vec<u8>> = reader
        .prepare_cached("SELECT record FROM tags WHERE domain = ?1 AND code = ?2")?
        .query_row([domain, code], |row| row.get(0))
        .optional()?;
    record
        .map(|record| decode_tag(&format!("{domain}/{code}"), &record))
        .transpose()
}

/// A tag that is to be taken in, and its place, if it has that to itself.
pub(super) struct Coming<'a> {
    place: i64,
    tag: &'a Tag,
    change: &'a Change,
}

impl<'a> Coming<'a> {
    /// Those among changes, in order of their places: the log's partitions mix up what was made one after another, and what is appended is
    /// written the fastest. Versions of a tag stay in the log's order.
    pub(super) fn among(changes: &'a [Change]) -> Vec<Self> {
        let tags = changes.iter().filter_map(|change| match change {
            Change::Tag(tag) => Some(Self {
                place: place(tag),
                tag,
                change,
            }),
            _ => None,
        });
        let mut coming: Vec<_> = tags.collect();
        coming.sort_by_key(|one| one.place);
        coming
    }
}

/// Takes a tag in, unless a newer version of it is there.
pub(super) fn put<'a>(
    transaction: &Transaction<'_>,
    Coming { place, tag, change }: Coming<'a>,
    taken: &mut Taken<'a>,
) -> Result<(), IndexError> {
    let mut row = Row {
        id: place,
        tag,
        record: change.encode(),
    };
    let mut before = None;
    while before.is_none() && !row.insert(transaction)? {
        match row.known(transaction)? {
            // Another tag has its place.
            None => row.id += 1,
            Some((_, version, _)) if version >= tag.version.get().cast_signed() => return Ok(()),
            Some((id, _, record)) => {
                row.id = id;
                before = Some(decode_tag(&change.key(), &record)?);
            }
        }
    }
    if let Some(before) = &before {
        row.replace(transaction, before)?;
    }
    row.put_labels(transaction)?;
    taken.replaced(before.as_ref(), tag);
    if before.is_some() || tag.scheduled.is_some() {
        schedules::put(transaction, tag)?;
    }
    if before.is_none_or(|before| searched_text(&before) != searched_text(tag)) {
        taken.texts.push(row.id, tag);
    }
    Ok(())
}

/// A tag and its place.
struct Row<'a> {
    id: i64,
    tag: &'a Tag,
    record: Vec<u8>,
}

impl Row<'_> {
    /// False: the place or the name is another's.
    fn insert(&self, transaction: &Transaction<'_>) -> Result<bool, IndexError> {
        let tag = self.tag;
        let mut statement = transaction.prepare_cached(
            "INSERT INTO tags VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING",
        )?;
        let written = statement.execute(params![
            self.id,
            tag.domain.as_str(),
            tag.code.as_str(),
            tag.workspace.as_str(),
            tag.version.get().cast_signed(),
            tag.status.as_str(),
            tag.campaign,
            tag.name,
            tag.destination.as_str(),
            self.record
        ])?;
        Ok(written == 1)
    }

    /// What is there under its name.
    fn known(
        &self,
        transaction: &Transaction<'_>,
    ) -> Result<Option<(i64, i64, Vec<u8>)>, IndexError> {
        let mut statement = transaction.prepare_cached(
            "SELECT id, version, record FROM tags WHERE domain = ?1 AND code = ?2",
        )?;
        let name = [self.tag.domain.as_str(), self.tag.code.as_str()];
        let known = statement.query_row(name, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        Ok(known.optional()?)
    }

    /// Writes a newer version over the one before.
    fn replace(&self, transaction: &Transaction<'_>, before: &Tag) -> Result<(), IndexError> {
        let tag = self.tag;
        transaction
            .prepare_cached(
                "UPDATE tags SET workspace = ?2, version = ?3, status = ?4, campaign = ?5, name = ?6, destination = ?7, record = ?8
                 WHERE id = ?1",
            )?
            .execute(params![
                self.id,
                tag.workspace.as_str(),
                tag.version.get().cast_signed(),
                tag.status.as_str(),
                tag.campaign,
                tag.name,
                tag.destination.as_str(),
                self.record
            ])?;
        for label in &before.labels {
            transaction
                .prepare_cached(
                    "DELETE FROM labels WHERE workspace = ?1 AND label = ?2 AND id = ?3",
                )?
                .execute(params![before.workspace.as_str(), label, self.id])?;
        }
        Ok(())
    }

    fn put_labels(&self, transaction: &Transaction<'_>) -> Result<(), IndexError> {
        for label in &self.tag.labels {
            transaction
                .prepare_cached("INSERT OR IGNORE INTO labels VALUES (?1, ?2, ?3)")?
                .execute(params![self.tag.workspace.as_str(), label, self.id])?;
        }
        Ok(())
    }
}

/// Bits of a place that tell tags of one microsecond apart.
const TIE_BITS: u32 = 10;
/// Until the year 2255, in microseconds since 1970.
const LAST_TIME: i64 = (1 << 53) - 1;

/// Where a tag stands among all, in order of their making. It follows from the tag alone, so that it is the same after a restart.
fn place(tag: &Tag) -> i64 {
    let made_at = tag.created_at.as_microsecond().clamp(0, LAST_TIME);
    let name = format!("{}/{}", tag.domain, tag.code);
    let tie = SipHasher13::new().hash(name.as_bytes()) & ((1 << TIE_BITS) - 1);
    (made_at << TIE_BITS) | tie.cast_signed()
}
