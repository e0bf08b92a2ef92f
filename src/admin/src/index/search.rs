//! Searches and lists: a workspace's tags in the order in which they were made, narrowed and page by page.
//!
//! A page costs about the same whatever is asked: the condition that the fewest tags meet leads, the others are checked of its tags, and at
//! most so many of them for one page. So a page may be short, or even empty, and yet have a next one.

use ::tags::{Status, Tag, WorkspaceId};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, Rows, params_from_iter};
use serde::{Deserialize, Serialize};

use super::lead::{MOST_LOOKED_AT, checks, lead, sql_of_place};
use super::texts::Texts;
use super::{Index, IndexError, decode_tag};

/// Bytes of tags on one page, passed by at most one of them.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// What a list of tags is narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagFilter {
    /// Part of the code, name or destination; ASCII letters in any case.
    pub text: Option<String>,
    /// The campaign, exactly.
    pub campaign: Option<String>,
    /// One of the labels, exactly.
    pub label: Option<String>,
    /// The status.
    #[serde(with = "status_word")]
    pub status: Option<Status>,
}

impl TagFilter {
    /// Whether a tag is one of those; the same as a list says.
    pub fn fits(&self, tag: &Tag) -> bool {
        let contains = |text: &str, part: &str| {
            let (text, part) = (text.to_ascii_lowercase(), part.to_ascii_lowercase());
            text.contains(&part)
        };
        let texts = [tag.code.as_str(), &tag.name, tag.destination.as_str()];
        let has_text = |part: &String| texts.iter().any(|text| contains(text, part));
        self.text.as_ref().is_none_or(has_text)
            && self
                .campaign
                .as_ref()
                .is_none_or(|campaign| *campaign == tag.campaign)
            && self
                .label
                .as_ref()
                .is_none_or(|label| tag.labels.contains(label))
            && self.status.is_none_or(|status| status == tag.status)
    }
}

/// A status as the word that the API has for it.
mod status_word {
    use ::tags::Status;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(
        status: &Option<Status>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        status.map(Status::as_str).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Status>, D::Error> {
        let word = Option::<String>::deserialize(deserializer)?;
        let status = word.map(|word| word.parse()).transpose();
        status.map_err(serde::de::Error::custom)
    }
}

/// Which tags come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Those that were made last.
    NewestFirst,
    /// Those that were made first.
    OldestFirst,
}

impl Order {
    /// A number that rises in this order.
    pub(super) fn rank(self, id: i64) -> i64 {
        match self {
            Self::NewestFirst => !id,
            Self::OldestFirst => id,
        }
    }

    /// The place that has this number.
    pub(super) fn place(self, rank: i64) -> i64 {
        // It is its own inverse.
        self.rank(rank)
    }
}

/// Where a page of a list ended: the next begins behind it, whatever was added meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor(i64);

impl Cursor {
    /// The cursor as clients carry it: opaque, safe in a URL.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("after {}", self.0))
    }

    /// Reads a cursor back; none if it was not made here.
    pub fn decode(text: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let id = text.strip_prefix("after ")?;
        let cursor = Self(id.parse().ok()?);
        (cursor.encode() == URL_SAFE_NO_PAD.encode(&text)).then_some(cursor)
    }
}

/// One page of tags.
pub struct TagPage {
    /// The tags.
    pub items: Vec<Tag>,
    /// Where the next page begins; none: this was the last.
    pub next: Option<Cursor>,
}

/// A tag of a lead's: its place, its key, and its record.
type Entry = (i64, Option<String>, Vec<u8>);

/// What is gone through, a tag ahead.
struct Found<'s> {
    source: Source<'s>,
    next: Option<Entry>,
    /// How many more may be looked at.
    left: usize,
}

