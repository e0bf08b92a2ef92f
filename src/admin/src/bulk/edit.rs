//! An edit by filter under way: the tags that fit, in the order in which they were made, some hundred at a time.
//!
//! As with an import, where it stands is kept before a step and after it, and what has been done already changes nothing when it is done again.

use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tags::{Action, AuditEntry, Change, Permission, Status, Tag};

use super::form;
use super::job::{Errors, Example, Job, JobError, JobStatus};
use super::work::{Stop, principal, until_published, write};
use crate::auth::Principal;
use crate::destinations::DestinationPolicy;
use crate::draft::{Draft, Identity};
use crate::edits::{NewTag, READ_ONLY, tag_key};
use crate::fields::Fields;
use crate::index::{Cursor, Named, TagFilter, Tenant};
use crate::problem::FieldError;
use crate::service::Admin;

/// Tags of one step, which are changed in one transaction.
const STEP: usize = 500;
/// Changes that are shown.
const MOST_EXAMPLES: usize = 10;

/// What is to be changed, and of which tags.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Edit {
    pub(crate) filter: TagFilter,
    /// A merge patch (RFC 7396) of a tag's fields.
    pub(crate) set: Map<String, Value>,
    /// The tag that was made last when this was asked for; later ones are not changed.
    pub(crate) last: Cursor,
}

/// Carries an edit out, from where its record says.
pub(super) async fn run(admin: &Admin, job: &Arc<Job>, edit: &Edit) -> Result<(), Stop> {
    job.update(|record| record.status = JobStatus::Running)?;
    let names = NewTag::field_names();
    loop {
        let record = job.record();
        let who = principal(admin, &record, Permission::TagsWrite)?;
        let (tags, next) = step(admin.tenant(&who), edit, record.progress.cursor).await?;
        let keys = tags
            .iter()
            .map(|tag| tag_key(&tag.domain, &tag.code).into());
        let claim = match record.dry_run {
            true => None,
            false => Some(admin.claim(keys.collect()).await),
        };
        let tags = current(admin, &who, job, tags).await?;
        let dated = admin.now();
        let outcome = {
            let step = Step {
                admin,
                who: &who,
                edit,
                names: &names,
                policy: admin.destination_policy(),
                dated,
            };
            step.outcome(tags, record.progress.writing)?
        };
        let mut seen = None;
        if claim.is_some() && !outcome.changes.is_empty() {
            job.update(|record| record.progress.writing = Some(dated))?;
            seen = Some(write(admin, job, &outcome.changes).await?);
        }
        job.update(|record| {
            record.detail = None;
            let progress = &mut record.progress;
            progress.cursor = next;
            progress.writing = None;
            progress.read += outcome.changed + outcome.unchanged + outcome.invalid;
            progress.changed += outcome.changed;
            progress.unchanged += outcome.unchanged;
            progress.invalid += outcome.invalid;
            progress.errors.append(outcome.errors);
            let room = MOST_EXAMPLES.saturating_sub(progress.examples.len());
            progress
                .examples
                .extend(outcome.examples.into_iter().take(room));
        })?;
        if let Some(positions) = seen {
            let seen = admin.until_seen(&positions).await;
            seen.map_err(|error| Stop::Interrupted(error.to_string()))?;
        }
        drop(claim);
        if next.is_none() {
            return Ok(());
        }
    }
}

/// The next tags that fit, and where to go on; none when these are the last.
async fn step(
    tenant: Tenant,
    edit: &Edit,
    begin: Option<Cursor>,
) -> Result<(Vec<Tag>, Option<Cursor>), Stop> {
    let (filter, last) = (edit.filter.clone(), edit.last);
    let page = tokio::task::spawn_blocking(move || tenant.tags_in_bulk(&filter, begin, last, STEP));
    let page = page.await??;
    Ok((page.items, page.next))
}

/// The same tags as they are now, which nobody else changes meanwhile.
async fn current(
    admin: &Admin,
    who: &Principal,
    job: &Job,
    tags: Vec<Tag>,
) -> Result<Vec<Tag>, Stop> {
    let dry_run = job.record().dry_run;
    let tenant = admin.tenant(who);
    let looking_up = tokio::task::spawn_blocking(move || {
        tenant.tags_named(tags.iter().map(|tag| (&tag.domain, &tag.code)))
    });
    let mut current = Vec::new();
    for found in looking_up.await?? {
        let Named::Own(tag) = found else { continue };
        // What was scheduled for an earlier moment has happened.
        current.push(match dry_run {
            true => tag.into_current(admin.now()),
            false => until_published(job, || admin.take_place(Tag::clone(&tag))).await?,
        });
    }
    Ok(current)
}

