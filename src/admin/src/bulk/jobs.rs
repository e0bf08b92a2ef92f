//! All jobs of an admin: which there are, how many there may be, and which go on after a restart.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tags::WorkspaceId;
use tokio::sync::Semaphore;

use super::job::{Job, JobStatus, Record, Task};
use super::places::{Place, Places};
use super::work::{RETRY, Stop};
use super::{edit, import};
use crate::auth::Principal;
use crate::codes::random_id;
use crate::problem::Problem;
use crate::service::Admin;

/// How long a finished job is told of, at most.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How many finished jobs of one workspace are told of, the newest, and how many bytes what is told of them may have.
const MOST_FINISHED_OF_WORKSPACE: Bound = Bound {
    jobs: 100,
    bytes: 8 * 1024 * 1024,
};
/// The same of all workspaces: it is in memory, and on the disk.
const MOST_FINISHED: Bound = Bound {
    jobs: 10_000,
    bytes: 64 * 1024 * 1024,
};
/// Chunks of tags that may be in memory, of all jobs together: one that is read, one that is written, and one that is being taken in.
const CHUNKS: usize = 3;

/// How much is kept.
#[derive(Clone, Copy, Default)]
struct Bound {
    jobs: usize,
    bytes: u64,
}

impl Bound {
    /// Whether one more with so many bytes is within this; then it is counted in `so_far`.
    fn takes(self, so_far: &mut Self, bytes: u64) -> bool {
        let fits = so_far.jobs < self.jobs && so_far.bytes + bytes <= self.bytes;
        if fits {
            so_far.jobs += 1;
            so_far.bytes += bytes;
        }
        fits
    }
}

/// The jobs.
pub(crate) struct Jobs {
    folder: PathBuf,
    known: Mutex<HashMap<String, Arc<Job>>>,
    places: Places,
    /// Those of jobs that go on when the process is started again.
    interrupted: Mutex<Vec<Place>>,
    chunks: Arc<Semaphore>,
}

impl Jobs {
    /// None yet; their files are to lie below the data directory.
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self {
            folder: data_dir.join("jobs"),
            known: Mutex::default(),
            places: Places::default(),
            interrupted: Mutex::default(),
            chunks: Arc::new(Semaphore::new(CHUNKS)),
        }
    }

    /// Where their files are.
    pub(super) fn folder(&self) -> io::Result<&Path> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&self.folder)?;
        Ok(&self.folder)
    }

    pub(super) fn chunks(&self) -> &Arc<Semaphore> {
        &self.chunks
    }

    /// A place for another job; 429 when there are as many under way as there may be.
    pub(crate) fn place(&self, workspace: &WorkspaceId, dry_run: bool) -> Result<Place, Problem> {
        self.places.take(workspace, dry_run)
    }

    /// A workspace's job.
    pub(crate) fn find(&self, workspace: &WorkspaceId, id: &str) -> Option<Arc<Job>> {
        let known = lock(&self.known);
        let job = known.get(id)?;
        job.is_of(workspace).then(|| Arc::clone(job))
    }

    /// Keeps a new job and begins it.
    pub(super) fn begin(
        &self,
        admin: &Admin,
        record: Record,
        place: Place,
    ) -> io::Result<Arc<Job>> {
        self.forget_old(admin.now());
        let id = record.id.clone();
        let job = Arc::new(Job::create(self.folder()?, record)?);
        lock(&self.known).insert(id, Arc::clone(&job));
        start(admin, &job, place);
        Ok(job)
    }

    /// Reads the jobs that an earlier run has left, and goes on with those that are not finished.
    pub(crate) fn resume(&self, admin: &Admin) -> io::Result<()> {
        let mut left = Vec::new();
        for entry in std::fs::read_dir(self.folder()?)? {
            let entry = entry?;
            // None of ours, such as `lost+found`.
            if entry.file_type()?.is_dir() {
                continue;
            }
            let path = entry.path();
            match path.extension().and_then(|kind| kind.to_str()) {
                Some("json") => left.push(path),
                // Uploads that no job was made of, and what was being written.
                Some("upload") if path.with_extension("json").exists() => {}
                _ => std::fs::remove_file(&path)?,
            }
        }
        for path in left {
            let text = std::fs::read(&path)?;
            let record: Record = match serde_json::from_slice(&text) {
                Ok(record) => record,
                Err(error) => {
                    tracing::error!(file = %path.display(), %error, "a job's file cannot be read; the job is left out");
                    continue;
                }
            };
            let (id, workspace, dry_run) =
                (record.id.clone(), record.workspace.clone(), record.dry_run);
            let finished = record.is_finished();
            let job = Arc::new(Job::of(&self.folder, record, text.len() as u64));
            lock(&self.known).insert(id.clone(), Arc::clone(&job));
            if finished {
                // The process was ended before it removed it.
                self.remove(&format!("{id}.upload"));
            } else {
                tracing::info!(
                    job = id,
                    workspace,
                    "a job goes on where the last run left it"
                );
                let bytes = std::fs::metadata(job.upload()).map_or(0, |file| file.len());
                start(admin, &job, self.places.place(&workspace, dry_run, bytes));
            }
        }
        self.forget_old(admin.now());
        Ok(())
    }

    /// Of finished jobs, the oldest go.
    fn forget_old(&self, now: Timestamp) {
        let known: Vec<Arc<Job>> = lock(&self.known).values().cloned().collect();
        let mut finished: Vec<_> = known.iter().filter_map(|job| job.finished()).collect();
        finished.sort_by_key(|job| std::cmp::Reverse(job.at));
        let mut all = Bound::default();
        let mut of_workspaces: HashMap<String, Bound> = HashMap::new();
        for job in finished {
            let own = of_workspaces.entry(job.workspace).or_default();
            let is_kept = now.duration_since(job.at) <= KEPT_FOR
                && MOST_FINISHED_OF_WORKSPACE.takes(own, job.bytes)
                && MOST_FINISHED.takes(&mut all, job.bytes);
            if is_kept {
                continue;
            }
            if lock(&self.known).remove(&job.id).is_some() {
                self.remove(&format!("{}.upload", job.id));
                self.remove(&format!("{}.json", job.id));
            }
        }
    }

    /// Removes a file of a finished job, if it is there.
    fn remove(&self, name: &str) {
        let path = self.folder.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(file = %path.display(), %error, "a finished job's file was not removed");
            }
            _ => {}
        }
    }
}

