//! Reading the log of who changed what: pages of a workspace's, newest first.

use std::str::FromStr;

use ::tags::{Action, AuditEntry, InvalidValue, Tag, Version, WorkspaceId};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rusqlite::types::{Type, Value};
use rusqlite::{Connection, Row, Transaction, params, params_from_iter};

use super::tags::{made_at, read_version};
use super::{Index, IndexError};

/// As many entries are looked at for a page: a filter that hardly any matches is not to hold a connection for lists while all of a large
/// workspace's log is walked.
const LOOKED_AT: usize = 20_000;
const SELECT: &str =
    "SELECT at, subject, action, actor, remote, before, after, fields_before, fields_after";

/// What the log is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// What was changed, exactly as [`AuditEntry::subject`] has it.
    pub subject: Option<String>,
    /// Who did it, exactly.
    pub actor: Option<String>,
    /// What was done.
    pub action: Option<Action>,
    /// From this moment on.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub to: Option<Timestamp>,
}

/// Where a page of the log ended: the next begins behind it, whatever was added meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditCursor {
    at: i64,
    action: String,
    subject: String,
}

impl AuditCursor {
    fn after(entry: &Stored) -> Self {
        Self {
            at: entry.at,
            action: entry.action.clone(),
            subject: entry.subject.clone(),
        }
    }

    /// The cursor as clients carry it: opaque, safe in a URL.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}/{}/{}", self.at, self.action, self.subject))
    }

    /// Reads a cursor back; none if it was not made here.
    pub fn decode(text: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let mut parts = text.splitn(3, '/');
        Some(Self {
            at: parts.next()?.parse().ok()?,
            action: Action::from_str(parts.next()?).ok()?.as_str().to_owned(),
            subject: parts.next()?.to_owned(),
        })
    }
}

/// One page of the log, newest first.
pub struct AuditPage {
    /// The entries; fewer than asked for, or none, where the filter matches rarely, though more may come.
    pub items: Vec<AuditEntry>,
    /// Where the next page begins; none: this was the last.
    pub next: Option<AuditCursor>,
}

/// Takes an entry in. The same one may come twice: its writer repeats itself when it does not know whether it was heard.
pub(super) fn put_entry(
    transaction: &Transaction<'_>,
    entry: &AuditEntry,
) -> Result<(), IndexError> {
    let version = |tag: &Option<Tag>| tag.as_ref().map(|tag| tag.version.get().cast_signed());
    transaction
        .prepare_cached(
            "INSERT OR IGNORE INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            entry.workspace.as_str(),
            entry.at.as_microsecond(),
            entry.subject,
            entry.action.as_str(),
            entry.actor,
            entry.remote,
            version(&entry.before),
            version(&entry.after),
            entry.fields_before,
            entry.fields_after,
            made_tag(entry),
        ])?;
    Ok(())
}

/// Whether this is how a tag was made, at the moment that the tag has for it.
fn made_tag(entry: &AuditEntry) -> bool {
    let made = entry.after.as_ref().filter(|_| entry.before.is_none());
    entry.action == Action::Create
        && made.is_some_and(|tag| {
            let named = Some((tag.domain.as_str(), tag.code.as_str()));
            tag.created_at == entry.at && tag_name(&entry.subject) == named
        })
}

/// The domain and code of the tag that was changed, if it was one.
fn tag_name(subject: &str) -> Option<(&str, &str)> {
    subject.strip_prefix("tag/")?.split_once('/')
}