/// Where tags come from.
enum Source<'s> {
    /// A lead.
    Rows(Rows<'s>),
    /// Places that are known, each of which is looked up, with what the statement needs beside it.
    Places(std::vec::IntoIter<i64>, CachedStatement<'s>, Vec<Value>),
}

impl<'s> Found<'s> {
    fn begin(source: Source<'s>) -> Result<Self, IndexError> {
        let mut found = Self {
            source,
            next: None,
            left: MOST_LOOKED_AT,
        };
        found.advance()?;
        Ok(found)
    }

    fn take(&mut self) -> Option<(&mut Self, Entry)> {
        let entry = self.next.take()?;
        Some((self, entry))
    }

    fn advance(&mut self) -> Result<(), IndexError> {
        self.next = match &mut self.source {
            Source::Rows(rows) => rows.next()?.map(entry).transpose()?,
            Source::Places(places, statement, values) => {
                let mut look_up = |place: i64| {
                    let place = Value::from(place);
                    let values = params_from_iter(values.iter().chain([&place]));
                    statement.query_row(values, entry).optional()
                };
                places
                    .find_map(|place| look_up(place).transpose())
                    .transpose()?
            }
        };
        Ok(())
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let key: Option<String> = row.get(1)?;
    let record = match key {
        Some(_) => row.get(2)?,
        None => Vec::new(),
    };
    Ok((row.get(0)?, key, record))
}

impl Index {
    /// A page of a workspace's tags, newest first, which begins behind a cursor.
    pub(super) fn tags(
        &self,
        workspace: &WorkspaceId,
        filter: &TagFilter,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<TagPage, IndexError> {
        let range = (Order::NewestFirst, cursor, None);
        read_page((&self.list(), &self.texts), workspace, filter, range, limit)
    }

    /// A page of those up to the one at a place, in the order in which they were made, on a connection for jobs and exports.
    pub(super) fn tags_in_bulk(
        &self,
        workspace: &WorkspaceId,
        filter: &TagFilter,
        cursor: Option<Cursor>,
        end: Cursor,
        limit: usize,
    ) -> Result<TagPage, IndexError> {
        let range = (Order::OldestFirst, cursor, Some(end));
        read_page((&self.bulk(), &self.texts), workspace, filter, range, limit)
    }

    /// The place of the workspace's tag that was made last; what is made later lies behind it.
    pub(super) fn newest(&self, workspace: &WorkspaceId) -> Result<Cursor, IndexError> {
        let reader = self.look_up();
        let newest: Option<i64> = reader
            .prepare_cached(
                "SELECT max(id) FROM tags INDEXED BY tags_of_workspace WHERE workspace = ?1",
            )?
            .query_row([workspace.as_str()], |row| row.get(0))?;
        Ok(Cursor(newest.unwrap_or(i64::MIN)))
    }
}

/// Which way a page goes, behind which tag it begins, and with which one the list ends.
type Range = (Order, Option<Cursor>, Option<Cursor>);

fn read_page(
    (reader, texts): (&Connection, &Texts),
    workspace: &WorkspaceId,
    filter: &TagFilter,
    (order, cursor, end): Range,
    limit: usize,
) -> Result<TagPage, IndexError> {
    let begin = match (cursor, order) {
        (Some(Cursor(id)), _) => id,
        (None, Order::NewestFirst) => i64::MAX,
        (None, Order::OldestFirst) => i64::MIN,
    };
    let (checks, check_values) = checks(workspace, filter);
    let lead = lead(reader, workspace, filter)?;
    let mut statement = reader.prepare_cached(&lead.sql(&checks, order))?;
    let mut streams = Vec::new();
    // Texts that are pending come first: what is no longer pending when it is looked at is among the others by then.
    if let Some(text) = filter.text.as_ref().filter(|_| lead.is_texts()) {
        // One more than is looked at tells whether there are more.
        let range = (order, begin);
        let places = texts.find_pending(workspace, text, range, MOST_LOOKED_AT + 1);
        let statement = reader.prepare_cached(&sql_of_place(&checks))?;
        let source = Source::Places(places.into_iter(), statement, check_values.clone());
        streams.push(Found::begin(source)?);
    }
    let values = check_values.into_iter().chain(lead.values);
    let rows = statement.query(params_from_iter(values.chain([begin.into()])))?;
    streams.push(Found::begin(Source::Rows(rows))?);
    let mut items = Vec::new();
    let (mut last, mut bytes) = (begin, 0);
    loop {
        let ahead = streams.iter_mut().filter(|stream| stream.next.is_some());
        let nearest =
            ahead.min_by_key(|stream| stream.next.as_ref().map(|(id, ..)| order.rank(*id)));
        let Some((stream, (id, key, record))) = nearest.and_then(Found::take) else {
            break;
        };
        let left = stream.left;
        stream.left = left.saturating_sub(1);
        stream.advance()?;
        // In both.
        if id == last {
            continue;
        }
        if items.len() == limit || left == 0 || bytes >= MOST_BYTES {
            let next = Some(Cursor(last));
            return Ok(TagPage { items, next });
        }
        if end.is_some_and(|Cursor(end)| order.rank(id) > order.rank(end)) {
            break;
        }
        last = id;
        if let Some(key) = key {
            bytes += record.len();
            items.push(decode_tag(&key, &record)?);
        }
    }
    Ok(TagPage { items, next: None })
}
