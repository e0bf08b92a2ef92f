//! An edit by filter under way: the tags that fit, in the order in which they were made, some hundred at a time.
//!
//! As with an import, where it stands is kept before a step and after it, and what has been done already changes nothing when it is done again.

use std::sync::Arc;
use std::vec::IntoIter;

use jiff::Timestamp;
use journal::Positions;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tags::{Action, AuditEntry, Change, Permission, Status, Tag};

use super::form;
use super::job::{Errors, Example, Job, JobError, JobStatus, Record};
use super::work::{Stop, principal, seen, until_published, write};
use crate::auth::Principal;
use crate::destinations::DestinationPolicy;
use crate::draft::{Draft, Identity};
use crate::edits::{NewTag, READ_ONLY, tag_key};
use crate::fields::Fields;
use crate::index::{Cursor, Named, TagFilter, Tenant};
use crate::problem::FieldError;
use crate::service::Admin;

/// Tags of one step, which nobody else changes until it is done.
const STEP: usize = 500;
/// Bytes of changes that are written in one transaction, passed by at most one tag's.
const MOST_BYTES_OF_PART: usize = 1024 * 1024;
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
    job.update(|record| record.status = JobStatus::Running)
        .await?;
    let edit = Arc::new(edit.clone());
    let names: Arc<[&'static str]> = NewTag::field_names().into();
    loop {
        let record = job.record();
        let who = principal(admin, &record, Permission::TagsWrite)?;
        let (tags, next) = step(admin.tenant(&who), &edit, record.progress.cursor).await?;
        let keys = tags
            .iter()
            .map(|tag| tag_key(&tag.domain, &tag.code).into());
        let claim = match record.dry_run {
            true => None,
            false => Some(admin.claim(keys.collect()).await),
        };
        let judging = admin.judging();
        let tags = current(admin, &who, job, tags).await?;
        let step = Step {
            admin: admin.clone(),
            who,
            edit: Arc::clone(&edit),
            names: Arc::clone(&names),
            dated: admin.now(),
            writing: record.progress.writing,
            dry_run: record.dry_run,
        };
        let mut last = None;
        let mut outcome = step.carry_out(job, tags, &mut last).await.map(Some);
        if let Ok(done) = &mut outcome {
            let done = done.take().unwrap_or_default();
            let kept = job.update(|record| note(record, done, next)).await;
            outcome = kept.map(|()| None).map_err(Stop::from);
        }
        // Others are held off until they can see what was written, also of what ends half-way.
        if let Some(positions) = last {
            seen(admin, &positions).await?;
        }
        drop(judging);
        drop(claim);
        outcome?;
        if next.is_none() {
            return Ok(());
        }
    }
}

/// Notes that a step is done.
fn note(record: &mut Record, done: Outcome, next: Option<Cursor>) {
    record.detail = None;
    let progress = &mut record.progress;
    progress.cursor = next;
    progress.writing = None;
    progress.read += done.changed + done.unchanged + done.invalid;
    progress.changed += done.changed;
    progress.unchanged += done.unchanged;
    progress.invalid += done.invalid;
    progress.errors.append(done.errors);
    let room = MOST_EXAMPLES.saturating_sub(progress.examples.len());
    let examples = done.examples.into_iter().take(room);
    progress.examples.extend(examples);
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
    /// How long the changes are.
    bytes: usize,
    changed: u64,
    unchanged: u64,
    invalid: u64,
    errors: Errors,
    examples: Vec<Example>,
}

impl Outcome {
    /// Counts a part's in, but for its changes.
    fn append(&mut self, part: Self) {
        self.changed += part.changed;
        self.unchanged += part.unchanged;
        self.invalid += part.invalid;
        self.errors.append(part.errors);
        let room = MOST_EXAMPLES.saturating_sub(self.examples.len());
        self.examples.extend(part.examples.into_iter().take(room));
    }
}

/// All that the change of a tag depends on, beside the tag.
#[derive(Clone)]
struct Step {
    admin: Admin,
    who: Principal,
    edit: Arc<Edit>,
    names: Arc<[&'static str]>,
    dated: Timestamp,
    /// When it was dated, if it was cut off.
    writing: Option<Timestamp>,
    dry_run: bool,
}

impl Step {
    /// Judges and writes tags in parts, each a transaction, of which no more than two are on their way. Where the last lies that was written is
    /// `last`, whatever became of the rest.
    async fn carry_out(
        &self,
        job: &Job,
        tags: Vec<Tag>,
        last: &mut Option<Positions>,
    ) -> Result<Outcome, Stop> {
        let mut done = Outcome::default();
        let mut tags = tags.into_iter();
        while !tags.as_slice().is_empty() {
            let step = self.clone();
            let judging = tokio::task::spawn_blocking(move || {
                let part = step.part(&mut tags)?;
                Ok::<_, Stop>((part, tags))
            });
            let (mut part, left) = judging.await??;
            tags = left;
            let changes = std::mem::take(&mut part.changes);
            done.append(part);
            if self.dry_run || changes.is_empty() {
                continue;
            }
            if last.is_none() {
                job.update(|record| record.progress.writing = Some(self.dated))
                    .await?;
            }
            let written = write(&self.admin, job, &changes).await?;
            if let Some(before) = last.replace(written) {
                seen(&self.admin, &before).await?;
            }
        }
        Ok(done)
    }

    /// Judges the next tags, until what they make is a part.
    fn part(&self, tags: &mut IntoIter<Tag>) -> Result<Outcome, Stop> {
        let policy = self.admin.remembering_policy();
        let mut outcome = Outcome::default();
        while outcome.bytes < MOST_BYTES_OF_PART
            && let Some(tag) = tags.next()
        {
            let is_ours =
                self.writing == Some(tag.updated_at) && tag.updated_by == self.who.actor.as_str();
            if is_ours {
                // This job did it, before it was cut off.
                outcome.changed += 1;
                continue;
            }
            // It may have changed since it was found.
            if tag.status == Status::Revoked || !self.edit.filter.fits(&tag) {
                continue;
            }
            match self.changed(&tag, &policy)? {
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
    fn changed(
        &self,
        tag: &Tag,
        policy: &DestinationPolicy<'_>,
    ) -> Result<Result<Option<Tag>, Vec<FieldError>>, Stop> {
        let mut draft = Draft::of(tag);
        let mut fields = Fields::of(self.edit.set.clone().into_iter().collect());
        draft.read(&mut fields, policy, None);
        let errors = fields.errors(&READ_ONLY);
        if !errors.is_empty() {
            return Ok(Err(errors));
        }
        if draft == Draft::of(tag) {
            return Ok(Ok(None));
        }
        let identity = Identity::next_version_of(tag);
        let next = draft.into_tag(identity, self.dated, self.who.actor.as_str());
        let mut next = next.map_err(|_| Stop::Failed("A valid edit makes no tag.".to_owned()))?;
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
            let shown = example(&self.admin, &tag, &next, &self.names);
            outcome.examples.push(shown);
        }
        let subject = format!("tag/{}/{}", next.domain, next.code);
        let audit = AuditEntry {
            at: self.dated,
            before: Some(tag),
            after: Some(next.clone()),
            ..self.admin.audit(&self.who, Action::Update, subject)
        };
        let changes = [Change::Tag(next), Change::Audit(audit)];
        outcome.bytes += changes.iter().map(|it| it.encode().len()).sum::<usize>();
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
