//! What all jobs do: they publish until it is known that they have, work for someone as long as they may, and end for a reason.

use std::io;
use std::time::Duration;

use journal::{Positions, PublishError};
use tags::{Change, Permission, WorkspaceId};

use super::job::{Job, Record};
use crate::auth::Principal;
use crate::service::{Admin, PublishOutcome};

/// How long to wait before what the journal, the disk or the index did not do is asked for again.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// Why a job did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    /// It never will.
    #[error("{0}")]
    Failed(String),
    /// It goes on in a moment, from where its record says.
    #[error("waiting for {0}")]
    Waiting(String),
    /// It goes on when the process is started again.
    #[error("{0}; it goes on when this admin is started again")]
    Interrupted(String),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Waiting(format!("the job's files in the data directory: {error}"))
    }
}

impl From<crate::index::IndexError> for Stop {
    fn from(error: crate::index::IndexError) -> Self {
        Self::Waiting(format!("the index: {error}"))
    }
}

impl From<tokio::task::JoinError> for Stop {
    fn from(error: tokio::task::JoinError) -> Self {
        if error.is_panic() {
            // It would again.
            return Self::Failed("A step of the job ended early; the log says why.".to_owned());
        }
        Self::Interrupted(format!("a step of the job ended early: {error}"))
    }
}

/// Publishes a job's changes until it is known that they are written, and says where they lie. A journal that cannot be reached is waited for.
pub(super) async fn write(admin: &Admin, job: &Job, changes: &[Change]) -> Result<Positions, Stop> {
    until_published(job, || admin.write(changes)).await
}

/// Comes when what lies there can be seen.
pub(super) async fn seen(admin: &Admin, positions: &Positions) -> Result<(), Stop> {
    let seen = admin.until_seen(positions).await;
    seen.map_err(|error| Stop::Interrupted(error.to_string()))
}

/// Publishes until it is known that it was done.
pub(super) async fn until_published<T, F>(job: &Job, publish: impl Fn() -> F) -> Result<T, Stop>
where
    F: Future<Output = Result<T, PublishOutcome>>,
{
    loop {
        match publish().await {
            Ok(published) => return Ok(published),
            Err(PublishOutcome::Refused(error)) if error.is_retryable() => {
                job.say(Some(format!("waiting for the journal: {error}")));
            }
            Err(PublishOutcome::Refused(error @ PublishError::TooLarge { .. })) => {
                return Err(Stop::Failed(error.to_string()));
            }
            Err(outcome) => return Err(Stop::Interrupted(outcome.to_string())),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Whom a job works for, as long as they may do that.
pub(super) fn principal(
    admin: &Admin,
    record: &Record,
    permission: Permission,
) -> Result<Principal, Stop> {
    let gone = || {
        Stop::Failed(
            "The key or user that began this is no more, or may no longer do it.".to_owned(),
        )
    };
    let workspace = WorkspaceId::parse(&record.workspace).map_err(|_| gone())?;
    let who = Principal::of_job(admin, workspace, &record.actor, record.remote.clone())?;
    let who = who.ok_or_else(gone)?;
    who.require(permission).map_err(|_| gone())?;
    Ok(who)
}
