//! Up to which hour scans have been judged, so that no hour is judged twice or left out, and what of earlier judgements need not be known any
//! more.

use analytics::Hour;
use jiff::tz::Offset;
use rusqlite::{OptionalExtension, params};

use super::AlertKind;
use super::store::{AlertStore, AlertsError};

pub(super) const SCHEMA: &str = "
CREATE TABLE judged (only INTEGER PRIMARY KEY CHECK (only = 0), hour INTEGER NOT NULL);
";

/// For so many hours it is known of what was raised, and not raised again: longer than any hour may wait to be judged.
const REMEMBERED: i64 = 3 * 24;

impl AlertStore {
    /// The newest hour that was judged; none: none was yet.
    pub(crate) fn judged(&self) -> Result<Option<Hour>, AlertsError> {
        let number = self
            .connection()
            .prepare_cached("SELECT hour FROM judged")?
            .query_row([], |row| row.get(0))
            .optional()?;
        Ok(number.map(Hour::from_number))
    }

    /// An hour has been judged.
    pub(crate) fn set_judged(&self, hour: Hour) -> Result<(), AlertsError> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        transaction
            .prepare_cached("INSERT OR REPLACE INTO judged VALUES (0, ?1)")?
            .execute([hour.number()])?;
        transaction
            .prepare_cached("DELETE FROM reported WHERE kind IN (?1, ?2) AND distinction < ?3")?
            .execute(params![
                AlertKind::Rate.as_str(),
                AlertKind::Country.as_str(),
                day_of(hour.before(REMEMBERED))
            ])?;
        transaction.commit()?;
        Ok(())
    }
}

/// The day (UTC) that an hour is in, as ISO 8601 has it: what begins with an earlier one comes before it.
pub(super) fn day_of(hour: Hour) -> String {
    Offset::UTC.to_datetime(hour.start()).date().to_string()
}

#[cfg(test)]
mod tests {
    use tags::{Code, Domain, WorkspaceId};

    use super::*;
    use crate::alerts::{Alert, Cause, Subject};

    #[test]
    fn the_newest_hour_outlives_the_process_and_old_days_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.sqlite");
        let store = AlertStore::open(&path).unwrap();
        assert_eq!(store.judged().unwrap(), None);
        let hour = Hour::of("2026-11-25T10:00:00Z".parse().unwrap());
        let raise = |hour: Hour| {
            let about = Subject {
                workspace: WorkspaceId::default_workspace(),
                domain: Some(Domain::parse("qr.example.com").unwrap()),
                code: Some(Code::parse("spring").unwrap()),
            };
            let cause = Cause::Rate {
                hour: hour.start(),
                observed: 100,
                expected: 10.0,
            };
            let alert = Alert::unusual(about, cause, hour.start()).unwrap();
            store.report(vec![alert], |_| Ok(None)).unwrap().new.len()
        };
        assert_eq!(raise(hour), 1);
        store.set_judged(hour).unwrap();
        let later = hour.before(-13);
        assert_eq!(
            (raise(later), raise(hour.before(-14))),
            (0, 1),
            "once a day"
        );
        store.set_judged(later).unwrap();
        assert_eq!(
            AlertStore::open(&path).unwrap().judged().unwrap(),
            Some(later)
        );
        store.set_judged(hour.before(-5 * 24)).unwrap();
        assert_eq!(raise(hour), 1, "it is not known any more");
    }
}
