//! What can go wrong with the journal, and whether trying again helps.

use std::path::PathBuf;

use tags::Topic;

use crate::kafka::{TopicPartitionsError, TopicSettingError};

/// Why a change was not published. Except for [`PublishError::InDoubt`], nothing of it was written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PublishError {
    /// This process may not write any more, until it calls `become_writer` again.
    #[error(
        "publishing to the journal: {reason}; only one admin may write at a time: stop one of them, or restart this one to take over"
    )]
    Fenced {
        /// How it is known.
        reason: String,
    },
    /// `become_writer` has not been called, or has not succeeded.
    #[error("publishing to the journal: this process has not become its writer")]
    NotWriter,
    /// The log cannot be written now; the same call may succeed later.
    #[error("writing to the journal at {place}: {reason}; nothing was written, try again")]
    Unavailable {
        /// The brokers or the file.
        place: String,
        /// What happened.
        reason: String,
    },
    /// This process was fenced, or the log lost, while the transaction was being committed: it was written whole or not at all, and
    /// only reading tells which.
    #[error(
        "committing to the journal: {reason}; whether the change was made is not known: read it before trying again"
    )]
    InDoubt {
        /// What happened.
        reason: String,
    },
    /// Larger than [`crate::MAX_RECORD_BYTES`].
    #[error("the record '{key}' for topic {topic} has {bytes} bytes, the journal takes {max}", max = crate::MAX_RECORD_BYTES)]
    TooLarge {
        /// Its topic.
        topic: Topic,
        /// Its key.
        key: String,
        /// Its size, key and value.
        bytes: usize,
    },
    /// A topic is not as it has to be.
    #[error(transparent)]
    Topic(#[from] TopicSettingError),
    /// A topic has more partitions than it may.
    #[error(transparent)]
    Partitions(#[from] TopicPartitionsError),
}

impl PublishError {
    /// Whether the same call may succeed later without anyone's doing.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// Why following ended or could not start; what passes by itself is no error but [`crate::Event::Disconnected`].
#[derive(Clone, Debug, thiserror::Error)]
pub enum FollowError {
    /// The log cannot be opened for reading.
    #[error("starting to follow the journal at {place}: {reason}")]
    Start {
        /// The brokers or the file.
        place: String,
        /// What happened.
        reason: String,
    },
    /// The positions to read from are of another log, which this one has taken the place of: it has to be read from its beginning.
    #[error("following the journal at {place}: {reason}; it has to be read from its beginning")]
    OtherLog {
        /// The brokers or the file.
        place: String,
        /// How it is known.
        reason: String,
        /// Whether it never was the same log: of another cluster, or under another prefix.
        foreign: bool,
    },
    /// The log cannot be read any more.
    #[error("following the journal at {place}: {reason}; restart the process")]
    Broken {
        /// The brokers or the file.
        place: String,
        /// What happened.
        reason: String,
    },
}

/// Why a journal could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database file cannot be opened or brought to this build's schema.
    #[error(
        "opening the journal {path}: {source}; check that the folder exists, that it may be written, and that no newer version has used it"
    )]
    Database {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database file is none, or broken.
    #[error(
        "the journal {path} is damaged: {reason}; restore it from a backup together with its -wal file, or move it away to begin without any tag"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// librdkafka refused its settings.
    #[error(
        "setting up the connection to Kafka at {brokers}: {reason}; check kafka.brokers and kafka.options"
    )]
    Kafka {
        /// The brokers.
        brokers: String,
        /// What happened.
        reason: String,
    },
    /// The operating system gave no thread.
    #[error("starting the journal's writer thread: {0}")]
    Thread(std::io::Error),
}
