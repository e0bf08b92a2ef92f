//! A job: what is to be done, how far it has come, and what is told of it. All of that is one file, so that it goes on after a restart.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tags::{Tag, WorkspaceId};
use tokio::sync::watch;
use utoipa::ToSchema;

use super::edit::Edit;
use super::source::{Format, Place};
use crate::auth::Principal;
use crate::index::Cursor;
use crate::problem::FieldError;

/// Errors that are kept of one job; all are counted.
const MOST_ERRORS: usize = 1_000;
/// Characters that are kept of an error's texts, which may have the client's own in them.
const MOST_CHARACTERS: usize = 300;

/// Where a job is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum JobStatus {
    /// It has not begun.
    Queued,
    /// It is under way; after a restart it goes on.
    Running,
    /// It came to its end. That some lines were refused is told by its errors.
    Done,
    /// It cannot go on; `detail` says why.
    Failed,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct JobError {
    /// The line of the file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<u64>,
    /// The domain and code of the tag, for an edit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tag: Option<String>,
    /// Which field, as a JSON pointer (RFC 6901); empty: the whole line.
    pub(crate) pointer: String,
    /// What is wrong, and what is allowed.
    pub(crate) detail: String,
}

impl JobError {
    pub(super) fn of_tag(tag: &Tag, error: &FieldError) -> Self {
        Self {
            line: None,
            tag: Some(format!("{}/{}", tag.domain, tag.code)),
            pointer: shortened(&error.pointer),
            detail: shortened(&error.detail),
        }
    }

    pub(super) fn at_line(line: u64, error: &FieldError) -> Self {
        Self {
            line: Some(line),
            tag: None,
            pointer: shortened(&error.pointer),
            detail: shortened(&error.detail),
        }
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Errors as they are found: the first are kept, all are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Errors {
    pub(crate) count: u64,
    pub(crate) kept: Vec<JobError>,
}

impl Errors {
    pub(super) fn push(&mut self, error: JobError) {
        self.count += 1;
        if self.kept.len() < MOST_ERRORS {
            self.kept.push(error);
        }
    }

    pub(super) fn append(&mut self, other: Self) {
        self.count += other.count;
        let room = MOST_ERRORS.saturating_sub(self.kept.len());
        self.kept.extend(other.kept.into_iter().take(room));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// In the order of the file's lines.
    pub(super) fn sort(&mut self) {
        self.kept.sort_by_key(|error| error.line);
    }
}

/// What a job does.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Task {
    /// Makes the tags of a file.
    Import {
        /// How it is written.
        format: Format,
        /// How long it is.
        bytes: u64,
    },
    /// Changes tags that fit a filter.
    Edit(Edit),
}

/// A tag that a bulk edit changes, for people: the fields that differ, null where there was nothing.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Example {
    pub(crate) domain: String,
    pub(crate) code: String,
    #[schema(value_type = Object)]
    pub(crate) before: Map<String, Value>,
    #[schema(value_type = Object)]
    pub(crate) after: Map<String, Value>,
}

/// How far a job has come.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Where in the file it goes on.
    pub(super) place: Place,
    /// When the tags are dated that are being written, if any are: whether they were is not known after a crash.
    pub(super) writing: Option<Timestamp>,
    /// Behind which tag an edit goes on.
    pub(super) cursor: Option<Cursor>,
    /// Lines that are not blank, or tags that fit.
    pub(crate) read: u64,
    pub(crate) created: u64,
    pub(crate) changed: u64,
    pub(crate) unchanged: u64,
    pub(crate) withheld: u64,
    pub(crate) invalid: u64,
    pub(crate) errors: Errors,
    pub(crate) examples: Vec<Example>,
}

/// All of a job, as its file has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) workspace: String,
    /// The key or user that began it. A job ends with them.
    pub(crate) actor: String,
    pub(crate) remote: String,
    pub(crate) task: Task,
    pub(crate) dry_run: bool,
    pub(crate) status: JobStatus,
    pub(crate) detail: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) progress: Progress,
}

