//! Which tags have something scheduled, by when.

use ::tags::{Code, Domain, InvalidName, Tag};
use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Transaction, params};

use super::{Index, IndexError};

pub(super) fn put(transaction: &Transaction<'_>, tag: &Tag) -> Result<(), IndexError> {
    let (domain, code) = (tag.domain.as_str(), tag.code.as_str());
    match &tag.scheduled {
        Some(scheduled) => transaction
            .prepare_cached("INSERT OR REPLACE INTO schedules VALUES (?1, ?2, ?3)")?
            .execute(params![domain, code, scheduled.at.as_microsecond()])?,
        None => transaction
            .prepare_cached("DELETE FROM schedules WHERE domain = ?1 AND code = ?2")?
            .execute([domain, code])?,
    };
    Ok(())
}

impl Index {
    /// Tags whose scheduled change has come by now, the oldest first.
    pub(super) fn due(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Domain, Code)>, IndexError> {
        let reader = self.look_up();
        let mut statement = reader.prepare_cached(
            "SELECT domain, code FROM schedules WHERE at <= ?1 ORDER BY at LIMIT ?2",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![now.as_microsecond(), limit], |row| {
            let unreadable = |column, error: InvalidName| {
                rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
            };
            let domain: String = row.get(0)?;
            let code: String = row.get(1)?;
            Ok((
                Domain::parse(&domain).map_err(|error| unreadable(0, error))?,
                Code::parse(&code).map_err(|error| unreadable(1, error))?,
            ))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
