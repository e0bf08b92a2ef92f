//! Where alerts are kept: a SQLite file of this admin's. It is no part of the journal and is not rebuilt from it, so that the many alerts of
//! a bad day are no load on edges and on the log of who changed what.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rusqlite::types::{Type, Value};
use rusqlite::{Connection, Row, Transaction, params, params_from_iter};
use rusqlite_migration::{M, Migrations};
use tags::{Code, Domain, WorkspaceId};

use super::{Alert, AlertKind, Subject};
use super::{judged, outbox};

/// The newest of a workspace are kept; beyond, the oldest go.
const KEPT: usize = 10_000;

/// `reported` remembers longer than `alerts`: what was said of a tag is not said again when its alert has gone.
const SCHEMA: &str = "
CREATE TABLE alerts (
    position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, workspace TEXT NOT NULL, domain TEXT NOT NULL, code TEXT NOT NULL,
    kind TEXT NOT NULL, cause TEXT NOT NULL, created_at INTEGER NOT NULL
);
CREATE INDEX alerts_newest ON alerts (workspace, position);
CREATE INDEX alerts_of_tag ON alerts (workspace, domain, code, position);
CREATE TABLE reported (
    workspace TEXT NOT NULL, domain TEXT NOT NULL, code TEXT NOT NULL, kind TEXT NOT NULL, distinction TEXT NOT NULL,
    PRIMARY KEY (workspace, domain, code, kind, distinction)
) WITHOUT ROWID;
";

/// Why alerts could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum AlertsError {
    /// SQLite refused.
    #[error("the admin's alerts in SQLite: {0}; see to room and rights in the data directory")]
    Sqlite(#[from] rusqlite::Error),
    /// The schema could not be laid out.
    #[error(
        "laying out alerts.sqlite: {0}; if a newer version has written it, run that one, or move the file away and begin without the old alerts"
    )]
    Schema(#[from] rusqlite_migration::Error),
    /// One could not be put into words.
    #[error("writing down an alert: {0}")]
    Encode(#[from] serde_json::Error),
}

/// The alerts of all workspaces.
pub(crate) struct AlertStore(Mutex<Connection>);

/// What became of alerts that were to be kept.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Reported {
    /// Those that had not been reported before.
    pub(crate) new: Vec<Alert>,
    /// How many of them are not sent, since too many of their workspace's wait already.
    pub(crate) unsent: u64,
}

/// What a list of alerts is narrowed to.
#[derive(Clone, Debug, Default)]
pub(crate) struct AlertFilter {
    /// Of this tag.
    pub(crate) tag: Option<(Domain, Code)>,
    /// Of this kind.
    pub(crate) kind: Option<AlertKind>,
}

/// Where a page of a list ended: the next begins behind it, whatever was added meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AlertCursor(i64);

impl AlertCursor {
    /// The cursor as clients carry it: opaque, safe in a URL.
    pub(crate) fn encode(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.to_string())
    }

    /// Reads a cursor back; none if it was not made here.
    pub(crate) fn decode(text: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        text.parse().ok().map(Self)
    }
}

/// One page of a workspace's alerts, newest first.
#[derive(Debug)]
pub(crate) struct AlertPage {
    pub(crate) items: Vec<Alert>,
    /// Where the next page begins; none: this was the last.
    pub(crate) next: Option<AlertCursor>,
}

impl AlertStore {
    /// Opens the file, which is made where it is missing.
    pub(crate) fn open(path: &Path) -> Result<Self, AlertsError> {
        let mut connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        Migrations::new(vec![
            M::up(SCHEMA),
            M::up(outbox::SCHEMA),
            M::up(judged::SCHEMA),
        ])
        .to_latest(&mut connection)?;
        Ok(Self(Mutex::new(connection)))
    }

