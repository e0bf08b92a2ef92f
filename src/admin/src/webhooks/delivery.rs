//! Delivers what lies in the outbox: several receivers at a time, each with few connections, so that one that is slow or dead delays nobody
//! else. An event that was under way when the process ended is sent again by the next, under the same id.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use jiff::{SignedDuration, Timestamp};
use tags::{Webhook, WorkspaceId};
use tokio::task::{JoinError, JoinSet, spawn_blocking};

use super::LeadError;
use super::call::{CallError, Caller};
use super::retries;
use crate::alerts::{AlertsError, Delivery};
use crate::index::IndexError;
use crate::metrics::DeliveryOutcome;
use crate::service::{Admin, WeakAdmin};

/// How often it is looked for what is due.
const LOOK: Duration = Duration::from_millis(500);
/// After a failure of our own.
const RETRY: Duration = Duration::from_secs(5);
/// The most attempts at a time; each may hold a connection for as long as it is waited for.
const AT_ONCE: usize = 64;
/// And of one workspace's.
const OF_ONE: usize = 4;

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Alerts(#[from] AlertsError),
    #[error(transparent)]
    Lead(#[from] LeadError),
    #[error("the operating system's random source failed: {0}")]
    Random(#[from] getrandom::Error),
    #[error("a step of the deliveries: {0}")]
    Step(#[from] JoinError),
}

impl Failure {
    /// Whether another admin does this by now, or nobody can before a restart.
    fn is_final(&self) -> bool {
        matches!(self, Self::Lead(LeadError::Publish(outcome)) if outcome.is_final())
    }
}

/// How an attempt ended.
struct Attempt {
    /// As it was called.
    webhook: Webhook,
    delivery: Delivery,
    outcome: Result<(), CallError>,
}

/// A receiver that has failed.
struct Resting {
    failures: u32,
    until: Instant,
}

/// What is under way, and who is left alone for a while.
struct Deliveries {
    caller: Arc<Caller>,
    attempts: JoinSet<Attempt>,
    under_way: HashMap<WorkspaceId, HashSet<String>>,
    resting: HashMap<WorkspaceId, Resting>,
    /// Whose turn was the last.
    last: Option<WorkspaceId>,
}

/// Runs until the admin is gone, or another has taken its place. Attempts do not keep the admin.
pub(crate) fn run(weak: WeakAdmin) {
    tokio::spawn(async move {
        let Some(options) = weak.upgrade().map(|it| it.options().webhooks.clone()) else {
            return;
        };
        let mut deliveries = Deliveries {
            caller: Arc::new(Caller::new(options)),
            attempts: JoinSet::new(),
            under_way: HashMap::new(),
            resting: HashMap::new(),
            last: None,
        };
        while let Some(admin) = weak.upgrade() {
            let begun = deliveries.begin(&admin).await;
            drop(admin);
            let wait = match begun {
                Ok(()) => LOOK,
                Err(failure) if failure.is_final() => return,
                Err(failure) => {
                    tracing::warn!(error = %failure, "what is due to webhooks was not sent; trying again");
                    RETRY
                }
            };
            let ended = tokio::select! {
                () = tokio::time::sleep(wait) => continue,
                Some(ended) = deliveries.attempts.join_next() => ended,
            };
            let Some(admin) = weak.upgrade() else {
                return;
            };
            match deliveries.end(&admin, ended).await {
                Ok(()) => {}
                Err(failure) if failure.is_final() => return,
                Err(failure) => {
                    tracing::warn!(error = %failure, "how a call of a webhook ended was not noted; it is made again");
                }
            }
        }
    });
}

impl Deliveries {
    /// Begins as many attempts as there are places for.
    async fn begin(&mut self, admin: &Admin) -> Result<(), Failure> {
        let looking = admin.clone();
        let waiting = spawn_blocking(move || looking.alerts().waiting(looking.now())).await??;
        admin.metrics().waiting_deliveries(waiting.deliveries);
        let now = Instant::now();
        let is_up = |workspace: &WorkspaceId| {
            let rests = self.resting.get(workspace);
            rests.is_none_or(|resting| resting.until <= now)
        };
        let due = waiting.workspaces_due.into_iter().filter(is_up);
        let mut due: Vec<_> = due.collect();
        let begun = |workspace: &WorkspaceId| Some(workspace) <= self.last.as_ref();
        due.sort_by_key(|workspace| (begun(workspace), workspace.clone()));
        // In turns, and nobody gets a second place before everybody has had a first one.
        for places in 1..=OF_ONE {
            for workspace in &due {
                if self.attempts.len() < AT_ONCE && self.under_way(workspace) < places {
                    self.begin_for(admin, workspace, places).await?;
                    self.last = Some(workspace.clone());
                }
            }
        }
        Ok(())
    }

    fn under_way(&self, workspace: &WorkspaceId) -> usize {
        self.under_way.get(workspace).map_or(0, HashSet::len)
    }

    /// Begins attempts until a workspace has so many under way.
    async fn begin_for(
        &mut self,
        admin: &Admin,
        workspace: &WorkspaceId,
        places: usize,
    ) -> Result<(), Failure> {
        let under_way = self.under_way.get(workspace).cloned().unwrap_or_default();
        let Some(webhook) = admin.webhook_to_call(workspace).await? else {
            return drop_all(admin, workspace.clone()).await;
        };
        let (looking, of) = (admin.clone(), workspace.clone());
        let due = move || looking.alerts().due(&of, looking.now(), OF_ONE * 2);
        let due = spawn_blocking(due).await??.into_iter();
        let due: Vec<_> = due
            .filter(|it| !under_way.contains(&it.id))
            .take(places - under_way.len())
            .collect();
        for delivery in due {
            let of_workspace = self.under_way.entry(workspace.clone()).or_default();
            of_workspace.insert(delivery.id.clone());
            let (caller, webhook, now) = (Arc::clone(&self.caller), webhook.clone(), admin.now());
            self.attempts.spawn(async move {
                // A fault of ours in one call is no reason to lose sight of what was to be delivered.
                let call = AssertUnwindSafe(caller.call(&webhook, &delivery, now));
                let outcome = call.catch_unwind().await;
                Attempt {
                    outcome: outcome.unwrap_or(Err(CallError::Panicked)),
                    webhook,
                    delivery,
                }
            });
        }
        Ok(())
    }

    /// Notes how an attempt ended.
    async fn end(
        &mut self,
        admin: &Admin,
        ended: Result<Attempt, JoinError>,
    ) -> Result<(), Failure> {
        let Attempt {
            webhook,
            delivery,
            outcome,
        } = ended?;
        let workspace = delivery.workspace.clone();
        if let Some(of_workspace) = self.under_way.get_mut(&workspace) {
            of_workspace.remove(&delivery.id);
            if of_workspace.is_empty() {
                self.under_way.remove(&workspace);
            }
        }
        // What cannot be noted is sent again, and not at once.
        self.note(admin, &webhook, delivery, outcome)
            .await
            .inspect_err(|_| self.rest(workspace))
    }

    async fn note(
        &mut self,
        admin: &Admin,
        webhook: &Webhook,
        delivery: Delivery,
        outcome: Result<(), CallError>,
    ) -> Result<(), Failure> {
        let workspace = delivery.workspace.clone();
        let noting = admin.clone();
        let now = admin.now();
        match outcome {
            Ok(()) => {
                let note = move || noting.alerts().delivered(&delivery, now);
                spawn_blocking(note).await??;
                self.resting.remove(&workspace);
                admin.metrics().delivery(DeliveryOutcome::Delivered, 1);
                Ok(())
            }
            // If another has been set meanwhile, that one is yet to be called.
            Err(CallError::Gone) if admin.disable_webhook(webhook).await? => {
                tracing::info!(%workspace, "a webhook was answered with 410 Gone and is not called any more");
                let note = move || {
                    noting
                        .alerts()
                        .failed(&delivery, now, &CallError::Gone.to_string(), None)
                };
                spawn_blocking(note).await??;
                admin.metrics().delivery(DeliveryOutcome::GivenUp, 1);
                drop_all(admin, workspace).await
            }
            Err(error) => {
                self.rest(workspace);
                let next = next_attempt(&delivery, now)?;
                let note = move || {
                    noting
                        .alerts()
                        .failed(&delivery, now, &error.to_string(), next)
                };
                spawn_blocking(note).await??;
                let outcome = match next {
                    Some(_) => DeliveryOutcome::Failed,
                    None => DeliveryOutcome::GivenUp,
                };
                admin.metrics().delivery(outcome, 1);
                Ok(())
            }
        }
    }

    fn rest(&mut self, workspace: WorkspaceId) {
        let now = Instant::now();
        let resting = self.resting.entry(workspace).or_insert(Resting {
            failures: 0,
            until: now,
        });
        // Attempts that were made at the same time fail together, and are one failure.
        if resting.until <= now {
            resting.failures = resting.failures.saturating_add(1);
            resting.until = now + retries::rest(resting.failures);
        }
    }
}

/// None: it is given up.
fn next_attempt(
    delivery: &Delivery,
    now: Timestamp,
) -> Result<Option<Timestamp>, getrandom::Error> {
    let age = now.duration_since(delivery.created_at);
    if age > SignedDuration::try_from(retries::MOST).unwrap_or(SignedDuration::MAX) {
        return Ok(None);
    }
    let pause = retries::pause(delivery.attempts.saturating_add(1), getrandom::u64()?);
    Ok(pause.and_then(|pause| now.checked_add(pause).ok()))
}

/// Nobody is there any more to whom they could be sent.
async fn drop_all(admin: &Admin, workspace: WorkspaceId) -> Result<(), Failure> {
    let dropping = admin.clone();
    let dropped = spawn_blocking(move || dropping.alerts().give_up_all(&workspace)).await??;
    admin.metrics().delivery(DeliveryOutcome::GivenUp, dropped);
    Ok(())
}
