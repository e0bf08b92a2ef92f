//! The inspection: when a blocklist has changed, when something was published that was judged before that, and at the start, everything that leads somewhere is looked through for hosts that are listed
//! by now. Each is reported once, and taken off the air where the operator has it so. It goes in steps, holds nothing that an edit waits
//! for, and takes a fourth of the time of one processor.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use blocklist::{Blocklists, Listed};
use tags::{Code, Destination, Domain, WorkspaceId};
use tokio::task::{JoinError, JoinSet, spawn_blocking};

use crate::alerts::{Alert, RaiseError, Subject};
use crate::destinations::{places_of, places_of_domain};
use crate::edits::PauseError;
use crate::index::IndexError;
use crate::service::{Admin, WeakAdmin};

/// How often it is looked whether there is anything to look for.
const LOOK: Duration = Duration::from_millis(500);
/// After a failure; then all is looked through again.
const RETRY: Duration = Duration::from_secs(10);
/// So many tags are read at a time, and as many may be paused at once, which the journal writes together.
const STEP: usize = 256;
/// It rests so many times as long as it works.
const REST: u32 = 3;

/// What is done about a destination that is listed while tags lead there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BlocklistAction {
    /// There is an alert.
    #[default]
    Report,
    /// There is one, and nobody is sent there any more: the tag is paused, and a fallback or home taken away.
    Pause,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Pause(#[from] PauseError),
    #[error(transparent)]
    Raise(#[from] RaiseError),
    #[error("the operating system's random source failed: {0}")]
    Random(#[from] getrandom::Error),
    #[error("a step of the inspection: {0}")]
    Step(#[from] JoinError),
}

impl Failure {
    /// Whether another admin does this by now, or nobody can before a restart.
    fn is_final(&self) -> bool {
        matches!(self, Self::Pause(PauseError::Publish(outcome)) if outcome.is_final())
    }
}

/// How often something came to be seen that was judged by lists which had changed by then.
#[derive(Default)]
pub(crate) struct Overtaken(AtomicU64);

/// Held from before destinations are judged until what was judged can be seen. When the lists have changed meanwhile, the inspection of that
/// change may have passed already, and goes round once more.
pub(crate) struct Judging {
    admin: Admin,
    changes: u64,
}

impl Drop for Judging {
    fn drop(&mut self) {
        if self.admin.options().blocklists.changes() != self.changes {
            // Release: what was judged can be seen first.
            self.admin.overtaken().0.fetch_add(1, Ordering::Release);
        }
    }
}

impl Admin {
    /// Destinations are about to be judged.
    pub(crate) fn judging(&self) -> Judging {
        Judging {
            changes: self.options().blocklists.changes(),
            admin: self.clone(),
        }
    }

    /// What an inspection that begins now will have looked for. It differs when there has to be another.
    fn to_inspect(&self) -> (u64, u64) {
        let overtaken = self.overtaken().0.load(Ordering::Acquire);
        (self.options().blocklists.changes(), overtaken)
    }
}

/// Something that leads to listed hosts, with an alert for each.
struct Found {
    about: Subject,
    alerts: Vec<Alert>,
}

/// What is found among some tags.
struct Step {
    found: Vec<Found>,
    /// The last of those tags; none: there are no more.
    last: Option<(Domain, Code)>,
}

/// What became of all that was found.
#[derive(Default)]
struct Outcome {
    reported: usize,
    paused: usize,
}

/// Runs until the admin is gone, or can no longer write.
pub(crate) fn run(admin: WeakAdmin) {
    tokio::spawn(async move {
        let mut inspected = (0, 0);
        while let Some(wanted) = admin.upgrade().map(|it| it.to_inspect()) {
            if wanted == inspected {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            match inspect(&admin).await {
                Ok(None) => inspected = wanted,
                Ok(Some(Outcome { reported, paused })) => {
                    tracing::info!(
                        reported,
                        paused,
                        "looked through all tags for destinations that are on a blocklist"
                    );
                    inspected = wanted;
                }
                Err(failure) if failure.is_final() => return,
                Err(failure) => {
                    tracing::warn!(error = %failure, "not all tags were looked through for destinations on a blocklist; trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    });
}

/// Looks through everything once; none: there is no list. Nothing is kept of the admin between steps, so that it may end meanwhile.
async fn inspect(weak: &WeakAdmin) -> Result<Option<Outcome>, Failure> {
    let mut outcome = Outcome::default();
    let Some(admin) = weak.upgrade() else {
        return Ok(None);
    };
    if admin.options().blocklists.sizes().is_empty() {
        return Ok(None);
    }
    let inspected = admin.clone();
    let found = spawn_blocking(move || listed_settings(&inspected)).await??;
    act(&admin, found, &mut outcome).await?;
    drop(admin);

    let mut behind = None;
    while let Some(admin) = weak.upgrade() {
        let began = Instant::now();
        let inspected = admin.clone();
        let step = spawn_blocking(move || listed_tags(&inspected, behind.as_ref()));
        let Step { found, last } = step.await??;
        act(&admin, found, &mut outcome).await?;
        drop(admin);
        if last.is_none() {
            break;
        }
        behind = last;
        tokio::time::sleep(began.elapsed() * REST).await;
    }
    Ok(Some(outcome))
}

/// Looks through the next tags.
fn listed_tags(admin: &Admin, behind: Option<&(Domain, Code)>) -> Result<Step, Failure> {
    let tags = admin.index().installation().walk_tags(behind, STEP)?;
    let mut found = Vec::new();
    for tag in &tags {
        let now = places_of(tag);
        let then = tag.scheduled.iter().flat_map(|it| places_of(&it.tag));
        let about = Subject {
            workspace: tag.workspace.clone(),
            domain: Some(tag.domain.clone()),
            code: Some(tag.code.clone()),
        };
        found.extend(judge(admin, about, now.chain(then).map(|(_, url)| url))?);
    }
    let last = tags
        .last()
        .map(|tag| (tag.domain.clone(), tag.code.clone()));
    Ok(Step { found, last })
}

/// What is found among workspaces and domains.
fn listed_settings(admin: &Admin) -> Result<Vec<Found>, Failure> {
    let mut found = Vec::new();
    for workspace in admin.index().installation().workspaces()? {
        let about = Subject {
            workspace: workspace.id,
            domain: None,
            code: None,
        };
        found.extend(judge(admin, about, workspace.fallback_url.iter())?);
    }
    for domain in admin.index().installation().walk_domains()? {
        let places = places_of_domain(&domain);
        let workspace = domain.workspace;
        let about = Subject {
            workspace: workspace.unwrap_or_else(WorkspaceId::default_workspace),
            domain: Some(domain.name),
            code: None,
        };
        found.extend(judge(admin, about, places.iter().map(|(_, url)| url))?);
    }
    Ok(found)
}

fn judge<'a>(
    admin: &Admin,
    about: Subject,
    destinations: impl Iterator<Item = &'a Destination>,
) -> Result<Option<Found>, Failure> {
    let hosts = listed_hosts(&admin.options().blocklists, destinations);
    if hosts.is_empty() {
        return Ok(None);
    }
    let now = admin.now();
    let alerts = hosts.into_iter();
    let alerts = alerts.map(|(host, listed)| Alert::listed(about.clone(), host, listed, now));
    Ok(Some(Found {
        alerts: alerts.collect::<Result<_, _>>()?,
        about,
    }))
}

/// Each host once.
fn listed_hosts<'a>(
    lists: &Blocklists,
    destinations: impl Iterator<Item = &'a Destination>,
) -> BTreeMap<String, Listed> {
    destinations
        .filter_map(|destination| {
            let host = destination.host()?;
            Some((host.to_owned(), lists.find(host)?))
        })
        .collect()
}

/// First nobody is sent there any more, then it is reported: what is cut off in between is found again.
async fn act(admin: &Admin, found: Vec<Found>, outcome: &mut Outcome) -> Result<(), Failure> {
    if found.is_empty() {
        return Ok(());
    }
    if admin.options().blocklist_action == BlocklistAction::Pause {
        let mut pauses = JoinSet::new();
        for Found { about, .. } in &found {
            let (admin, about) = (admin.clone(), about.clone());
            pauses.spawn(async move { pause(&admin, about).await });
        }
        for paused in pauses.join_all().await {
            outcome.paused += usize::from(paused?);
        }
    }
    let alerts = found.into_iter().flat_map(|found| found.alerts).collect();
    let reporting = admin.clone();
    outcome.reported += spawn_blocking(move || reporting.raise(alerts)).await??;
    Ok(())
}

async fn pause(admin: &Admin, about: Subject) -> Result<bool, PauseError> {
    match (about.domain, about.code) {
        (Some(domain), Some(code)) => admin.pause_listed_tag(&domain, &code).await,
        (Some(domain), None) => admin.pause_listed_domain(&domain).await,
        (None, _) => admin.pause_listed_workspace(&about.workspace).await,
    }
}