impl Record {
    /// A job that has not begun.
    pub(super) fn new(
        id: String,
        who: &Principal,
        task: Task,
        dry_run: bool,
        created_at: Timestamp,
    ) -> Self {
        Self {
            id,
            workspace: who.workspace.to_string(),
            actor: who.actor.to_string(),
            remote: who.remote.clone(),
            task,
            dry_run,
            status: JobStatus::Queued,
            detail: None,
            created_at,
            finished_at: None,
            progress: Progress::default(),
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        matches!(self.status, JobStatus::Done | JobStatus::Failed)
    }
}

/// A job of this process.
pub(crate) struct Job {
    folder: PathBuf,
    record: Mutex<Record>,
    /// Whoever has it writes the file.
    writing: Arc<tokio::sync::Mutex<()>>,
    /// Bytes of its file. Relaxed: no more than a number.
    bytes: AtomicU64,
    finished: watch::Sender<bool>,
}

/// A job that has ended.
pub(super) struct Finished {
    pub(super) id: String,
    pub(super) workspace: String,
    pub(super) at: Timestamp,
    /// Bytes that what is told of it takes.
    pub(super) bytes: u64,
}

impl Job {
    /// A new job, which is on the disk when this returns.
    pub(super) fn create(folder: &Path, record: Record) -> io::Result<Self> {
        let job = Self::of(folder, record, 0);
        let text = serde_json::to_vec(&*job.lock())?;
        job.bytes.store(text.len() as u64, Ordering::Relaxed);
        keep(folder, &job.lock().id, &text)?;
        File::open(folder)?.sync_all()?;
        Ok(job)
    }

    /// A job whose file was read, which has so many bytes.
    pub(super) fn of(folder: &Path, record: Record, bytes: u64) -> Self {
        let finished = watch::Sender::new(record.is_finished());
        Self {
            folder: folder.to_owned(),
            record: Mutex::new(record),
            writing: Arc::default(),
            bytes: AtomicU64::new(bytes),
            finished,
        }
    }

    /// Whether it is this workspace's.
    pub(super) fn is_of(&self, workspace: &WorkspaceId) -> bool {
        self.lock().workspace == workspace.as_str()
    }

    /// What it takes to tell of it, once it has ended.
    pub(super) fn finished(&self) -> Option<Finished> {
        let record = self.lock();
        Some(Finished {
            id: record.id.clone(),
            at: record.finished_at?,
            workspace: record.workspace.clone(),
            bytes: self.bytes.load(Ordering::Relaxed),
        })
    }

    /// What is known of it now.
    pub(crate) fn record(&self) -> Record {
        self.lock().clone()
    }

    /// Changes what is known of it, and keeps that. After an error it is known here all the same, and kept with the next change. With the power
    /// the last changes may be lost, which are made again then; what the file says is always whole.
    pub(super) async fn update(&self, change: impl FnOnce(&mut Record)) -> io::Result<()> {
        // One after another, so that the file has the last.
        let turn = Arc::clone(&self.writing).lock_owned().await;
        let (id, text, finished) = {
            let mut record = self.lock();
            change(&mut record);
            let text = serde_json::to_vec(&*record)?;
            (record.id.clone(), text, record.is_finished())
        };
        let (folder, bytes) = (self.folder.clone(), text.len() as u64);
        let keeping = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            keep(&folder, &id, &text)
        });
        keeping.await??;
        self.bytes.store(bytes, Ordering::Relaxed);
        self.finished.send_replace(finished);
        Ok(())
    }

    /// Notes what it waits for, for people; until the process ends.
    pub(super) fn say(&self, detail: Option<String>) {
        self.lock().detail = detail;
    }

    /// Comes when it has come to an end.
    pub(crate) async fn ended(&self) {
        let mut finished = self.finished.subscribe();
        // An error would mean that the job, which we hold, is gone.
        let _ = finished.wait_for(|finished| *finished).await;
    }

    /// The file that was uploaded for it.
    pub(super) fn upload(&self) -> PathBuf {
        self.file("upload")
    }

    fn file(&self, kind: &str) -> PathBuf {
        self.folder.join(format!("{}.{kind}", self.lock().id))
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job's file holds all of this or what it held before, whatever fails.
fn keep(folder: &Path, id: &str, text: &[u8]) -> io::Result<()> {
    let temporary = folder.join(format!("{id}.new"));
    let mut file = File::create(&temporary)?;
    file.write_all(text)?;
    file.sync_data()?;
    std::fs::rename(&temporary, folder.join(format!("{id}.json")))
}
