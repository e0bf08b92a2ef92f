//! What workspaces keep no longer is deleted: scans of days that lie further back than they say.

use std::time::Duration;

use analytics::{Expiry, StoreError};
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};

use crate::index::IndexError;
use crate::service::{Admin, WeakAdmin};

/// How often it is looked whether there is anything to delete that was not: a day has begun, a setting has changed.
const LOOK: Duration = Duration::from_secs(10);
/// After a failure, and while what was deleted before is still on its way out.
const RETRY: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Runs until the admin is gone. Two admins do no harm: what is deleted twice is deleted.
pub(crate) fn run(admin: WeakAdmin) {
    tokio::spawn(async move {
        let mut done = None;
        while let Some(admin) = admin.upgrade() {
            let turn = turn(&admin, &mut done).await;
            drop(admin);
            let is_done = turn.unwrap_or_else(|failure| {
                tracing::warn!(error = %failure, "scans that are kept no longer are not deleted yet; trying again");
                false
            });
            tokio::time::sleep(if is_done { LOOK } else { RETRY }).await;
        }
    });
}

/// Whether nothing is left to do.
async fn turn(admin: &Admin, done: &mut Option<Vec<Expiry>>) -> Result<bool, Failure> {
    // Who no longer reads the journal does not know by now how long scans are kept.
    if admin.require_ready().is_err() {
        return Ok(false);
    }
    let expiries = expiries(admin)?;
    if done.as_ref() != Some(&expiries) {
        // A setting that is lifted holds at once.
        let still = || {
            let now = self::expiries(admin);
            admin.require_ready().is_ok() && now.is_ok_and(|now| now == expiries)
        };
        let Some(scans) = admin.store().expire(&expiries, &still).await? else {
            return Ok(false);
        };
        if scans > 0 {
            tracing::info!(
                scans,
                "scans were deleted that their workspaces keep no longer"
            );
        }
        admin.metrics().expired(scans);
        *done = Some(expiries);
    }
    admin.metrics().nothing_expired_is_left(admin.now());
    Ok(true)
}

fn expiries(admin: &Admin) -> Result<Vec<Expiry>, IndexError> {
    let workspaces = admin.index().installation().workspaces()?;
    let expiries = workspaces.into_iter().filter_map(|workspace| {
        Some(Expiry {
            before: first_kept(admin.now(), workspace.retention_days?)?,
            workspace: workspace.id,
        })
    });
    Ok(expiries.collect())
}

/// The beginning of the first day of so many before today (UTC); none: before the calendar's.
fn first_kept(now: Timestamp, days: u32) -> Option<Timestamp> {
    let today = Offset::UTC.to_datetime(now).date();
    let first = today.checked_sub(i64::from(days).days()).ok()?;
    Offset::UTC.to_timestamp(first.into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_days_are_kept_and_today_is_none_of_them() {
        for (now, first) in [
            ("2026-12-01T00:00:00Z", "2026-11-01T00:00:00Z"),
            ("2026-12-01T23:59:59.999999Z", "2026-11-01T00:00:00Z"),
            ("2026-12-02T00:00:00Z", "2026-11-02T00:00:00Z"),
        ] {
            let kept = first_kept(now.parse().unwrap(), 30);
            assert_eq!(kept, Some(first.parse().unwrap()), "{now}");
        }
        assert_eq!(first_kept(Timestamp::MIN, 3_650), None);
    }
}
