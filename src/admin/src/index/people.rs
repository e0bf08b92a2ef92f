//! Users and invitations.

use ::tags::{Change, Email, Invitation, SecretHash, Topic, User, WorkspaceId};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{Index, IndexError};

/// Who was removed is of no more use to anyone: the audit says who it was.
pub(super) fn put_user(
    transaction: &Transaction<'_>,
    user: &User,
    change: &Change,
) -> Result<(), IndexError> {
    if user.removed_at.is_some() {
        transaction
            .prepare_cached("DELETE FROM users WHERE id = ?1")?
            .execute([user.id.as_str()])?;
        return Ok(());
    }
    transaction
        .prepare_cached("INSERT OR REPLACE INTO users VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            user.id.as_str(),
            user.workspace.as_str(),
            user.email.as_str(),
            change.encode()
        ])?;
    Ok(())
}

/// What is over cannot be accepted any more.
pub(super) fn put_invitation(
    transaction: &Transaction<'_>,
    invitation: &Invitation,
    change: &Change,
) -> Result<(), IndexError> {
    if invitation.ended_at.is_some() {
        transaction
            .prepare_cached("DELETE FROM invitations WHERE id = ?1")?
            .execute([invitation.id.as_str()])?;
        return Ok(());
    }
    transaction
        .prepare_cached("INSERT OR REPLACE INTO invitations VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            invitation.id.as_str(),
            invitation.workspace.as_str(),
            invitation.token_hash.0,
            change.encode()
        ])?;
    Ok(())
}

impl Index {
    /// The invitation with this token, if it is not over.
    pub fn invitation_by_token(
        &self,
        token: &SecretHash,
    ) -> Result<Option<Invitation>, IndexError> {
        let reader = self.look_up();
        let found = reader
            .prepare_cached("SELECT id, record FROM invitations WHERE token_hash = ?1")?
            .query_row([token.0], named_record)
            .optional()?;
        found
            .map(|(id, record)| decode_invitation(&id, &record))
            .transpose()
    }

    /// A workspace's invitations that are not over, by id.
    pub(super) fn invitations(
        &self,
        workspace: &WorkspaceId,
    ) -> Result<Vec<Invitation>, IndexError> {
        let reader = self.look_up();
        let mut statement = reader.prepare_cached(
            "SELECT id, record FROM invitations WHERE workspace = ?1 ORDER BY id",
        )?;
        let rows = statement.query_map([workspace.as_str()], named_record)?;
        rows.map(|row| {
            row.map_err(IndexError::from)
                .and_then(|(id, record)| decode_invitation(&id, &record))
        })
        .collect()
    }

    /// A workspace's users, by e-mail address.
    pub(super) fn users(&self, workspace: &WorkspaceId) -> Result<Vec<User>, IndexError> {
        let reader = self.look_up();
        let mut statement = reader
            .prepare_cached("SELECT id, record FROM users WHERE workspace = ?1 ORDER BY email")?;
        let rows = statement.query_map([workspace.as_str()], named_record)?;
        rows.map(|row| {
            row.map_err(IndexError::from)
                .and_then(|(id, record)| decode_user(&id, &record))
        })
        .collect()
    }

    /// A workspace's user with this address.
    pub(super) fn user_by_email(
        &self,
        workspace: &WorkspaceId,
        email: &Email,
    ) -> Result<Option<User>, IndexError> {
        let reader = self.look_up();
        let found = reader
            .prepare_cached("SELECT id, record FROM users WHERE workspace = ?1 AND email = ?2")?
            .query_row([workspace.as_str(), email.as_str()], named_record)
            .optional()?;
        found
            .map(|(id, record)| decode_user(&id, &record))
            .transpose()
    }

    /// A workspace's user.
    pub(super) fn user(
        &self,
        workspace: &WorkspaceId,
        id: &str,
    ) -> Result<Option<User>, IndexError> {
        let reader = self.look_up();
        let found = reader
            .prepare_cached("SELECT id, record FROM users WHERE workspace = ?1 AND id = ?2")?
            .query_row([workspace.as_str(), id], named_record)
            .optional()?;
        found
            .map(|(id, record)| decode_user(&id, &record))
            .transpose()
    }
}

fn named_record(row: &Row<'_>) -> rusqlite::Result<(String, Vec<u8>)> {
    Ok((row.get(0)?, row.get(1)?))
}

fn decode_user(id: &str, record: &[u8]) -> Result<User, IndexError> {
    match Change::decode(Topic::Accounts, &format!("user/{id}"), record)? {
        Change::User(user) => Ok(user),
        other => unreachable!("a record under user/ is a user, not {other:?}"),
    }
}

fn decode_invitation(id: &str, record: &[u8]) -> Result<Invitation, IndexError> {
    match Change::decode(Topic::Accounts, &format!("invitation/{id}"), record)? {
        Change::Invitation(invitation) => Ok(invitation),
        other => unreachable!("a record under invitation/ is an invitation, not {other:?}"),
    }
}
