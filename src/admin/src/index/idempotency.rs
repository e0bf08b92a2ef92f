//! Reading what requests with an `Idempotency-Key` were answered.

use ::tags::{Change, IdempotencyEntry, IdempotencySlot, Topic, WorkspaceId};
use rusqlite::{OptionalExtension, Transaction, params};

use super::{Index, IndexError};

pub(super) fn put(
    transaction: &Transaction<'_>,
    entry: &IdempotencyEntry,
    change: &Change,
) -> Result<(), IndexError> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO idempotency VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![
            entry.workspace.as_str(),
            entry.slot.get(),
            entry.key_hash,
            entry.at.as_microsecond(),
            change.encode()
        ])?;
    Ok(())
}

impl Index {
    /// The newest answer under this hash of a key.
    pub(super) fn idempotency(
        &self,
        workspace: &WorkspaceId,
        key_hash: &[u8; 32],
    ) -> Result<Option<IdempotencyEntry>, IndexError> {
        let reader = self.look_up();
        let found: Option<(u32, Vec<u8>)> = reader
            .prepare_cached(
                "SELECT slot, record FROM idempotency WHERE workspace = ?1 AND key_hash = ?2 ORDER BY at DESC LIMIT 1",
            )?
            .query_row(params![workspace.as_str(), key_hash], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        found
            .map(|(slot, record)| decode(&format!("idempotency/{workspace}/{slot}"), &record))
            .transpose()
    }

    /// Where the workspace's last answer was put.
    pub(super) fn newest_idempotency_slot(
        &self,
        workspace: &WorkspaceId,
    ) -> Result<Option<IdempotencySlot>, IndexError> {
        let reader = self.look_up();
        let newest: Option<u32> = reader
            .prepare_cached(
                "SELECT slot FROM idempotency WHERE workspace = ?1 ORDER BY at DESC, slot DESC LIMIT 1",
            )?
            .query_row([workspace.as_str()], |row| row.get(0))
            .optional()?;
        Ok(newest.and_then(|slot| IdempotencySlot::new(slot).ok()))
    }
}

fn decode(key: &str, record: &[u8]) -> Result<IdempotencyEntry, IndexError> {
    match Change::decode(Topic::Accounts, key, record)? {
        Change::Idempotency(entry) => Ok(entry),
        other => unreachable!("a record under idempotency/ is an answer, not {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn entry(slot: u32, key: u8, second: i64) -> Change {
        Change::Idempotency(IdempotencyEntry {
            workspace: WorkspaceId::default_workspace(),
            slot: IdempotencySlot::new(slot).unwrap(),
            key_hash: [key; 32],
            request_hash: [0; 32],
            at: Timestamp::from_second(second).unwrap(),
            answer: Vec::new(),
        })
    }

    #[test]
    fn the_newest_answer_counts_and_a_slot_has_one() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::create(&folder.path().join("index.sqlite")).unwrap();
        let workspace = WorkspaceId::default_workspace();
        assert_eq!(index.newest_idempotency_slot(&workspace).unwrap(), None);
        index
            .apply(&[entry(0, 1, 10), entry(1, 2, 20), entry(2, 1, 30)])
            .unwrap();
        let slot_of = |key: u8| {
            let found = index.idempotency(&workspace, &[key; 32]).unwrap();
            found.map(|entry| entry.slot.get())
        };
        assert_eq!(
            (slot_of(1), slot_of(2), slot_of(3)),
            (Some(2), Some(1), None)
        );
        assert_eq!(
            index
                .newest_idempotency_slot(&workspace)
                .unwrap()
                .map(IdempotencySlot::get),
            Some(2)
        );
        // Gone round: what was in the slot is forgotten.
        index.apply(&[entry(1, 3, 40)]).unwrap();
        assert_eq!((slot_of(2), slot_of(3)), (None, Some(1)));
    }
}