    /// Keeps those that have not been reported before, all or nothing, each together with the event that has to be sent of it.
    pub(crate) fn report(
        &self,
        alerts: Vec<Alert>,
        event_of: impl Fn(&Alert) -> Result<Option<String>, serde_json::Error>,
    ) -> Result<Reported, AlertsError> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let mut reported = Reported::default();
        for alert in alerts {
            if !put(&transaction, &alert)? {
                continue;
            }
            if let Some(event) = event_of(&alert)? {
                let (of, at) = (&alert.about.workspace, alert.created_at);
                let is_taken = outbox::put(&transaction, of, &alert.id, &event, at)?;
                reported.unsent += u64::from(!is_taken);
            }
            reported.new.push(alert);
        }
        let mut workspaces: Vec<_> = reported
            .new
            .iter()
            .map(|alert| &alert.about.workspace)
            .collect();
        workspaces.dedup();
        for workspace in workspaces {
            forget_oldest(&transaction, workspace)?;
        }
        transaction.commit()?;
        Ok(reported)
    }

    /// A page of a workspace's alerts, newest first.
    pub(crate) fn page(
        &self,
        workspace: &WorkspaceId,
        filter: &AlertFilter,
        cursor: Option<AlertCursor>,
        limit: usize,
    ) -> Result<AlertPage, AlertsError> {
        let mut conditions = vec!["workspace = ?"];
        let mut values: Vec<Value> = vec![workspace.to_string().into()];
        let mut narrow = |condition, value: Value| {
            conditions.push(condition);
            values.push(value);
        };
        if let Some((domain, code)) = &filter.tag {
            narrow("domain = ?", domain.to_string().into());
            narrow("code = ?", code.to_string().into());
        }
        if let Some(kind) = filter.kind {
            narrow("kind = ?", kind.as_str().to_owned().into());
        }
        if let Some(AlertCursor(position)) = cursor {
            narrow("position < ?", position.into());
        }
        // One more than asked for tells whether there is a next page.
        let most = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
        values.push(most.into());
        let sql = format!(
            "SELECT position, id, workspace, domain, code, cause, created_at FROM alerts WHERE {} ORDER BY position DESC LIMIT ?",
            conditions.join(" AND ")
        );
        let connection = self.connection();
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(values), read)?;
        let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().map(|(position, _)| AlertCursor(*position));
        Ok(AlertPage {
            items: rows.into_iter().map(|(_, alert)| alert).collect(),
            next: last.filter(|_| more),
        })
    }

    pub(super) fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere has taken its transaction back.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it is new.
fn put(transaction: &Transaction<'_>, alert: &Alert) -> Result<bool, AlertsError> {
    let Subject {
        workspace,
        domain,
        code,
    } = &alert.about;
    let workspace = workspace.as_str();
    let domain = domain.as_ref().map_or("", Domain::as_str);
    let code = code.as_ref().map_or("", Code::as_str);
    let kind = alert.cause.kind().as_str();
    let distinction = alert.cause.distinction();
    let written = transaction
        .prepare_cached("INSERT OR IGNORE INTO reported VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute([workspace, domain, code, kind, &distinction])?;
    if written == 0 {
        return Ok(false);
    }
    transaction
        .prepare_cached(
            "INSERT INTO alerts (id, workspace, domain, code, kind, cause, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            alert.id,
            workspace,
            domain,
            code,
            kind,
            serde_json::to_string(&alert.cause)?,
            alert.created_at.as_microsecond()
        ])?;
    Ok(true)
}

