//! What has still to be sent to workspaces' webhooks, and what became of what was sent. It lies in the file of the alerts, so that an alert and
//! what has to be sent of it are written together.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use tags::WorkspaceId;

use super::store::{AlertStore, AlertsError, unreadable};

/// The most that wait of one workspace; what comes beyond is not sent, and counted.
const MOST_WAITING: u64 = 10_000;

pub(super) const SCHEMA: &str = "
CREATE TABLE deliveries (
    position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, workspace TEXT NOT NULL, body TEXT NOT NULL,
    created_at INTEGER NOT NULL, attempts INTEGER NOT NULL, due_at INTEGER NOT NULL
);
CREATE INDEX deliveries_due ON deliveries (workspace, due_at);
CREATE TABLE receivers (
    workspace TEXT PRIMARY KEY, delivered INTEGER NOT NULL DEFAULT 0, given_up INTEGER NOT NULL DEFAULT 0, dropped INTEGER NOT NULL DEFAULT 0,
    delivered_at INTEGER, failed_at INTEGER, failure TEXT
) WITHOUT ROWID;
";

/// An event that has still to be delivered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Delivery {
    position: i64,
    /// The same with every attempt, so that a receiver knows what it has had already.
    pub(crate) id: String,
    pub(crate) workspace: WorkspaceId,
    /// JSON.
    pub(crate) body: String,
    pub(crate) created_at: Timestamp,
    /// How often it was tried.
    pub(crate) attempts: u32,
}

/// What waits.
pub(crate) struct Waiting {
    pub(crate) deliveries: u64,
    /// Whose are due.
    pub(crate) workspaces_due: Vec<WorkspaceId>,
}

/// What became of a workspace's events.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Receiver {
    pub(crate) waiting: u64,
    /// Of those, when the first is due.
    pub(crate) next_attempt_at: Option<Timestamp>,
    pub(crate) delivered: u64,
    /// That were tried for as long as anything is.
    pub(crate) given_up: u64,
    /// That found too many waiting.
    pub(crate) dropped: u64,
    pub(crate) delivered_at: Option<Timestamp>,
    pub(crate) last_failure: Option<LastFailure>,
}

/// Why something was not delivered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LastFailure {
    pub(crate) at: Timestamp,
    /// For people.
    pub(crate) detail: String,
}

/// Puts an event into the outbox; false: too many of the workspace's wait.
pub(super) fn put(
    transaction: &Transaction<'_>,
    workspace: &WorkspaceId,
    id: &str,
    body: &str,
    now: Timestamp,
) -> Result<bool, AlertsError> {
    let waiting = count(transaction, workspace)?;
    if waiting >= MOST_WAITING {
        add(transaction, workspace, "dropped", 1)?;
        return Ok(false);
    }
    transaction
        .prepare_cached(
            "INSERT INTO deliveries (id, workspace, body, created_at, attempts, due_at) VALUES (?1, ?2, ?3, ?4, 0, ?4)",
        )?
        .execute(params![id, workspace.as_str(), body, now.as_microsecond()])?;
    Ok(true)
}

