//! The log of changes: Kafka or SQLite.
//!
//! One [`Journal`] publishes changes and lets any number of [`Follower`]s read them, from the start or from where they were. What a
//! change is, and its form as bytes, is `tags`' matter; what becomes of it, the table's and the admin's.
//!
//! Read in this order: [`Journal`], [`Event`], [`Positions`], then one of the two implementations. [`Edges`] is the way back: how far each edge
//! has come. [`Counts`] is what edges tell each other: how often tags have been scanned. [`Salts`] are what they hash a day's
//! visitors with.

mod applied;
mod counts;
mod edges;
mod error;
mod event;
mod group_commit;
mod journal;
mod kafka;
mod metrics;
mod positions;
mod record;
mod refused;
mod salts;
mod since;
mod sqlite;

pub use applied::{Applied, AppliedSender, Closed};
pub use counts::{
    Count, CountError, Counts, CountsError, CountsEvent, CountsFile, CountsFileError,
    CountsFollower, CountsPublisher, KafkaCounts,
};
pub use edges::{
    EdgeRun, EdgeState, Edges, EdgesError, EdgesEvent, EdgesFollower, Heartbeat, HeartbeatError,
    InvalidEdgeRun, KafkaEdges, LocalEdges, Reporter,
};
pub use error::{FollowError, OpenError, PublishError};
pub use event::Event;
pub use journal::{Follower, Journal};
pub use kafka::{KafkaJournal, KafkaOptions, TopicPartitionsError, TopicSettingError};
pub use metrics::JournalMetrics;
pub use positions::Positions;
pub use record::MAX_RECORD_BYTES;
pub use refused::RefusedRecord;
pub use salts::{Salt, SaltChange, SaltError, Salts, SaltsEvent, SaltsFollower};
pub use since::{KnownLog, Since};
pub use sqlite::SqliteJournal;
