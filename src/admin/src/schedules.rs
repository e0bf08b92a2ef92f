//! The clock of scheduled changes: makes each the tag's next version when its moment has come. Edges have them beforehand and do not wait
//! for this; it is what brings them into the history.

use std::time::Duration;

use tags::{Code, Domain};

use crate::index::IndexError;
use crate::service::{Admin, PublishOutcome, WeakAdmin};

/// How often it is looked for what is due. It makes nothing late but the history.
const LOOK: Duration = Duration::from_millis(200);
/// After a failure.
const RETRY: Duration = Duration::from_secs(2);
/// How many are taken at a time.
const AT_ONCE: usize = 100;

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Publish(#[from] PublishOutcome),
}

impl Failure {
    /// Whether another admin does this by now, or nobody can before a restart.
    fn is_final(&self) -> bool {
        matches!(self, Self::Publish(outcome) if outcome.is_final())
    }
}

/// Runs until the admin is gone, or can no longer write.
pub(crate) fn run(admin: WeakAdmin) {
    tokio::spawn(async move {
        while let Some(admin) = admin.upgrade() {
            let done = publish_due(&admin).await;
            drop(admin);
            match done {
                Ok(()) => tokio::time::sleep(LOOK).await,
                Err(failure) if failure.is_final() => return,
                Err(failure) => {
                    tracing::warn!(error = %failure, "a scheduled change is served, and not in the history yet");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    });
}

async fn publish_due(admin: &Admin) -> Result<(), Failure> {
    for (domain, code) in admin.index().installation().due(admin.now(), AT_ONCE)? {
        take_place(admin, &domain, &code).await?;
    }
    Ok(())
}

async fn take_place(admin: &Admin, domain: &Domain, code: &Code) -> Result<(), Failure> {
    let _lock = admin.lock(&format!("{domain}/{code}")).await;
    if let Some(tag) = admin.index().installation().tag(domain, code)? {
        admin.take_place(tag).await?;
    }
    Ok(())
}