impl AlertStore {
    /// Puts one event into the outbox; false: too many wait.
    pub(crate) fn enqueue(
        &self,
        workspace: &WorkspaceId,
        id: &str,
        body: &str,
        now: Timestamp,
    ) -> Result<bool, AlertsError> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let is_taken = put(&transaction, workspace, id, body, now)?;
        transaction.commit()?;
        Ok(is_taken)
    }

    /// What waits, and whose is due.
    pub(crate) fn waiting(&self, now: Timestamp) -> Result<Waiting, AlertsError> {
        let connection = self.connection();
        let deliveries: i64 = connection
            .prepare_cached("SELECT count(*) FROM deliveries")?
            .query_row([], |row| row.get(0))?;
        // From one workspace to the next in the index, however many of each wait.
        let mut statement = connection.prepare_cached(
            "WITH RECURSIVE waiting (workspace) AS (
                SELECT min(workspace) FROM deliveries
                UNION ALL
                SELECT (SELECT min(workspace) FROM deliveries WHERE workspace > waiting.workspace) FROM waiting WHERE workspace IS NOT NULL
             )
             SELECT workspace FROM waiting
             WHERE EXISTS (SELECT 1 FROM deliveries WHERE deliveries.workspace = waiting.workspace AND due_at <= ?1)",
        )?;
        let due = statement.query_map([now.as_microsecond()], |row| workspace(row, 0))?;
        Ok(Waiting {
            deliveries: deliveries.cast_unsigned(),
            workspaces_due: due.collect::<Result<_, _>>()?,
        })
    }

    /// The first so many of a workspace's that are due.
    pub(crate) fn due(
        &self,
        of: &WorkspaceId,
        now: Timestamp,
        most: usize,
    ) -> Result<Vec<Delivery>, AlertsError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT position, id, workspace, body, created_at, attempts FROM deliveries
             WHERE workspace = ?1 AND due_at <= ?2 ORDER BY due_at, position LIMIT ?3",
        )?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let bound = params![of.as_str(), now.as_microsecond(), most];
        let rows = statement.query_map(bound, read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// An event has been delivered.
    pub(crate) fn delivered(&self, delivery: &Delivery, now: Timestamp) -> Result<(), AlertsError> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        if remove(&transaction, delivery)? {
            add(&transaction, &delivery.workspace, "delivered", 1)?;
            transaction
                .prepare_cached("UPDATE receivers SET delivered_at = ?2 WHERE workspace = ?1")?
                .execute(params![delivery.workspace.as_str(), now.as_microsecond()])?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// An attempt has failed, for a reason; `next` none: it is given up.
    pub(crate) fn failed(
        &self,
        delivery: &Delivery,
        now: Timestamp,
        reason: &str,
        next: Option<Timestamp>,
    ) -> Result<(), AlertsError> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let is_known = match next {
            Some(next) => {
                let changed = transaction
                    .prepare_cached(
                        "UPDATE deliveries SET attempts = attempts + 1, due_at = ?2 WHERE position = ?1",
                    )?
                    .execute(params![delivery.position, next.as_microsecond()])?;
                changed > 0
            }
            None => remove(&transaction, delivery)?,
        };
        // The webhook may have been taken away meanwhile.
        if is_known {
            let given_up = u64::from(next.is_none());
            add(&transaction, &delivery.workspace, "given_up", given_up)?;
            transaction
                .prepare_cached(
                    "UPDATE receivers SET failed_at = ?2, failure = ?3 WHERE workspace = ?1",
                )?
                .execute(params![
                    delivery.workspace.as_str(),
                    now.as_microsecond(),
                    reason
                ])?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Gives up all that waits of a workspace; how many they were.
    pub(crate) fn give_up_all(&self, of: &WorkspaceId) -> Result<u64, AlertsError> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let removed = remove_all(&transaction, of)?;
        if removed > 0 {
            add(&transaction, of, "given_up", removed)?;
        }
        transaction.commit()?;
        Ok(removed)
    }

    /// All that waits of a workspace is due at once.
    pub(crate) fn all_due(&self, of: &WorkspaceId, now: Timestamp) -> Result<(), AlertsError> {
        self.connection()
            .prepare_cached("UPDATE deliveries SET due_at = ?2 WHERE workspace = ?1")?
            .execute(params![of.as_str(), now.as_microsecond()])?;
        Ok(())
    }

    /// Forgets all that a workspace's webhook was to be sent, and was.
    pub(crate) fn forget_receiver(&self, of: &WorkspaceId) -> Result<(), AlertsError> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        remove_all(&transaction, of)?;
        transaction
            .prepare_cached("DELETE FROM receivers WHERE workspace = ?1")?
            .execute([of.as_str()])?;
        transaction.commit()?;
        Ok(())
    }

    /// What became of a workspace's events.
    pub(crate) fn receiver(&self, of: &WorkspaceId) -> Result<Receiver, AlertsError> {
        let mut connection = self.connection();
        let moment = connection.transaction()?;
        let first: Option<i64> = moment
            .prepare_cached("SELECT min(due_at) FROM deliveries WHERE workspace = ?1")?
            .query_row([of.as_str()], |row| row.get(0))?;
        let known = moment
            .prepare_cached(
                "SELECT delivered, given_up, dropped, delivered_at, failed_at, failure FROM receivers WHERE workspace = ?1",
            )?
            .query_row([of.as_str()], receiver)
            .optional()?;
        Ok(Receiver {
            waiting: count(&moment, of)?,
            next_attempt_at: first.and_then(|at| Timestamp::from_microsecond(at).ok()),
            ..known.unwrap_or_default()
        })
    }
}

fn count(connection: &Connection, of: &WorkspaceId) -> rusqlite::Result<u64> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM deliveries WHERE workspace = ?1")?
        .query_row([of.as_str()], |row| row.get(0))?;
    Ok(count.cast_unsigned())
}

/// Adds to one of a receiver's numbers, which is made where it is missing.
fn add(
    transaction: &Transaction<'_>,
    of: &WorkspaceId,
    number: &'static str,
    by: u64,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(&format!(
            "INSERT INTO receivers (workspace, {number}) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET {number} = {number} + ?2"
        ))?
        .execute(params![of.as_str(), by.cast_signed()])?;
    Ok(())
}

fn remove(transaction: &Transaction<'_>, delivery: &Delivery) -> rusqlite::Result<bool> {
    let removed = transaction
        .prepare_cached("DELETE FROM deliveries WHERE position = ?1")?
        .execute([delivery.position])?;
    Ok(removed > 0)
}

fn remove_all(transaction: &Transaction<'_>, of: &WorkspaceId) -> rusqlite::Result<u64> {
    let removed = transaction
        .prepare_cached("DELETE FROM deliveries WHERE workspace = ?1")?
        .execute([of.as_str()])?;
    Ok(removed as u64)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    Ok(Delivery {
        position: row.get(0)?,
        id: row.get(1)?,
        workspace: workspace(row, 2)?,
        body: row.get(3)?,
        created_at: time(row, 4)?.unwrap_or_default(),
        attempts: row.get(5)?,
    })
}

