//! A file on its way in: into the data directory as it comes, however large, and a job of it when all of it is there.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use futures_util::StreamExt;
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio::time::Instant;

use super::job::{Job, Record, Task};
use super::places::Place;
use super::source::Format;
use crate::auth::Principal;
use crate::codes::random_id;
use crate::problem::Problem;
use crate::service::Admin;

/// The most bytes of a file: three million tags of the usual kind.
pub(crate) const MOST_BYTES: u64 = 1024 * 1024 * 1024;
/// Bytes a second that a client has to send on average, beyond the time that every body may take.
const LOWEST_RATE: f64 = 16.0 * 1024.0;
/// Bytes after which it is looked again how much room the data directory has.
const LOOK: u64 = 4 * 1024 * 1024;
/// Bytes that uploads leave free there for the index, the alerts and the journal; of a small disk, a tenth.
const RESERVE: u64 = 1024 * 1024 * 1024;
const BUFFER: usize = 256 * 1024;

/// A file of tags that a request brings.
pub(crate) struct Upload {
    pub(crate) format: Format,
    pub(crate) dry_run: bool,
    pub(crate) body: Body,
    /// How long the beginning of any body may take.
    pub(crate) patience: Duration,
}

impl Upload {
    /// Keeps the file, and begins the job that makes its tags.
    pub(crate) async fn begin(
        self,
        admin: &Admin,
        who: &Principal,
        mut place: Place,
    ) -> Result<std::sync::Arc<Job>, Problem> {
        let id = random_id("job_").map_err(|error| Problem::internal(&error))?;
        let folder = admin.jobs().folder().map_err(not_kept)?;
        let file = Spool::create(folder.join(format!("{id}.upload"))).await?;
        let (path, bytes) = file.receive(self.body, self.patience, &mut place).await?;
        let task = Task::Import {
            format: self.format,
            bytes,
        };
        let record = Record::new(id, who, task, self.dry_run, admin.now());
        let job = admin.jobs().begin(admin, record, place).map_err(not_kept)?;
        path.keep();
        Ok(job)
    }
}

/// A file that is taken away again unless it is kept.
struct Spool {
    path: Spooled,
    file: BufWriter<File>,
}

struct Spooled(Option<PathBuf>);

impl Spool {
    async fn create(path: PathBuf) -> Result<Self, Problem> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = File::from_std(options.open(&path).map_err(not_kept)?);
        Ok(Self {
            path: Spooled(Some(path)),
            file: BufWriter::with_capacity(BUFFER, file),
        })
    }

    /// All of a body, on the disk; how many bytes it has.
    async fn receive(
        mut self,
        body: Body,
        patience: Duration,
        place: &mut Place,
    ) -> Result<(Spooled, u64), Problem> {
        let began = Instant::now();
        let mut body = body.into_data_stream();
        let mut bytes: u64 = 0;
        let mut next_look = 0;
        loop {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            let earned = Duration::from_secs_f64(bytes as f64 / LOWEST_RATE);
            let next = tokio::time::timeout_at(began + patience + earned, body.next()).await;
            let next = next.map_err(|_| {
                Problem::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "The body did not arrive in time; send the request again.",
                )
            })?;
            let Some(data) = next else { break };
            let data = data.map_err(|_| {
                Problem::new(
                    StatusCode::BAD_REQUEST,
                    "The body could not be read; send the request again.",
                )
            })?;
            bytes += data.len() as u64;
            if bytes > MOST_BYTES {
                return Err(Problem::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!(
                        "The file is too large: at most {MOST_BYTES} bytes are allowed; send it in parts."
                    ),
                ));
            }
            place.grow(data.len() as u64)?;
            if bytes >= next_look {
                self.path.require_room()?;
                next_look = bytes + LOOK;
            }
            self.file.write_all(&data).await.map_err(not_kept)?;
        }
        self.file.flush().await.map_err(not_kept)?;
        self.file.get_ref().sync_all().await.map_err(not_kept)?;
        Ok((self.path, bytes))
    }
}

impl Spooled {
    /// 503 when the disk that it is on is nearly full.
    fn require_room(&self) -> Result<(), Problem> {
        let Some(folder) = self.0.as_deref().and_then(Path::parent) else {
            return Ok(());
        };
        let disk = rustix::fs::statvfs(folder).map_err(|error| not_kept(error.into()))?;
        if leaves_reserve(disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize) {
            return Ok(());
        }
        tracing::error!(folder = %folder.display(), "an upload was refused: the disk of the data directory is nearly full");
        Err(Problem::unavailable(
            "The disk for uploaded files is nearly full, and nothing was done; ask who runs the installation for room.",
        ))
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            remove(path);
        }
    }
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::warn!(file = %path.display(), %error, "an upload that is of no use was not removed");
    }
}

fn not_kept(error: std::io::Error) -> Problem {
    tracing::error!(%error, "an uploaded file was not kept; see to room and rights in the data directory");
    Problem::unavailable("The file could not be kept here, and nothing was done; the log says why.")
}

/// Whether a disk of so many bytes, of which so many are free, has room for more of a file.
fn leaves_reserve(free: u64, all: u64) -> bool {
    free >= RESERVE.min(all / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_leave_a_gibibyte_free_or_a_tenth_of_a_small_disk() {
        let gib = 1024 * 1024 * 1024;
        assert!(leaves_reserve(gib, 1000 * gib));
        assert!(!leaves_reserve(gib - 1, 1000 * gib));
        assert!(leaves_reserve(gib / 10, gib));
        assert!(!leaves_reserve(gib / 10 - 1, gib));
    }
}