fn forget_oldest(
    transaction: &Transaction<'_>,
    workspace: &WorkspaceId,
) -> Result<(), rusqlite::Error> {
    transaction
        .prepare_cached(
            "DELETE FROM alerts WHERE workspace = ?1 AND position <=
                (SELECT position FROM alerts WHERE workspace = ?1 ORDER BY position DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![workspace.as_str(), i64::try_from(KEPT).unwrap_or(i64::MAX)])?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<(i64, Alert)> {
    let text = |column| row.get::<_, String>(column);
    let name =
        |column| Ok::<_, rusqlite::Error>(Some(text(column)?).filter(|name| !name.is_empty()));
    let domain = name(3)?.map(|name| Domain::parse(&name)).transpose();
    let code = name(4)?.map(|name| Code::parse(&name)).transpose();
    let alert = Alert {
        id: row.get(1)?,
        about: Subject {
            workspace: WorkspaceId::parse(&text(2)?).map_err(|error| unreadable(2, error))?,
            domain: domain.map_err(|error| unreadable(3, error))?,
            code: code.map_err(|error| unreadable(4, error))?,
        },
        cause: serde_json::from_str(&text(5)?).map_err(|error| unreadable(5, error))?,
        created_at: Timestamp::from_microsecond(row.get(6)?)
            .map_err(|error| unreadable(6, error))?,
    };
    Ok((row.get(0)?, alert))
}

pub(super) fn unreadable(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
}

#[cfg(test)]
mod tests {
    use blocklist::Listed;

    use super::*;

    fn alert(workspace: &str, code: Option<&str>, host: &str) -> Alert {
        let about = Subject {
            workspace: WorkspaceId::parse(workspace).unwrap(),
            domain: Some(Domain::parse("qr.example.com").unwrap()),
            code: code.map(|code| Code::parse(code).unwrap()),
        };
        let listed = Listed {
            list: "list".into(),
            entry: host.into(),
        };
        Alert::listed(about, host.into(), listed, Timestamp::UNIX_EPOCH).unwrap()
    }

    fn store() -> (tempfile::TempDir, AlertStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = AlertStore::open(&folder.path().join("alerts.sqlite")).unwrap();
        (folder, store)
    }

    fn report(store: &AlertStore, alerts: Vec<Alert>) -> Vec<Alert> {
        store.report(alerts, |_| Ok(None)).unwrap().new
    }

    fn all(store: &AlertStore, workspace: &str) -> Vec<Alert> {
        let workspace = WorkspaceId::parse(workspace).unwrap();
        let page = store.page(&workspace, &AlertFilter::default(), None, KEPT + 1);
        page.unwrap().items
    }

    #[test]
    fn what_was_reported_of_a_tag_and_host_is_not_reported_again_also_after_a_restart() {
        let (folder, store) = store();
        let first = alert("default", Some("spring"), "bad.example");
        assert_eq!(
            report(&store, vec![first.clone()]),
            std::slice::from_ref(&first)
        );
        drop(store);
        let store = AlertStore::open(&folder.path().join("alerts.sqlite")).unwrap();
        let others = [
            alert("default", Some("spring"), "worse.example"),
            alert("default", Some("autumn"), "bad.example"),
            alert("default", None, "bad.example"),
        ];
        let again = alert("default", Some("spring"), "bad.example");
        let new = report(&store, [&[again][..], &others].concat());
        assert_eq!(new, others);
        let newest_first: Vec<_> = [&[first][..], &others].concat().into_iter().rev().collect();
        assert_eq!(all(&store, "default"), newest_first);
    }

    #[test]
    fn a_workspace_sees_its_own_page_by_page_and_narrowed() {
        let (_folder, store) = store();
        let theirs = alert("ws_other", Some("theirs"), "bad.example");
        let ours = ["a", "b", "c", "d"].map(|code| alert("default", Some(code), "bad.example"));
        report(&store, vec![theirs]);
        report(&store, ours.to_vec());
        let workspace = WorkspaceId::default_workspace();
        let mut filter = AlertFilter::default();
        let page = store.page(&workspace, &filter, None, 3).unwrap();
        let [a, b, c, d] = ours;
        assert_eq!(page.items, [d, c.clone(), b]);
        let next = AlertCursor::decode(&page.next.unwrap().encode());
        report(&store, vec![alert("default", Some("e"), "bad.example")]);
        let page = store.page(&workspace, &filter, next, 3).unwrap();
        assert_eq!((page.items, page.next), (vec![a], None));
        filter.tag = Some((
            c.about.domain.clone().unwrap(),
            c.about.code.clone().unwrap(),
        ));
        filter.kind = Some(AlertKind::Blocklist);
        assert_eq!(store.page(&workspace, &filter, None, 3).unwrap().items, [c]);
        assert_eq!(AlertCursor::decode("x"), None);
    }

    #[test]
    fn of_a_flood_the_newest_are_kept_and_other_workspaces_keep_theirs() {
        let (_folder, store) = store();
        report(&store, vec![alert("ws_other", Some("a"), "bad.example")]);
        let flood =
            (0..KEPT + 5).map(|code| alert("default", Some(&format!("c{code}")), "bad.example"));
        assert_eq!(report(&store, flood.collect()).len(), KEPT + 5);
        let kept = all(&store, "default");
        assert_eq!(kept.len(), KEPT);
        let code = |alert: &Alert| alert.about.code.as_ref().unwrap().to_string();
        assert_eq!(code(&kept[KEPT - 1]), "c5");
        assert_eq!(all(&store, "ws_other").len(), 1);
        let forgotten = alert("default", Some("c0"), "bad.example");
        assert!(report(&store, vec![forgotten]).is_empty());
    }

    #[test]
    fn an_event_is_put_beside_a_new_alert_and_not_beside_one_that_was_reported_before() {
        let (_folder, store) = store();
        let alert = alert("default", Some("a"), "bad.example");
        for new in [1, 0] {
            let event = |_: &Alert| Ok(Some("{}".to_owned()));
            let reported = store.report(vec![alert.clone()], event).unwrap();
            assert_eq!((reported.new.len(), reported.unsent), (new, 0));
        }
        let due = store.due(&alert.about.workspace, Timestamp::UNIX_EPOCH, 9);
        let ids: Vec<_> = due
            .unwrap()
            .into_iter()
            .map(|delivery| delivery.id)
            .collect();
        assert_eq!(ids, [alert.id]);
    }
}
