//! Reading and writing webhooks.

use ::tags::{Change, Topic, Webhook, WorkspaceId};
use rusqlite::{OptionalExtension, Transaction, params};

use super::{Index, IndexError};

/// One that has ended is of no more use to anyone.
pub(super) fn put(
    transaction: &Transaction<'_>,
    webhook: &Webhook,
    change: &Change,
) -> Result<(), IndexError> {
    let workspace = webhook.workspace.as_str();
    if webhook.ended_at.is_some() {
        transaction
            .prepare_cached("DELETE FROM webhooks WHERE workspace = ?1")?
            .execute([workspace])?;
    } else {
        transaction
            .prepare_cached("INSERT OR REPLACE INTO webhooks VALUES (?1, ?2)")?
            .execute(params![workspace, change.encode()])?;
    }
    Ok(())
}

impl Index {
    /// A workspace's webhook.
    pub(super) fn webhook(&self, workspace: &WorkspaceId) -> Result<Option<Webhook>, IndexError> {
        let reader = self.look_up();
        let record: Option<Vec<u8>> = reader
            .prepare_cached("SELECT record FROM webhooks WHERE workspace = ?1")?
            .query_row([workspace.as_str()], |row| row.get(0))
            .optional()?;
        record.map(|record| decode(workspace, &record)).transpose()
    }
}

fn decode(workspace: &WorkspaceId, record: &[u8]) -> Result<Webhook, IndexError> {
    match Change::decode(Topic::Accounts, &format!("webhook/{workspace}"), record)? {
        Change::Webhook(webhook) => Ok(webhook),
        // Not shown: it may hold a secret.
        _ => unreachable!("a record under webhook/ is a webhook"),
    }
}