/// Begins a job that needs no file.
pub(crate) fn begin(
    admin: &Admin,
    who: &Principal,
    task: Task,
    dry_run: bool,
    place: Place,
) -> Result<Arc<Job>, Problem> {
    let id = random_id("job_").map_err(|error| Problem::internal(&error))?;
    let record = Record::new(id, who, task, dry_run, admin.now());
    let begun = admin.jobs().begin(admin, record, place);
    begun.map_err(|error| {
        tracing::error!(%error, "a job was not kept; see to room and rights in the data directory");
        Problem::unavailable(
            "The job could not be kept here, and nothing was done; the log says why.",
        )
    })
}

fn start(admin: &Admin, job: &Arc<Job>, place: Place) {
    let (admin, job) = (admin.clone(), Arc::clone(job));
    tokio::spawn(async move {
        let Record { id, task, .. } = job.record();
        let mut waited_for = None;
        let outcome = loop {
            let outcome = match &task {
                Task::Import { format, .. } => import::run(&admin, &job, *format).await,
                Task::Edit(edit) => edit::run(&admin, &job, edit).await,
            };
            let Err(stop @ Stop::Waiting(_)) = outcome else {
                break outcome;
            };
            let detail = Some(stop.to_string());
            if waited_for != detail {
                tracing::warn!(job = id, error = %stop, "a job waits");
                waited_for.clone_from(&detail);
            }
            job.say(detail);
            tokio::time::sleep(RETRY).await;
        };
        if let Err(stop @ Stop::Interrupted(_)) = &outcome {
            tracing::warn!(job = id, error = %stop, "a job was interrupted");
            job.say(Some(stop.to_string()));
            // It is under way still, and its file lies there.
            lock(&admin.jobs().interrupted).push(place);
            return;
        }
        finish(&admin, &job, outcome.map_err(|stop| stop.to_string())).await;
        drop(place);
    });
}

/// Keeps how a job has ended, or why it failed.
async fn finish(admin: &Admin, job: &Job, outcome: Result<(), String>) {
    let id = job.record().id;
    let (status, detail) = match outcome {
        Ok(()) => (JobStatus::Done, None),
        Err(detail) => (JobStatus::Failed, Some(detail)),
    };
    tracing::info!(job = id, ?status, detail, "a job has ended");
    let at = admin.now();
    loop {
        let keeping = job.update(|record| {
            record.status = status;
            record.detail.clone_from(&detail);
            record.finished_at = Some(at);
        });
        let Err(error) = keeping.await else { break };
        tracing::warn!(job = id, %error, "a job's end could not be kept; trying again");
        tokio::time::sleep(RETRY).await;
    }
    admin.jobs().forget_old(admin.now());
    admin.jobs().remove(&format!("{id}.upload"));
}

/// Nothing is left half-done under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
