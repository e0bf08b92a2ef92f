//! Reading keys, workspaces and domains.

use ::tags::{
    ApiKey, Change, Domain, DomainClaim, DomainSettings, SecretHash, Topic, Workspace, WorkspaceId,
};
use analytics::Day;
use rusqlite::{OptionalExtension, Row};

use super::{Index, IndexError, decode_domain, decode_workspace};

impl Index {
    /// The key with this secret, or with this one before it was rotated; also a key that has ended.
    pub fn key_by_secret(&self, hash: &SecretHash) -> Result<Option<ApiKey>, IndexError> {
        let reader = self.look_up();
        let found = reader
            .prepare_cached(
                "SELECT id, record FROM keys WHERE secret_hash = ?1 OR previous_hash = ?1",
            )?
            .query_row([hash.0], named_record)
            .optional()?;
        found
            .map(|(id, record)| decode_key(&id, &record))
            .transpose()
    }

    /// A workspace's keys, also revoked ones, oldest first.
    pub(super) fn keys(&self, workspace: &WorkspaceId) -> Result<Vec<ApiKey>, IndexError> {
        let reader = self.look_up();
        let mut statement = reader.prepare_cached(
            "SELECT id, record FROM keys WHERE workspace = ?1 ORDER BY created_at, id",
        )?;
        let rows = statement.query_map([workspace.as_str()], named_record)?;
        rows.map(|row| {
            row.map_err(IndexError::from)
                .and_then(|(id, record)| decode_key(&id, &record))
        })
        .collect()
    }

    /// Whether any key was ever made.
    pub(super) fn has_keys(&self) -> Result<bool, IndexError> {
        Ok(self
            .look_up()
            .query_row("SELECT EXISTS (SELECT 1 FROM keys)", [], |row| row.get(0))?)
    }

    /// A workspace.
    pub(super) fn workspace(&self, id: &WorkspaceId) -> Result<Option<Workspace>, IndexError> {
        let reader = self.look_up();
        let record: Option<Vec<u8>> = reader
            .prepare_cached("SELECT record FROM workspaces WHERE id = ?1")?
            .query_row([id.as_str()], |row| row.get(0))
            .optional()?;
        record
            .map(|record| decode_workspace(id.as_str(), &record))
            .transpose()
    }

    /// All workspaces.
    pub(super) fn workspaces(&self) -> Result<Vec<Workspace>, IndexError> {
        let reader = self.look_up();
        let mut statement =
            reader.prepare_cached("SELECT id, record FROM workspaces ORDER BY id")?;
        let rows = statement.query_map([], named_record)?;
        rows.map(|row| {
            row.map_err(IndexError::from)
                .and_then(|(id, record)| decode_workspace(&id, &record))
        })
        .collect()
    }

    /// How many tags of a workspace are not revoked.
    pub(super) fn live_tags(&self, workspace: &WorkspaceId) -> Result<u64, IndexError> {
        let reader = self.look_up();
        let live: Option<i64> = reader
            .prepare_cached("SELECT live FROM tag_counts WHERE workspace = ?1")?
            .query_row([workspace.as_str()], |row| row.get(0))
            .optional()?;
        Ok(live.map_or(0, i64::cast_unsigned))
    }