fn receiver(row: &Row<'_>) -> rusqlite::Result<Receiver> {
    let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
    let detail: Option<String> = row.get(5)?;
    let failure = time(row, 4)?.zip(detail);
    Ok(Receiver {
        delivered: number(0)?,
        given_up: number(1)?,
        dropped: number(2)?,
        delivered_at: time(row, 3)?,
        last_failure: failure.map(|(at, detail)| LastFailure { at, detail }),
        ..Receiver::default()
    })
}

fn workspace(row: &Row<'_>, column: usize) -> rusqlite::Result<WorkspaceId> {
    let text: String = row.get(column)?;
    WorkspaceId::parse(&text).map_err(|error| unreadable(column, error))
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let at: Option<i64> = row.get(column)?;
    let at = at.map(Timestamp::from_microsecond).transpose();
    at.map_err(|error| unreadable(column, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, AlertStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = AlertStore::open(&folder.path().join("alerts.sqlite")).unwrap();
        (folder, store)
    }

    fn workspace(name: &str) -> WorkspaceId {
        WorkspaceId::parse(name).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_fails_waits_for_its_next_attempt_and_outlives_the_process() {
        let (folder, store) = store();
        let (a, b) = (workspace("ws_a"), workspace("ws_b"));
        for (of, id) in [(&a, "a1"), (&a, "a2"), (&b, "b1")] {
            assert!(store.enqueue(of, id, "{}", at(1)).unwrap());
        }
        assert_eq!(store.waiting(at(0)).unwrap().workspaces_due, []);
        let first = store.due(&a, at(1), 1).unwrap().remove(0);
        assert_eq!((&first.id[..], first.attempts), ("a1", 0));
        store.failed(&first, at(2), "down", Some(at(10))).unwrap();
        drop(store);
        let store = AlertStore::open(&folder.path().join("alerts.sqlite")).unwrap();
        let ids = |now| {
            let due = store.due(&a, at(now), 9).unwrap().into_iter();
            due.map(|it| (it.id, it.attempts)).collect::<Vec<_>>()
        };
        assert_eq!(ids(9), [("a2".to_owned(), 0)]);
        assert_eq!(ids(10), [("a2".to_owned(), 0), ("a1".to_owned(), 1)]);
        for delivery in store.due(&a, at(10), 9).unwrap() {
            store.delivered(&delivery, at(11)).unwrap();
            // It may be told twice, after a restart.
            store.delivered(&delivery, at(12)).unwrap();
        }
        let state = store.receiver(&a).unwrap();
        assert_eq!(
            (state.waiting, state.delivered, state.delivered_at),
            (0, 2, Some(at(11)))
        );
        let failure = state.last_failure.unwrap();
        assert_eq!((failure.at, &failure.detail[..]), (at(2), "down"));
        let waiting = store.waiting(at(1)).unwrap();
        assert_eq!((waiting.deliveries, waiting.workspaces_due), (1, vec![b]));
    }

    #[test]
    fn what_is_given_up_is_counted_and_a_webhook_that_is_gone_is_forgotten() {
        let (_folder, store) = store();
        let a = workspace("ws_a");
        for id in ["1", "2", "3"] {
            store.enqueue(&a, id, "{}", at(1)).unwrap();
        }
        let first = store.due(&a, at(1), 1).unwrap().remove(0);
        store.failed(&first, at(2), "down", None).unwrap();
        assert_eq!(store.give_up_all(&a).unwrap(), 2);
        let state = store.receiver(&a).unwrap();
        assert_eq!((state.waiting, state.given_up), (0, 3));
        store.enqueue(&a, "4", "{}", at(1)).unwrap();
        let under_way = store.due(&a, at(1), 1).unwrap().remove(0);
        store.forget_receiver(&a).unwrap();
        store
            .failed(&under_way, at(3), "down", Some(at(9)))
            .unwrap();
        assert_eq!(store.receiver(&a).unwrap(), Receiver::default());
    }

    #[test]
    fn beyond_the_most_nothing_more_is_taken_of_one_workspace_and_of_others_it_is() {
        let (_folder, store) = store();
        let (a, b) = (workspace("ws_a"), workspace("ws_b"));
        let mut connection = store.connection();
        let transaction = connection.transaction().unwrap();
        for number in 0..=MOST_WAITING {
            let is_taken = put(&transaction, &a, &number.to_string(), "{}", at(1)).unwrap();
            assert_eq!(is_taken, number < MOST_WAITING);
        }
        transaction.commit().unwrap();
        drop(connection);
        assert!(store.enqueue(&b, "b", "{}", at(1)).unwrap());
        let state = store.receiver(&a).unwrap();
        assert_eq!((state.waiting, state.dropped), (MOST_WAITING, 1));
    }
}
