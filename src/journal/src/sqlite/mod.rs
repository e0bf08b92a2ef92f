//! The journal in one SQLite file, for everything in one process: durable, append-only, with the meaning of the one in Kafka.
//!
//! Each topic has one partition, 0, and offsets without gaps. Nothing is compacted yet: replaced records stay, and a start reads them.

pub(crate) mod database;
mod follower;
pub(crate) mod wake;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tags::{Change, Topic};

use crate::group_commit::{GroupCommit, Lane};
use crate::record::Record;
use crate::salts::sqlite::SqliteSaltsFollower;
use crate::{
    FollowError, Follower, Journal, JournalMetrics, OpenError, Positions, PublishError, SaltChange,
    Salts, SaltsFollower, Since,
};
use follower::SqliteFollower;
use wake::Wake;
use writer::SqliteCommitter;

/// The journal in a SQLite file; clones share it and its writer.
#[derive(Clone, Debug)]
pub struct SqliteJournal {
    path: PathBuf,
    wake: Arc<Wake>,
    commits: GroupCommit,
    metrics: JournalMetrics,
}

impl SqliteJournal {
    /// Opens the file, or makes it, and brings its schema up to date.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_counting(path, JournalMetrics::unregistered())
    }

    /// As [`SqliteJournal::open`], counting what its writer commits and its followers refuse.
    pub fn open_counting(path: &Path, metrics: JournalMetrics) -> Result<Self, OpenError> {
        let connection = database::open(path)?;
        let wake = Arc::new(Wake::default());
        let committer = SqliteCommitter::new(path.to_owned(), connection, Arc::clone(&wake));
        let commits = GroupCommit::start(committer, metrics.clone())?;
        Ok(Self {
            path: path.to_owned(),
            wake,
            commits,
            metrics,
        })
    }

    /// The same journal and writer, whose followers count for another role.
    #[must_use]
    pub fn for_role(&self, metrics: JournalMetrics) -> Self {
        Self {
            metrics,
            ..self.clone()
        }
    }

    /// What is counted.
    pub fn metrics(&self) -> &JournalMetrics {
        &self.metrics
    }
}

#[async_trait]
impl Journal for SqliteJournal {
    async fn become_writer(&self) -> Result<(), PublishError> {
        self.commits.become_writer().await
    }

    async fn publish(&self, changes: Vec<Change>) -> Result<Positions, PublishError> {
        let records = Record::encode_all(&changes)?;
        self.commits.publish(Lane::Interactive, records).await
    }

    async fn publish_in_bulk(&self, changes: &[Change]) -> Result<Positions, PublishError> {
        let records = Record::encode_all(changes)?;
        self.commits.publish(Lane::Bulk, records).await
    }

    fn follow(&self, topics: &[Topic], since: Since) -> Result<Box<dyn Follower>, FollowError> {
        Ok(Box::new(SqliteFollower::start(
            &self.path,
            topics,
            since,
            Arc::clone(&self.wake),
            self.metrics.clone(),
        )?))
    }
}

#[async_trait]
impl Salts for SqliteJournal {
    async fn change_salts(&self, changes: Vec<SaltChange>) -> Result<(), PublishError> {
        self.commits.change_salts(changes).await
    }

    fn follow_salts(&self) -> Result<Box<dyn SaltsFollower>, FollowError> {
        let (wake, metrics) = (Arc::clone(&self.wake), self.metrics.clone());
        let follower = SqliteSaltsFollower::start(&self.path, wake, metrics)?;
        Ok(Box::new(follower))
    }
}
