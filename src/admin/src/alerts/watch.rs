//! The watch over scans: of each hour that is over, the tags that were scanned most are judged by the hours that they are compared with. An
//! hour is judged once, also over a restart, and a day's hours later at most.

use std::time::Duration;

use analytics::{Hour, ScannedTag, StoreError, TagHours};
use jiff::{SignedDuration, Timestamp};
use tokio::task::{JoinError, spawn_blocking};

use super::unusual::{LEAST_SCANS, hours_for, oldest_for, unusual};
use super::{Alert, AlertsError, RaiseError, Subject};
use crate::service::{Admin, WeakAdmin};

/// How often it is looked whether another hour is over.
const LOOK: Duration = Duration::from_secs(10);
/// After a failure.
const RETRY: Duration = Duration::from_secs(60);
/// How long after its end an hour is judged: scans take seconds to the store, and minutes when something is slow.
const GRACE: SignedDuration = SignedDuration::from_mins(10);
/// The most hours that are made up for after a time without an admin or store.
const BACKLOG: i64 = 24;
/// The most tags of an hour, those with most scans.
const MOST_TAGS: usize = 1_000;
/// Of so many the store is asked at a time.
const STEP: usize = 50;

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Alerts(#[from] AlertsError),
    #[error(transparent)]
    Raise(#[from] RaiseError),
    #[error("the operating system's random source failed: {0}")]
    Random(#[from] getrandom::Error),
    #[error("a step of the watch: {0}")]
    Step(#[from] JoinError),
}

/// Runs until the admin is gone, or has learnt that another has taken its place.
pub(crate) fn run(weak: WeakAdmin) {
    tokio::spawn(async move {
        while let Some(admin) = weak.upgrade() {
            if !admin.options().unusual_alerts || admin.is_fenced() {
                return;
            }
            let judged = judge_next(admin, &weak).await;
            let wait = match judged {
                Ok(true) => continue,
                Ok(false) => LOOK,
                Err(failure) => {
                    tracing::warn!(error = %failure, "an hour of scans was not judged yet; trying again");
                    RETRY
                }
            };
            tokio::time::sleep(wait).await;
        }
    });
}

/// Judges the next hour; false: it is not over yet. Nothing is kept of the admin between steps, so that it may end meanwhile.
async fn judge_next(admin: Admin, weak: &WeakAdmin) -> Result<bool, Failure> {
    let looking = admin.clone();
    let judged = spawn_blocking(move || looking.alerts().judged()).await??;
    let Some(hour) = next_hour(judged, admin.now()) else {
        return Ok(false);
    };
    let tags = admin.store().busiest(hour, LEAST_SCANS, MOST_TAGS).await?;
    drop(admin);
    let mut raised = 0;
    for some in tags.chunks(STEP) {
        let Some(admin) = weak.upgrade() else {
            return Ok(false);
        };
        raised += judge(&admin, hour, some).await?;
    }
    let Some(admin) = weak.upgrade() else {
        return Ok(false);
    };
    admin.metrics().judged(hour);
    spawn_blocking(move || admin.alerts().set_judged(hour)).await??;
    if raised > 0 {
        tracing::info!(hour = %hour.start(), tags = tags.len(), raised, "scans of an hour were unusual");
    }
    Ok(true)
}

async fn judge(admin: &Admin, hour: Hour, tags: &[ScannedTag]) -> Result<usize, Failure> {
    let hours = hours_for(hour);
    let found = admin
        .store()
        .tag_hours(tags, &hours, oldest_for(hour))
        .await?;
    let now = admin.now();
    let mut alerts = Vec::new();
    for of in found {
        let causes = unusual(hour, &of);
        let TagHours { tag, .. } = of;
        let about = Subject {
            workspace: tag.workspace,
            domain: Some(tag.domain),
            code: Some(tag.code),
        };
        for cause in causes {
            alerts.push(Alert::unusual(about.clone(), cause, now)?);
        }
    }
    if alerts.is_empty() {
        return Ok(0);
    }
    let raising = admin.clone();
    Ok(spawn_blocking(move || raising.raise(alerts)).await??)
}

/// The oldest hour that is over and has not been judged, and that is not too long ago; none: there is none. With nothing judged yet, the last.
fn next_hour(judged: Option<Hour>, now: Timestamp) -> Option<Hour> {
    let newest = Hour::of(now.checked_sub(GRACE).ok()?).before(1);
    // What was judged by a clock that ran ahead by more than a little tells nothing.
    let judged = judged.filter(|judged| *judged <= newest.before(-BACKLOG));
    let Some(judged) = judged else {
        return Some(newest);
    };
    let next = judged.before(-1).max(newest.before(BACKLOG - 1));
    (next <= newest).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hour_is_judged_once_when_it_has_been_over_for_a_while_and_a_day_is_made_up_for() {
        let hour = |text: &str| Hour::of(text.parse().unwrap());
        let next = |judged: Option<&str>, now: &str| {
            let next = next_hour(judged.map(hour), now.parse().unwrap());
            next.map(|hour| hour.start().to_string())
        };
        let nine = Some("2026-11-25T09:00:00Z".to_owned());
        assert_eq!(next(None, "2026-11-25T10:10:00Z"), nine);
        let eight = Some("2026-11-25T08:30:00Z");
        assert_eq!(next(eight, "2026-11-25T10:09:59Z"), None);
        assert_eq!(next(eight, "2026-11-25T10:10:00Z"), nine);
        assert_eq!(next(nine.as_deref(), "2026-11-25T11:09:00Z"), None);
        assert_eq!(
            next(Some("2026-11-24T23:00:00Z"), "2026-11-25T10:10:00Z"),
            Some("2026-11-25T00:00:00Z".to_owned())
        );
        assert_eq!(
            next(Some("2026-11-01T00:00:00Z"), "2026-11-25T10:10:00Z"),
            Some("2026-11-24T10:00:00Z".to_owned())
        );
        assert_eq!(
            next(Some("2026-11-25T12:00:00Z"), "2026-11-25T10:10:00Z"),
            None,
            "a clock that was set back"
        );
        assert_eq!(
            next(Some("2027-11-25T12:00:00Z"), "2026-11-25T10:10:00Z"),
            nine
        );
    }
}
