//! The disk of an edge's scan log, which can be filled. Where this user may mount, it is a small tmpfs of the case's own. Elsewhere it is the
//! folder that the edge has anyway, and what is full is what the process may write: a limit to the size of its files, which it meets like
//! a disk's end, with another error.

use std::fmt::{self, Display};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tempfile::TempDir;

use crate::deployment::{Deployment, Node};

/// What a file system of the case's own holds in all.
const SIZE: &str = "size=64m";
/// What the first edge has of it at first: two segments.
const AT_FIRST: u64 = 4 << 20;

/// The disk of the first edge's scan log.
pub enum Disk {
    /// Mounted until it is dropped.
    Tmpfs(TempDir),
    /// By which the files' sizes were limited before.
    FileSize(Option<Rlimit>),
}

impl Disk {
    /// Starts the first edge again on such a disk, with some room.
    pub async fn make(deployment: &mut Deployment) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", SIZE, "tmpfs"])
            .arg(folder.path())
            .output()
            .context("running mount")?;
        let edge = deployment.edge();
        ensure!(edge.terminate().await.code == Some(0));
        let disk = if mounted.status.success() {
            let hot = folder.path().join("hot");
            edge.set("TAGWIRE_SCAN_LOG__HOT", hot.display().to_string());
            let disk = Self::Tmpfs(folder);
            disk.fill_but(AT_FIRST)?;
            disk
        } else {
            // The signal that comes with the limit would end the process.
            edge.start_through(&["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"]);
            Self::FileSize(None)
        };
        edge.start().await;
        edge.ready().await;
        Ok(disk)
    }

    /// Takes all the room that there is. A limit is of a process: where the edge does not run, there is nothing to limit.
    pub fn fill(&mut self, deployment: &Deployment) -> anyhow::Result<()> {
        match self {
            Self::Tmpfs(_) => self.fill_but(0),
            Self::FileSize(before) => {
                let none = Rlimit {
                    current: Some(0),
                    maximum: None,
                };
                *before = limit(deployment, none)?;
                Ok(())
            }
        }
    }

    /// Gives it back, and what was taken before the edge started. A limit has ended with its process.
    pub fn free(&mut self, deployment: &Deployment) -> anyhow::Result<()> {
        match self {
            Self::Tmpfs(folder) => Ok(fs::remove_file(filling(folder))?),
            Self::FileSize(before) => {
                let before = before.take();
                if !first_edge(deployment)?.runs() {
                    return Ok(());
                }
                limit(deployment, before.context("it was not full")?).map(drop)
            }
        }
    }

    fn fill_but(&self, left: u64) -> anyhow::Result<()> {
        let Self::Tmpfs(folder) = self else {
            return Ok(());
        };
        let file = File::options()
            .append(true)
            .create(true)
            .open(filling(folder))?;
        let room = statvfs(folder.path())?;
        let taken = file.metadata()?.len();
        let more = (room.f_bavail * room.f_frsize).saturating_sub(left);
        if more > 0 {
            fallocate(&file, FallocateFlags::empty(), 0, taken + more)?;
        }
        Ok(())
    }
}

impl Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tmpfs(_) => "the disk is a tmpfs of its own",
            Self::FileSize(_) => "no tmpfs may be mounted: the size of files is limited instead",
        })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Self::Tmpfs(folder) = self {
            // Lazily: who still has a file there keeps it until they end.
            let _ = Command::new("umount")
                .arg("--lazy")
                .arg(folder.path())
                .status();
        }
    }
}

fn filling(folder: &TempDir) -> PathBuf {
    folder.path().join("filling")
}

/// Sets how long the first edge's files may be; what was before, if it runs.
fn limit(deployment: &Deployment, limit: Rlimit) -> anyhow::Result<Option<Rlimit>> {
    let edge = first_edge(deployment)?;
    if !edge.runs() {
        return Ok(None);
    }
    let pid = Pid::from_raw(i32::try_from(edge.process().id())?).context("a process id")?;
    Ok(Some(prlimit(Some(pid), Resource::Fsize, limit)?))
}

fn first_edge(deployment: &Deployment) -> anyhow::Result<&Node> {
    deployment.edges().next().context("an edge")
}