impl Index {
    /// A page of a workspace's log, newest first.
    pub(super) fn audit(
        &self,
        workspace: &WorkspaceId,
        filter: &AuditFilter,
        cursor: Option<&AuditCursor>,
        limit: usize,
    ) -> Result<AuditPage, IndexError> {
        let mut conditions = vec!["workspace = ?"];
        let mut values: Vec<Value> = vec![workspace.to_string().into()];
        let mut narrow = |condition, value: Value| {
            conditions.push(condition);
            values.push(value);
        };
        if let Some(subject) = &filter.subject {
            narrow("subject = ?", subject.clone().into());
        }
        // With a subject, it is compared entry by entry.
        if let (None, Some(actor)) = (&filter.subject, &filter.actor) {
            narrow("actor = ?", actor.clone().into());
        }
        if let Some(from) = filter.from {
            narrow("at >= ?", from.as_microsecond().into());
        }
        if let Some(to) = filter.to {
            narrow("at < ?", to.as_microsecond().into());
        }
        if let Some(cursor) = cursor {
            conditions.push("(at, subject, action) < (?, ?, ?)");
            values.extend([
                cursor.at.into(),
                cursor.subject.clone().into(),
                cursor.action.clone().into(),
            ]);
        }
        let reader = self.list();
        // By what there is an index for; the rest is compared entry by entry, and counted.
        let select = |from| format!("{SELECT} FROM {from} WHERE {}", conditions.join(" AND "));
        let mut sql = match (&filter.subject, &filter.actor) {
            (Some(_), _) => select("audit INDEXED BY audit_of_subject") + " AND made_tag = 0",
            (None, Some(_)) => select("audit INDEXED BY audit_of_actor"),
            (None, None) => select("audit"),
        };
        let tag = filter.subject.as_deref().and_then(tag_name);
        let made_at = tag.map(|(domain, code)| made_at(&reader, domain, code));
        if let Some(made_at) = made_at.transpose()?.flatten() {
            sql = format!(
                "{sql} UNION ALL {} AND made_tag AND at = ?",
                select("audit")
            );
            values.extend_from_within(..);
            values.push(made_at.as_microsecond().into());
        }
        sql += " ORDER BY at DESC, subject DESC, action DESC";
        let mut statement = reader.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut found: Vec<Stored> = Vec::new();
        let mut next = None;
        let mut last = None;
        for looked_at in 0.. {
            let Some(row) = rows.next()? else { break };
            if looked_at == LOOKED_AT {
                next = last;
                break;
            }
            let row = Stored::read(row)?;
            last = Some(AuditCursor::after(&row));
            if !row.is_of(filter) {
                continue;
            }
            // One more than asked for tells whether there is a next page.
            if found.len() == limit {
                next = found.last().map(AuditCursor::after);
                break;
            }
            found.push(row);
        }
        let items = found
            .into_iter()
            .map(|row| row.entry(&reader, workspace))
            .collect::<Result<Vec<_>, IndexError>>()?;
        Ok(AuditPage { items, next })
    }
}

/// An entry as the index keeps it: the tags themselves are in the table of versions.
struct Stored {
    at: i64,
    subject: String,
    action: String,
    actor: String,
    remote: String,
    before: Option<u64>,
    after: Option<u64>,
    fields_before: Option<String>,
    fields_after: Option<String>,
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let version = |column| -> rusqlite::Result<_> {
            Ok(row.get::<_, Option<i64>>(column)?.map(i64::cast_unsigned))
        };
        Ok(Self {
            at: row.get(0)?,
            subject: row.get(1)?,
            action: row.get(2)?,
            actor: row.get(3)?,
            remote: row.get(4)?,
            before: version(5)?,
            after: version(6)?,
            fields_before: row.get(7)?,
            fields_after: row.get(8)?,
        })
    }

    /// Whether this is what the log is narrowed to, beside its time.
    fn is_of(&self, filter: &AuditFilter) -> bool {
        let AuditFilter {
            subject,
            actor,
            action,
            ..
        } = filter;
        subject.as_ref().is_none_or(|it| *it == self.subject)
            && actor.as_ref().is_none_or(|it| *it == self.actor)
            && action.is_none_or(|it| it.as_str() == self.action)
    }

    fn entry(
        self,
        connection: &Connection,
        workspace: &WorkspaceId,
    ) -> Result<AuditEntry, IndexError> {
        let tag = |version: Option<u64>| -> Result<Option<Tag>, IndexError> {
            match (tag_name(&self.subject), version.and_then(Version::new)) {
                (Some((domain, code)), Some(version)) => {
                    read_version(connection, domain, code, version)
                }
                _ => Ok(None),
            }
        };
        let (before, after) = (tag(self.before)?, tag(self.after)?);
        let unreadable = |column, error: Box<dyn std::error::Error + Send + Sync>| {
            rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error)
        };
        Ok(AuditEntry {
            workspace: workspace.clone(),
            at: Timestamp::from_microsecond(self.at)
                .map_err(|error| unreadable(0, error.into()))?,
            action: self
                .action
                .parse()
                .map_err(|error: InvalidValue| unreadable(2, error.into()))?,
            actor: self.actor,
            remote: self.remote,
            subject: self.subject,
            before,
            after,
            fields_before: self.fields_before,
            fields_after: self.fields_after,
        })
    }
}