    /// How many tags a workspace has made, by day, in order.
    pub(super) fn tags_made(&self, workspace: &WorkspaceId) -> Result<Vec<(Day, u64)>, IndexError> {
        let reader = self.look_up();
        let mut made = reader
            .prepare_cached("SELECT day, made FROM tags_made WHERE workspace = ?1 ORDER BY day")?;
        let rows = made.query_map([workspace.as_str()], |row| {
            let day = Day::from_number(row.get(0)?);
            Ok((day, row.get::<_, i64>(1)?.cast_unsigned()))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A domain, whoever's it is.
    pub(super) fn domain(&self, name: &Domain) -> Result<Option<DomainSettings>, IndexError> {
        let reader = self.look_up();
        let record: Option<Vec<u8>> = reader
            .prepare_cached("SELECT record FROM domains WHERE name = ?1")?
            .query_row([name.as_str()], |row| row.get(0))
            .optional()?;
        record
            .map(|record| decode_domain(name.as_str(), &record))
            .transpose()
    }

    /// The domains on which a workspace may have tags: its own, oldest first, then the default one that all share.
    pub(super) fn domains(
        &self,
        workspace: &WorkspaceId,
    ) -> Result<Vec<DomainSettings>, IndexError> {
        self.select_domains(
            "SELECT name, record FROM domains WHERE workspace = ?1 OR is_default
             ORDER BY workspace IS NOT ?1, created_at, name",
            [workspace.as_str()],
        )
    }

    /// The domains that a workspace wants and has not proven yet, by name.
    pub(super) fn claims(&self, workspace: &WorkspaceId) -> Result<Vec<DomainClaim>, IndexError> {
        let reader = self.look_up();
        let mut statement = reader
            .prepare_cached("SELECT name, record FROM claims WHERE workspace = ?1 ORDER BY name")?;
        let rows = statement.query_map([workspace.as_str()], named_record)?;
        rows.map(|row| {
            row.map_err(IndexError::from)
                .and_then(|(name, record)| decode_claim(workspace, &name, &record))
        })
        .collect()
    }

    /// The default domain; more than one only while the default changes.
    pub(super) fn default_domains(&self) -> Result<Vec<DomainSettings>, IndexError> {
        self.select_domains(
            "SELECT name, record FROM domains WHERE is_default ORDER BY name",
            [],
        )
    }

    pub(super) fn select_domains<P: rusqlite::Params>(
        &self,
        sql: &str,
        values: P,
    ) -> Result<Vec<DomainSettings>, IndexError> {
        let reader = self.look_up();
        let mut statement = reader.prepare_cached(sql)?;
        let rows = statement.query_map(values, named_record)?;
        rows.map(|row| {
            row.map_err(IndexError::from)
                .and_then(|(name, record)| decode_domain(&name, &record))
        })
        .collect()
    }
}

fn named_record(row: &Row<'_>) -> rusqlite::Result<(String, Vec<u8>)> {
    Ok((row.get(0)?, row.get(1)?))
}

fn decode_key(id: &str, record: &[u8]) -> Result<ApiKey, IndexError> {
    match Change::decode(Topic::Accounts, &format!("key/{id}"), record)? {
        Change::Key(key) => Ok(key),
        other => unreachable!("a record under key/ is a key, not {other:?}"),
    }
}

fn decode_claim(
    workspace: &WorkspaceId,
    name: &str,
    record: &[u8],
) -> Result<DomainClaim, IndexError> {
    match Change::decode(
        Topic::Accounts,
        &format!("claim/{workspace}/{name}"),
        record,
    )? {
        Change::Claim(claim) => Ok(claim),
        other => unreachable!("a record under claim/ is a claim, not {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use ::tags::{KeyId, Role};
    use jiff::Timestamp;

    use super::*;

    fn key(id: &str, secret: u8, revoked_at: Option<Timestamp>) -> Change {
        Change::Key(ApiKey {
            revoked_at,
            ..ApiKey::new(
                KeyId::parse(id).unwrap(),
                WorkspaceId::parse("default").unwrap(),
                Role::Owner,
                SecretHash([secret; 32]),
                Timestamp::UNIX_EPOCH,
            )
        })
    }

    #[test]
    fn a_revoked_key_stays_revoked_whatever_comes_behind() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::create(&folder.path().join("index.sqlite")).unwrap();
        let revoked_at = Some(Timestamp::from_second(5).unwrap());
        index.apply(&[key("a", 1, None)]).unwrap();
        index.apply(&[key("a", 1, revoked_at)]).unwrap();
        // As it comes when the topic's partitions are read in no order; and under another name, with the same secret.
        index
            .apply(&[key("a", 1, None), key("b", 1, None)])
            .unwrap();
        let found = index.key_by_secret(&SecretHash([1; 32])).unwrap().unwrap();
        assert_eq!(found.revoked_at, revoked_at);
        let keys = index.keys(&WorkspaceId::parse("default").unwrap()).unwrap();
        assert_eq!(keys.len(), 1);
        // Another key is none of its business.
        index.apply(&[key("c", 2, None)]).unwrap();
        let other = index.key_by_secret(&SecretHash([2; 32])).unwrap().unwrap();
        assert_eq!(other.revoked_at, None);
    }
}
