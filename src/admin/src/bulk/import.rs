//! An import under way: chunks are read, written and seen, each by itself and all three at a time.
//!
//! A chunk is judged as a whole before any of it is written, and then written in parts. Where it stands is kept before that and after it, so that
//! a job that was cut off goes on where it was. Nothing is written twice: tags that are there already are left alone, and the others are made
//! as they would have been.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::Arc;

use axum::http::StatusCode;
use jiff::Timestamp;
use journal::Positions;
use tags::{Permission, Status, Tag};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinSet;

use super::chunk::{Candidate, Chunk, MOST_LINES};
use super::form;
use super::job::{Errors, Job, JobError, JobStatus};
use super::part::{after, changes, into_tag, parts, was_made};
use super::source::{Format, Source};
use super::work::{Stop, principal, seen, write};
use crate::auth::Principal;
use crate::draft::{Draft, Identity};
use crate::edits::{NewTag, READ_ONLY, Room, taken};
use crate::index::Named;
use crate::inspection::Judging;
use crate::problem::{FieldError, Problem};
use crate::service::Admin;

/// Lines of one file: so many names a dry run remembers, in 200 MB at most.
const MOST_LINES_OF_FILE: u64 = 5_000_000;

/// Parts that are written at a time, or not seen yet: enough for whoever takes them in to have the next when they are done with one.
const PARTS_ON_THEIR_WAY: usize = 3;

/// A chunk that was read.
struct Loaded {
    chunk: Chunk,
    /// Since before it was judged.
    judging: Judging,
    /// Its share of the memory for chunks.
    permit: OwnedSemaphorePermit,
}

/// Carries an import out, from where its record says.
pub(super) async fn run(admin: &Admin, job: &Arc<Job>, format: Format) -> Result<(), Stop> {
    let names: Arc<[&'static str]> = NewTag::field_names().into();
    job.update(|record| {
        record.status = JobStatus::Running;
        if record.dry_run {
            // What it has seen is not kept.
            record.progress = Default::default();
        }
    })
    .await?;
    let source = open(job, format, &names).await?;
    let (loaded, mut chunks) = mpsc::channel(1);
    let mut steps = JoinSet::new();
    steps.spawn(load(admin.clone(), Arc::clone(job), source, loaded));
    let import = Import {
        admin,
        job,
        names: &names,
        seen: HashMap::new(),
        earliest: Timestamp::MIN,
        before: None,
        on_their_way: VecDeque::new(),
    };
    let outcome = import.take_all(&mut chunks, &mut steps).await;
    // What is written is held until it can be seen, whatever became of the rest.
    steps.detach_all();
    outcome
}

async fn open(job: &Arc<Job>, format: Format, names: &Arc<[&'static str]>) -> Result<Source, Stop> {
    let (path, place) = (job.upload(), job.record().progress.place);
    let names = Arc::clone(names);
    let opened = tokio::task::spawn_blocking(move || {
        Source::open(
            Box::new(File::open(path)?),
            format,
            place,
            &names,
            &READ_ONLY,
        )
    });
    match opened.await? {
        Ok(Ok(source)) => Ok(source),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let detail = "The uploaded file is no longer in the data directory; send it again.";
            Err(Stop::Failed(detail.to_owned()))
        }
        Err(error) => Err(error.into()),
        Ok(Err(errors)) => {
            job.update(|record| {
                let progress = &mut record.progress;
                progress.errors = Errors::default();
                for error in &errors {
                    progress.errors.push(JobError::at_line(1, error));
                }
            })
            .await?;
            Err(Stop::Failed(
                "The file's header is not valid; nothing was read.".to_owned(),
            ))
        }
    }
}

/// Reads and judges chunk by chunk, on threads that may wait.
async fn load(
    admin: Admin,
    job: Arc<Job>,
    mut source: Source,
    loaded: mpsc::Sender<Loaded>,
) -> Result<(), Stop> {
    let mut read = job.record().progress.read;
    let who = principal(&admin, &job.record(), Permission::Import)?;
    loop {
        let permits = Arc::clone(admin.jobs().chunks());
        let Ok(permit) = permits.acquire_owned().await else {
            return Ok(());
        };
        let (admin, who, judging) = (admin.clone(), who.clone(), admin.judging());
        let step = tokio::task::spawn_blocking(move || {
            let terms = admin.new_tag_terms(&who)?;
            let chunk = Chunk::read(&mut source, &terms)?;
            Ok::<_, Stop>((source, chunk))
        });
        let (source_again, chunk) = step.await??;
        source = source_again;
        let Some(chunk) = chunk else { return Ok(()) };
        read += chunk.read;
        if read > MOST_LINES_OF_FILE {
            return Err(Stop::Failed(format!(
                "The file has more than {MOST_LINES_OF_FILE} lines; what lies behind was not read. Send it in parts."
            )));
        }
        let next = Loaded {
            chunk,
            judging,
            permit,
        };
        if loaded.send(next).await.is_err() {
            return Ok(());
        }
    }
}

struct Import<'a> {
    admin: &'a Admin,
    job: &'a Arc<Job>,
    names: &'a Arc<[&'static str]>,
    /// In a dry run: the names that were read, and what was said of them, as hashes.
    seen: HashMap<u64, u64>,
    /// The next chunk's tags are dated no earlier, so that they follow those before them.
    earliest: Timestamp,
    /// Ends when the last chunk that was written, and all before it, can be seen and have given back their room.
    before: Option<oneshot::Receiver<Infallible>>,
    /// Where the last parts lie that were written, some of which cannot be seen yet.
    on_their_way: VecDeque<Positions>,
}