#[cfg(test)]
mod tests {
    use ::tags::{Change, Code, Destination, Domain};

    use super::*;

    fn tag(version: u64) -> Tag {
        Tag {
            version: Version::new(version).unwrap(),
            ..Tag::new(
                WorkspaceId::default_workspace(),
                Domain::parse("qr.example.com").unwrap(),
                Code::parse("spring").unwrap(),
                Destination::parse(&format!("https://example.com/{version}")).unwrap(),
                Timestamp::UNIX_EPOCH,
            )
        }
    }

    fn entry(second: i64, actor: &str, before: Option<Tag>, after: Tag) -> Change {
        Change::Audit(AuditEntry {
            workspace: WorkspaceId::default_workspace(),
            at: Timestamp::from_second(second).unwrap(),
            actor: actor.into(),
            remote: "192.0.2.1".into(),
            action: Action::Update,
            subject: "tag/qr.example.com/spring".into(),
            before,
            after: Some(after),
            fields_before: None,
            fields_after: None,
        })
    }

    fn audit(index: &Index) -> Vec<AuditEntry> {
        let (workspace, all) = (WorkspaceId::default_workspace(), AuditFilter::default());
        index.audit(&workspace, &all, None, 100).unwrap().items
    }

    #[test]
    fn an_entry_that_comes_twice_is_one_and_none_is_rewritten() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::create(&folder.path().join("index.sqlite")).unwrap();
        let second = entry(2, "a", Some(tag(1)), tag(2));
        index.apply(std::slice::from_ref(&second)).unwrap();
        index.apply(&[second.clone(), second.clone()]).unwrap();
        // Of the same version and moment, with other contents: the first stays.
        let mut forged = tag(2);
        forged.name = "forged".into();
        index.apply(&[entry(2, "b", None, forged)]).unwrap();
        let kept = audit(&index);
        assert_eq!(
            kept.into_iter().map(Change::Audit).collect::<Vec<_>>(),
            [second]
        );
        let (domain, code) = (tag(2).domain, tag(2).code);
        let versions = index.versions(&domain, &code, None, 10).unwrap();
        assert_eq!(versions, [tag(2), tag(1)]);
    }

    #[test]
    fn what_is_rare_is_found_page_by_page_none_of_which_looks_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::create(&folder.path().join("index.sqlite")).unwrap();
        let entry = |second: usize, action| {
            Change::Audit(AuditEntry {
                workspace: WorkspaceId::default_workspace(),
                at: Timestamp::from_second(second as i64).unwrap(),
                actor: "a".into(),
                remote: String::new(),
                action,
                subject: "key/k".into(),
                before: None,
                after: None,
                fields_before: None,
                fields_after: None,
            })
        };
        let mut entries: Vec<_> = (1..=LOOKED_AT + 5)
            .map(|second| entry(second, Action::Update))
            .collect();
        entries.push(entry(0, Action::Create));
        index.apply(&entries).unwrap();
        let workspace = WorkspaceId::default_workspace();
        for (subject, actor) in [(None, None), (Some("key/k"), Some("a")), (None, Some("a"))] {
            let rare = AuditFilter {
                subject: subject.map(str::to_owned),
                actor: actor.map(str::to_owned),
                action: Some(Action::Create),
                ..AuditFilter::default()
            };
            let page = index.audit(&workspace, &rare, None, 10).unwrap();
            assert!(page.items.is_empty());
            let next = page.next.expect("there is more to look at");
            assert_eq!(next.at, 6_000_000);
            let page = index.audit(&workspace, &rare, Some(&next), 10).unwrap();
            assert_eq!((page.items.len(), page.next), (1, None));
        }
        let all = AuditFilter::default();
        let page = index.audit(&workspace, &all, None, 10).unwrap();
        assert_eq!(page.items.len(), 10);
        assert_eq!(
            page.next.map(|next| next.at),
            Some((LOOKED_AT as i64 - 4) * 1_000_000)
        );
    }

    #[test]
    fn a_cursor_comes_back_as_it_went_and_others_are_refused() {
        let cursor = AuditCursor {
            at: -5,
            action: "create".into(),
            subject: "tag/qr.example.com/spring".into(),
        };
        assert_eq!(AuditCursor::decode(&cursor.encode()), Some(cursor));
        for foreign in ["", "x", "!", &URL_SAFE_NO_PAD.encode("1/none/tag/a/b")] {
            assert_eq!(AuditCursor::decode(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn the_making_of_a_tag_is_found_by_the_tag_with_all_that_became_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::create(&folder.path().join("index.sqlite")).unwrap();
        let made = |second: i64| {
            let Change::Audit(entry) = entry(second, "a", None, tag(1)) else {
                unreachable!("an entry is one")
            };
            Change::Audit(AuditEntry {
                action: Action::Create,
                ..entry
            })
        };
        // The tag says that it was made at 0; what says otherwise is found as well.
        let entries = [
            made(0),
            made(1),
            entry(2, "b", Some(tag(1)), tag(2)),
            entry(3, "a", Some(tag(2)), tag(3)),
        ];
        index.apply(&entries).unwrap();
        index.apply(&[Change::Tag(tag(3))]).unwrap();
        let workspace = WorkspaceId::default_workspace();
        let of_tag = AuditFilter {
            subject: Some("tag/qr.example.com/spring".into()),
            ..AuditFilter::default()
        };
        let found = |filter: &AuditFilter, cursor: Option<&AuditCursor>, limit| {
            let page = index.audit(&workspace, filter, cursor, limit).unwrap();
            let at = page.items.iter().map(|entry| entry.at.as_second());
            (at.collect::<Vec<_>>(), page.next)
        };
        assert_eq!(found(&of_tag, None, 10), (vec![3, 2, 1, 0], None));
        // Page by page.
        let mut cursor = None;
        for second in [3, 2, 1, 0] {
            let (page, next) = found(&of_tag, cursor.as_ref(), 1);
            assert_eq!(page, [second]);
            cursor = next;
        }
        assert_eq!(cursor, None);
        // As it is narrowed besides.
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        let narrow = |actor: Option<&str>, action, from, to| AuditFilter {
            actor: actor.map(str::to_owned),
            action,
            from,
            to,
            ..of_tag.clone()
        };
        for (filter, expected) in [
            (narrow(Some("a"), None, None, None), vec![3, 1, 0]),
            (narrow(None, Some(Action::Create), None, None), vec![1, 0]),
            (narrow(None, None, at(1), at(3)), vec![2, 1]),
            (narrow(None, None, None, at(1)), vec![0]),
        ] {
            assert_eq!(found(&filter, None, 10), (expected, None), "{filter:?}");
        }
        // Another's tag of that name is none of theirs.
        let other = WorkspaceId::parse("other").unwrap();
        let page = index.audit(&other, &of_tag, None, 10).unwrap();
        assert!(page.items.is_empty());
    }
}