/// What becomes of some tags.
#[derive(Default)]
struct Outcome {
    changes: Vec<Change>,
    changed: u64,
    unchanged: u64,
    invalid: u64,
    errors: Errors,
    examples: Vec<Example>,
}

/// All that the change of a tag depends on, beside the tag.
struct Step<'a> {
    admin: &'a Admin,
    who: &'a Principal,
    edit: &'a Edit,
    names: &'a [&'static str],
    policy: DestinationPolicy<'a>,
    dated: Timestamp,
}

impl Step<'_> {
    /// Judges tags. `writing` is when a step is dated that was cut off.
    fn outcome(&self, tags: Vec<Tag>, writing: Option<Timestamp>) -> Result<Outcome, Stop> {
        let mut outcome = Outcome::default();
        for tag in tags {
            let is_ours =
                writing == Some(tag.updated_at) && tag.updated_by == self.who.actor.as_str();
            if is_ours {
                // This job did it, before it was cut off.
                outcome.changed += 1;
                continue;
            }
            // It may have changed since it was found.
            if tag.status == Status::Revoked || !self.edit.filter.fits(&tag) {
                continue;
            }
            match self.changed(&tag)? {
                Ok(None) => outcome.unchanged += 1,
                Ok(Some(next)) => self.take(&mut outcome, tag, next),
                Err(errors) => {
                    outcome.invalid += 1;
                    for error in errors {
                        outcome.errors.push(JobError::of_tag(&tag, &error));
                    }
                }
            }
        }
        Ok(outcome)
    }

    /// The tag's next version; none where it is as it is to be already, and what is wrong where it cannot be.
    fn changed(&self, tag: &Tag) -> Result<Result<Option<Tag>, Vec<FieldError>>, Stop> {
        let mut draft = Draft::of(tag);
        let mut fields = Fields::of(self.edit.set.clone().into_iter().collect());
        draft.read(&mut fields, &self.policy, None);
        let errors = fields.errors(&READ_ONLY);
        if !errors.is_empty() {
            return Ok(Err(errors));
        }
        if draft == Draft::of(tag) {
            return Ok(Ok(None));
        }
        let identity = Identity::next_version_of(tag);
        let next = draft.into_tag(identity, self.dated, self.who.actor.as_str());
        let mut next = next.map_err(|_| io::Error::other("a valid edit makes no tag"))?;
        // What is scheduled goes on, as the change that it is.
        match self.admin.rescheduled(tag, &next) {
            Ok(scheduled) => next.scheduled = scheduled,
            Err(problem) => {
                let error = FieldError::new("scheduled", problem.detail());
                return Ok(Err(vec![error]));
            }
        }
        Ok(Ok(Some(next)))
    }

    fn take(&self, outcome: &mut Outcome, tag: Tag, next: Tag) {
        outcome.changed += 1;
        if outcome.examples.len() < MOST_EXAMPLES {
            let shown = example(self.admin, &tag, &next, self.names);
            outcome.examples.push(shown);
        }
        let subject = format!("tag/{}/{}", next.domain, next.code);
        let audit = AuditEntry {
            at: self.dated,
            before: Some(tag),
            after: Some(next.clone()),
            ..self.admin.audit(self.who, Action::Update, subject)
        };
        let changes = [Change::Tag(next), Change::Audit(audit)];
        outcome.changes.extend(changes);
    }
}

fn example(admin: &Admin, before: &Tag, after: &Tag, names: &[&'static str]) -> Example {
    let differing = form::differences(admin, before, after, names);
    let shown = |tag: &Tag| {
        let mut fields = form::fields(admin, tag, names);
        let value = |name: &&'static str| {
            (
                (*name).to_owned(),
                fields.remove(*name).unwrap_or(Value::Null),
            )
        };
        differing.iter().map(value).collect()
    };
    Example {
        domain: before.domain.to_string(),
        code: before.code.to_string(),
        before: shown(before),
        after: shown(after),
    }
}