/// What is to become of a chunk's lines.
#[derive(Default)]
struct Verdict {
    new: Vec<Candidate>,
    /// Tags that were there, as their lines say.
    unchanged: u64,
    /// Those of them that this job has made, before it was cut off.
    made_before: u64,
}

impl Import<'_> {
    async fn take_all(
        mut self,
        chunks: &mut mpsc::Receiver<Loaded>,
        steps: &mut JoinSet<Result<(), Stop>>,
    ) -> Result<(), Stop> {
        while let Some(loaded) = chunks.recv().await {
            let Loaded {
                chunk,
                judging,
                permit,
            } = loaded;
            let record = self.job.record();
            let who = principal(self.admin, &record, Permission::Import)?;
            if record.dry_run {
                self.try_out(&who, chunk).await?;
            } else if let Some(seen) = self.write(&who, chunk, judging).await? {
                steps.spawn(async move {
                    seen.await?;
                    drop(permit);
                    Ok(())
                });
            }
            // Those that have come to their end.
            while let Some(step) = steps.try_join_next() {
                step??;
            }
        }
        while let Some(step) = steps.join_next().await {
            step??;
        }
        Ok(())
    }

    /// Writes a chunk unless something in it is wrong. What is returned comes when the last of its tags can be seen, and holds others off until
    /// then.
    async fn write(
        &mut self,
        who: &Principal,
        mut chunk: Chunk,
        judging: Judging,
    ) -> Result<Option<impl Future<Output = Result<(), Stop>> + Send + 'static>, Stop> {
        let keys = chunk
            .candidates
            .iter()
            .map(|candidate| Arc::clone(&candidate.key));
        let claim = self.admin.claim(keys.collect()).await;
        let mut verdict = self.judge(who, &mut chunk).await?;
        let room = self.room(who, &mut verdict, 0, &mut chunk).await?;
        if !chunk.errors.is_empty() || verdict.new.is_empty() {
            self.note(&chunk, &verdict, 0).await?;
            return Ok(None);
        }
        let begun = self.job.record().progress.writing;
        // Begun before it was cut off, it goes on as it would have.
        let dated = begun.unwrap_or_else(|| self.admin.now().max(self.earliest));
        self.earliest = after(dated, MOST_LINES);
        self.job
            .update(|record| record.progress.writing = Some(dated))
            .await?;
        let made = verdict.new.len() as u64;
        let new = std::mem::take(&mut verdict.new);
        let mut outcome = self.write_parts(who, new, dated).await;
        if outcome.is_ok() {
            outcome = self.note(&chunk, &verdict, made).await;
        }
        if let Err(stop) = outcome {
            // Others are held off until they can see what was written, also of what ends half-way.
            all_seen(self.admin, std::mem::take(&mut self.on_their_way)).await?;
            return Err(stop);
        }
        let written = self.on_their_way.clone();
        let (held, end) = oneshot::channel();
        let before = self.before.replace(end);
        let admin = self.admin.clone();
        Ok(Some(async move {
            let seen = all_seen(&admin, written).await;
            drop((room, claim, judging));
            if let Some(before) = before {
                // Nothing is ever sent: this is its end.
                let _ = before.await;
            }
            drop(held);
            seen
        }))
    }

    /// Room for a chunk's new tags, and `made` more, in a workspace that may have so many. If there is none, its first new line is told so.
    async fn room(
        &mut self,
        who: &Principal,
        verdict: &mut Verdict,
        made: u64,
        chunk: &mut Chunk,
    ) -> Result<Option<Room>, Stop> {
        if verdict.new.is_empty() || !chunk.errors.is_empty() {
            return Ok(None);
        }
        let tags = made + verdict.new.len() as u64;
        let mut room = self.admin.room_for_tags(who, tags);
        let is_full = |problem: &Problem| problem.status == StatusCode::CONFLICT;
        // Those of earlier chunks have room of their own until they are counted themselves.
        if room.as_ref().is_err_and(is_full)
            && let Some(before) = self.before.take()
        {
            // Nothing is ever sent: this is its end.
            let _ = before.await;
            room = self.admin.room_for_tags(who, tags);
        }
        match room {
            Ok(room) => Ok(room),
            Err(problem) if is_full(&problem) => {
                let error = FieldError {
                    pointer: String::new(),
                    detail: problem.detail().to_owned(),
                };
                chunk.refuse(verdict.new.remove(0).line, &[error]);
                Ok(None)
            }
            Err(problem) => Err(Stop::Waiting(format!("the index: {}", problem.detail()))),
        }
    }

    /// Writes tags in parts, each a transaction, while the next is made. So that an edit for which somebody waits finds little before it, here and
    /// where they are taken in, only so many parts are on their way.
    async fn write_parts(
        &mut self,
        who: &Principal,
        new: Vec<Candidate>,
        dated: Timestamp,
    ) -> Result<(), Stop> {
        let make = |part| {
            let (admin, who) = (self.admin.clone(), who.clone());
            tokio::task::spawn_blocking(move || changes(&admin, &who, part, dated))
        };
        let mut parts = parts(new);
        let mut next = parts.next().map(make);
        while let Some(making) = next {
            let changes = making.await??;
            next = parts.next().map(make);
            let written = write(self.admin, self.job, &changes).await?;
            self.on_their_way.push_back(written);
            if self.on_their_way.len() == PARTS_ON_THEIR_WAY
                && let Some(first) = self.on_their_way.pop_front()
            {
                seen(self.admin, &first).await?;
            }
        }
        Ok(())
    }

    /// As [`Import::write`], but for the writing.
    async fn try_out(&mut self, who: &Principal, mut chunk: Chunk) -> Result<(), Stop> {
        let mut conflicts = Vec::new();
        let mut repeated = 0;
        chunk.candidates.retain(|candidate| {
            let content = hash(&format!("{:?}", candidate.draft));
            match self.seen.insert(hash(&candidate.key), content) {
                None => return true,
                Some(earlier) if earlier == content => repeated += 1,
                Some(_) => {
                    let detail = format!(
                        "The code '{}' is in an earlier line already, with other fields.",
                        candidate.code
                    );
                    conflicts.push((candidate.line, FieldError::new("code", detail)));
                }
            }
            false
        });
        chunk.repeated += repeated;
        for (line, error) in conflicts {
            chunk.refuse(line, &[error]);
        }
        let mut verdict = self.judge(who, &mut chunk).await?;
        let made_so_far = self.job.record().progress.created;
        drop(
            self.room(who, &mut verdict, made_so_far, &mut chunk)
                .await?,
        );
        let made = match chunk.errors.is_empty() {
            true => std::mem::take(&mut verdict.new).len(),
            false => 0,
        };
        self.note(&chunk, &verdict, made as u64).await
    }

    /// Compares a chunk with the tags that there are.
    async fn judge(&self, who: &Principal, chunk: &mut Chunk) -> Result<Verdict, Stop> {
        let candidates = std::mem::take(&mut chunk.candidates);
        let tenant = self.admin.tenant(who);
        let looking_up = tokio::task::spawn_blocking(move || {
            let names = candidates.iter().map(|one| (&one.domain, &one.code));
            let found = tenant.tags_named(names);
            found.map(|found| (candidates, found))
        });
        let (candidates, found) = looking_up.await??;
        let began_before = self.job.record().progress.writing;
        let now = began_before.unwrap_or_else(|| self.admin.now());
        let mut verdict = Verdict::default();
        for (candidate, found) in candidates.into_iter().zip(found) {
            let code = &candidate.code;
            let error = match found {
                Named::Free => match candidate.draft.check_is_to_come(now) {
                    Ok(()) => {
                        verdict.new.push(candidate);
                        continue;
                    }
                    Err(error) => error,
                },
                Named::Own(tag) if tag.status != Status::Revoked => {
                    if Draft::of(&tag) == candidate.draft {
                        let is_ours = began_before.is_some_and(|dated| was_made(&tag, who, dated));
                        verdict.made_before += u64::from(is_ours);
                        verdict.unchanged += u64::from(!is_ours);
                        continue;
                    }
                    let fields = self.differing_fields(who, &tag, &candidate)?;
                    let detail = format!(
                        "There is a tag with the code '{code}', and it differs in: {fields}. Change that one, or leave this out."
                    );
                    FieldError::new("code", detail)
                }
                Named::Own(_) | Named::Taken => FieldError::new("code", taken(code)),
            };
            chunk.refuse(candidate.line, &[error]);
        }
        chunk.errors.sort();
        Ok(verdict)
    }

    fn differing_fields(
        &self,
        who: &Principal,
        tag: &Tag,
        candidate: &Candidate,
    ) -> Result<String, Stop> {
        let identity = Identity::first_version(
            &who.workspace,
            &candidate.domain,
            &candidate.code,
            tag.created_at,
        );
        let wanted = into_tag(candidate.draft.clone(), identity, tag.created_at, who)?;
        Ok(form::differences(self.admin, tag, &wanted, self.names).join(", "))
    }

    /// Keeps that a chunk is done with: so many were made, and what is new and left was not.
    async fn note(&self, chunk: &Chunk, verdict: &Verdict, made: u64) -> Result<(), Stop> {
        let keeping = self.job.update(|record| {
            record.detail = None;
            let progress = &mut record.progress;
            progress.place = chunk.end;
            progress.writing = None;
            progress.read += chunk.read;
            progress.created += made + verdict.made_before;
            progress.unchanged += verdict.unchanged + chunk.repeated;
            progress.withheld += verdict.new.len() as u64;
            progress.invalid += chunk.invalid;
            progress.errors.append(chunk.errors.clone());
        });
        Ok(keeping.await?)
    }
}

/// Comes when all of these parts can be seen.
async fn all_seen(admin: &Admin, written: impl IntoIterator<Item = Positions>) -> Result<(), Stop> {
    for positions in written {
        seen(admin, &positions).await?;
    }
    Ok(())
}

fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
