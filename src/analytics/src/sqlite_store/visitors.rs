//! How visitors are counted in SQLite: each of them, so that the answer is exact. Who was erased has 0, and is left out.

use std::collections::HashMap;

use rusqlite::{Connection, params_from_iter};
use tags::WorkspaceId;

use super::filter::condition;
use crate::visitors::Visits;
use crate::{VisitorDay, VisitorQuery};

pub(super) fn answer(
    connection: &Connection,
    workspace: &WorkspaceId,
    query: &VisitorQuery,
) -> rusqlite::Result<Vec<VisitorDay>> {
    let (condition, bound) = condition(workspace, query.filter());
    let mut statement = connection.prepare_cached(&format!(
        "SELECT time / 86400000000 AS day, count(*), count(DISTINCT nullif(visitor, 0)) FROM scans WHERE {condition} GROUP BY day"
    ))?;
    let days = statement.query_map(params_from_iter(&bound), |line| {
        let count = |column| line.get::<_, i64>(column).map(i64::cast_unsigned);
        let (scans, visitors) = (count(1)?, count(2)?);
        Ok((line.get(0)?, Visits { scans, visitors }))
    })?;
    let days: HashMap<i64, Visits> = days.collect::<rusqlite::Result<_>>()?;
    Ok(query.days(&days))
}
